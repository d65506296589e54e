//! A small bot that does what docs/product.md says, slowly and simply, and can be told to get one thing wrong.

pub(crate) mod http;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// What the bot gets wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    None,
    DropsOneIn(usize),
    LeavesMessages,
    DeletesFreeMessages,
    NeverMutes,
    MutesEverybody,
    MutesOnUnknown,
    TriesAdmins,
    IgnoresChannelJoins,
    IgnoresChannelLeaves,
    LiftsAdminsMutes,
    FreesWhoeverPresses,
    IgnoresPresses,
    AnswersWithNothing,
    PressFreesNobody,
    SendsPromptTwice,
    NeverPrompts,
    LeavesPrompts,
    RepliesTwice,
    NeverReplies,
    UnprotectLeavesMutes,
}

/// Calls the Bot API; `Err` is the description.
pub(crate) type Call<'a> = dyn FnMut(&str, Value) -> Result<Value, String> + 'a;

pub(crate) struct FakeBot {
    me: i64,
    bug: Bug,
    seen: usize,
    required: BTreeMap<i64, BTreeSet<i64>>,
    ours: BTreeSet<(i64, i64)>,
    theirs: BTreeSet<(i64, i64)>,
    allowed: BTreeSet<(i64, i64)>,
    prompts: BTreeMap<i64, i64>,
}

const SERVICE: [i64; 3] = [777_000, 1_087_968_824, 136_817_688];

fn is_in(member: &Value) -> bool {
    match member["status"].as_str().unwrap() {
        "creator" | "administrator" | "member" => true,
        "restricted" => member["is_member"].as_bool().unwrap(),
        _ => false,
    }
}

fn is_admin(member: &Value) -> bool {
    matches!(member["status"].as_str(), Some("creator" | "administrator"))
}

impl FakeBot {
    pub(crate) fn new(me: i64, bug: Bug) -> Self {
        Self {
            me,
            bug,
            seen: 0,
            required: BTreeMap::new(),
            ours: BTreeSet::new(),
            theirs: BTreeSet::new(),
            allowed: BTreeSet::new(),
            prompts: BTreeMap::new(),
        }
    }

    pub(crate) fn handle(&mut self, update: &Value, call: &mut Call<'_>) {
        self.seen += 1;
        if matches!(self.bug, Bug::DropsOneIn(n) if self.seen.is_multiple_of(n)) {
            return;
        }
        if let Some(change) = update.get("chat_member") {
            self.changed(change, call);
        } else if let Some(message) = update.get("message") {
            self.message(message, call);
        } else if let Some(query) = update.get("callback_query") {
            self.pressed(query, call);
        }
    }

    fn changed(&mut self, change: &Value, call: &mut Call<'_>) {
        let (chat, by) = (change["chat"]["id"].as_i64().unwrap(), change["from"]["id"].as_i64().unwrap());
        let (old, new) = (&change["old_chat_member"], &change["new_chat_member"]);
        let user = new["user"]["id"].as_i64().unwrap();
        if by == self.me {
            return;
        }
        for group in self.groups_requiring(chat) {
            let joined = is_in(new) && !is_in(old);
            let left = is_in(old) && !is_in(new);
            if joined && !matches!(self.bug, Bug::IgnoresChannelJoins | Bug::PressFreesNobody)
                || left && self.bug != Bug::IgnoresChannelLeaves
            {
                self.look(group, user, false, call);
                self.refresh_prompt(group, call);
            }
        }
        let key = (chat, user);
        if by == user {
            if !is_in(new) {
                self.allowed.remove(&key);
            } else if !is_in(old) {
                self.look(chat, user, false, call);
            }
        } else if matches!(new["status"].as_str(), Some("restricted" | "kicked")) {
            self.ours.remove(&key);
            self.theirs.insert(key);
        } else if self.ours.remove(&key) {
            self.allowed.insert(key);
        } else {
            self.theirs.remove(&key);
        }
        self.refresh_prompt(chat, call);
    }

    fn message(&mut self, message: &Value, call: &mut Call<'_>) {
        let (chat, id) = (message["chat"]["id"].as_i64().unwrap(), message["message_id"].as_i64().unwrap());
        let user = message["from"]["id"].as_i64().unwrap();
        let text = message["text"].as_str().unwrap_or_default();
        if message.get("new_chat_members").or(message.get("left_chat_member")).is_some() {
            return;
        }
        let delete = json!({"chat_id": chat, "message_id": id});
        if self.bug == Bug::DeletesFreeMessages && id % 20 == 0 {
            call("deleteMessage", delete).ok();
            return;
        }
        if chat < 0 && self.look(chat, user, true, call) {
            if self.bug != Bug::LeavesMessages {
                call("deleteMessage", delete).ok();
            }
            self.refresh_prompt(chat, call);
            return;
        }
        let mut words = text.split_whitespace();
        let (command, bot) =
            words.next().map_or(("", None), |w| w.split_once('@').map_or((w, None), |(w, b)| (w, Some(b))));
        if !["/start", "/help", "/status", "/protect", "/unprotect"].contains(&command)
            || bot.is_some_and(|bot| bot != "nezuko_demo_bot")
        {
            return;
        }
        if self.bug == Bug::NeverReplies {
            return;
        }
        let answer = match command {
            "/protect" => {
                for name in words {
                    let channel = call("getChat", json!({"chat_id": name})).unwrap()["id"].as_i64().unwrap();
                    self.required.entry(chat).or_default().insert(channel);
                }
                "protected"
            }
            "/unprotect" => {
                self.required.remove(&chat);
                let held: Vec<_> = self.ours.iter().copied().filter(|(group, _)| *group == chat).collect();
                for (_, user) in held {
                    if self.bug != Bug::UnprotectLeavesMutes {
                        self.lift(chat, user, call);
                    }
                }
                self.refresh_prompt(chat, call);
                "unprotected"
            }
            _ => "I guard this group",
        };
        let reply = json!({"chat_id": chat, "text": answer, "reply_parameters": {"message_id": id}});
        for _ in 0..=usize::from(self.bug == Bug::RepliesTwice) {
            call("sendMessage", reply.clone()).unwrap();
        }
    }

    fn pressed(&mut self, query: &Value, call: &mut Call<'_>) {
        let (chat, user) = (query["message"]["chat"]["id"].as_i64().unwrap(), query["from"]["id"].as_i64().unwrap());
        if self.bug == Bug::IgnoresPresses {
            return;
        }
        let missing = match self.bug {
            Bug::FreesWhoeverPresses => {
                if self.ours.contains(&(chat, user)) {
                    self.lift(chat, user, call);
                }
                false
            }
            Bug::PressFreesNobody => true,
            _ => self.look(chat, user, false, call),
        };
        self.refresh_prompt(chat, call);
        let text = match (missing, self.bug) {
            (_, Bug::AnswersWithNothing) => "",
            (true, _) => "you still miss a channel",
            (false, _) => "you may speak",
        };
        call("answerCallbackQuery", json!({"callback_query_id": query["id"], "text": text})).unwrap();
    }

    /// Decides about a person and acts; true if they must not speak.
    fn look(&mut self, group: i64, user: i64, wrote: bool, call: &mut Call<'_>) -> bool {
        let Some(required) = self.required.get(&group).cloned() else { return false };
        let Ok(member) = call("getChatMember", json!({"chat_id": group, "user_id": user})) else { return false };
        let exempt = is_admin(&member) || member["user"]["is_bot"] == json!(true) || SERVICE.contains(&user);
        let key = (group, user);
        let tries_admin = self.bug == Bug::TriesAdmins && is_admin(&member) && wrote;
        if exempt && !tries_admin {
            return false;
        }
        let mut missing = self.bug == Bug::MutesEverybody || tries_admin;
        for channel in required {
            match call("getChatMember", json!({"chat_id": channel, "user_id": user})) {
                Ok(member) => missing |= !is_in(&member),
                Err(_) if self.bug == Bug::MutesOnUnknown => missing = true,
                Err(_) => return false,
            }
        }
        let handsoff = self.theirs.contains(&key) && self.bug != Bug::LiftsAdminsMutes;
        if self.allowed.contains(&key) || handsoff {
            return false;
        }
        if missing {
            let mutes = self.bug != Bug::NeverMutes && (is_in(&member) || wrote);
            if mutes && member["status"] != "restricted" {
                let mute = json!({"chat_id": group, "user_id": user, "permissions": {}});
                if call("restrictChatMember", mute).is_ok() {
                    self.ours.insert(key);
                }
            }
        } else if self.ours.contains(&key) || self.bug == Bug::LiftsAdminsMutes && member["status"] == "restricted" {
            self.lift(group, user, call);
        }
        missing
    }

    fn lift(&mut self, group: i64, user: i64, call: &mut Call<'_>) {
        self.ours.remove(&(group, user));
        let all: serde_json::Map<String, Value> = [
            "can_send_messages",
            "can_send_audios",
            "can_send_documents",
            "can_send_photos",
            "can_send_videos",
            "can_send_video_notes",
            "can_send_voice_notes",
            "can_send_polls",
            "can_send_other_messages",
            "can_add_web_page_previews",
            "can_change_info",
            "can_invite_users",
            "can_pin_messages",
            "can_manage_topics",
        ]
        .into_iter()
        .map(|permission| (permission.to_owned(), json!(true)))
        .collect();
        call("restrictChatMember", json!({"chat_id": group, "user_id": user, "permissions": all})).ok();
    }

    fn refresh_prompt(&mut self, group: i64, call: &mut Call<'_>) {
        let ours: Vec<_> = self.ours.iter().filter(|(chat, _)| *chat == group).map(|(_, user)| *user).collect();
        let waits = ours.into_iter().any(|user| {
            let member = call("getChatMember", json!({"chat_id": group, "user_id": user}));
            member.is_ok_and(|member| is_in(&member))
        });
        match (waits, self.prompts.get(&group).copied()) {
            (true, None) if self.bug != Bug::NeverPrompts => {
                let keyboard = json!({"inline_keyboard": [[{"text": "I have joined", "callback_data": "v"}]]});
                let prompt = json!({"chat_id": group, "text": "Please join", "reply_markup": keyboard});
                for _ in 0..=usize::from(self.bug == Bug::SendsPromptTwice) {
                    let sent = call("sendMessage", prompt.clone()).unwrap();
                    self.prompts.insert(group, sent["message_id"].as_i64().unwrap());
                }
            }
            (false, Some(message)) if self.bug != Bug::LeavesPrompts => {
                call("deleteMessage", json!({"chat_id": group, "message_id": message})).ok();
                self.prompts.remove(&group);
            }
            _ => {}
        }
    }

    fn groups_requiring(&self, channel: i64) -> Vec<i64> {
        self.required.iter().filter(|(_, channels)| channels.contains(&channel)).map(|(group, _)| *group).collect()
    }
}

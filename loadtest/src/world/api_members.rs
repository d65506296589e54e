//! The Bot API's methods about members: lookups, restrictions, bans.

use serde_json::{Value, json};

use super::{
    Happened, World,
    api::{ApiError, ApiResult, bad, flag, integer},
    chat::ChatKind,
    ids::{ChatId, UserId},
    member::{Member, Permissions},
};

/// `until_date` nearer than this means for ever (E47).
const SHORTEST_S: i64 = 30;
/// `until_date` farther than this means for ever (E47).
const LONGEST_S: i64 = 366 * 86_400;

impl World {
    pub(super) fn get_chat_member(&mut self, now_ms: i64, params: &Value) -> ApiResult {
        let chat = self.chat_id(params)?;
        let user = user_id(params)?;
        let found = self.look_up(now_ms, params, user);
        self.note(now_ms, Happened::LookedUp { chat, user, known: found.is_ok() });
        Ok(found?.to_json(&self.people[&user]))
    }

    fn look_up(&mut self, now_ms: i64, params: &Value, user: UserId) -> Result<Member, ApiError> {
        let place = self.reached(now_ms, params)?;
        let chat = place.spec.id;
        if !self.people.contains_key(&user) {
            return Err(bad("user not found"));
        }
        if user != self.bot.id && !place.member(self.bot.id, now_ms).is_admin() {
            if place.spec.kind == ChatKind::Channel {
                return Err(bad("member list is inaccessible"));
            }
            if place.spec.hidden_members {
                return Err(bad("CHAT_ADMIN_REQUIRED"));
            }
        }
        let member = self.shown_late(chat, user).unwrap_or_else(|| place.member(user, now_ms));
        let (asked_ms, cached) = self.lookups.get(&(chat, user)).copied().unwrap_or((now_ms, member));
        if now_ms - asked_ms < self.switches.stale_lookups_ms {
            self.lookups.insert((chat, user), (asked_ms, cached));
            return Ok(cached.at(now_ms));
        }
        self.lookups.remove(&(chat, user));
        Ok(member)
    }

    pub(super) fn get_chat_administrators(&self, now_ms: i64, params: &Value) -> ApiResult {
        let place = self.reached(now_ms, params)?;
        match place.spec.kind {
            ChatKind::Private => return Err(bad("there are no administrators in the private chat")),
            ChatKind::Channel if !place.member(self.bot.id, now_ms).is_admin() => {
                return Err(bad("member list is inaccessible"));
            }
            _ => {}
        }
        // Other bots are not listed.
        let listed =
            place.members(now_ms).filter(|(_, member, _)| member.is_admin()).filter_map(|(user, member, _)| {
                let person = self.people.get(&user)?;
                (!person.is_bot || user == self.bot.id).then(|| member.to_json(person))
            });
        Ok(listed.collect())
    }

    pub(super) fn restrict_chat_member(&mut self, now_ms: i64, params: &Value) -> ApiResult {
        let place = self.reached(now_ms, params)?;
        if place.spec.kind != ChatKind::Supergroup {
            return Err(bad("method is available only for supergroups"));
        }
        let (chat, user) = (place.spec.id, user_id(params)?);
        let given = match params.get("permissions") {
            Some(Value::String(encoded)) => serde_json::from_str(encoded).unwrap_or(Value::Null),
            Some(given) => given.clone(),
            None => Value::Null,
        };
        if !given.is_object() {
            return Err(bad("permissions must be specified"));
        }
        let old = self.restrictable(now_ms, chat, user)?;
        if user == self.bot.id {
            return Err(bad("can't restrict self"));
        }
        if old.is_admin() {
            return Err(bad("user is an administrator of the chat"));
        }
        let permissions = Permissions::from_json(&given, flag(params, "use_independent_chat_permissions"));
        let new = match permissions {
            Permissions::ALL if old.is_in() => Member::Member,
            Permissions::ALL => Member::Left,
            permissions => Member::Restricted { is_member: old.is_in(), until: until(now_ms, params), permissions },
        };
        self.change(now_ms, chat, user, self.bot.id, new);
        Ok(json!(true))
    }

    pub(super) fn ban_chat_member(&mut self, now_ms: i64, params: &Value) -> ApiResult {
        let place = self.reached(now_ms, params)?;
        if place.spec.kind == ChatKind::Private {
            return Err(bad("can't ban members in private chats"));
        }
        let (chat, user) = (place.spec.id, user_id(params)?);
        let old = self.restrictable(now_ms, chat, user)?;
        if matches!(old, Member::Creator { .. }) {
            return Err(bad("can't remove chat owner"));
        }
        if user == self.bot.id {
            return Err(bad("can't restrict self"));
        }
        if old.is_admin() {
            return Err(bad("user is an administrator of the chat"));
        }
        self.change(now_ms, chat, user, self.bot.id, Member::Kicked { until: until(now_ms, params) });
        Ok(json!(true))
    }

    pub(super) fn unban_chat_member(&mut self, now_ms: i64, params: &Value) -> ApiResult {
        let place = self.reached(now_ms, params)?;
        if !matches!(place.spec.kind, ChatKind::Supergroup | ChatKind::Channel) {
            return Err(bad("method is available for supergroup and channel chats only"));
        }
        let (chat, user) = (place.spec.id, user_id(params)?);
        let old = self.restrictable(now_ms, chat, user)?;
        if old.is_admin() {
            return Err(bad("user is an administrator of the chat"));
        }
        if matches!(old, Member::Kicked { .. }) || !flag(params, "only_if_banned") {
            // Without the flag this also removes who is there (E49).
            self.change(now_ms, chat, user, self.bot.id, Member::Left);
        }
        Ok(json!(true))
    }

    pub(super) fn leave_chat(&mut self, now_ms: i64, params: &Value) -> ApiResult {
        let place = self.reached(now_ms, params)?;
        let (chat, bot) = (place.spec.id, self.bot.id);
        self.change(now_ms, chat, bot, bot, Member::Left);
        Ok(json!(true))
    }

    /// How `user` stands, if the bot may restrict people there and there is such a person.
    fn restrictable(&self, now_ms: i64, chat: ChatId, user: UserId) -> Result<Member, ApiError> {
        let place = &self.chats[&chat];
        if user.is_service() {
            return Err(bad("PARTICIPANT_ID_INVALID"));
        }
        if !self.people.contains_key(&user) {
            return Err(bad("user not found"));
        }
        if !place.member(self.bot.id, now_ms).rights().can_restrict_members {
            return Err(bad("not enough rights to restrict/unrestrict chat member"));
        }
        Ok(place.member(user, now_ms))
    }
}

fn user_id(params: &Value) -> Result<UserId, ApiError> {
    integer(params, "user_id").filter(|id| *id > 0).map(UserId).ok_or_else(|| bad("invalid user_id specified"))
}

fn until(now_ms: i64, params: &Value) -> i64 {
    let now = now_ms / 1000;
    let until = integer(params, "until_date").unwrap_or(0);
    if until < now + SHORTEST_S || until > now + LONGEST_S { 0 } else { until }
}

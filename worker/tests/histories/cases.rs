//! Rules whose absence is healed by another one after a while, each shown by what happens at once.

use std::sync::{Arc, OnceLock};

use nezuko_shared::{cache::memory::MemoryCache, telemetry::metrics::Metrics};
use nezuko_telegram::{BotId, ChatId, UpdateId, UserId, parse_update};
use nezuko_worker::{
    facts::{Act, Call, Mark, Setting, set},
    handle::{Handler, Receipt},
    planted::{Bug, plant},
    store::{ChatWrites, PersonWrites, Scope, Store},
};
use serde_json::{Value, json};

use crate::{history::run_alone, memory_store::MemoryStore};

const BOT: BotId = BotId(7_000_000_001);
const GROUP: ChatId = ChatId(-1_001);
const CHANNEL: ChatId = ChatId(-1_002);
const ANN: UserId = UserId(11);
const NOW_S: i64 = 1_700_000_000;

struct Case {
    store: MemoryStore,
    handler: Handler,
    next_update: i64,
}

fn user(id: i64) -> Value {
    json!({"id": id, "is_bot": id == BOT.0, "first_name": "Somebody"})
}

impl Case {
    fn new() -> Self {
        let store = MemoryStore::new(BOT);
        let handler = Handler {
            store: Arc::new(store.clone()),
            cache: Arc::new(MemoryCache::default()),
            bot: BOT,
            username: Arc::new(OnceLock::new()),
            metrics: Metrics::new(BOT, "abc"),
            clock: Arc::new(|| NOW_S * 1000),
            wake: Arc::default(),
        };
        let mut case = Self { store, handler, next_update: 100 };
        let admin = json!({"status": "administrator", "can_restrict_members": true, "can_delete_messages": true});
        for chat in [CHANNEL, GROUP] {
            case.change("my_chat_member", chat, (1, BOT.0), json!({"status": "left"}), admin.clone(), -60);
        }
        let on = Setting { value: true, update_id: UpdateId(1), received_ms: 0 };
        let mut protect = |view: &nezuko_worker::store::ChatView| {
            let mut facts = view.chat.facts.clone();
            set(&mut facts.protected, on);
            ChatWrites { facts: Some(facts), links: vec![(CHANNEL, on)], put: Vec::new() }
        };
        run_alone(case.store.with_chat(GROUP, "", 0, &mut protect)).unwrap();
        case
    }

    /// `who` is who does it, and to whom.
    fn change(&mut self, kind: &str, chat: ChatId, who: (i64, i64), mut old: Value, mut new: Value, after_s: i64) {
        old["user"] = user(who.1);
        new["user"] = user(who.1);
        let kind_of_chat = if chat == CHANNEL { "channel" } else { "supergroup" };
        let id = self.next_update;
        self.next_update += 1;
        let update = json!({"update_id": id, kind: {
            "chat": {"id": chat.0, "type": kind_of_chat, "title": "Chat"}, "from": user(who.0), "date": NOW_S + after_s,
            "old_chat_member": old, "new_chat_member": new,
        }});
        let update = parse_update(update.to_string().as_bytes()).unwrap();
        let receipt = Receipt { update_id: UpdateId(id), received_ms: NOW_S * 1000, trace_id: "" };
        run_alone(self.handler.handle(&update, &receipt)).unwrap();
    }

    /// Ann was to be muted, and the call is on its way.
    fn mute_is_out(&mut self) -> i64 {
        let until = Mark::of(BOT, GROUP, ANN).until(NOW_S * 1000);
        let scope = Scope { user: ANN, chat: GROUP, update: None, trace_id: "", now_ms: NOW_S * 1000 };
        let mut calls = |view: &nezuko_worker::store::PersonView| {
            let mut member = view.members[&GROUP].clone();
            member.call = Some(Call { answered: true, ..Call::new(Act::Mute, NOW_S * 1000, None) });
            member.mute_until = Some(until);
            PersonWrites { members: [(GROUP, member)].into(), ..PersonWrites::default() }
        };
        run_alone(self.store.with_person(&scope, &mut calls)).unwrap();
        until
    }

    fn is_to_be_looked_at(&self) -> bool {
        self.store.is_due(&format!("member:{GROUP}:{ANN}"), NOW_S * 1000)
    }
}

/// Ann joins the group, is about to be muted, joins the channel; then the echo of the mute arrives.
fn released_at_the_echo() -> bool {
    let mut case = Case::new();
    case.change("chat_member", GROUP, (ANN.0, ANN.0), json!({"status": "left"}), json!({"status": "member"}), -2);
    let until = case.mute_is_out();
    case.change("chat_member", CHANNEL, (ANN.0, ANN.0), json!({"status": "left"}), json!({"status": "member"}), 0);
    assert!(!case.is_to_be_looked_at(), "nothing shows a mute of ours yet");
    let muted = json!({"status": "restricted", "is_member": true, "until_date": until});
    case.change("chat_member", GROUP, (BOT.0, ANN.0), json!({"status": "member"}), muted, 1);
    case.is_to_be_looked_at()
}

#[test]
fn at_the_echo_of_a_mute_that_is_no_longer_wanted_it_is_released_at_once() {
    assert!(released_at_the_echo());
    plant(Some(Bug::NothingAtEcho));
    let without_the_rule = released_at_the_echo();
    plant(None);
    assert!(!without_the_rule);
}

#[test]
fn of_two_settings_the_newer_one_counts_in_whatever_order_they_arrive() {
    let (old, new) = (UpdateId(10), UpdateId(11));
    let end = |first: UpdateId, second: UpdateId| {
        let mut register = None;
        for update_id in [first, second] {
            set(&mut register, Setting { value: update_id == new, update_id, received_ms: 0 });
        }
        register.is_some_and(|setting| setting.value)
    };
    assert!(end(old, new) && end(new, old));
    plant(Some(Bug::SettingByArrival));
    let without_the_rule = end(new, old);
    plant(None);
    assert!(!without_the_rule);
}

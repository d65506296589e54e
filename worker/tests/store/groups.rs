//! Who brought the bot into which group, and what the operator has laid down (E80, E105), on both databases.

use nezuko_shared::{
    conformance::{
        databases::{SqliteFile, with_postgres},
        some_bot,
    },
    database::Database,
};
use nezuko_telegram::{ChatId, ChatKind, Rights, Standing, UpdateId, UserId};
use nezuko_worker::{
    admission::{Arrival, Refusal},
    facts::{ChatFacts, EventOrder, Setting},
    intent::{Intent, Lane},
    store::{ChatView, ChatWrites, OperatorRule, SqlStore, Store},
};

const NOW: i64 = 1_700_000_000_000;
const ANN: UserId = UserId(5);
const BOB: UserId = UserId(6);
const OVER: Option<Refusal> = Some(Refusal::OverQuota);

#[tokio::test]
async fn operators_rules_hold_on_postgresql() {
    with_postgres(|database| async move {
        all(&database).await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn operators_rules_hold_on_sqlite() {
    all(&SqliteFile::new().await.database).await;
}

async fn all(database: &Database) {
    e105_quotas_count_the_groups_that_an_owner_has_the_bot_in(&new(database)).await;
    e105_what_is_laid_down_holds_for_groups_that_are_known(&new(database)).await;
    e80_owners_are_apart_from_groups_and_both_follow_a_group_that_becomes_a_supergroup(&new(database)).await;
    groups_with_a_rule_in_force_are_counted(&new(database)).await;
}

fn new(database: &Database) -> SqlStore {
    SqlStore::new(database.clone(), some_bot())
}

/// The bot comes in or goes out in the `nth` second.
async fn moves(store: &SqlStore, group: i64, by: Option<UserId>, is_in: bool, nth: i64) -> Vec<(i64, Option<Refusal>)> {
    let order = EventOrder { date: NOW / 1000 + nth, update_id: UpdateId(nth) };
    let judged = store.admit(ChatId(group), &Arrival { order, by, is_in }).await.unwrap();
    judged.into_iter().map(|(group, refusal)| (group.0, refusal)).collect()
}

/// Makes a group known, and whether it is protected and requires a channel.
async fn know(store: &SqlStore, group: i64, protected: Option<bool>, requires: bool) {
    let on = |value| Setting { value, update_id: UpdateId(1), received_ms: NOW };
    let mut step = |view: &ChatView| {
        let mut facts = view.chat.facts.clone();
        ChatKind::Supergroup.as_str().clone_into(&mut facts.kind);
        facts.protected = protected.map(on);
        ChatWrites { facts: Some(facts), links: vec![(ChatId(-99), on(requires))], put: Vec::new() }
    };
    store.with_chat(ChatId(group), "", NOW, &mut step).await.unwrap();
}

async fn refused(store: &SqlStore, group: i64) -> Option<Refusal> {
    store.chat(ChatId(group)).await.unwrap().chat.facts.refused
}

async fn e105_quotas_count_the_groups_that_an_owner_has_the_bot_in(store: &SqlStore) {
    store.lay_down(OperatorRule::Quota(None, Some(1)), NOW).await.unwrap();
    assert_eq!(moves(store, -1, Some(ANN), true, 1).await, [(-1, None)]);
    assert_eq!(moves(store, -2, Some(ANN), true, 2).await, [(-2, OVER), (-1, None)]);
    assert_eq!(moves(store, -3, Some(BOB), true, 3).await, [(-3, None)], "another owner");
    assert_eq!(moves(store, -4, None, true, 4).await, [(-4, None)], "nobody knows whose it is");
    // Told again, or late.
    assert_eq!(moves(store, -1, Some(ANN), true, 1).await, [(-2, OVER), (-1, None)]);
    assert_eq!(moves(store, -1, Some(ANN), false, 5).await, [(-2, None)], "the other one comes within the quota");
    assert_eq!(moves(store, -1, Some(ANN), true, 1).await, [(-2, None)], "a late note brings nothing back");
    assert_eq!(moves(store, -1, Some(ANN), true, 6).await, [(-2, None), (-1, OVER)]);
    store.lay_down(OperatorRule::Quota(Some(ANN), Some(2)), NOW).await.unwrap();
    assert_eq!(moves(store, -1, None, true, 7).await, [(-2, None), (-1, None)], "whoever adds it, it stays Ann's");
    // Of ten that come at once, as many stay as may.
    let at_once = (10..20).map(|group| moves(store, -group, Some(UserId(7)), true, group));
    for judged in at_once {
        judged.await;
    }
    let last = moves(store, -19, Some(UserId(7)), true, 19).await;
    assert_eq!(last.iter().filter(|(_, refusal)| refusal.is_none()).count(), 1, "{last:?}");
}

async fn e105_what_is_laid_down_holds_for_groups_that_are_known(store: &SqlStore) {
    for group in [-1, -2, -3] {
        moves(store, group, Some(ANN), true, -group).await;
        know(store, group, Some(true), true).await;
    }
    let blocked = Some(Refusal::Blocked);
    let block = OperatorRule::Listed(ChatId(-2), Some(false));
    assert_eq!(store.lay_down(block, NOW).await.unwrap(), [(ChatId(-2), blocked)]);
    assert_eq!(refused(store, -2).await, blocked);
    assert!(!store.chat(ChatId(-2)).await.unwrap().chat.facts.is_protected());
    let told = store.claim(Lane::Messages, "me", NOW, NOW + 1, 10).await.unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].intent, Intent::Refuse { group: ChatId(-2), told: false });
    assert_eq!(store.lay_down(block, NOW).await.unwrap(), [], "it is so already");

    let quota = OperatorRule::Quota(None, Some(1));
    assert_eq!(store.lay_down(quota, NOW).await.unwrap(), [(ChatId(-3), OVER)]);
    let allow = OperatorRule::Listed(ChatId(-3), Some(true));
    assert_eq!(store.lay_down(allow, NOW).await.unwrap(), [(ChatId(-3), None)]);
    let closed = store.lay_down(OperatorRule::Closed(true), NOW).await.unwrap();
    assert_eq!(closed, [(ChatId(-1), Some(Refusal::NotAllowed))]);
    store.lay_down(OperatorRule::Listed(ChatId(-2), None), NOW + 1).await.unwrap();
    assert_eq!(refused(store, -2).await, Some(Refusal::NotAllowed));
    store.lay_down(OperatorRule::Closed(false), NOW).await.unwrap();
    store.lay_down(OperatorRule::Quota(None, None), NOW).await.unwrap();
    for group in [-1, -2, -3] {
        assert_eq!(refused(store, group).await, None);
    }
    let records = store.records(ChatId(-2), None, NOW, 10).await.unwrap();
    let texts: Vec<_> = records.iter().map(|record| format!("{} {}", record.action, record.detail)).collect();
    assert_eq!(texts, ["operator: group 0", "operator: group 0", "operator: group none"]);
}

async fn e80_owners_are_apart_from_groups_and_both_follow_a_group_that_becomes_a_supergroup(store: &SqlStore) {
    moves(store, -41, Some(ANN), true, 1).await;
    know(store, -41, Some(true), true).await;
    store.lay_down(OperatorRule::Listed(ChatId(-41), Some(false)), NOW).await.unwrap();
    store.migrate(ChatId(-41), ChatId(-1_001), "", NOW).await.unwrap();
    assert_eq!(store.owner(ChatId(-1_001)).await.unwrap(), Some(ANN));
    assert_eq!(refused(store, -1_001).await, Some(Refusal::Blocked), "no way around a block");
    assert_eq!(moves(store, -1_001, Some(ANN), true, 9).await, [(-1_001, Some(Refusal::Blocked))]);
    // Erasing the owner deletes nothing of the group.
    store.erase_person(ANN, &Default::default(), true, false, NOW).await.unwrap();
    assert_eq!(store.owner(ChatId(-1_001)).await.unwrap(), None);
    assert!(store.chat(ChatId(-1_001)).await.unwrap().chat.facts.protected.is_some());
}

async fn groups_with_a_rule_in_force_are_counted(store: &SqlStore) {
    assert_eq!(store.active_groups().await.unwrap(), (0, 0));
    know(store, -1, Some(true), true).await;
    know(store, -2, Some(true), false).await;
    know(store, -3, Some(false), true).await;
    know(store, -4, None, true).await;
    know(store, -5, Some(true), true).await;
    assert_eq!(store.active_groups().await.unwrap(), (2, 2));
    store.lay_down(OperatorRule::Listed(ChatId(-5), Some(false)), NOW).await.unwrap();
    assert_eq!(store.active_groups().await.unwrap(), (1, 1));
    // The right is there by an event, then by a lookup that may be of Telegram's cache not, then by one that cannot.
    know(store, -6, Some(true), true).await;
    let may = Rights { can_restrict_members: true, ..Rights::default() };
    let event = (EventOrder { date: NOW / 1000, update_id: UpdateId(9) }, Standing::Admin, may);
    let lookup = |asked_ms, rights| Some((asked_ms, Standing::Admin, rights));
    for (own_event, own_lookup, suspended) in [
        (Some(event), None, 1),
        (Some(event), lookup(NOW + 60_000, Rights::default()), 1),
        (Some(event), lookup(NOW + 60_001, Rights::default()), 2),
        (None, lookup(NOW, may), 1),
    ] {
        let mut step = |view: &ChatView| {
            let facts = ChatFacts { own_event, own_lookup, ..view.chat.facts.clone() };
            assert_eq!(facts.can_restrict(), suspended == 1);
            ChatWrites { facts: Some(facts), ..ChatWrites::default() }
        };
        store.with_chat(ChatId(-6), "", NOW, &mut step).await.unwrap();
        assert_eq!(store.active_groups().await.unwrap(), (2, suspended), "{own_event:?} {own_lookup:?}");
    }
}

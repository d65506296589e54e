//! Facts are the same in whatever order they arrive.

use super::*;

fn some_place() -> impl Strategy<Value = (Standing, Limits)> {
    prop_oneof![
        Just(FREE),
        Just(LEFT),
        Just(PROMOTED),
        Just(muted(ours())),
        Just(muted(theirs(0))),
        Just(muted(theirs(T + 60))),
        Just((Standing::Outside, ours())),
        Just((Standing::Banned, Limits::Banned { until: 0 })),
    ]
}

/// Few seconds, so that many events share one; the update id is the place in the list.
fn some_events() -> impl Strategy<Value = Vec<(i64, ChatMemberUpdated)>> {
    let by = prop_oneof![Just(ANN), Just(ADMIN), Just(BOT.user())];
    let event =
        (by, 0..4_i64, some_place(), some_place()).prop_map(|(by, second, old, new)| change(by, T + second, old, new));
    proptest::collection::vec(event, 1..10).prop_map(|events| (1..).zip(events).collect())
}

fn shuffled_with_duplicates<T: Clone + std::fmt::Debug + 'static>(
    items: impl Strategy<Value = Vec<T>>,
) -> impl Strategy<Value = (Vec<T>, Vec<T>)> {
    items.prop_flat_map(|items| {
        let twice: Vec<T> = items.iter().chain(items.iter().take(3)).cloned().collect();
        (Just(items), Just(twice).prop_shuffle())
    })
}

proptest! {
    #[test]
    fn events_may_arrive_in_any_order_and_twice((events, shuffled) in shuffled_with_duplicates(some_events())) {
        let apply = |events: &[(i64, ChatMemberUpdated)]| {
            let mut member = Member::default();
            for (id, event) in events {
                member.apply_event(BOT, UpdateId(*id), event, mark());
                member.apply_message(EventOrder { date: event.date, update_id: UpdateId(id + 100) });
            }
            member
        };
        prop_assert_eq!(apply(&events), apply(&shuffled));
    }

    #[test]
    fn own_events_may_arrive_in_any_order_and_twice((events, shuffled) in shuffled_with_duplicates(some_events())) {
        let apply = |events: &[(i64, ChatMemberUpdated)]| {
            let mut facts = ChatFacts::default();
            events.iter().for_each(|(id, event)| facts.apply_own_event(UpdateId(*id), event));
            facts
        };
        prop_assert_eq!(apply(&events), apply(&shuffled));
    }

    #[test]
    fn lookups_may_be_answered_in_any_order_and_twice(
        (lookups, shuffled) in shuffled_with_duplicates(proptest::collection::vec((0..100_000_i64, some_place()), 1..8)
            .prop_map(|mut lookups| { lookups.sort_by_key(|lookup| lookup.0); lookups.dedup_by_key(|lookup| lookup.0); lookups })),
    ) {
        let apply = |lookups: &[(i64, (Standing, Limits))]| {
            let mut member = Member::default();
            lookups.iter().for_each(|(after_ms, seen)| look(&mut member, MS + after_ms, *seen));
            member
        };
        prop_assert_eq!(apply(&lookups), apply(&shuffled));
    }

    #[test]
    fn settings_of_one_day_may_arrive_in_any_order(
        (settings, shuffled) in shuffled_with_duplicates(proptest::collection::vec((any::<bool>(), 0..86_400_000_i64), 1..8)
            .prop_map(|settings| (1..).zip(settings).collect::<Vec<(i64, (bool, i64))>>())),
    ) {
        let apply = |settings: &[(i64, (bool, i64))]| {
            let mut register = None;
            for (id, (value, after_ms)) in settings {
                set(&mut register, Setting { value: *value, update_id: UpdateId(*id), received_ms: MS + after_ms });
            }
            register
        };
        prop_assert_eq!(apply(&settings), apply(&shuffled));
    }
}

#[test]
fn facts_are_stored_as_they_are() {
    let mut member = after(&[change(BOT.user(), T, FREE, muted(ours())), change(ADMIN, T, muted(ours()), FREE)]);
    look(&mut member, MS, (Standing::Banned, Limits::Banned { until: 7 }));
    member.name = "\"Ann\" <b>".to_owned();
    let stored = serde_json::to_string(&member).unwrap();
    assert_eq!(serde_json::from_str::<Member>(&stored).unwrap(), member);
    assert_eq!(serde_json::to_string(&Member::default()).unwrap(), "{}");
}

#[test]
fn facts_about_chats_are_stored_as_they_are_and_an_outage_only_where_there_was_one() {
    for missed_until_s in [0, T] {
        let facts = ChatFacts { missed_until_s, ..ChatFacts::default() };
        let stored = serde_json::to_string(&facts).unwrap();
        assert_eq!(serde_json::from_str::<ChatFacts>(&stored).unwrap(), facts);
        assert_eq!(stored.contains("missed_until_s"), missed_until_s != 0, "{stored}");
    }
}

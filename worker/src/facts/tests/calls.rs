//! Calls, and what shows what came of them.

use super::*;

/// When a call of unknown outcome that went out at [`MS`] cannot land any more.
const LANDED_MS: i64 = MS + 90_000;

fn called(act: Act, answered: bool) -> Member {
    Member { call: Some(Call { answered, ..Call::new(act, MS, None) }), ..Member::default() }
}

#[test]
fn an_echo_that_shows_the_effect_ends_the_call() {
    for (act, new, ended) in [
        (Act::Mute, muted(ours()), true),
        (Act::Mute, FREE, false),
        (Act::Release, FREE, true),
        (Act::Release, muted(ours()), false),
        (Act::Restore, muted(theirs(0)), true),
    ] {
        let old = if new == FREE { muted(ours()) } else { FREE };
        let mut member = called(act, true);
        member.apply_event(BOT, UpdateId(1), &change(BOT.user(), T, old, new), mark());
        assert_eq!(member.call.is_none(), ended, "{act:?} {new:?}");
    }
}

#[test]
fn an_echo_from_before_the_call_or_of_somebody_else_ends_it_not() {
    let mut member = called(Act::Mute, true);
    member.apply_event(BOT, UpdateId(1), &change(BOT.user(), T - 1, FREE, muted(ours())), mark());
    assert!(member.call.is_some(), "an earlier mute of ours");
    member.apply_event(BOT, UpdateId(2), &change(ADMIN, T, FREE, muted(theirs(0))), mark());
    assert!(member.call.is_some(), "an admin's mute");
}

#[test]
fn a_lookup_that_shows_our_mute_proves_it_at_once() {
    let mut member = called(Act::Mute, false);
    look(&mut member, MS - 1, muted(ours()));
    assert!(member.call.is_some(), "asked before the call");
    look(&mut member, MS, muted(ours()));
    assert!(member.open_call().is_none());
}

#[test]
fn a_call_of_unknown_outcome_is_looked_into_again_when_it_cannot_land_any_more() {
    for seen in [FREE, muted(ours())] {
        let mut member = called(Act::Mute, false);
        look(&mut member, MS + 4_000, seen);
        assert_eq!(member.open_call(), None, "what came of it is shown");
        assert_eq!(member.confirm_at_ms(), Some(LANDED_MS + 1_000));
        look(&mut member, LANDED_MS - 1, seen);
        assert!(member.call.is_some());
        look(&mut member, LANDED_MS, seen);
        assert_eq!(member.call, None);
    }
}

#[test]
fn what_came_of_a_call_does_not_hide_one_before_it() {
    let next = |earlier| Call { answered: true, ..Call::new(Act::Mute, MS + 5_000, Some(earlier)) };
    let unknown = Call::new(Act::Release, MS, None);
    let mut member = Member { call: Some(next(next(unknown))), ..Member::default() };
    look(&mut member, MS + 10_000, muted(ours()));
    assert_eq!((member.open_call(), member.confirm_at_ms()), (None, Some(LANDED_MS + 1_000)));

    let mut failed = Member { call: Some(Call::new(Act::Mute, MS + 5_000, Some(unknown))), ..Member::default() };
    failed.call_failed(MS + 6_000);
    assert_eq!((failed.open_call(), failed.confirm_at_ms()), (None, Some(LANDED_MS + 1_000)));
    failed.call_failed(LANDED_MS);
    assert_eq!(failed.call, None);

    let answered = Call { answered: true, ..unknown };
    let mut failed = Member { call: Some(Call::new(Act::Mute, MS + 5_000, Some(answered))), ..Member::default() };
    failed.call_failed(MS + 6_000);
    assert_eq!((failed.open_call(), failed.confirm_at_ms()), (None, Some(MS + 61_000)), "whether it was released");
}

#[test]
fn a_lookup_that_shows_no_mute_may_come_from_the_cache() {
    let mut member = called(Act::Release, true);
    look(&mut member, MS + 59_999, FREE);
    assert!(member.call.is_some());
    look(&mut member, MS + 60_000, FREE);
    assert!(member.call.is_none());
}

#[test]
fn a_lookup_disproves_a_call_after_some_seconds() {
    for (act, answered, seen, asked_ms, ended) in [
        (Act::Release, true, muted(ours()), MS + 3_999, false),
        (Act::Release, true, muted(ours()), MS + 4_000, true),
        (Act::Mute, false, FREE, MS + 3_999, false),
        (Act::Mute, false, FREE, MS + 4_000, true),
        // Telegram said ok: an admin may have lifted it, and their event be on its way.
        (Act::Mute, true, FREE, MS + 4_000, false),
        (Act::Mute, true, FREE, MS + 59_999, false),
        (Act::Mute, true, FREE, MS + 60_000, true),
    ] {
        let mut member = called(act, answered);
        look(&mut member, asked_ms, seen);
        assert_eq!(member.open_call().is_none(), ended, "{act:?} at {asked_ms}");
    }
}

#[test]
fn that_a_ban_that_was_to_be_put_back_does_not_stand_disproves_it() {
    let ban = Limits::Banned { until: 0 };
    for (answered, seen, asked_ms, ended) in [
        (false, FREE, MS + 3_999, false),
        (false, FREE, MS + 4_000, true),
        (false, (Standing::Banned, ban), MS + 4_000, false),
        (true, muted(ours()), MS + 4_000, true),
        // An administrator may have lifted it.
        (true, FREE, MS + 4_000, false),
        (true, FREE, MS + 60_000, true),
    ] {
        let mut member = Member { restored: Some(ban), ..called(Act::Restore, answered) };
        look(&mut member, asked_ms, seen);
        assert_eq!(member.open_call().is_none(), ended, "{seen:?} at {asked_ms}");
    }
}

#[test]
fn what_disproves_a_call_is_asked_again_when_the_cache_cannot_hide_it_any_more() {
    let mut member = called(Act::Release, true);
    look(&mut member, MS + 5_000, muted(ours()));
    assert_eq!((member.open_call(), member.confirm_at_ms()), (None, Some(MS + 61_000)));
    look(&mut member, MS + 60_000, FREE);
    assert_eq!(member.call, None);
}

#[test]
fn a_call_without_an_echo_is_looked_into_after_five_seconds_and_again_after_a_minute() {
    assert_eq!(Member::default().confirm_at_ms(), None);
    let mut member = called(Act::Release, true);
    assert_eq!(member.confirm_at_ms(), Some(MS + 5_000));
    look(&mut member, MS + 3_999, FREE);
    assert_eq!(member.confirm_at_ms(), Some(MS + 5_000));
    look(&mut member, MS + 4_000, FREE);
    assert_eq!(member.confirm_at_ms(), Some(MS + 61_000));
}

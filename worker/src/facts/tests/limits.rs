//! What limits somebody, and whether it is ours.

use super::*;

#[test]
fn of_whom_nothing_is_known_nothing_limits() {
    assert_eq!(Member::default().limits(mark(), MS), Now { limits: Limits::Free, ours: false });
}

#[test]
fn an_event_tells_whose_mute_it_is() {
    let member = after(&[change(BOT.user(), T, FREE, muted(ours()))]);
    assert_eq!(member.limits(mark(), MS), Now { limits: ours(), ours: true });
    let member = after(&[change(ADMIN, T, FREE, muted(theirs(0)))]);
    assert_eq!(member.limits(mark(), MS), Now { limits: theirs(0), ours: false });
}

#[test]
fn what_has_expired_limits_no_longer() {
    let member = after(&[change(ADMIN, T, FREE, muted(theirs(T + 60)))]);
    assert_eq!(member.limits(mark(), MS + 59_999).limits, theirs(T + 60));
    assert_eq!(member.limits(mark(), MS + 60_000), Now { limits: Limits::Free, ours: false });
    let banned = after(&[change(ADMIN, T, FREE, (Standing::Banned, Limits::Banned { until: T + 60 }))]);
    assert_eq!(banned.limits(mark(), MS + 60_000).limits, Limits::Free);
}

#[test]
fn a_lookup_alone_is_believed() {
    let mut member = Member::default();
    look(&mut member, MS, muted(ours()));
    assert_eq!(member.limits(mark(), MS), Now { limits: ours(), ours: true });
}

#[test]
fn a_lookup_wins_over_an_event_that_is_more_than_a_minute_older() {
    for (asked_ms, limits) in [(MS + 60_000, Limits::Free), (MS + 60_001, theirs(0))] {
        let mut member = after(&[change(ANN, T, LEFT, FREE)]);
        look(&mut member, asked_ms, muted(theirs(0)));
        assert_eq!(member.limits(mark(), MS + 90_000).limits, limits, "asked at {asked_ms}");
    }
}

#[test]
fn a_lookup_that_shows_our_mute_is_younger_than_an_event_from_before_it() {
    for (asked_ms, limits) in [(MS + 2_000, Limits::Free), (MS + 2_001, ours())] {
        let mut member = after(&[change(ANN, T, LEFT, FREE)]);
        look(&mut member, asked_ms, muted(ours()));
        assert_eq!(member.limits(mark(), MS + 3_000).limits, limits, "asked at {asked_ms}");
    }
}

#[test]
fn after_our_release_a_lookup_may_show_the_mute_from_before_it() {
    let mut member = after(&[change(BOT.user(), T, muted(ours()), FREE)]);
    look(&mut member, MS + 5_000, muted(ours()));
    assert_eq!(member.limits(mark(), MS + 6_000).limits, Limits::Free);
    member.call = Some(Call::new(Act::Mute, MS + 1_000, None));
    assert_eq!(member.limits(mark(), MS + 6_000).limits, ours(), "it was muted again");
    look(&mut member, MS + 60_001, muted(ours()));
    assert_eq!(Member { call: None, ..member }.limits(mark(), MS + 61_000).limits, ours(), "not from the cache");
}

#[test]
fn a_lookup_that_shows_our_mute_is_believed_unless_the_newest_event_is_a_release() {
    let released = change(BOT.user(), T, muted(ours()), FREE);
    let lifted = change(ADMIN, T, muted(ours()), FREE);
    let back = change(ANN, T + 1, LEFT, FREE);
    for (events, limits) in
        [(vec![released.clone()], Limits::Free), (vec![lifted], Limits::Free), (vec![released, back], ours())]
    {
        let mut member = after(&events);
        look(&mut member, MS + 5_000, muted(ours()));
        assert_eq!(member.limits(mark(), MS + 6_000).limits, limits, "{events:?}");
    }
}

#[test]
fn only_a_mute_that_went_out_after_our_release_explains_a_lookup_that_shows_one() {
    for (act, at_ms, limits) in [
        (Act::Mute, MS + 1, ours()),
        (Act::Mute, MS, Limits::Free),
        (Act::Mute, MS - 1, Limits::Free),
        (Act::Release, MS + 1, Limits::Free),
    ] {
        let mut member = after(&[change(BOT.user(), T, muted(ours()), FREE)]);
        look(&mut member, MS + 5_000, muted(ours()));
        member.call = Some(Call::new(act, at_ms, None));
        assert_eq!(member.limits(mark(), MS + 6_000).limits, limits, "{act:?} at {at_ms}");
    }
}

#[test]
fn e47_what_we_put_back_for_ever_is_ours_when_what_was_imposed_is_over() {
    let member = after(&[
        change(ADMIN, T, FREE, muted(theirs(T + 60))),
        change(BOT.user(), T + 50, muted(ours()), muted(theirs(0))),
    ]);
    for (now_ms, ours) in [(MS + 59_999, false), (MS + 60_000, true)] {
        assert_eq!(member.limits(mark(), now_ms), Now { limits: theirs(0), ours });
    }
}

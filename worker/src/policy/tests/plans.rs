//! What is done about what is decided.

use proptest::prelude::*;

use super::*;

const RESTRICTED: Decision = Decision::Restricted { missing: Vec::new() };
const NOTHING: Plan = Plan {
    act: None,
    confirm_at_ms: None,
    look_again_ms: None,
    waiting: false,
    warned: false,
    waits_since_ms: None,
    make_sure: Vec::new(),
};

fn limited(limits: Limits) -> Member {
    who(Standing::Inside, true, limits)
}

fn called(member: Member, act: Act) -> Member {
    Member { call: Some(Call { answered: true, ..Call::new(act, MS - 1_000, None) }), ..member }
}

fn imposed(member: Member, limits: Limits) -> Member {
    let theirs = Theirs { order: order(T - 60, 6), limits, lifted_ours: false };
    Member { theirs: Some(theirs), ..member }
}

fn planned(decision: &Decision, member: &Member) -> Plan {
    plan(decision, member, mark(), MS)
}

#[test]
fn who_is_restricted_and_free_to_write_is_muted_and_waits() {
    let expected = Plan { act: Some(Act::Mute), waiting: true, ..NOTHING };
    assert_eq!(planned(&RESTRICTED, &inside()), expected);
    assert_eq!(planned(&RESTRICTED, &Member::default()), expected);
}

#[test]
fn who_is_muted_by_us_waits_and_nothing_is_to_be_done() {
    assert_eq!(planned(&RESTRICTED, &limited(ours())), Plan { waiting: true, ..NOTHING });
}

#[test]
fn who_is_muted_by_others_of_unknown_author_does_not_wait() {
    assert_eq!(planned(&RESTRICTED, &limited(by_others(0))), NOTHING);
}

#[test]
fn a_mute_on_its_way_is_not_sent_again_and_is_looked_into() {
    let confirm_at_ms = Some(MS - 1_000 + crate::facts::CONFIRM_AFTER_MS);
    let expected = Plan { waiting: true, confirm_at_ms, ..NOTHING };
    assert_eq!(planned(&RESTRICTED, &called(inside(), Act::Mute)), expected);
}

#[test]
fn a_release_on_its_way_is_overtaken_by_a_mute() {
    for act in [Act::Release, Act::Restore] {
        assert_eq!(planned(&RESTRICTED, &called(limited(ours()), act)).act, Some(Act::Mute), "{act:?}");
    }
    assert_eq!(planned(&RESTRICTED, &called(inside(), Act::Release)).act, Some(Act::Mute));
}

#[test]
fn a_mute_that_has_run_out_is_made_anew() {
    let expired = Limits::Restricted { until: T - 1, left: Permissions::NONE };
    assert_eq!(planned(&RESTRICTED, &limited(expired)).act, Some(Act::Mute));
}

#[test]
fn who_is_free_is_released_from_our_mute_only() {
    assert_eq!(planned(&Decision::Free, &limited(ours())), Plan { act: Some(Act::Release), ..NOTHING });
    assert_eq!(planned(&Decision::Free, &limited(by_others(0))), NOTHING, "E44");
    assert_eq!(planned(&Decision::Free, &inside()), NOTHING);
    assert_eq!(planned(&Decision::Free, &called(limited(ours()), Act::Release)).act, None, "on its way");
    assert_eq!(planned(&Decision::Free, &called(limited(ours()), Act::Mute)).act, Some(Act::Release));
}

#[test]
fn a_release_waits_until_our_mute_has_been_seen() {
    let plan = planned(&Decision::Free, &called(inside(), Act::Mute));
    assert_eq!((plan.act, plan.confirm_at_ms.is_some()), (None, true));
}

#[test]
fn unknown_and_hands_off_change_nothing() {
    let decisions = [Reason::Exempt, Reason::Suspended, Reason::Absent].map(Decision::HandsOff);
    for decision in decisions.into_iter().chain([Decision::Unknown]) {
        for member in [inside(), limited(ours()), limited(by_others(0))] {
            assert_eq!(planned(&decision, &member), NOTHING, "{decision:?}");
        }
    }
}

#[test]
fn who_waited_goes_on_waiting_while_it_is_unknown_whether_they_have_to() {
    for (waiting, limits, waits) in [(true, ours(), true), (true, Limits::Free, false), (false, ours(), false)] {
        let plan = planned(&Decision::Unknown, &Member { waiting, ..limited(limits) });
        assert_eq!(plan, Plan { waiting: waits, ..NOTHING }, "{waiting} {limits:?}");
    }
}

#[test]
fn a_mute_of_unknown_author_is_looked_at_again_when_it_ends_and_ours_is_not() {
    let ends = planned(&Decision::Free, &limited(by_others(T + 60)));
    assert_eq!(ends, Plan { look_again_ms: Some((T + 61) * 1000), ..NOTHING });
    assert_eq!(planned(&RESTRICTED, &limited(ours())).look_again_ms, None);
}

#[test]
fn what_somebody_else_has_imposed_stands_whatever_is_decided() {
    for decision in [RESTRICTED, Decision::Free, Decision::Unknown] {
        let member = imposed(limited(by_others(0)), by_others(0));
        assert_eq!(planned(&decision, &member), NOTHING, "{decision:?}: E44");
    }
}

#[test]
fn what_somebody_else_has_imposed_is_looked_at_again_when_it_ends() {
    for limits in [by_others(T + 60), Limits::Banned { until: T + 60 }] {
        let plan = planned(&RESTRICTED, &imposed(limited(limits), limits));
        assert_eq!(plan, Plan { look_again_ms: Some((T + 61) * 1000), ..NOTHING }, "{limits:?}: E45");
    }
    let over = imposed(limited(by_others(T)), by_others(T));
    assert_eq!(planned(&RESTRICTED, &over).act, Some(Act::Mute), "when it is over, the decision counts");
}

#[test]
fn what_our_mute_has_crossed_is_put_back() {
    let crossed = imposed(limited(ours()), by_others(T + 60));
    assert_eq!(planned(&Decision::Free, &crossed).act, Some(Act::Restore));
    assert_eq!(planned(&RESTRICTED, &crossed).act, Some(Act::Restore));
    assert_eq!(planned(&RESTRICTED, &called(crossed, Act::Restore)).act, None, "on its way");
}

#[test]
fn what_was_put_back_after_an_admin_had_lifted_it_is_lifted() {
    let restored = by_others(T + 60);
    let echo = Some(Change { order: order(T - 40, 8), limits: restored, by_us: true });
    let left_over = Member { restored: Some(restored), change: echo, ..imposed(limited(restored), Limits::Free) };
    assert_eq!(planned(&Decision::Free, &left_over).act, Some(Act::Release));
    let muted = planned(&RESTRICTED, &left_over);
    assert_eq!((muted.act, muted.waiting), (Some(Act::Mute), true), "by a mute that is known again");
    assert_eq!(planned(&Decision::Free, &called(left_over.clone(), Act::Release)).act, None, "on its way");

    let imposed_anew = imposed(left_over.clone(), restored);
    assert_eq!(planned(&Decision::Free, &imposed_anew).act, None, "that is an admin's again");
    let other = Member { restored: Some(by_others(T + 61)), change: None, ..left_over };
    assert_eq!(planned(&Decision::Free, &other).act, None, "not what we did");
}

#[test]
fn what_was_put_back_so_late_that_it_never_ends_is_lifted() {
    let never_ends = by_others(0);
    let change = |by_us| Some(Change { order: order(T - 40, 8), limits: never_ends, by_us });
    let lifted = imposed(limited(never_ends), Limits::Free);
    let late = Member { restored: Some(by_others(T - 20)), change: change(true), ..lifted };
    assert_eq!(planned(&Decision::Free, &late).act, Some(Act::Release));
    assert_eq!(planned(&Decision::Free, &Member { change: change(false), ..late }).act, None, "an admin's");
}

#[test]
fn a_ban_that_was_put_back_after_an_admin_had_lifted_it_is_lifted_also_from_outside() {
    let banned = Limits::Banned { until: 0 };
    let absent = Decision::HandsOff(Reason::Absent);
    let left_over = Member { restored: Some(banned), ..imposed(limited(banned), Limits::Free) };
    assert_eq!(planned(&absent, &left_over).act, Some(Act::Release));
    assert_eq!(planned(&absent, &called(left_over.clone(), Act::Release)).act, None, "on its way");
    assert_eq!(planned(&absent, &imposed(left_over.clone(), banned)).act, None, "an admin's");
    assert_eq!(planned(&absent, &Member { restored: None, ..left_over }).act, None, "not what we did");
    let muted = by_others(0);
    let left_over = Member { restored: Some(muted), ..imposed(limited(muted), Limits::Free) };
    assert_eq!(planned(&absent, &left_over).act, None, "decided when they come back");
}

#[test]
fn what_our_release_has_crossed_is_put_back() {
    let lifted = |by_us, order| {
        let change = Some(Change { order, limits: Limits::Free, by_us });
        Member { change, ..imposed(limited(Limits::Free), by_others(0)) }
    };
    assert_eq!(planned(&Decision::Free, &lifted(true, order(T - 50, 7))).act, Some(Act::Restore));
    assert_eq!(planned(&Decision::Free, &lifted(false, order(T - 50, 7))).act, None, "lifted by somebody else");
    assert_eq!(planned(&Decision::Free, &lifted(true, order(T - 70, 5))).act, None, "ours was before theirs");
}

#[test]
fn what_our_putting_back_has_crossed_is_put_back() {
    let put_back = |limits, imposed_by_them| {
        let change = Some(Change { order: order(T - 50, 7), limits, by_us: true });
        planned(&Decision::Free, &Member { change, ..imposed(limited(limits), imposed_by_them) }).act
    };
    let banned = Limits::Banned { until: 0 };
    assert_eq!(put_back(by_others(T + 600), banned), Some(Act::Restore), "they were banned meanwhile");
    assert_eq!(put_back(banned, by_others(T + 600)), Some(Act::Restore), "and here muted");
    assert_eq!(put_back(by_others(T + 600), by_others(0)), Some(Act::Restore), "for longer");
    assert_eq!(put_back(by_others(T + 600), by_others(T + 600)), None);
    let partly = Limits::Restricted { until: T + 600, left: Permissions::TEXT };
    assert_eq!(put_back(partly, by_others(T + 600)), Some(Act::Restore), "not as it was");
    assert_eq!(put_back(banned, banned), None);
    assert_eq!(put_back(Limits::Banned { until: T + 600 }, banned), Some(Act::Restore), "a ban for ever");
}

#[test]
fn e47_what_was_about_to_end_is_put_back_for_longer_as_it_cannot_end_so_soon() {
    let put_back = |until, theirs| {
        let change = Some(Change { order: order(T - 50, 7), limits: by_others(until), by_us: true });
        planned(&Decision::Free, &Member { change, ..imposed(limited(by_others(until)), by_others(theirs)) }).act
    };
    let soonest = T - 50 + SHORTEST_S;
    for (until, theirs, act) in [
        (soonest + 1, soonest - 5, None),
        (soonest + 10, soonest + 4, None),
        (soonest + 10, soonest + 5, Some(Act::Restore)),
        (soonest + 3, soonest + 4, Some(Act::Restore)),
    ] {
        assert_eq!(put_back(until, theirs), act, "{} for {}", until - soonest, theirs - soonest);
    }
}

fn some_limits() -> impl Strategy<Value = Limits> {
    prop_oneof![
        Just(Limits::Free),
        Just(ours()),
        Just(by_others(0)),
        Just(by_others(T + 60)),
        Just(by_others(T - 60)),
        Just(Limits::Banned { until: 0 }),
    ]
}

fn some_act() -> impl Strategy<Value = Option<Act>> {
    prop_oneof![Just(None), Just(Some(Act::Mute)), Just(Some(Act::Release)), Just(Some(Act::Restore))]
}

fn some_decision() -> impl Strategy<Value = Decision> {
    prop_oneof![
        Just(Decision::Free),
        Just(RESTRICTED),
        Just(Decision::Unknown),
        Just(Decision::HandsOff(Reason::Exempt)),
        Just(Decision::HandsOff(Reason::Absent)),
    ]
}

proptest! {
    #[test]
    fn whatever_is_known_nothing_is_lifted_that_is_not_ours_and_nobody_is_muted_without_reason(
        limits in some_limits(), theirs in proptest::option::of(some_limits()), call in some_act(), decision in some_decision(),
    ) {
        let mut member = limited(limits);
        member.call = call.map(|act| Call::new(act, MS - 1_000, None));
        member.theirs = theirs.map(|limits| Theirs { order: order(T - 60, 6), limits, lifted_ours: false });
        let plan = planned(&decision, &member);
        if plan.act == Some(Act::Release) {
            prop_assert!(limits == ours() && decision == Decision::Free);
        }
        if plan.act == Some(Act::Mute) {
            prop_assert_eq!(&decision, &RESTRICTED);
        }
        if theirs.is_some_and(|theirs| theirs.restricts_at(T) && theirs != ours()) {
            prop_assert!(matches!(plan.act, None | Some(Act::Restore)));
        }
        prop_assert!(plan.act.is_none() || plan.act != call, "what is on its way is not sent again");
        prop_assert!(!plan.waiting || decision == RESTRICTED);
    }
}

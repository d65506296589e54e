//! What becomes of requests to be let in (E23–E27).

use super::*;
use crate::facts::Request;

fn asking() -> Member {
    let request = Request { order: order(T - 60, 9), reach: ChatId(ANN.0), told: false, answered: false };
    Member { request: Some(request), ..outside() }
}

fn admitting() -> ChatFacts {
    let rights = Rights { can_restrict_members: true, can_invite_users: true, ..Rights::default() };
    ChatFacts { own_event: Some((order(SINCE, 1), Standing::Admin, rights)), ..protected() }
}

fn case(news: Option<Member>, talk: Option<Member>) -> Case {
    Case { facts: admitting(), here: Some(asking()), news, talk, ..missing_one() }
}

impl Case {
    fn of_request(&self) -> OfRequest {
        self.with_rule(|rule| of_request(rule, self.here.as_ref().unwrap(), MS)).0
    }
}

#[test]
fn who_is_in_every_channel_is_admitted_who_is_known_to_miss_one_is_greeted_and_unknown_is_left() {
    let cases = [
        (Some(inside()), Some(inside()), OfRequest::Admit),
        (Some(inside()), Some(outside()), OfRequest::Greet),
        (Some(outside()), None, OfRequest::Greet),
        (Some(inside()), None, OfRequest::Leave),
        (None, None, OfRequest::Leave),
    ];
    for (news, talk, expected) in cases {
        let case = case(news, talk);
        assert_eq!(case.of_request(), expected, "{:?} {:?}", case.news, case.talk);
    }
}

#[test]
fn e107_whom_an_administrator_allows_is_let_in_without_having_joined() {
    let allow = |value| Some(Setting { value, update_id: UpdateId(9), received_ms: MS });
    for (value, expected) in [(true, OfRequest::Admit), (false, OfRequest::Greet)] {
        let case = Case { here: Some(Member { allowed: allow(value), ..asking() }), ..case(Some(outside()), None) };
        assert_eq!(case.of_request(), expected);
    }
}

#[test]
fn e27_a_request_that_a_channel_leaves_open_counts_for_a_week_where_the_group_wants_that() {
    const WEEK_S: i64 = 7 * 86_400;
    for (ago_s, pending_counts, expected) in [
        (60, true, Decision::Free),
        (WEEK_S - 1, true, Decision::Free),
        (WEEK_S, true, missing(&[TALK])),
        (60, false, missing(&[TALK])),
    ] {
        let mut case = Case { talk: Some(asking()), ..missing_one() };
        case.facts.settings.change(UpdateId(3), MS, |settings| settings.pending_counts = pending_counts);
        let asked_s = MS / 1000 - ago_s;
        let request = Request { order: order(asked_s, 9), reach: ChatId(ANN.0), told: false, answered: false };
        case.talk.as_mut().unwrap().request = Some(request);
        let verdict = case.verdict();
        let again = vec![(TALK, (asked_s + WEEK_S) * 1000)];
        let ask = if expected == Decision::Free { again } else { Vec::new() };
        assert_eq!(verdict, Verdict { decision: expected, ask }, "{ago_s} s ago");
    }
}

#[test]
fn what_is_not_known_is_asked() {
    let case = case(Some(inside()), None);
    let (_, ask) = case.with_rule(|rule| of_request(rule, &asking(), MS));
    assert_eq!(ask, [(TALK, MS)]);
}

#[test]
fn without_the_rule_the_right_or_the_setting_a_request_is_left_to_the_administrators() {
    let mut off = admitting();
    off.settings.change(UpdateId(3), MS, |settings| settings.join_requests = false);
    let unprotected = ChatFacts { protected: None, ..admitting() };
    for facts in [protected(), unprotected, off] {
        let case = Case { facts, ..case(Some(inside()), Some(inside())) };
        assert_eq!(case.of_request(), OfRequest::Leave, "{:?}", case.facts);
    }
}

#[test]
fn without_an_open_request_or_a_channel_there_is_nothing_to_answer() {
    let nothing = (OfRequest::Leave, Vec::new());
    case(Some(inside()), None).with_rule(|rule| {
        assert_eq!(of_request(rule, &outside(), MS), nothing);
        assert_eq!(of_request(&Rule { channels: &[], ..*rule }, &asking(), MS), nothing);
    });
}

#[test]
fn a_request_is_over_when_it_is_answered_or_they_came_in_or_were_banned_since() {
    let since = |standing| Member { request: asking().request, ..who(standing, false, Limits::Free) };
    let later = |mut member: Member| {
        member.event.as_mut().unwrap().order = order(T - 30, 10);
        member
    };
    let answered = Request { answered: true, ..asking().request.unwrap() };
    let over = [
        Member { request: Some(answered), ..asking() },
        later(since(Standing::Inside)),
        later(since(Standing::Banned)),
        Member { lookup: Some(Lookup { asked_ms: MS, standing: Standing::Inside, limits: Limits::Free }), ..asking() },
    ];
    for here in over {
        assert_eq!(here.open_request(), None, "{here:?}");
    }
    // They had been in before, or left again.
    for here in [since(Standing::Inside), later(since(Standing::Outside))] {
        assert_eq!(here.open_request(), asking().request, "{here:?}");
    }
}

#[test]
fn a_lookup_ends_a_request_if_it_was_asked_later_and_clocks_do_not_explain_that() {
    let requested_ms = (T - 60) * 1000;
    for (after_ms, standing, over) in [
        (2_000, Standing::Inside, false),
        (2_001, Standing::Inside, true),
        (2_001, Standing::Banned, true),
        (2_001, Standing::Outside, false),
    ] {
        let lookup = Some(Lookup { asked_ms: requested_ms + after_ms, standing, limits: Limits::Free });
        assert_eq!(Member { lookup, ..asking() }.open_request().is_none(), over, "{standing:?} {after_ms} ms after");
    }
}

#[test]
fn an_older_request_that_is_told_again_opens_nothing() {
    let mut here = asking();
    here.request.as_mut().unwrap().answered = true;
    for order in [order(T - 60, 9), order(T - 61, 8)] {
        here.apply_request(order, ChatId(ANN.0));
        assert_eq!(here.open_request(), None);
    }
    here.apply_request(order(T, 11), ChatId(ANN.0));
    assert!(here.open_request().is_some());
}

#[test]
fn where_the_group_says_so_a_pending_request_counts_as_having_joined() {
    let mut case = Case { news: Some(inside()), talk: Some(asking()), ..missing_one() };
    assert_eq!(case.decision(), missing(&[TALK]));
    case.facts.settings.change(UpdateId(3), MS, |settings| settings.pending_counts = true);
    assert_eq!(case.decision(), Decision::Free);
}

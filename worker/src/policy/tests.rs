//! What is decided, and what is done about it, as sentences.

#![allow(clippy::unwrap_used)]

use nezuko_telegram::{Permissions, Rights, UpdateId};
use proptest::prelude::*;

use super::*;
use crate::facts::{Call, Change, EventOrder, Lookup, Setting, Theirs};

const BOT: BotId = BotId(7_000_000_001);
const GROUP: ChatId = ChatId(-1_001_000_000_001);
const NEWS: ChatId = ChatId(-1_001_000_000_011);
const TALK: ChatId = ChatId(-1_001_000_000_012);
const ANN: UserId = UserId(11);
/// Unix seconds.
const T: i64 = 1_700_000_000;
/// Now.
const MS: i64 = T * 1000;
const SINCE: i64 = T - 86_400;

fn mark() -> Mark {
    Mark::of(BOT, GROUP, ANN)
}

fn ours() -> Limits {
    Limits::Restricted { until: mark().until(MS), left: Permissions::NONE }
}

const fn by_others(until: i64) -> Limits {
    Limits::Restricted { until, left: Permissions::NONE }
}

const fn order(date: i64, update_id: i64) -> EventOrder {
    EventOrder { date, update_id: UpdateId(update_id) }
}

/// A chat in which the bot is an administrator since yesterday.
fn watched() -> ChatFacts {
    let rights = Rights { can_restrict_members: true, can_delete_messages: true, ..Rights::default() };
    let became = order(SINCE, 1);
    ChatFacts { own_event: Some((became, Standing::Admin, rights)), became_admin: Some(became), ..ChatFacts::default() }
}

fn protected() -> ChatFacts {
    let setting = Setting { value: true, update_id: UpdateId(1), received_ms: SINCE * 1000 };
    ChatFacts { protected: Some(setting), ..watched() }
}

/// Somebody of whom an event told this an hour ago.
fn who(standing: Standing, was_in: bool, limits: Limits) -> Member {
    let event = Event { order: order(T - 3_600, 5), was_in, standing, limits };
    let last_out = (!standing.is_in()).then_some(event.order);
    Member { event: Some(event), last_out, ..Member::default() }
}

fn inside() -> Member {
    who(Standing::Inside, false, Limits::Free)
}

fn outside() -> Member {
    who(Standing::Outside, true, Limits::Free)
}

/// A person in the group and in two channels that it requires.
struct Case {
    user: UserId,
    facts: ChatFacts,
    here: Option<Member>,
    channel_facts: ChatFacts,
    news: Option<Member>,
    talk: Option<Member>,
}

/// Somebody inside, who is in one channel and not in the other.
fn missing_one() -> Case {
    Case {
        user: ANN,
        facts: protected(),
        here: Some(inside()),
        channel_facts: watched(),
        news: Some(inside()),
        talk: Some(outside()),
    }
}

impl Case {
    fn with_rule<R>(&self, judge: impl FnOnce(&Rule<'_>) -> R) -> R {
        let channel = |chat, member| Required { chat, facts: &self.channel_facts, member };
        let channels = [channel(NEWS, self.news.as_ref()), channel(TALK, self.talk.as_ref())];
        judge(&Rule { bot: BOT, group: GROUP, facts: &self.facts, channels: &channels })
    }

    fn verdict(&self) -> Verdict {
        self.with_rule(|rule| decide(rule, self.user, self.here.as_ref(), MS))
    }

    fn decision(&self) -> Decision {
        self.verdict().decision
    }

    fn of_message_at(&self, date: i64) -> (OfMessage, Vec<(ChatId, i64)>) {
        self.with_rule(|rule| of_message(rule, self.user, self.here.as_ref(), date, MS))
    }
}

fn missing(channels: &[ChatId]) -> Decision {
    Decision::Restricted { missing: channels.to_vec() }
}

mod decisions {
    use super::*;

    #[test]
    fn who_is_in_the_group_and_not_in_a_channel_is_restricted() {
        assert_eq!(missing_one().verdict(), Verdict { decision: missing(&[TALK]), ask: Vec::new() });
        let neither = Case { news: Some(outside()), ..missing_one() };
        assert_eq!(neither.decision(), missing(&[NEWS, TALK]), "all that is missing is named");
    }

    #[test]
    fn who_is_in_all_channels_is_free() {
        let case = Case { talk: Some(inside()), ..missing_one() };
        assert_eq!(case.verdict(), Verdict { decision: Decision::Free, ask: Vec::new() });
    }

    #[test]
    fn a_restricted_member_of_a_channel_is_a_member_and_a_banned_one_is_not() {
        let muted_there = Case { talk: Some(who(Standing::Inside, true, by_others(0))), ..missing_one() };
        assert_eq!(muted_there.decision(), Decision::Free);
        let banned = who(Standing::Banned, true, Limits::Banned { until: 0 });
        assert_eq!(Case { talk: Some(banned), ..missing_one() }.decision(), missing(&[TALK]), "E30");
    }

    #[test]
    fn the_untouchable_are_exempt_whatever_the_facts() {
        let untouchable =
            [BOT.user(), UserId(GROUP.0), UserId::TELEGRAM, UserId::GROUP_ANONYMOUS_BOT, UserId::CHANNEL_BOT];
        for user in untouchable {
            let case = Case { user, ..missing_one() };
            assert_eq!(case.decision(), Decision::HandsOff(Reason::Exempt), "{user}");
            assert_eq!(case.of_message_at(T).0, OfMessage::Keep, "{user}");
        }
    }

    #[test]
    fn bots_are_exempt() {
        let case = Case { here: Some(Member { is_bot: true, ..inside() }), ..missing_one() };
        assert_eq!(case.decision(), Decision::HandsOff(Reason::Exempt), "E7");
        assert_eq!(case.of_message_at(T).0, OfMessage::Keep);
    }

    #[test]
    fn administrators_are_exempt() {
        for standing in [Standing::Owner, Standing::Admin] {
            let case = Case { here: Some(who(standing, true, Limits::Free)), ..missing_one() };
            assert_eq!(case.decision(), Decision::HandsOff(Reason::Exempt), "E42");
            assert_eq!(case.of_message_at(T).0, OfMessage::Keep);
        }
    }

    #[test]
    fn where_nothing_is_protected_everybody_is_free() {
        let case = Case { facts: watched(), ..missing_one() };
        assert_eq!(case.verdict(), Verdict { decision: Decision::Free, ask: Vec::new() });
        assert_eq!(case.of_message_at(T).0, OfMessage::Keep);
    }

    #[test]
    fn without_its_rights_the_bot_does_nothing() {
        let mut case = missing_one();
        case.facts.own_event = Some((order(T, 9), Standing::Admin, Rights::default()));
        assert_eq!(case.decision(), Decision::HandsOff(Reason::Suspended), "E43");
        assert_eq!(case.of_message_at(T).0, OfMessage::Keep);
    }

    #[test]
    fn whom_an_admin_has_allowed_is_free() {
        let theirs = Theirs { order: order(T - 60, 7), limits: Limits::Free, lifted_ours: true };
        let case = Case { here: Some(Member { theirs: Some(theirs), ..inside() }), ..missing_one() };
        assert_eq!(case.decision(), Decision::Free, "E44");
        assert_eq!(case.of_message_at(T).0, OfMessage::Keep);
    }

    #[test]
    fn who_is_not_in_the_group_is_left_alone() {
        let case = Case { here: Some(outside()), ..missing_one() };
        assert_eq!(case.verdict(), Verdict { decision: Decision::HandsOff(Reason::Absent), ask: Vec::new() });
        let banned = who(Standing::Banned, true, Limits::Banned { until: 0 });
        assert_eq!(Case { here: Some(banned), ..missing_one() }.decision(), Decision::HandsOff(Reason::Absent));
    }

    #[test]
    fn who_is_out_and_in_all_channels_is_free_so_that_an_old_mute_is_lifted() {
        let case = Case { here: Some(outside()), talk: Some(inside()), ..missing_one() };
        assert_eq!(case.decision(), Decision::Free, "E52");
    }

    #[test]
    fn who_writes_from_outside_is_restricted() {
        let spoke = Some(order(T - 10, 8));
        let case = Case { here: Some(Member { spoke, ..outside() }), ..missing_one() };
        assert_eq!(case.decision(), missing(&[TALK]), "E11");
        let banned = who(Standing::Banned, true, Limits::Banned { until: 0 });
        let case = Case { here: Some(Member { spoke, ..banned }), ..missing_one() };
        assert_eq!(case.decision(), Decision::HandsOff(Reason::Absent), "who is banned cannot write any more");
    }
}

mod unknowns {
    use super::*;

    #[test]
    fn an_unknown_channel_is_asked_for_and_punishes_nobody() {
        let case = Case { talk: None, ..missing_one() };
        assert_eq!(case.verdict(), Verdict { decision: Decision::Unknown, ask: vec![(TALK, MS)] }, "E28");
    }

    #[test]
    fn one_known_to_be_missing_is_enough_and_the_other_is_asked_for_all_the_same() {
        let case = Case { news: None, ..missing_one() };
        assert_eq!(case.verdict(), Verdict { decision: missing(&[TALK]), ask: vec![(NEWS, MS)] });
    }

    #[test]
    fn who_is_unknown_in_the_group_is_asked_for_there() {
        let case = Case { here: None, ..missing_one() };
        assert_eq!(case.verdict(), Verdict { decision: Decision::Unknown, ask: vec![(GROUP, MS)] });
    }

    #[test]
    fn who_is_unknown_in_the_group_and_misses_nothing_known_is_of_no_interest() {
        let case = Case { here: None, talk: None, ..missing_one() };
        assert_eq!(case.verdict(), Verdict { decision: Decision::Unknown, ask: Vec::new() });
        let spoke = Some(order(T, 8));
        let case = Case { here: Some(Member { spoke, ..Member::default() }), talk: None, ..missing_one() };
        assert_eq!(case.verdict().ask, [(TALK, MS), (GROUP, MS)], "but for who writes");
    }

    #[test]
    fn who_came_in_before_the_watch_began_is_asked_for() {
        let came = Event { order: order(SINCE, 5), was_in: false, standing: Standing::Inside, limits: Limits::Free };
        let here = Member { event: Some(came), ..Member::default() };
        let case = Case { here: Some(here.clone()), news: None, talk: None, ..missing_one() };
        assert_eq!(
            case.verdict(),
            Verdict { decision: Decision::Unknown, ask: vec![(NEWS, MS), (TALK, MS), (GROUP, MS)] }
        );
        // In the same second: a lookup from the first minute of the watch may be from before they came.
        let asked_ms = SINCE * 1000 + 500;
        let out = Lookup { asked_ms, standing: Standing::Outside, limits: Limits::Free };
        let case = Case { here: Some(Member { lookup: Some(out), ..here }), ..missing_one() };
        let ask = vec![(GROUP, (SINCE + 61) * 1000)];
        assert_eq!(case.verdict(), Verdict { decision: Decision::HandsOff(Reason::Absent), ask });
    }

    #[test]
    fn who_is_out_is_asked_for_nowhere_unless_a_mute_of_ours_is_to_be_lifted() {
        let case = Case { here: Some(outside()), news: None, ..missing_one() };
        assert_eq!(case.verdict(), Verdict { decision: Decision::HandsOff(Reason::Absent), ask: Vec::new() });
        let muted = Member { mute_until: Some(T + 86_400), ..outside() };
        let case = Case { here: Some(muted), news: None, ..missing_one() };
        assert_eq!(case.verdict().ask, [(NEWS, MS)], "E52");
    }

    #[test]
    fn what_may_come_from_the_cache_counts_and_is_asked_again() {
        let event = Event { order: order(T - 30, 5), was_in: true, standing: Standing::Outside, limits: Limits::Free };
        let lookup = Lookup { asked_ms: MS - 10_000, standing: Standing::Inside, limits: Limits::Free };
        let contradicted = Member { event: Some(event), lookup: Some(lookup), ..Member::default() };
        let case = Case { talk: Some(contradicted.clone()), ..missing_one() };
        assert_eq!(case.verdict(), Verdict { decision: missing(&[TALK]), ask: vec![(TALK, MS + 31_000)] });
        let case = Case { here: Some(contradicted), ..missing_one() };
        assert_eq!(case.verdict(), Verdict { decision: Decision::HandsOff(Reason::Absent), ask: Vec::new() });
    }

    #[test]
    fn where_the_bot_is_no_administrator_only_fresh_lookups_count() {
        let seen = |asked_ms| {
            let lookup = Lookup { asked_ms, standing: Standing::Outside, limits: Limits::Free };
            Some(Member { lookup: Some(lookup), ..Member::default() })
        };
        let news = Some(Member {
            lookup: Some(Lookup { asked_ms: MS, standing: Standing::Inside, limits: Limits::Free }),
            ..Member::default()
        });
        let case = |talk| Case { channel_facts: ChatFacts::default(), news: news.clone(), talk, ..missing_one() };
        assert_eq!(case(seen(MS - 50_999)).decision(), missing(&[TALK]));
        assert_eq!(case(seen(MS - 69_000)).verdict().decision, Decision::Unknown);
        assert_eq!(case(Some(outside())).verdict().ask, [(TALK, MS)], "an event does not count there");
    }
}

mod messages {
    use super::*;

    #[test]
    fn what_was_written_after_leaving_the_channel_is_deleted() {
        let left = T - 3_600;
        for (date, what) in [
            (left - 1, OfMessage::Keep),
            (left, OfMessage::Keep),
            (left + 1, OfMessage::Delete),
            (T, OfMessage::Delete),
        ] {
            assert_eq!(missing_one().of_message_at(date), (what, Vec::new()), "{} s after", date - left);
        }
    }

    #[test]
    fn who_never_was_in_the_channel_was_unverified_always() {
        let never = Case { talk: Some(who(Standing::Outside, false, Limits::Free)), ..missing_one() };
        assert_eq!(never.of_message_at(T - 7_200).0, OfMessage::Delete);
        let looked_up = Lookup { asked_ms: MS, standing: Standing::Outside, limits: Limits::Free };
        let by_lookup = Member { lookup: Some(looked_up), ..Member::default() };
        assert_eq!(Case { talk: Some(by_lookup), ..missing_one() }.of_message_at(T - 7_200).0, OfMessage::Delete);
    }

    #[test]
    fn who_is_in_all_channels_may_write() {
        assert_eq!(Case { talk: Some(inside()), ..missing_one() }.of_message_at(T), (OfMessage::Keep, Vec::new()));
    }

    #[test]
    fn a_message_is_judged_also_when_its_writer_has_left_the_group() {
        assert_eq!(Case { here: Some(outside()), ..missing_one() }.of_message_at(T).0, OfMessage::Delete);
    }

    #[test]
    fn what_is_not_known_holds_the_message_and_is_asked_for() {
        let case = Case { talk: None, ..missing_one() };
        assert_eq!(case.of_message_at(T), (OfMessage::Hold, vec![(TALK, MS)]));
        let case = Case { here: None, ..missing_one() };
        assert_eq!(case.of_message_at(T), (OfMessage::Hold, vec![(GROUP, MS)]), "it may be an administrator");
        let case = Case { news: None, ..missing_one() };
        assert_eq!(case.of_message_at(T), (OfMessage::Delete, Vec::new()), "one that is missing is enough");
    }

    #[test]
    fn what_is_to_be_asked_again_later_holds_nothing() {
        let event = Event { order: order(T - 30, 5), was_in: true, standing: Standing::Inside, limits: Limits::Free };
        let lookup = Lookup { asked_ms: MS - 10_000, standing: Standing::Outside, limits: Limits::Free };
        let contradicted = Member { event: Some(event), lookup: Some(lookup), ..Member::default() };
        let case = Case { talk: Some(contradicted), ..missing_one() };
        assert_eq!(case.of_message_at(T), (OfMessage::Keep, Vec::new()));
    }
}

mod plans {
    use super::*;

    const RESTRICTED: Decision = Decision::Restricted { missing: Vec::new() };
    const NOTHING: Plan = Plan { act: None, confirm_at_ms: None, look_again_ms: None, waiting: false };

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
        assert_eq!(
            put_back(by_others(T + 11), by_others(T + 5)),
            None,
            "it was about to end, and could not end so soon"
        );
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
            if theirs.is_some_and(|theirs| theirs.restricts_at(T)) {
                prop_assert!(matches!(plan.act, None | Some(Act::Restore)));
            }
            prop_assert!(plan.act.is_none() || plan.act != call, "what is on its way is not sent again");
            prop_assert!(!plan.waiting || decision == RESTRICTED);
        }
    }
}

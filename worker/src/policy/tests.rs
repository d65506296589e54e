//! What is decided, and what is done about it, as sentences.

#![allow(clippy::unwrap_used)]

mod enforcement;
mod plans;
mod requests;

use nezuko_telegram::{Permissions, Rights, UpdateId};

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
    fn e107_whom_an_administrator_allows_is_free_wherever_they_are_and_nothing_is_looked_up() {
        let allow = |value| Some(Setting { value, update_id: UpdateId(9), received_ms: MS });
        let nobody = Member { allowed: allow(true), ..Member::default() };
        for here in [Member { allowed: allow(true), ..inside() }, nobody] {
            for talk in [Some(outside()), None] {
                let case = Case { here: Some(here.clone()), talk, ..missing_one() };
                assert_eq!(case.verdict(), Verdict { decision: Decision::Free, ask: Vec::new() });
                assert_eq!(case.of_message_at(T), (OfMessage::Keep, Vec::new()));
            }
        }
        let no_longer = Case { here: Some(Member { allowed: allow(false), ..inside() }), ..missing_one() };
        assert_eq!(no_longer.decision(), missing(&[TALK]));
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
    fn e76_from_outside_nobody_is_freed() {
        for (standing, decision) in [
            (Standing::Inside, Decision::Free),
            (Standing::Outside, Decision::HandsOff(Reason::Suspended)),
            (Standing::Banned, Decision::HandsOff(Reason::Suspended)),
        ] {
            let mut case = Case { facts: ChatFacts { protected: None, ..watched() }, ..missing_one() };
            case.facts.own_event = Some((order(T, 9), standing, Rights::default()));
            assert_eq!(case.decision(), decision, "{standing:?}");
        }
    }

    #[test]
    fn e53_whom_the_bot_may_not_free_now_is_freed_when_it_may_again() {
        for (mute_until, decision) in [(None, Decision::Free), (Some(0), Decision::HandsOff(Reason::Suspended))] {
            let mut case = Case { facts: watched(), ..missing_one() };
            case.facts.own_event = Some((order(T, 9), Standing::Admin, Rights::default()));
            case.here.as_mut().unwrap().mute_until = mute_until;
            assert_eq!(case.decision(), decision, "{mute_until:?}");
        }
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

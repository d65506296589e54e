//! Grace, trust, earlier restrictions, patience, raids, sender chats and what cannot be found out.

use super::*;
use crate::{
    facts::{Added, Ban, Raid, Wait},
    settings::{GroupSettings, OnUnknown, SenderChats, TimeoutAction},
};

fn set(facts: &mut ChatFacts, edit: impl Fn(&mut GroupSettings)) {
    facts.settings.change(UpdateId(3), MS, edit);
}

mod grace {
    use super::*;

    fn left(ago_s: i64, was_in: bool, standing: Standing) -> Case {
        let event = Event { order: order(T - ago_s, 6), was_in, standing, limits: Limits::Free };
        let talk = Member { event: Some(event), ..Member::default() };
        let mut case = Case { talk: Some(talk), ..missing_one() };
        set(&mut case.facts, |settings| settings.grace_s = 600);
        case
    }

    #[test]
    fn e34_who_has_left_may_stay_for_a_while_and_is_looked_up_then() {
        let verdict = left(60, true, Standing::Outside).verdict();
        assert_eq!(verdict, Verdict { decision: Decision::Free, ask: vec![(TALK, MS + 540_000)] });
        for (why, case) in [
            ("it is over", left(600, true, Standing::Outside)),
            ("they were removed", left(60, true, Standing::Banned)),
            ("they never were in", left(60, false, Standing::Outside)),
        ] {
            assert_eq!(case.decision(), missing(&[TALK]), "{why}");
        }
    }

    #[test]
    fn e34_a_look_meanwhile_ends_no_grace_unless_it_shows_another_to_have_removed_them() {
        for (standing, decision) in [(Standing::Outside, Decision::Free), (Standing::Banned, missing(&[TALK]))] {
            let mut case = left(300, true, Standing::Outside);
            let lookup = Lookup { asked_ms: MS - 1_000, standing, limits: Limits::Free };
            case.talk.as_mut().unwrap().lookup = Some(lookup);
            assert_eq!(case.decision(), decision, "{standing:?}");
        }
    }

    #[test]
    fn e34_what_is_written_in_time_stays_also_when_it_is_read_later() {
        let case = left(900, true, Standing::Outside);
        assert_eq!(case.of_message_at(T - 400).0, OfMessage::Keep);
        assert_eq!(case.of_message_at(T - 200).0, OfMessage::Delete);
    }

    #[test]
    fn a_clock_behind_telegrams_makes_no_grace_where_there_is_none() {
        let mut case = left(-1, true, Standing::Outside);
        case.facts.settings.change(UpdateId(4), MS, |settings| settings.grace_s = 0);
        assert_eq!(case.decision(), missing(&[TALK]));
    }

    #[test]
    fn nobody_who_has_left_is_let_in_for_that() {
        let rights = Rights { can_restrict_members: true, can_invite_users: true, ..Rights::default() };
        let request = crate::facts::Request { order: order(T, 9), reach: ChatId(ANN.0), told: false, answered: false };
        let mut case = left(60, true, Standing::Outside);
        case.facts.own_event = Some((order(SINCE, 1), Standing::Admin, rights));
        let here = Member { request: Some(request), ..outside() };
        assert_eq!(case.with_rule(|rule| of_request(rule, &here, MS)).0, OfRequest::Greet);
    }
}

mod trust {
    use super::*;

    fn added(by_admin: Option<bool>) -> Case {
        let added = Added { order: order(T - 3_600, 5), by: UserId(10), by_admin };
        Case { here: Some(Member { added: Some(added), ..inside() }), ..missing_one() }
    }

    #[test]
    fn e15_whom_an_administrator_has_added_is_free_and_whom_another_has_is_not() {
        for (by_admin, decision, what) in [
            (Some(true), Decision::Free, OfMessage::Keep),
            (None, Decision::Unknown, OfMessage::Hold),
            (Some(false), missing(&[TALK]), OfMessage::Delete),
        ] {
            let case = added(by_admin);
            assert_eq!((case.decision(), case.of_message_at(T).0), (decision, what), "{by_admin:?}");
        }
    }

    #[test]
    fn e15_until_they_leave_and_only_where_the_group_wants_it() {
        let mut gone = added(Some(true));
        gone.here.as_mut().unwrap().last_out = Some(order(T - 60, 7));
        assert_eq!(gone.decision(), missing(&[TALK]));
        for by_admin in [Some(true), None] {
            let mut case = added(by_admin);
            set(&mut case.facts, |settings| settings.trust_added = false);
            assert_eq!(case.decision(), missing(&[TALK]));
        }
    }
}

mod unfindable {
    use super::*;

    fn failed(ago_ms: i64, on_unknown: OnUnknown) -> Case {
        let talk = Member { failed_ms: Some(MS - ago_ms), ..Member::default() };
        let mut case = Case { talk: Some(talk), ..missing_one() };
        set(&mut case.facts, |settings| settings.on_unknown = on_unknown);
        case
    }

    #[test]
    fn e28_who_cannot_be_found_out_is_silenced_only_where_the_group_says_so_and_muted_nowhere() {
        for (case, what) in [
            (failed(1_000, OnUnknown::Hold), OfMessage::Delete),
            (failed(1_000, OnUnknown::Allow), OfMessage::Hold),
            (failed(3_600_000, OnUnknown::Hold), OfMessage::Hold),
        ] {
            assert_eq!((case.of_message_at(T).0, case.decision()), (what, Decision::Unknown), "{:?}", case.talk);
        }
        let mut found = failed(1_000, OnUnknown::Hold);
        found.talk.as_mut().unwrap().lookup =
            Some(Lookup { asked_ms: MS - 500, standing: Standing::Inside, limits: Limits::Free });
        assert_eq!(found.of_message_at(T).0, OfMessage::Keep, "found out since");
    }

    #[test]
    fn e28_who_was_in_when_that_could_last_be_known_is_taken_at_it() {
        let seen = |standing| Some(Event { order: order(T - 60, 3), was_in: false, standing, limits: Limits::Free });
        let closed = ChatFacts {
            kind: "channel".to_owned(),
            own_event: Some((order(T - 30, 9), Standing::Inside, Rights::default())),
            ..watched()
        };
        for (standing, what) in [(Standing::Inside, OfMessage::Keep), (Standing::Outside, OfMessage::Delete)] {
            let mut case = Case { channel_facts: closed.clone(), ..failed(1_000, OnUnknown::Hold) };
            case.talk.as_mut().unwrap().event = seen(standing);
            case.news.as_mut().unwrap().lookup =
                Some(Lookup { asked_ms: MS - 500, standing: Standing::Inside, limits: Limits::Free });
            assert_eq!((case.of_message_at(T).0, case.decision()), (what, Decision::Unknown), "{standing:?}");
        }
    }

    #[test]
    fn e35_where_nobody_can_be_looked_up_nobody_is_and_messages_wait_for_nothing() {
        for (kind, standing, is_closed) in [
            ("channel", Standing::Inside, true),
            ("channel", Standing::Admin, false),
            ("", Standing::Banned, true),
            ("supergroup", Standing::Inside, false),
            ("supergroup", Standing::Outside, true),
        ] {
            let mut case = Case { talk: None, ..missing_one() };
            case.channel_facts = ChatFacts {
                kind: kind.to_owned(),
                own_event: Some((order(T - 60, 9), standing, Rights::default())),
                ..watched()
            };
            let found = Lookup { asked_ms: MS - 500, standing: Standing::Inside, limits: Limits::Free };
            case.news.as_mut().unwrap().lookup = Some(found);
            let asked = case.verdict().ask.iter().any(|(chat, _)| *chat == TALK);
            assert_eq!((case.decision(), asked), (Decision::Unknown, !is_closed), "{kind} {standing:?}");
            let of_message = case.of_message_at(T).0;
            assert_eq!(of_message, if is_closed { OfMessage::Keep } else { OfMessage::Hold }, "{kind} {standing:?}");
            set(&mut case.facts, |settings| settings.on_unknown = OnUnknown::Hold);
            let of_message = case.of_message_at(T).0;
            assert_eq!(of_message, if is_closed { OfMessage::Delete } else { OfMessage::Hold }, "{kind} {standing:?}");
        }
    }

    #[test]
    fn e28_before_anybody_was_asked_in_vain_the_message_waits() {
        let mut case = Case { talk: None, ..missing_one() };
        set(&mut case.facts, |settings| settings.on_unknown = OnUnknown::Hold);
        assert_eq!(case.of_message_at(T), (OfMessage::Hold, vec![(TALK, MS)]));
    }
}

#[test]
fn e66_what_is_taken_in_after_ten_minutes_is_stale() {
    assert_eq!([T - 601, T - 600, T, T + 60].map(|date| is_stale(date, MS)), [true, false, false, false]);
}

#[test]
fn e43_where_nothing_can_be_deleted_messages_are_let_be() {
    let mut case = missing_one();
    let rights = Rights { can_restrict_members: true, ..Rights::default() };
    case.facts.own_event = Some((order(SINCE, 1), Standing::Admin, rights));
    assert_eq!((case.of_message_at(T).0, case.decision()), (OfMessage::Keep, missing(&[TALK])));
}

#[test]
fn e13_notes_are_deleted_where_the_group_says_so_is_protected_and_they_can_be_and_it_is_in_earnest() {
    let cleaned = |edit: fn(&mut ChatFacts)| {
        let mut facts = protected();
        set(&mut facts, |settings| settings.clean_service = true);
        edit(&mut facts);
        is_cleaned(&facts)
    };
    assert!(cleaned(|_| ()));
    let but: [fn(&mut ChatFacts); 4] = [
        |facts| facts.settings = crate::settings::SettingRegisters::default(),
        |facts| facts.protected = None,
        |facts| facts.own_event = Some((order(T, 9), Standing::Admin, Rights::default())),
        |facts| set(facts, |settings| settings.dry_run = true),
    ];
    assert_eq!(but.map(cleaned), [false; 4]);
}

mod sender_chats {
    use super::*;

    const FOREIGN: ChatId = ChatId(-1_001_000_000_077);

    fn decided(sender: ChatId, edit: impl FnOnce(&mut ChatFacts)) -> OfSenderChat {
        let mut facts = protected();
        facts.apply_linked(MS - 1_000, Some(NEWS));
        edit(&mut facts);
        of_sender_chat(GROUP, &facts, sender, MS)
    }

    #[test]
    fn e5_foreign_channels_are_dealt_with_as_the_group_says() {
        for (setting, what) in [
            (SenderChats::Allow, OfSenderChat::Keep),
            (SenderChats::Delete, OfSenderChat::Delete),
            (SenderChats::Ban, OfSenderChat::Ban),
        ] {
            assert_eq!(decided(FOREIGN, |facts| set(facts, |settings| settings.sender_chats = setting)), what);
        }
    }

    #[test]
    fn e2_e4_the_group_itself_and_its_channel_speak_freely() {
        for sender in [GROUP, NEWS] {
            assert_eq!(decided(sender, |_| ()), OfSenderChat::Keep);
        }
        let long_ago = |facts: &mut ChatFacts| facts.linked.as_mut().unwrap().asked_ms = 0;
        assert_eq!(decided(NEWS, long_ago), OfSenderChat::Keep);
    }

    #[test]
    fn e5_who_was_allowed_speaks_in_the_name_of_a_foreign_channel() {
        let allow = |value| {
            move |facts: &mut ChatFacts| {
                facts.allow_sender(FOREIGN, Setting { value, update_id: UpdateId(9), received_ms: MS });
            }
        };
        assert_eq!(decided(FOREIGN, allow(true)), OfSenderChat::Keep);
        assert_eq!(decided(FOREIGN, allow(false)), OfSenderChat::Delete);
    }

    #[test]
    fn e4_what_the_group_is_linked_to_is_looked_up_before_anything_is_deleted() {
        assert_eq!(decided(FOREIGN, |facts| facts.linked = None), OfSenderChat::LookUp);
        let long_ago = |facts: &mut ChatFacts| facts.linked.as_mut().unwrap().asked_ms = MS - 600_000;
        assert_eq!(decided(FOREIGN, long_ago), OfSenderChat::LookUp);
    }

    #[test]
    fn without_the_rule_or_the_right_foreign_channels_are_let_be() {
        assert_eq!(decided(FOREIGN, |facts| facts.protected = None), OfSenderChat::Keep);
        let own = |rights| move |facts: &mut ChatFacts| facts.own_event = Some((order(T, 9), Standing::Admin, rights));
        assert_eq!(decided(FOREIGN, own(Rights::default())), OfSenderChat::Keep);
        let only_delete = Rights { can_delete_messages: true, ..Rights::default() };
        let ban = |facts: &mut ChatFacts| {
            set(facts, |settings| settings.sender_chats = SenderChats::Ban);
            own(only_delete)(facts);
        };
        assert_eq!(decided(FOREIGN, ban), OfSenderChat::Delete);
    }
}

mod earlier {
    use super::*;

    fn partly(until: i64) -> Limits {
        Limits::Restricted { until, left: Permissions::TEXT }
    }

    fn imposed(now: Limits, theirs: Limits) -> Member {
        let theirs = Theirs { order: order(T - 60, 6), limits: theirs, lifted_ours: false };
        Member { theirs: Some(theirs), ..who(Standing::Inside, true, now) }
    }

    fn act(decision: &Decision, member: &Member) -> (Option<Act>, bool) {
        let plan = plan(decision, member, mark(), MS);
        (plan.act, plan.waiting)
    }

    #[test]
    fn e45_what_leaves_them_a_voice_is_covered_while_they_wait_and_put_back_after() {
        let theirs = partly(T + 600);
        assert_eq!(act(&missing(&[TALK]), &imposed(theirs, theirs)), (Some(Act::Mute), true));
        assert_eq!(act(&missing(&[TALK]), &imposed(ours(), theirs)), (None, true));
        assert_eq!(act(&Decision::Free, &imposed(ours(), theirs)), (Some(Act::Restore), false));
        assert_eq!(act(&Decision::Free, &imposed(theirs, theirs)), (None, false), "E44");
        assert_eq!(act(&missing(&[TALK]), &imposed(by_others(0), by_others(0))), (None, false), "a mute suffices");
    }

    #[test]
    fn e45_what_is_over_by_then_is_lifted() {
        assert_eq!(act(&Decision::Free, &imposed(ours(), partly(T))), (Some(Act::Release), false));
    }
}

mod patience {
    use super::*;

    const TIMEOUT_S: i64 = 400;

    struct Waiting {
        member: Member,
        facts: ChatFacts,
        /// What is known of them in each channel.
        in_channel: Member,
    }

    fn looked_up(ago_ms: i64) -> Member {
        let lookup = Lookup { asked_ms: MS - ago_ms, standing: Standing::Outside, limits: Limits::Free };
        Member { lookup: Some(lookup), ..Member::default() }
    }

    /// Muted and waiting for so long, in seconds.
    fn waiting(for_s: i64, action: TimeoutAction, warned_ms: Option<i64>) -> Waiting {
        let mut facts = watched();
        set(&mut facts, |settings| {
            settings.timeout_action = action;
            settings.timeout_s = TIMEOUT_S;
        });
        let wait = Some(Wait { since_ms: MS - for_s * 1000, until_ms: None, warned_ms });
        let member = Member { waiting: true, wait, ..who(Standing::Inside, true, ours()) };
        Waiting { member, facts, in_channel: looked_up(300_000) }
    }

    impl Waiting {
        fn plan(&self, decision: &Decision) -> Plan {
            let mut plan = plan(decision, &self.member, mark(), MS);
            run_out(&mut plan, &self.facts, decision, &self.member, mark(), MS, |_| Some(&self.in_channel));
            plan
        }

        fn missing(&self) -> Plan {
            self.plan(&missing(&[TALK]))
        }
    }

    #[test]
    fn who_waits_is_looked_at_when_they_are_to_be_warned_and_when_the_time_is_over() {
        let plan = waiting(100, TimeoutAction::Kick, None).missing();
        assert_eq!((plan.act, plan.warned, plan.look_again_ms), (None, false, Some(MS + 200_000)));
        let plan = waiting(300, TimeoutAction::Kick, None).missing();
        assert_eq!((plan.act, plan.warned, plan.look_again_ms), (None, true, Some(MS + 100_000)));
        let mut unwarned = waiting(300, TimeoutAction::Kick, None);
        unwarned.facts.settings.change(UpdateId(4), MS, |settings| settings.warn_first = false);
        let plan = unwarned.missing();
        assert_eq!((plan.act, plan.warned, plan.look_again_ms), (None, false, Some(MS + 100_000)));
    }

    #[test]
    fn who_comes_back_muted_begins_to_wait_anew_and_is_looked_at_when_that_time_is_over() {
        let before = waiting(TIMEOUT_S, TimeoutAction::Kick, Some(MS - 100_000));
        let left = before.member.wait.map(|wait| Wait { until_ms: Some(MS - 1_000), ..wait });
        for wait in [None, left] {
            let back =
                Waiting { member: Member { wait, ..before.member.clone() }, ..waiting(0, TimeoutAction::Kick, None) };
            let plan = back.missing();
            assert_eq!((plan.act, plan.warned, plan.look_again_ms), (None, false, Some(MS + 300_000)), "{wait:?}");
        }
    }

    #[test]
    fn e47_e49_who_has_waited_for_too_long_is_dealt_with_as_the_group_says() {
        for (action, act) in
            [(TimeoutAction::Stay, None), (TimeoutAction::Kick, Some(Act::Kick)), (TimeoutAction::Ban, Some(Act::Ban))]
        {
            let plan = waiting(TIMEOUT_S, action, Some(MS - 100_000)).missing();
            assert_eq!((plan.act, plan.waiting), (act, true), "{action:?}");
        }
    }

    #[test]
    fn nobody_is_removed_unwarned_also_when_nobody_was_there_to_warn() {
        let plan = waiting(10 * TIMEOUT_S, TimeoutAction::Kick, None).missing();
        assert_eq!((plan.act, plan.warned, plan.look_again_ms), (None, true, Some(MS + 100_000)));
        let plan = waiting(10 * TIMEOUT_S, TimeoutAction::Kick, Some(MS - 99_000)).missing();
        assert_eq!((plan.act, plan.look_again_ms), (None, Some(MS + 1_000)));
    }

    #[test]
    fn nobody_is_removed_who_is_not_there() {
        let there = waiting(TIMEOUT_S, TimeoutAction::Ban, Some(MS - 100_000));
        let outside = Member { wait: there.member.wait, ..who(Standing::Outside, true, ours()) };
        let plan = Waiting { member: Member { waiting: true, ..outside }, ..there }.missing();
        assert_eq!((plan.act, plan.warned, plan.waiting), (None, false, true));
    }

    #[test]
    fn nobody_is_warned_before_our_mute_stands() {
        let called = |act, limits| {
            let call = Some(Call { answered: true, ..Call::new(act, MS - 1_000, None) });
            let member = Member { call, event: who(Standing::Inside, true, limits).event, ..Member::default() };
            let wait = Some(Wait { since_ms: MS - 300_000, until_ms: None, warned_ms: None });
            Waiting { member: Member { wait, ..member }, ..waiting(300, TimeoutAction::Kick, None) }.missing()
        };
        let on_its_way = called(Act::Mute, Limits::Free);
        assert_eq!((on_its_way.act, on_its_way.waiting, on_its_way.warned), (None, true, false));
        let overtaken = called(Act::Release, ours());
        assert_eq!((overtaken.act, overtaken.waiting, overtaken.warned), (Some(Act::Mute), true, false));
    }

    #[test]
    fn nobody_is_removed_before_it_was_looked_up_that_they_have_to_wait() {
        let late = waiting(TIMEOUT_S, TimeoutAction::Ban, Some(MS - 100_000));
        for in_channel in [looked_up(300_001), Member::default()] {
            let plan = Waiting { in_channel, ..waiting(TIMEOUT_S, TimeoutAction::Ban, Some(MS - 100_000)) }.missing();
            assert_eq!((plan.act, plan.make_sure), (None, vec![TALK]));
        }
        assert_eq!(late.missing().act, Some(Act::Ban));
    }

    #[test]
    fn who_joined_a_channel_and_left_it_again_meanwhile_begins_to_wait_anew() {
        let late = || waiting(TIMEOUT_S, TimeoutAction::Kick, Some(MS - 100_000));
        let event = |standing, was_in| Some(Event { order: order(T - 50, 3), was_in, standing, limits: Limits::Free });
        let seen = |event| Waiting { in_channel: Member { event, ..looked_up(0) }, ..late() };
        let again = seen(event(Standing::Outside, true)).missing();
        let warn_ms = (T - 50 + TIMEOUT_S - 100) * 1000;
        assert_eq!((again.act, again.warned, again.look_again_ms), (None, false, Some(warn_ms)));
        assert_eq!(again.waits_since_ms, Some((T - 50) * 1000));
        let mut known = seen(event(Standing::Outside, true));
        known.member.wait = known.member.wait.map(|wait| Wait { since_ms: (T - 50) * 1000, ..wait });
        assert_eq!(known.missing().waits_since_ms, None, "it is counted from there already");
        for event in [None, event(Standing::Outside, false), event(Standing::Inside, true)] {
            assert_eq!(seen(event).missing().act, Some(Act::Kick), "{event:?}");
        }
        let (left, late) = (seen(event(Standing::Outside, true)), late());
        let both = missing(&[NEWS, TALK]);
        let mut planned = plan(&both, &late.member, mark(), MS);
        let known = |channel| Some(if channel == TALK { &left.in_channel } else { &late.in_channel });
        run_out(&mut planned, &late.facts, &both, &late.member, mark(), MS, known);
        assert_eq!(planned.act, Some(Act::Kick), "who was never in the other one has lacked it all the time");
    }

    #[test]
    fn nobody_is_removed_who_is_free_or_exempt_or_unknown_or_not_yet_muted_or_restricted_by_others() {
        let late = || waiting(TIMEOUT_S, TimeoutAction::Ban, Some(MS - 100_000));
        for decision in [Decision::Free, Decision::Unknown]
            .into_iter()
            .chain([Reason::Exempt, Reason::Suspended, Reason::Absent].map(Decision::HandsOff))
        {
            let act = late().plan(&decision).act;
            assert!(!matches!(act, Some(Act::Kick | Act::Ban)), "{decision:?}");
        }
        let others = [
            Member { event: inside().event, ..late().member },
            Member { call: Some(Call::new(Act::Release, MS - 1_000, None)), ..late().member },
            Member { event: who(Standing::Inside, true, by_others(0)).event, ..late().member },
            Member { wait: late().member.wait.map(|wait| Wait { until_ms: Some(MS - 1), ..wait }), ..late().member },
        ];
        for member in others {
            let act = Waiting { member: member.clone(), ..late() }.missing().act;
            assert!(!matches!(act, Some(Act::Kick | Act::Ban)), "{member:?}");
        }
    }

    #[test]
    fn e49_our_ban_is_lifted_at_once_where_it_was_to_remove_them_and_else_when_they_need_not_wait() {
        let banned = |kick, until| {
            let ban = Some(Ban { until: T + 60, kick });
            Member { ban, ..who(Standing::Banned, true, Limits::Banned { until }) }
        };
        let absent = Decision::HandsOff(Reason::Absent);
        let suspended = Decision::HandsOff(Reason::Suspended);
        for (member, decision, act) in [
            (banned(true, T + 60), &absent, Some(Act::Release)),
            (banned(true, T + 60), &suspended, None),
            (banned(false, T + 60), &absent, None),
            (banned(false, T + 60), &Decision::Free, Some(Act::Release)),
            (banned(true, T + 61), &absent, None),
            (banned(false, 0), &Decision::Free, None),
        ] {
            assert_eq!(plan(decision, &member, mark(), MS).act, act, "{decision:?} {member:?}");
        }
        let theirs = Theirs { order: order(T - 60, 6), limits: Limits::Banned { until: T + 60 }, lifted_ours: false };
        let by_admin = Member { theirs: Some(theirs), ..banned(true, T + 60) };
        assert_eq!(plan(&absent, &by_admin, mark(), MS).act, None, "E44: an admin has banned them, too");
        assert_eq!(plan(&absent, &banned(false, T + 60), mark(), MS).look_again_ms, Some((T + 61) * 1000));
    }
}

mod raids {
    use super::*;

    fn facts(known: Option<Raid>, edit: impl Fn(&mut GroupSettings)) -> ChatFacts {
        let mut facts = ChatFacts { raid: known, ..ChatFacts::default() };
        set(&mut facts, |settings| {
            settings.raid_threshold = 5;
            edit(settings);
        });
        facts
    }

    #[test]
    fn e98_more_than_so_many_within_a_minute_are_a_raid_which_ends_by_itself() {
        assert_eq!(raid(&facts(None, |_| ()), 5, MS), (None, false));
        let begun = Raid { since_ms: MS, until_ms: MS + 300_000 };
        assert_eq!(raid(&facts(None, |_| ()), 6, MS), (Some(begun), true));
        assert_eq!(raid(&facts(Some(begun), |_| ()), 0, MS + 299_999), (Some(begun), false));
        assert_eq!(raid(&facts(Some(begun), |_| ()), 0, MS + 300_000), (None, false));
        assert_eq!(raid(&facts(None, |settings| settings.raid_threshold = 0), 5_000, MS), (None, false));
    }

    #[test]
    fn e98_a_raid_that_goes_on_is_written_down_no_more_than_once_a_minute() {
        let begun = Raid { since_ms: MS, until_ms: MS + 300_000 };
        for (later_ms, is_news) in [(1_000, false), (59_999, false), (60_000, true)] {
            let now_ms = MS + later_ms;
            let goes_on = Raid { until_ms: now_ms + 300_000, ..begun };
            assert_eq!(raid(&facts(Some(begun), |_| ()), 6, now_ms), (Some(goes_on), is_news), "{later_ms}");
        }
    }

    #[test]
    fn e98_a_raid_by_hand_lasts_as_long_as_was_said_and_is_no_news() {
        let by_hand = |settings: &mut GroupSettings| settings.raid_until_ms = MS + 1_000;
        let called = Raid { since_ms: MS, until_ms: MS + 1_000 };
        assert_eq!(raid(&facts(None, by_hand), 0, MS), (Some(called), false));
        assert_eq!(raid(&facts(None, by_hand), 0, MS + 1_000), (None, false));
    }

    #[test]
    fn e98_an_administrator_ends_any_raid_and_who_came_before_that_makes_no_other() {
        let begun = Raid { since_ms: MS, until_ms: MS + 300_000 };
        let ended = facts(Some(begun), |settings| settings.raid_until_ms = MS + 5_000);
        assert_eq!(raid(&ended, 0, MS + 5_000), (None, false));
        let another = Raid { since_ms: MS + 6_000, until_ms: MS + 306_000 };
        assert_eq!(raid(&ended, 6, MS + 6_000), (Some(another), true));
        let later = facts(Some(another), |settings| settings.raid_until_ms = MS + 5_000);
        assert_eq!(raid(&later, 0, MS + 7_000), (Some(another), false), "it has begun since");
        for (until_ms, now_ms, since_ms) in [
            (0, MS, MS - 60_000),
            (MS + 5_000, MS + 5_000, MS + 5_000),
            (MS + 5_000, MS + 64_000, MS + 5_000),
            (MS + 5_000, MS + 66_000, MS + 6_000),
            (MS + 5_000, MS + 4_999, MS - 55_001),
        ] {
            let facts = facts(None, |settings| settings.raid_until_ms = until_ms);
            assert_eq!(raid_counted_since_ms(&facts, now_ms), since_ms, "{until_ms} {now_ms}");
        }
    }
}

#[test]
fn in_a_dry_run_nothing_is_done_but_to_take_back_what_was_done_before() {
    let plan = |act| Plan {
        act,
        confirm_at_ms: Some(1),
        look_again_ms: Some(2),
        waiting: true,
        warned: true,
        waits_since_ms: Some(3),
        make_sure: vec![TALK],
    };
    for act in [Act::Release, Act::Restore] {
        assert_eq!(plan(Some(act)).in_dry_run(true), plan(Some(act)), "{act:?}");
    }
    let waits_on = Plan { confirm_at_ms: Some(1), look_again_ms: Some(2), waiting: true, ..Plan::default() };
    for act in [None, Some(Act::Mute), Some(Act::Kick), Some(Act::Ban)] {
        assert_eq!(plan(act).in_dry_run(true), waits_on, "{act:?} of whom we have muted");
        assert_eq!(plan(act).in_dry_run(false), Plan { confirm_at_ms: Some(1), ..Plan::default() }, "{act:?}");
    }
    assert!(!Plan { waiting: false, ..plan(None) }.in_dry_run(true).waiting);
}

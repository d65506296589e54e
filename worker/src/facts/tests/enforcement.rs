//! Who was added by whom, how long somebody waits, what ban is ours, what cannot be found out.

use super::*;

#[test]
fn e15_who_was_added_is_trusted_when_it_turns_out_that_an_administrator_did_it() {
    let added = order(T, 1);
    let mut member = after(&[change(ADMIN, T, LEFT, FREE)]);
    assert_eq!((member.added.map(|added| added.by), member.added_by_admin()), (Some(ADMIN), None));
    member.found_adder(order(T, 7), true);
    assert_eq!(member.added_by_admin(), None, "that was about another time");
    member.found_adder(added, true);
    assert_eq!(member.added_by_admin(), Some(true));
    member.apply_event(BOT, UpdateId(1), &change(ADMIN, T, LEFT, FREE), mark());
    assert_eq!(member.added_by_admin(), Some(true), "told again");
    member.apply_event(BOT, UpdateId(2), &change(ANN, T + 5, FREE, LEFT), mark());
    member.apply_event(BOT, UpdateId(3), &change(ANN, T + 9, LEFT, FREE), mark());
    assert_eq!(member.added_by_admin(), Some(false), "they came back by themselves");
}

#[test]
fn e15_who_acts_in_the_name_of_the_group_is_its_administrator() {
    let member = after(&[change(UserId::GROUP_ANONYMOUS_BOT, T, LEFT, FREE)]);
    assert_eq!(member.added_by_admin(), Some(true));
}

#[test]
fn e98_who_has_come_or_written_lately_counts_and_who_is_judged_anew_does_not() {
    let counts = |member: &Member, ago_s: i64| {
        let now_ms = (T + ago_s) * 1000;
        match member.counts_from_ms(now_ms) {
            from_ms if from_ms == now_ms => true,
            from_ms if from_ms == now_ms - LATELY_MS => false,
            from_ms => panic!("{from_ms} at {now_ms}"),
        }
    };
    let came = after(&[change(ANN, T, LEFT, FREE)]);
    assert_eq!([counts(&came, 59), counts(&came, 60)], [true, false]);
    for other in [change(ANN, T, FREE, LEFT), change(ADMIN, T, FREE, muted(theirs(0)))] {
        assert!(!counts(&after(std::slice::from_ref(&other)), 1), "{other:?}");
    }
    let mut wrote = after(&[change(ANN, T - 3_600, LEFT, FREE)]);
    assert!(!counts(&wrote, 0));
    wrote.apply_message(order(T, 9));
    assert_eq!([counts(&wrote, 59), counts(&wrote, 60)], [true, false]);
}

#[test]
fn e15_e17_e87_who_comes_by_themselves_or_was_let_in_or_comes_as_an_administrator_was_not_added() {
    let let_in = ChatMemberUpdated { via_join_request: true, ..change(ADMIN, T, LEFT, FREE) };
    for event in [
        change(ANN, T, LEFT, FREE),
        let_in,
        change(ADMIN, T, LEFT, PROMOTED),
        change(BOT.user(), T, muted(ours()), FREE),
        change(ADMIN, T, FREE, muted(theirs(0))),
    ] {
        assert_eq!(after(std::slice::from_ref(&event)).added, None, "{event:?}");
    }
}

#[test]
fn e44_who_gives_them_a_voice_again_has_allowed_them_and_who_restricts_them_otherwise_has_not() {
    let partly = Limits::Restricted { until: 0, left: Permissions::TEXT };
    for (limits, allowed) in [(partly, true), (Limits::Free, true), (theirs(0), false)] {
        let member =
            after(&[change(BOT.user(), T, FREE, muted(ours())), change(ADMIN, T + 9, muted(ours()), muted(limits))]);
        assert_eq!(member.allowed_by_admin(), allowed, "{limits:?}");
    }
}

mod bans {
    use super::*;

    const UNTIL: i64 = T + 600;

    fn called(act: Act) -> Member {
        let mut member = after(&[change(BOT.user(), T - 900, FREE, muted(ours()))]);
        member.ban = Some(Ban { until: UNTIL, kick: act == Act::Kick });
        member.call = Some(Call::new(act, MS, None));
        member
    }

    const fn banned(until: i64) -> (Standing, Limits) {
        (Standing::Banned, Limits::Banned { until })
    }

    #[test]
    fn e49_the_echo_of_our_ban_confirms_it_and_shows_it_to_be_ours() {
        let mut member = called(Act::Kick);
        member.apply_event(BOT, UpdateId(5), &change(BOT.user(), T + 1, muted(ours()), banned(UNTIL)), mark());
        assert_eq!(member.call, None);
        assert_eq!(member.limits(mark(), MS + 2_000), Now { limits: Limits::Banned { until: UNTIL }, ours: true });
        assert_eq!(member.limits(mark(), UNTIL * 1000).limits, Limits::Free, "it ends by itself");
    }

    #[test]
    fn e49_a_lookup_shows_our_ban_where_no_echo_comes() {
        let mut member = called(Act::Ban);
        look(&mut member, MS + CONFIRM_AFTER_MS, banned(UNTIL));
        assert!(member.limits(mark(), MS + 6_000).ours);
        look(&mut member, MS + LOOKUP_CACHE_MS, banned(UNTIL));
        assert_eq!(member.open_call(), None);
    }

    #[test]
    fn a_ban_that_did_not_come_about_is_seen_by_a_lookup() {
        let mut member = called(Act::Ban);
        look(&mut member, MS + CONFIRM_AFTER_MS, muted(ours()));
        assert_eq!(member.open_call(), None);
        assert!(member.limits(mark(), MS + 6_000).ours, "still muted by us");
    }

    #[test]
    fn e44_an_administrators_ban_is_never_taken_for_ours() {
        for until in [0, UNTIL + 1] {
            let mut member = called(Act::Ban);
            member.apply_event(BOT, UpdateId(5), &change(ADMIN, T + 1, muted(ours()), banned(until)), mark());
            assert!(!member.limits(mark(), MS + 2_000).ours, "{until}");
        }
        let mut member = called(Act::Ban);
        member.apply_event(BOT, UpdateId(5), &change(ADMIN, T + 1, muted(ours()), banned(UNTIL)), mark());
        assert!(!member.limits(mark(), MS + 2_000).ours, "although it ends in the same second");
    }

    #[test]
    fn our_lifting_of_a_ban_is_confirmed_by_its_absence() {
        let mut member = called(Act::Ban);
        member.apply_event(BOT, UpdateId(5), &change(BOT.user(), T + 1, muted(ours()), banned(UNTIL)), mark());
        member.call = Some(Call::new(Act::Release, MS + 2_000, None));
        member.apply_event(BOT, UpdateId(6), &change(BOT.user(), T + 2, banned(UNTIL), LEFT), mark());
        assert_eq!(member.call, None);
    }
}

mod waiting {
    use super::*;

    #[test]
    fn a_wait_is_counted_from_its_beginning_and_a_warning_is_new_once() {
        let mut member = Member::default();
        assert!(!member.waits(true, false, MS));
        assert!(!member.waits(true, false, MS + 1_000));
        assert!(member.waits(true, true, MS + 2_000));
        assert!(!member.waits(true, true, MS + 3_000));
        let wait = Wait { since_ms: MS, until_ms: None, warned_ms: Some(MS + 2_000) };
        assert_eq!((member.wait, member.waiting), (Some(wait), true));
        assert!(member.waits(true, false, MS + 4_000), "the group is patient after all");
        assert!(!member.waits(false, false, MS + 5_000));
        assert_eq!(member.wait, Some(Wait { until_ms: Some(MS + 5_000), warned_ms: None, ..wait }));
        assert!(!member.waits(true, false, MS + 6_000));
        assert_eq!(member.wait.map(|wait| wait.since_ms), Some(MS + 6_000), "anew");
    }

    #[test]
    fn a_wait_that_is_over_is_forgotten_after_a_minute_and_its_warning_at_once() {
        let mut member = Member::default();
        member.waits(true, true, MS);
        member.waits(false, false, MS + 1_000);
        let over = Some(Wait { since_ms: MS, until_ms: Some(MS + 1_000), warned_ms: None });
        for (now_ms, wait) in [(MS + 2_000, over), (MS + 60_999, over), (MS + 61_000, None)] {
            assert!(!member.waits(false, false, now_ms));
            assert_eq!(member.wait, wait, "{now_ms}");
        }
    }

    #[test]
    fn who_comes_in_waits_anew_and_what_is_told_late_changes_nothing() {
        let mut member = Member::default();
        member.waits(true, true, MS);
        member.apply_event(BOT, UpdateId(5), &change(ANN, T + 5, LEFT, FREE), mark());
        assert_eq!(member.wait, None, "they had waited outside, for having written from there");
        member.waits(true, true, MS + 6_000);
        let anew = member.wait;
        for told_late in [change(ANN, T + 1, LEFT, FREE), change(ANN, T + 5, LEFT, FREE)] {
            member.apply_event(BOT, UpdateId(5), &told_late, mark());
            assert_eq!(member.wait, anew, "{told_late:?}");
        }
        member.apply_event(BOT, UpdateId(6), &change(ADMIN, T + 7, FREE, muted(theirs(0))), mark());
        assert_eq!(member.wait, anew, "they were in already");
        member.waits(false, false, MS + 8_000);
        let over = member.wait;
        member.apply_event(BOT, UpdateId(7), &change(ANN, T + 9, LEFT, FREE), mark());
        assert_eq!((member.wait, over.is_some()), (over, true), "it is kept for those who begin again at once");
    }

    #[test]
    fn e34_who_begins_to_wait_again_at_once_is_not_shown_at_once() {
        let mut member = Member::default();
        let shown = |member: &mut Member, waiting, now_ms| {
            let before = member.wait;
            member.waits(waiting, false, now_ms);
            member.shown_ms(now_ms, before)
        };
        assert_eq!(shown(&mut member, true, MS), MS);
        assert_eq!(shown(&mut member, false, MS + 1_000), MS + 1_000, "nobody is named who does not wait");
        assert_eq!(shown(&mut member, true, MS + 2_000), MS + 61_000);
        assert_eq!(shown(&mut member, false, MS + 3_000), MS + 3_000);
        assert_eq!(shown(&mut member, true, MS + 70_000), MS + 70_000);
    }
}

#[test]
fn e28_who_was_asked_for_in_vain_cannot_be_found_out_until_somebody_tells_or_time_has_passed() {
    let mut member = Member::default();
    assert!(!member.cannot_be_found_out(MS));
    member.lookup_failed(MS);
    member.lookup_failed(MS - 5);
    assert!(member.cannot_be_found_out(MS + 3_599_999) && !member.cannot_be_found_out(MS + 3_600_000));
    look(&mut member, MS + 1, FREE);
    assert!(!member.cannot_be_found_out(MS + 2));
}

#[test]
fn e4_what_is_known_of_the_groups_channel_is_the_newest_and_of_others_good_for_ten_minutes() {
    let (own, other) = (ChatId(-1_001_000_000_011), ChatId(-1_001_000_000_012));
    let mut facts = ChatFacts::default();
    assert_eq!(facts.is_linked(own, MS), None);
    facts.apply_linked(MS, Some(own));
    facts.apply_linked(MS - 1, Some(other));
    assert_eq!([own, other].map(|chat| facts.is_linked(chat, MS + 599_999)), [Some(true), Some(false)]);
    assert_eq!([own, other].map(|chat| facts.is_linked(chat, MS + 600_000)), [Some(true), None]);
    facts.apply_linked(MS + 1, None);
    assert_eq!(facts.is_linked(own, MS + 2), Some(false));
}

#[test]
fn e63_what_belongs_into_a_topic_that_is_gone_goes_to_the_general_one_for_a_day() {
    let mut facts = ChatFacts::default();
    facts.topic_gone(7, MS);
    let day_ms = 24 * 3_600_000;
    assert_eq!([Some(7), Some(8), None].map(|topic| facts.topic(topic, MS + day_ms - 1)), [None, Some(8), None]);
    assert_eq!(facts.topic(Some(7), MS + day_ms), Some(7));
    facts.topic_gone(8, MS + day_ms);
    assert_eq!(facts.gone_topics.len(), 1, "what is over is forgotten");
    facts.topic_gone(9, MS + day_ms + 1);
    assert_eq!(facts.gone_topics.len(), 2, "and nothing else");
}

#[test]
fn e53_a_dry_run_ends_with_the_protection_so_that_whom_we_have_muted_is_freed() {
    let mut facts = ChatFacts::default();
    facts.settings.change(UpdateId(1), 1_000, |settings| settings.dry_run = true);
    assert!(!facts.is_dry());
    facts.protected = Some(Setting { value: true, update_id: UpdateId(2), received_ms: 1_000 });
    assert!(facts.is_dry());
}

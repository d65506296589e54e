//! Registers and how they are read, as sentences.

#![allow(clippy::unwrap_used)]

use nezuko_telegram::{Chat, ChatKind, Permissions, User};
use proptest::prelude::*;

use super::*;

const BOT: BotId = BotId(7_000_000_001);
const GROUP: ChatId = ChatId(-1_001_000_000_001);
const ANN: UserId = UserId(11);
const ADMIN: UserId = UserId(10);
/// Unix seconds.
const T: i64 = 1_700_000_000;
const MS: i64 = T * 1000;
const ALWAYS: Watched = Watched(Some(T - 86_400));
const UNWATCHED: Watched = Watched(None);

fn mark() -> Mark {
    Mark::of(BOT, GROUP, ANN)
}

/// Our mute.
fn ours() -> Limits {
    Limits::Restricted { until: mark().until(MS), left: Permissions::NONE }
}

/// A mute by somebody else.
const fn theirs(until: i64) -> Limits {
    Limits::Restricted { until, left: Permissions::NONE }
}

fn user(id: UserId) -> User {
    User { id, is_bot: id == BOT.user(), first_name: "Ann".to_owned(), last_name: None, username: None }
}

fn place(id: UserId, (standing, limits): (Standing, Limits)) -> ChatMember {
    ChatMember { user: user(id), standing: Some(standing), limits, rights: Rights::default() }
}

const FREE: (Standing, Limits) = (Standing::Inside, Limits::Free);
const LEFT: (Standing, Limits) = (Standing::Outside, Limits::Free);
const PROMOTED: (Standing, Limits) = (Standing::Admin, Limits::Free);

fn muted(limits: Limits) -> (Standing, Limits) {
    (Standing::Inside, limits)
}

/// Somebody's standing changed.
fn change(by: UserId, date: i64, old: (Standing, Limits), new: (Standing, Limits)) -> ChatMemberUpdated {
    let chat = Chat { id: GROUP, kind: ChatKind::Supergroup, title: None, username: None, invite_link: None };
    ChatMemberUpdated { chat, from: user(by), date, old_chat_member: place(ANN, old), new_chat_member: place(ANN, new) }
}

/// Who takes in these events, numbered from 1.
fn after(events: &[ChatMemberUpdated]) -> Member {
    let mut member = Member::default();
    for (event, id) in events.iter().zip(1..) {
        member.apply_event(BOT, UpdateId(id), event, mark());
    }
    member
}

fn look(member: &mut Member, asked_ms: i64, seen: (Standing, Limits)) {
    member.apply_lookup(asked_ms, &place(ANN, seen), mark());
}

fn order(date: i64, update_id: i64) -> EventOrder {
    EventOrder { date, update_id: UpdateId(update_id) }
}

mod presence {
    use super::*;

    #[test]
    fn of_two_events_in_one_second_the_higher_update_id_is_the_newer() {
        let (join, leave) = (change(ANN, T, LEFT, FREE), change(ANN, T, FREE, LEFT));
        for ids in [[1, 2], [2, 1]] {
            let mut member = Member::default();
            for (event, id) in [&join, &leave].into_iter().zip(ids) {
                member.apply_event(BOT, UpdateId(id), event, mark());
            }
            let newest = if ids[1] == 2 { Standing::Outside } else { Standing::Inside };
            assert_eq!(member.standing(ALWAYS, MS).unwrap().standing, newest);
        }
    }

    #[test]
    fn an_older_date_loses_whatever_its_update_id() {
        let mut member = Member::default();
        member.apply_event(BOT, UpdateId(1), &change(ANN, T, LEFT, FREE), mark());
        member.apply_event(BOT, UpdateId(9), &change(ANN, T - 1, FREE, LEFT), mark());
        assert_eq!(member.standing(ALWAYS, MS).unwrap().standing, Standing::Inside);
    }

    #[test]
    fn a_status_that_nobody_knows_changes_nothing() {
        let mut event = change(ANN, T, LEFT, FREE);
        event.new_chat_member.standing = None;
        assert_eq!(after(&[event]), Member::default());
        let mut answer = place(ANN, FREE);
        answer.standing = None;
        let mut member = Member::default();
        member.apply_lookup(MS, &answer, mark());
        assert_eq!(member, Member::default());
    }

    #[test]
    fn of_lookups_the_one_asked_last_counts() {
        let mut member = Member::default();
        look(&mut member, MS + 1, FREE);
        look(&mut member, MS, LEFT);
        assert_eq!(member.lookup.unwrap().standing, Standing::Inside);
    }

    #[test]
    fn whom_nobody_has_told_of_is_unknown() {
        assert_eq!(Member::default().standing(ALWAYS, MS), None);
        assert_eq!(Member::default().standing(UNWATCHED, MS), None);
    }

    #[test]
    fn an_event_from_before_the_chat_was_watched_does_not_count() {
        let member = after(&[change(ANN, T, LEFT, FREE)]);
        assert_eq!(member.standing(Watched(Some(T)), MS + 5_000), None);
        let seen = member.standing(Watched(Some(T - 1)), MS + 5_000).unwrap();
        assert_eq!((seen.standing, seen.event, seen.ask_again_ms), (Standing::Inside, member.event, None));
    }

    #[test]
    fn a_lookup_from_before_the_chat_was_watched_does_not_count() {
        let mut member = Member::default();
        look(&mut member, MS, FREE);
        assert_eq!(member.standing(Watched(Some(T + 1)), MS + 5_000), None);
        assert!(member.standing(Watched(Some(T)), MS + 5_000).is_some());
    }

    #[test]
    fn a_lookup_in_the_first_minute_of_watching_is_provisional() {
        for (asked_ms, again) in [(MS, true), (MS + 60_000, true), (MS + 60_001, false)] {
            let mut member = Member::default();
            look(&mut member, asked_ms, FREE);
            let seen = member.standing(Watched(Some(T)), MS + 90_000).unwrap();
            assert_eq!(seen.standing, Standing::Inside);
            assert_eq!(seen.ask_again_ms, again.then_some(MS + 61_000), "asked at {asked_ms}");
        }
    }

    #[test]
    fn within_a_minute_the_event_is_believed_and_the_lookup_asked_again() {
        for (asked_ms, standing, again) in [
            (MS + 2_000, Standing::Outside, false),
            (MS + 2_001, Standing::Outside, true),
            (MS + 60_000, Standing::Outside, true),
            (MS + 60_001, Standing::Inside, false),
        ] {
            let mut member = after(&[change(ANN, T, FREE, LEFT)]);
            look(&mut member, asked_ms, FREE);
            let seen = member.standing(ALWAYS, MS + 90_000).unwrap();
            assert_eq!(seen.standing, standing, "asked at {asked_ms}");
            assert_eq!(seen.ask_again_ms, again.then_some(MS + 61_000), "asked at {asked_ms}");
            assert_eq!(seen.event.is_some(), standing == Standing::Outside);
        }
    }

    #[test]
    fn a_lookup_that_agrees_is_not_asked_again() {
        let mut member = after(&[change(ANN, T, LEFT, FREE)]);
        look(&mut member, MS + 30_000, muted(ours()));
        assert_eq!(member.standing(ALWAYS, MS + 31_000).unwrap().ask_again_ms, None);
        look(&mut member, MS + 31_000, PROMOTED);
        assert_eq!(member.standing(ALWAYS, MS + 31_000).unwrap().ask_again_ms, Some(MS + 61_000));
    }

    #[test]
    fn where_nothing_is_watched_a_membership_is_good_for_ten_minutes_and_its_lack_for_one() {
        for (seen, good_for) in [(FREE, 600_000), (LEFT, 60_000)] {
            let mut lives = Vec::new();
            for asked_ms in MS..MS + 31 {
                let mut member = after(&[change(ANN, T + 5, FREE, LEFT)]);
                look(&mut member, asked_ms, seen);
                let found = member.standing(UNWATCHED, asked_ms + good_for / 100 * 85 - 1).unwrap();
                assert_eq!((found.standing, found.event, found.ask_again_ms), (seen.0, None, None));
                let is_good = |for_: i64| member.standing(UNWATCHED, asked_ms + for_).is_some();
                lives.push((0..=2 * good_for).step_by(100).find(|for_| !is_good(*for_)).unwrap());
            }
            lives.sort_unstable();
            assert_eq!((lives[0], lives[15], lives[30]), (good_for / 100 * 85, good_for, good_for / 100 * 115));
        }
    }
}

mod authors {
    use super::*;

    #[test]
    fn leaving_and_coming_back_write_presence_only() {
        let member = after(&[change(ANN, T, muted(ours()), (Standing::Outside, ours()))]);
        assert_eq!((member.change, member.theirs), (None, None));
        assert_eq!(member.last_out, Some(order(T, 1)));
        let member = after(&[change(ADMIN, T, LEFT, FREE)]);
        assert_eq!((member.change, member.theirs), (None, None), "being added limits nobody");
    }

    #[test]
    fn what_others_change_is_theirs_and_what_we_change_is_not() {
        let by_admin = after(&[change(ADMIN, T, FREE, muted(theirs(0)))]);
        assert_eq!(by_admin.theirs, Some(Theirs { order: order(T, 1), limits: theirs(0), lifted_ours: false }));
        assert_eq!(by_admin.change, Some(Change { order: order(T, 1), limits: theirs(0), by_us: false }));
        let by_us = after(&[change(BOT.user(), T, FREE, muted(ours()))]);
        assert_eq!(by_us.theirs, None);
        assert_eq!(by_us.change, Some(Change { order: order(T, 1), limits: ours(), by_us: true }));
    }

    #[test]
    fn a_promotion_is_a_change_by_others() {
        let member = after(&[change(ADMIN, T, FREE, PROMOTED)]);
        assert_eq!(member.theirs, Some(Theirs { order: order(T, 1), limits: Limits::Free, lifted_ours: false }));
    }

    #[test]
    fn an_admin_who_lifts_our_mute_has_allowed_the_person_until_they_leave() {
        let lift = change(ADMIN, T, muted(ours()), FREE);
        assert!(after(std::slice::from_ref(&lift)).allowed_by_admin());
        let left = change(ANN, T + 1, FREE, LEFT);
        let back = change(ANN, T + 2, LEFT, FREE);
        assert!(!after(&[lift.clone(), left.clone()]).allowed_by_admin());
        assert!(!after(&[lift.clone(), left, back]).allowed_by_admin());
        let left_before = change(ANN, T - 5, FREE, LEFT);
        assert!(after(&[left_before, lift.clone()]).allowed_by_admin());
        // Who is lifted while outside has not left since.
        let outside = change(ADMIN, T, (Standing::Outside, ours()), LEFT);
        assert!(!after(&[outside]).allowed_by_admin(), "seen to be out by the very event");
        let muted_again = change(ADMIN, T + 1, FREE, muted(theirs(0)));
        assert!(!after(&[lift, muted_again]).allowed_by_admin());
    }

    #[test]
    fn lifting_anothers_mute_or_a_promotion_allows_nobody() {
        assert!(!after(&[change(ADMIN, T, muted(theirs(0)), FREE)]).allowed_by_admin());
        assert!(!after(&[change(ADMIN, T, muted(ours()), PROMOTED)]).allowed_by_admin(), "E87");
        assert!(!after(&[change(BOT.user(), T, muted(ours()), FREE)]).allowed_by_admin());
    }

    #[test]
    fn a_message_after_the_last_time_out_was_written_from_outside() {
        let mut member = after(&[change(ANN, T, FREE, LEFT)]);
        assert!(!member.writes_from_outside());
        member.apply_message(order(T - 1, 9));
        assert!(!member.writes_from_outside(), "an older message");
        member.apply_message(order(T, 2));
        assert!(member.writes_from_outside(), "E11");
        member.apply_message(order(T - 5, 1));
        assert_eq!(member.spoke, Some(order(T, 2)));
    }
}

mod limits {
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
}

mod calls {
    use super::*;

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
        let landed_ms = MS + LANDS_WITHIN_MS;
        for seen in [FREE, muted(ours())] {
            let mut member = called(Act::Mute, false);
            look(&mut member, MS + 4_000, seen);
            assert_eq!(member.open_call(), None, "what came of it is shown");
            assert_eq!(member.confirm_at_ms(), Some(landed_ms + 1_000));
            look(&mut member, landed_ms - 1, seen);
            assert!(member.call.is_some());
            look(&mut member, landed_ms, seen);
            assert_eq!(member.call, None);
        }
    }

    #[test]
    fn what_came_of_a_call_does_not_hide_one_before_it() {
        let landed_ms = MS + LANDS_WITHIN_MS;
        let next = |earlier| Call { answered: true, ..Call::new(Act::Mute, MS + 5_000, Some(earlier)) };
        let unknown = Call::new(Act::Release, MS, None);
        let mut member = Member { call: Some(next(next(unknown))), ..Member::default() };
        look(&mut member, MS + 10_000, muted(ours()));
        assert_eq!((member.open_call(), member.confirm_at_ms()), (None, Some(landed_ms + 1_000)));

        let mut failed = Member { call: Some(Call::new(Act::Mute, MS + 5_000, Some(unknown))), ..Member::default() };
        failed.call_failed(MS + 6_000);
        assert_eq!((failed.open_call(), failed.confirm_at_ms()), (None, Some(landed_ms + 1_000)));
        failed.call_failed(landed_ms);
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
        look(&mut member, MS + 5_000, FREE);
        assert_eq!(member.confirm_at_ms(), Some(MS + 61_000));
    }
}

mod marks {
    use super::*;

    const DAY: i64 = 86_400;

    proptest! {
        #[test]
        fn a_mute_ends_between_300_and_365_days_from_now_and_is_known_as_ours(
            now in 1_600_000_000_000_i64..2_600_000_000_000, bot in 1..1_i64 << 52, chat in any::<i64>(), user in 1..1_i64 << 52,
        ) {
            let mark = Mark::of(BotId(bot), ChatId(chat), UserId(user));
            let until = mark.until(now);
            let days = (until - now / 1000) as f64 / DAY as f64;
            prop_assert!((300.0..=365.0).contains(&days), "{days} days");
            let (known, another) = (mark.is_on(theirs(until)), mark.is_on(theirs(until + 1)));
            let ban = mark.is_on(Limits::Banned { until });
            prop_assert!(known && !another && !ban, "known {known}, another {another}, a ban {ban}");
        }

        #[test]
        fn each_bot_chat_and_person_has_a_mark_of_its_own(user in 1..1_i64 << 40, now in 1_600_000_000_000_i64..2_600_000_000_000) {
            let until = Mark::of(BOT, GROUP, UserId(user)).until(now);
            let limits = Limits::Restricted { until, left: Permissions::NONE };
            let others = (1..=20).map(|other| Mark::of(BOT, GROUP, UserId(user + other)));
            prop_assert!(others.filter(|mark| mark.is_on(limits)).count() <= 1);
        }
    }

    #[test]
    fn neither_a_mute_for_ever_nor_freedom_is_ours() {
        // Whatever the mark is: 0 falls into the residue class of one in 65,521.
        for user in 1..200_000 {
            let mark = Mark::of(BOT, GROUP, UserId(user));
            assert!(!mark.is_on(theirs(0)) && !mark.is_on(Limits::Free));
        }
    }

    #[test]
    fn a_new_mute_may_end_at_another_time_than_the_last() {
        let ends: std::collections::BTreeSet<i64> = (0..100).map(|s| mark().until(MS + s * 1000)).collect();
        assert!(ends.len() > 50, "only {} different ends", ends.len());
    }
}

mod settings {
    use super::*;

    const DAY: i64 = 24 * 3_600_000;

    const fn setting(value: bool, id: i64, received_ms: i64) -> Setting<bool> {
        Setting { value, update_id: UpdateId(id), received_ms }
    }

    #[test]
    fn the_higher_update_id_is_the_newer() {
        let (first, second) = (setting(true, 1, MS), setting(false, 2, MS));
        assert!(second.is_newer_than(&first) && !first.is_newer_than(&second));
        let arrived_first = setting(false, 2, MS - DAY);
        assert!(arrived_first.is_newer_than(&first) && !first.is_newer_than(&arrived_first));
    }

    #[test]
    fn a_lower_id_that_arrived_over_a_day_later_is_newer() {
        let old = setting(true, 1_000_000, MS);
        for (received_ms, newer) in [(MS + DAY, false), (MS + DAY + 1, true)] {
            let restarted = setting(false, 5, received_ms);
            assert_eq!(restarted.is_newer_than(&old), newer);
            assert_eq!(old.is_newer_than(&restarted), !newer);
        }
    }

    #[test]
    fn the_same_setting_twice_is_not_newer() {
        let once = setting(true, 1, MS);
        assert!(!once.is_newer_than(&once));
    }

    #[test]
    fn a_register_takes_only_what_is_newer() {
        let mut register = None;
        assert!(set(&mut register, setting(true, 2, MS)));
        assert!(!set(&mut register, setting(false, 1, MS)));
        assert_eq!(register, Some(setting(true, 2, MS)));
        assert!(set(&mut register, setting(false, 3, MS)));
        assert_eq!(register, Some(setting(false, 3, MS)));
    }
}

mod chats {
    use super::*;

    const MAY: Rights = Rights {
        can_restrict_members: true,
        can_delete_messages: true,
        can_invite_users: false,
        can_change_info: false,
        is_anonymous: false,
    };

    fn own(date: i64, old: Standing, new: Standing) -> ChatMemberUpdated {
        let mut event = change(ADMIN, date, (old, Limits::Free), (new, Limits::Free));
        if new.is_admin() {
            event.new_chat_member.rights = MAY;
        }
        event
    }

    fn found(standing: Standing) -> ChatMember {
        let rights = if standing.is_admin() { MAY } else { Rights::default() };
        ChatMember { rights, ..place(BOT.user(), (standing, Limits::Free)) }
    }

    fn told(events: &[(i64, ChatMemberUpdated)]) -> ChatFacts {
        let mut facts = ChatFacts::default();
        events.iter().for_each(|(id, event)| facts.apply_own_event(UpdateId(*id), event));
        facts
    }

    #[test]
    fn of_an_unknown_chat_nothing_is_watched_and_nothing_enforced() {
        let facts = ChatFacts::default();
        assert_eq!((facts.own(), facts.watched()), (None, UNWATCHED));
        assert!(!facts.is_protected() && !facts.can_restrict());
    }

    #[test]
    fn a_chat_is_watched_since_the_bot_last_became_its_administrator() {
        let first = (1, own(T, Standing::Outside, Standing::Admin));
        let more_rights = (2, own(T + 10, Standing::Admin, Standing::Admin));
        let demoted = (3, own(T + 20, Standing::Admin, Standing::Inside));
        let again = (4, own(T + 30, Standing::Inside, Standing::Admin));
        let events = [first, more_rights, demoted, again];
        for (count, since) in [(1, Some(T)), (2, Some(T)), (3, None), (4, Some(T + 30))] {
            let facts = told(&events[..count]);
            assert_eq!(facts.watched(), Watched(since), "after {count} events");
            assert_eq!(facts.can_restrict(), since.is_some());
            let backwards: Vec<_> = events[..count].iter().rev().cloned().collect();
            assert_eq!(told(&backwards), facts, "in whatever order");
        }
    }

    #[test]
    fn after_an_outage_only_what_came_later_counts() {
        let mut facts = told(&[(1, own(T, Standing::Outside, Standing::Admin))]);
        facts.missed_until_s = T + 100;
        assert_eq!(facts.watched(), Watched(Some(T + 100)));
        facts.missed_until_s = T - 100;
        assert_eq!(facts.watched(), Watched(Some(T)), "we came only after it");
        facts.apply_own_event(UpdateId(2), &own(T + 200, Standing::Admin, Standing::Inside));
        facts.missed_until_s = T + 300;
        assert_eq!(facts.watched(), UNWATCHED, "an outage makes nobody an administrator");
    }

    #[test]
    fn where_only_lookups_tell_a_chat_is_watched_since_the_first_of_an_unbroken_row() {
        let mut facts = ChatFacts::default();
        facts.apply_own_lookup(MS, &found(Standing::Admin));
        facts.apply_own_lookup(MS + 9_000, &found(Standing::Admin));
        assert_eq!(facts.watched(), Watched(Some(T)));
        facts.apply_own_lookup(MS + 10_000, &found(Standing::Inside));
        assert_eq!(facts.watched(), UNWATCHED);
        facts.apply_own_lookup(MS + 20_000, &found(Standing::Admin));
        assert_eq!(facts.watched(), Watched(Some(T + 20)));
    }

    #[test]
    fn within_a_minute_an_event_about_the_bot_is_believed_rather_than_a_lookup_which_is_asked_again() {
        let again = Some(MS + 61_000);
        for (asked_ms, standing, again) in [
            (MS, Standing::Admin, again),
            (MS + 60_000, Standing::Admin, again),
            (MS + 60_001, Standing::Outside, None),
        ] {
            let mut facts = told(&[(1, own(T, Standing::Outside, Standing::Admin))]);
            facts.apply_own_lookup(asked_ms, &found(Standing::Outside));
            assert_eq!(facts.own().unwrap().0, standing, "asked at {asked_ms}");
            assert_eq!(facts.own_again_ms(), again, "asked at {asked_ms}");
        }
    }

    #[test]
    fn a_lookup_of_the_bot_that_comes_late_changes_nothing() {
        let mut facts = ChatFacts::default();
        facts.apply_own_lookup(MS + 1_000, &found(Standing::Admin));
        let before = facts.clone();
        facts.apply_own_lookup(MS, &found(Standing::Inside));
        assert_eq!(facts, before);
    }

    #[test]
    fn a_status_that_nobody_knows_changes_nothing() {
        let mut event = own(T, Standing::Outside, Standing::Admin);
        event.new_chat_member.standing = None;
        let mut facts = told(&[(1, event)]);
        facts.apply_own_lookup(MS, &ChatMember { standing: None, ..found(Standing::Admin) });
        assert_eq!(facts, ChatFacts::default());
    }

    #[test]
    fn a_description_without_an_invite_link_leaves_the_known_one() {
        let mut chat = Chat {
            id: GROUP,
            kind: ChatKind::Supergroup,
            title: Some("Title".to_owned()),
            username: Some("name".to_owned()),
            invite_link: Some("https://t.me/+x".to_owned()),
        };
        let mut facts = ChatFacts::default();
        facts.describe(&chat);
        chat.invite_link = None;
        chat.username = None;
        facts.describe(&chat);
        let told = (facts.kind.as_str(), facts.title.as_str(), facts.username.as_str(), facts.invite_link.as_str());
        assert_eq!(told, ("supergroup", "Title", "", "https://t.me/+x"));
    }

    #[test]
    fn a_group_is_protected_while_the_setting_says_so() {
        let mut facts = ChatFacts::default();
        for (value, id) in [(true, 1), (false, 2)] {
            set(&mut facts.protected, Setting { value, update_id: UpdateId(id), received_ms: MS });
            assert_eq!(facts.is_protected(), value);
        }
    }
}

mod any_order {
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
        let event = (by, 0..4_i64, some_place(), some_place())
            .prop_map(|(by, second, old, new)| change(by, T + second, old, new));
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
}

//! Who is where, and since when that is known.

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

#[test]
fn what_is_known_is_as_new_as_the_newest_word() {
    assert_eq!(Member::default().known_ms(), 0);
    let mut member = after(&[change(ANN, T, LEFT, FREE)]);
    for (asked_ms, known_ms) in [(MS - 1, MS), (MS + 1, MS + 1)] {
        look(&mut member, asked_ms, FREE);
        assert_eq!(member.known_ms(), known_ms);
    }
}

#[test]
fn e66_a_message_heard_of_too_late_says_that_somebody_may_be_there_but_not_that_they_write_from_outside() {
    let tells = |member: &Member| (member.may_be_there(), member.writes_from_outside());
    let out = after(&[change(ANN, T, FREE, LEFT)]);
    assert_eq!(tells(&Member::default()), (false, false));
    // Whoever went by the same update wrote before that.
    let went = out.last_out.unwrap();
    for (written, may_be_there) in [(order(T - 1, 9), false), (went, false), (order(T + 1, 9), true)] {
        let (mut late, mut in_time) = (out.clone(), out.clone());
        late.apply_late_message(written);
        in_time.apply_message(written);
        assert_eq!(
            (tells(&late), tells(&in_time)),
            ((may_be_there, false), (may_be_there, may_be_there)),
            "{written:?}"
        );
        late.apply_late_message(order(T - 9, 1));
        assert_eq!(late.may_be_there(), may_be_there, "an older one changes nothing");
    }
}

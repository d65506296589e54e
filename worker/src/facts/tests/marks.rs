//! How our mutes are known again.

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
fn a_mute_is_known_as_ours_also_by_later_versions() {
    let ends = [(BOT, GROUP, ANN), (BotId(42), ChatId(-7), UserId(9))].map(|(bot, chat, user)| {
        let mark = Mark::of(bot, chat, user);
        (0..65_521).find(|until| mark.is_on(theirs(T + until)))
    });
    assert_eq!(ends, [Some(47_680), Some(38_330)]);
}

#[test]
fn whenever_somebody_is_muted_it_ends_between_300_and_365_days_from_then() {
    for user in 1..50 {
        let mark = Mark::of(BOT, GROUP, UserId(user));
        for now in T..T + 200 {
            let until = mark.until(now * 1000);
            assert!(mark.is_on(theirs(until)) && (300 * DAY..=365 * DAY).contains(&(until - now)), "{user} at {now}");
        }
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

//! Which of two settings is the newer.

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

//! Each rule that the protocol hangs on is left out once, and a history shows what breaks.

use loadtest::world::Switches;
use nezuko_worker::planted::{Bug, plant};

use crate::{FAULTS, all, history::Faults};

/// The first of `seeds` whose history ends wrong without the rule, or a panic.
fn breaks(bug: Bug, seeds: std::ops::Range<u64>, switches: Switches, faults: Faults) {
    plant(Some(bug));
    let first = seeds.clone().find_map(|seed| all(seed..seed + 1, switches, faults).err());
    plant(None);
    let violation = first.unwrap_or_else(|| panic!("{bug:?} ends well in all histories of {seeds:?}"));
    println!("{bug:?}: {} acts and calls, {}", violation.history.len(), violation.text);
    assert!(
        all(violation.seed..violation.seed + 1, switches, faults).is_ok(),
        "seed {} ends wrong anyway",
        violation.seed
    );
}

fn breaks_usually(bug: Bug) {
    breaks(bug, 0..1_500, Switches::default(), FAULTS);
}

#[test]
fn events_and_lookups_need_registers_of_their_own() {
    breaks_usually(Bug::OneRegister);
}

#[test]
fn events_are_ordered_by_telegram_and_not_by_arrival() {
    breaks_usually(Bug::OlderEventWins);
}

#[test]
fn leaving_and_coming_back_must_write_presence_only() {
    breaks_usually(Bug::AuthorInPresence);
}

#[test]
fn a_result_must_end_only_what_was_claimed() {
    breaks_usually(Bug::ResultEndsNewer);
}

#[test]
fn effects_must_leave_tombstones() {
    let duplicates = Faults { duplicate: 0.5, ..Faults::default() };
    breaks(Bug::NoTombstones, 0..3_000, Switches::default(), duplicates);
}

#[test]
fn a_claim_must_run_out() {
    breaks_usually(Bug::ClaimForEver);
}

#[test]
fn updates_must_be_acknowledged_after_the_commit() {
    breaks_usually(Bug::AckBeforeCommit);
}

#[test]
fn facts_from_before_the_watch_must_not_count() {
    breaks_usually(Bug::WatchedSinceIgnored);
}

#[test]
fn telegrams_ok_must_not_be_taken_for_proof() {
    let unreliable = Faults { call_fails: 0.4, ..FAULTS };
    breaks(Bug::OkIsProof, 0..3_000, Switches::default(), unreliable);
}

#[test]
fn only_what_is_shown_to_be_ours_may_be_released() {
    breaks_usually(Bug::LedgerIgnored);
}

#[test]
fn what_we_have_crossed_must_be_put_back() {
    breaks_usually(Bug::CrossingIgnored);
}

#[test]
fn whom_an_admin_has_freed_must_stay_free() {
    breaks_usually(Bug::AdminsLeaveIgnored);
}

#[test]
fn joins_and_leaves_of_channels_must_count() {
    breaks_usually(Bug::IgnoreChannelJoin);
    breaks_usually(Bug::IgnoreChannelLeave);
}

#[test]
fn unknown_must_not_punish() {
    breaks_usually(Bug::MuteUnknown);
}

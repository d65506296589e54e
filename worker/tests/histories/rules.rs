//! Each rule that the protocol hangs on is left out once, and generated histories find what breaks. The shortest history
//! that was found is printed; without the bug it ends well.

use nezuko_worker::planted::{Bug, plant};

use crate::{
    MOST,
    generate::{Trouble, plan},
    history::Violation,
    plan::Plan,
    search::{summary, with_runs},
    shrink::shrink,
};

/// Histories that are generated to find a bug, at most.
const HISTORIES: u64 = 20_000;
/// Runs that are made to find a shorter history.
const RUNS: usize = 200;

/// The history that ends wrong with the bug and well without it, as short as could be, or a panic.
fn breaks(bug: Bug, most: Trouble, from: u64) {
    with_runs(|ends| {
        let with_bug = |plan: &Plan| -> Option<Box<Violation>> {
            plant(Some(bug));
            let violation = ends(plan);
            plant(None);
            violation.filter(|_| ends(plan).is_none())
        };
        let found = (from..from + HISTORIES).find_map(|seed| {
            let plan = plan(seed, most);
            with_bug(&plan).map(|violation| (seed, plan, violation))
        });
        let Some((seed, plan, violation)) = found else {
            panic!("{bug:?} ends well in all of {HISTORIES} histories");
        };
        let shortest = shrink((plan, violation), RUNS, &with_bug);
        let (turns, faults) = (shortest.0.turns.len(), shortest.0.faults.len());
        println!(
            "{bug:?}: found by history {seed}, then with {turns} turns and {faults} faults; {}",
            summary(&shortest)
        );
    });
}

/// Groups remove who waits for too long, and let who leaves write for a while.
const WAITING: Trouble = Trouble { terms: 1.0, patience: 0.5, ..Trouble::NONE };

macro_rules! rules {
    ($($rule:ident: $bug:ident $(in $most:expr)? $(, from $seed:literal)?;)*) => {
        $(#[test]
        fn $rule() {
            breaks(Bug::$bug, [$($most,)? MOST][0], [$($seed,)? 0][0]);
        })*
    };
}

// With the trouble that brings it out soonest; where that is rare, from a seed shortly before one that does.
rules! {
    events_and_lookups_need_registers_of_their_own: OneRegister;
    events_are_ordered_by_telegram_and_not_by_arrival: OlderEventWins;
    leaving_and_coming_back_must_write_presence_only: AuthorInPresence;
    the_echo_of_our_own_call_must_be_decided_upon: NothingAtEcho in Trouble { haste: 1.0, ..Trouble::NONE };
    a_result_must_end_only_what_was_claimed: ResultEndsNewer;
    effects_must_leave_tombstones: NoTombstones in Trouble { duplicate: 0.5, ..Trouble::NONE };
    a_claim_must_run_out: ClaimForEver;
    a_claim_that_has_run_out_must_send_nothing: StaleClaimSends in Trouble { settings: 0.3, patience: 0.0, ..Trouble::NONE }, from 47_900;
    updates_must_be_acknowledged_after_the_commit: AckBeforeCommit;
    a_lock_must_be_had_before_anything_is_read: LockWithRead in Trouble::NONE;
    the_chats_that_a_person_s_transaction_reads_must_be_locked: ChatsNotLocked in Trouble { settings: 0.3, upgrade: 0.5, patience: 0.0, ..Trouble::NONE }, from 4_950;
    how_often_an_entry_was_delivered_must_not_count: DeliveriesAreAttempts in Trouble { death: 0.1, patience: 0.8, ..Trouble::NONE };
    a_dead_letter_must_be_of_a_pending_entry: DeadLetterFirst;
    the_cache_must_keep_what_is_newest: CacheByArrival in Trouble { haste: 1.0, ..Trouble::NONE }, from 1_900;
    facts_from_before_the_watch_must_not_count: WatchedSinceIgnored in Trouble { rights: 0.3, ..Trouble::NONE };
    telegrams_ok_must_not_be_taken_for_proof: OkIsProof in MOST, from 1_000;
    only_what_is_shown_to_be_ours_may_be_released: LedgerIgnored;
    what_we_have_crossed_must_be_put_back: CrossingIgnored;
    what_we_have_put_back_must_be_ours_to_lift: RestoredIsTheirs in Trouble { admins: 0.5, patience: 0.0, late: 0.2, ..Trouble::NONE }, from 4_850;
    a_press_must_be_answered_from_what_is_so_now: PressNotFresh in Trouble { late: 0.5, ..Trouble::NONE }, from 1_200;
    whom_an_admin_has_freed_must_stay_free: AdminsLeaveIgnored;
    joins_of_channels_must_count: IgnoreChannelJoin;
    leaves_of_channels_must_count: IgnoreChannelLeave;
    unknown_must_not_punish: MuteUnknown;
    a_setting_that_is_newer_must_win: SettingByArrival in Trouble { settings: 0.5, ..Trouble::NONE };
    administrators_must_not_be_muted: MuteAdmins in Trouble::NONE;
    an_end_of_protection_must_free_everybody: UnprotectLeavesMutes;
    a_prompt_must_be_sent_once: PromptTwice in Trouble::NONE;
    nobody_must_be_removed_before_their_time: RemovesTooSoon in WAITING;
    nobody_must_be_removed_without_a_look_just_before: RemovesUnsure in WAITING;
    nobody_must_be_removed_unwarned: RemovesUnwarned in WAITING;
    nobody_must_be_banned_for_ever: BanForEver in WAITING;
    who_has_just_left_must_have_their_time_of_grace: GraceIgnored in WAITING;
}

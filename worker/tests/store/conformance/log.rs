//! What log chats are told.

use anyhow::{Result, ensure};
use nezuko_telegram::{ChatId, UserId};
use nezuko_worker::store::{Lines, LogLine, PersonWrites, Store, Verification};

use super::{ANN, BOB, Check, GROUP, Make, NOW, OTHER_GROUP, SECOND, checks, person, write};

pub(super) fn checks(make: Make<'_>) -> Vec<Check<'_>> {
    checks![make:
        lines_are_told_of_one_group_since_a_time_oldest_first,
        a_line_is_told_once_and_can_be_read_after,
        who_is_forgotten_is_named_in_no_line,
    ]
}

/// Entries of these groups; in the first one they are lines.
fn entries(entries: &[(ChatId, &'static str)], first: i64, name: &str) -> PersonWrites {
    PersonWrites {
        verifications: entries.iter().map(|(group, outcome)| Verification { group: *group, outcome }).collect(),
        lines: [(GROUP, Lines { first, name: name.to_owned() })].into(),
        ..PersonWrites::default()
    }
}

fn line(line: i64, user: UserId, name: &str, at_ms: i64, outcome: &str) -> LogLine {
    LogLine { line, group: GROUP, user: Some(user), name: name.to_owned(), at_ms, outcome: outcome.to_owned() }
}

async fn lines_are_told_of_one_group_since_a_time_oldest_first(store: &dyn Store) -> Result<()> {
    let ann = entries(&[(GROUP, "verified"), (GROUP, "released"), (OTHER_GROUP, "muted"), (GROUP, "muted")], 50, "Ann");
    person(store, ANN, GROUP, NOW + SECOND, |_| ann.clone()).await?;
    let bob = entries(&[(GROUP, "muted")], 90, "Bob");
    person(store, BOB, GROUP, NOW, |_| bob.clone()).await?;

    let untold = store.untold(GROUP, NOW, 9).await?;
    let bobs = line(90, BOB, "Bob", NOW, "muted");
    let anns = [line(51, ANN, "Ann", NOW + SECOND, "released"), line(53, ANN, "Ann", NOW + SECOND, "muted")];
    ensure!(untold.lines[0] == bobs && untold.lines[1..] == anns && untold.told_ms == 0, "{untold:?}");
    let later = store.untold(GROUP, NOW + 1, 9).await?.lines;
    ensure!(later == anns, "{later:?}");
    let one = store.untold(GROUP, NOW, 1).await?.lines;
    ensure!(one == [bobs], "{one:?}");
    let other = store.untold(OTHER_GROUP, NOW, 9).await?;
    ensure!(other.lines.is_empty(), "{other:?}");
    Ok(())
}

async fn a_line_is_told_once_and_can_be_read_after(store: &dyn Store) -> Result<()> {
    let ann = entries(&[(GROUP, "muted"), (GROUP, "released"), (OTHER_GROUP, "muted")], 50, "Ann");
    person(store, ANN, GROUP, NOW, |_| ann.clone()).await?;
    store.told(&[50], NOW + SECOND).await?;
    let untold = store.untold(GROUP, NOW, 9).await?;
    ensure!(untold.lines == [line(51, ANN, "Ann", NOW, "released")], "{untold:?}");
    ensure!(untold.told_ms == NOW + SECOND, "{untold:?}");
    let told = store.line(50).await?;
    ensure!(told == Some(line(50, ANN, "", NOW, "muted")), "{told:?}");
    ensure!(store.line(52).await?.is_none() && store.line(0).await?.is_none(), "what is no line");
    Ok(())
}

async fn who_is_forgotten_is_named_in_no_line(store: &dyn Store) -> Result<()> {
    let ann = entries(&[(GROUP, "muted")], 50, "Ann");
    person(store, ANN, GROUP, NOW, |_| ann.clone()).await?;
    write(store, ANN, PersonWrites { forget: Some(Vec::new()), ..PersonWrites::default() }).await?;
    let untold = store.untold(GROUP, NOW, 9).await?.lines;
    ensure!(untold == [LogLine { user: None, ..line(50, ANN, "", NOW, "muted") }], "{untold:?}");
    Ok(())
}

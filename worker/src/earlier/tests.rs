//! What of the earlier Nezuko's rows is taken over.

use super::*;

const BOT: BotId = BotId(7_000_000_001);
const GROUP: i64 = -1_001_000_000_001;
const NEWS: i64 = -1_001_000_000_011;
const NOW: i64 = 1_700_000_000_000;

fn group(id: i64) -> Group {
    Group { id, owner: 5, enabled: true, created_ms: 10, changed_ms: 20, ..Group::default() }
}

fn link(group: i64, channel: i64) -> Link {
    Link { group, channel, required: true, created_ms: 15 }
}

fn rows() -> Rows {
    let channel = Channel { id: NEWS, title: "News".to_owned(), username: "@news".to_owned(), ..Channel::default() };
    Rows {
        owners: vec![5],
        groups: vec![group(GROUP)],
        channels: vec![channel],
        links: vec![link(GROUP, NEWS)],
        verifications: 0,
    }
}

fn whys(rows: Rows) -> Vec<(Kind, String, String)> {
    rows.plan(BOT, NOW).skipped.into_iter().map(|skipped| (skipped.kind, skipped.which, skipped.why)).collect()
}

#[test]
fn what_means_something_is_taken_and_nothing_else_is_left() {
    let plan = rows().plan(BOT, NOW);
    assert_eq!(plan.groups, [(group(GROUP), vec![(ChatId(NEWS), 15)])]);
    assert_eq!(plan.owners, [(ChatId(GROUP), UserId(5), 10)]);
    assert_eq!(plan.skipped, []);
}

#[test]
fn each_row_that_means_nothing_here_is_named_with_the_reason() {
    let mut rows = rows();
    rows.owners.push(6);
    rows.groups.extend([
        Group { bot: Some(1), ..group(-1_001_000_000_002) },
        group(-5),
        group(5),
        group(-1_001_000_000_003),
        Group { params: r#"{"warning": "x"}"#.to_owned(), bot: Some(BOT.0), ..group(-1_001_000_000_004) },
        Group { params: "{".to_owned(), ..group(-1_001_000_000_005) },
    ]);
    rows.channels.push(Channel { id: 12, ..Channel::default() });
    rows.links.extend([
        link(-1_001_000_000_002, NEWS),
        link(GROUP, 12),
        Link { required: false, ..link(-1_001_000_000_004, NEWS) },
        link(-1_001_000_000_005, NEWS),
    ]);
    let texts: Vec<String> =
        whys(rows).into_iter().map(|(kind, which, why)| format!("{kind:?} {which}: {why}")).collect();
    assert_eq!(
        texts,
        [
            "Channel 12: its id is that of no group or channel",
            "Group -1001000000002: it belongs to another bot",
            "Group -5: it is no supergroup: make it one, then use /protect",
            "Group 5: its id is that of no group or channel",
            "Link -1001000000002 → -1001000000011: its group is not taken over",
            "Link -1001000000001 → 12: its channel is not taken over",
            "Link -1001000000004 → -1001000000011: it was not required there",
            "Settings -1001000000005: no version of the earlier bot acted on what cannot be read: set it by /settings",
            "Settings -1001000000004: no version of the earlier bot acted on warning: set it by /settings",
            "Group -1001000000004: taken over without protection: it requires no channel, so use /protect",
            "Group -1001000000003: taken over without protection: it requires no channel, so use /protect",
            "Owner 6: owns no group that is taken over",
        ]
    );
}

#[test]
fn what_an_update_set_here_stays_and_of_two_imports_the_newer_one() {
    let plan = rows().plan(BOT, NOW);
    let mut view = ChatView::default();
    let step = |view: &ChatView, row: &(Group, Vec<(ChatId, i64)>)| of_group(view, row, BOT, NOW);
    let row = &plan.groups[0];
    let (writes, of_row, of_links) = step(&view, row);
    assert_eq!((of_row, of_links.as_slice()), (Outcome::Taken, &[Outcome::Taken][..]));
    let facts = writes.facts.expect("facts");
    assert!(facts.is_protected());
    assert_eq!(writes.put.len(), 3);
    view.chat.facts = facts;
    view.links.extend(writes.links);

    let (writes, of_row, of_links) = step(&view, row);
    assert_eq!((of_row, of_links.as_slice()), (Outcome::AsBefore, &[Outcome::AsBefore][..]));
    assert_eq!((writes.facts, writes.links, writes.put), (None, Vec::new(), Vec::new()));

    let off = |changed_ms| (Group { enabled: false, changed_ms, ..group(GROUP) }, Vec::new());
    assert_eq!(step(&view, &off(19)).1, Outcome::NewerHere, "an older backup");
    assert_eq!(step(&view, &off(21)).1, Outcome::Taken);

    // Long before the row's time, as Telegram numbers updates: the restart of ids plays no part.
    view.chat.facts.protected = Some(Setting { value: false, update_id: UpdateId(3), received_ms: 1 });
    let far = (Group { changed_ms: NOW, ..group(GROUP) }, row.1.clone());
    let (writes, of_row, _) = step(&view, &far);
    assert_eq!((of_row, writes.facts), (Outcome::NewerHere, None));
}

#[test]
fn what_telegram_told_of_a_channel_is_newer_than_any_row() {
    let plan = rows().plan(BOT, NOW);
    let (writes, of_row) = of_channel(&ChatView::default(), &plan.channels[0], BOT, NOW);
    assert_eq!(of_row, Outcome::Taken);
    let mut view = ChatView::default();
    view.chat.facts = writes.facts.expect("facts");
    assert_eq!((view.chat.facts.kind.as_str(), view.chat.facts.username.as_str()), ("channel", "news"));
    assert_eq!(of_channel(&view, &plan.channels[0], BOT, NOW).1, Outcome::AsBefore);
    "Newest".clone_into(&mut view.chat.facts.title);
    assert_eq!(of_channel(&view, &plan.channels[0], BOT, NOW).1, Outcome::NewerHere);
}

#[test]
fn rows_of_the_future_are_of_now() {
    let mut rows = rows();
    rows.groups[0].changed_ms = NOW + 1;
    rows.links[0].created_ms = NOW + 1;
    let plan = rows.plan(BOT, NOW);
    assert_eq!((plan.groups[0].0.changed_ms, plan.groups[0].1[0].1), (NOW, NOW));
}

//! What is known about chats and the bot's own place in them.

use super::*;

#[test]
fn what_a_chat_is_called_and_when_it_was_looked_at_decides_about_nobody() {
    let admin = |at| Some((at, Standing::Admin, Rights::default()));
    let by_event = |order| Some((order, Standing::Admin, Rights::default()));
    let linked = |asked_ms| Some(Linked { asked_ms, chat: Some(ChatId(-2)) });
    let was = ChatFacts {
        own_event: by_event(order(T, 1)),
        became_admin: Some(order(T, 1)),
        linked: linked(MS),
        ..ChatFacts::default()
    };
    let same = ChatFacts {
        title: "New".to_owned(),
        username: "new".to_owned(),
        invite_link: "https://t.me/+theirs".to_owned(),
        link: Some(OwnLink { asked_ms: MS, url: "https://t.me/+ours".to_owned() }),
        own_event: by_event(order(T + 5, 3)),
        became_admin: Some(order(T, 2)),
        own_lookup: admin(MS + 1),
        found_admin_ms: Some(MS + 1),
        missed_until_s: T - 1,
        log_refused: Some(GROUP),
        linked: linked(MS + 1),
        raid: Some(Raid { since_ms: MS, until_ms: MS + 1 }),
        is_asked: true,
        gone_topics: [(7, MS)].into(),
        told: [Right::Delete].into(),
        ..was.clone()
    };
    assert!(same.decides_like(&was));

    let was = ChatFacts { own_lookup: admin(MS), found_admin_ms: Some(MS), ..ChatFacts::default() };
    let on = Setting { value: true, update_id: UpdateId(4), received_ms: MS };
    for other in [
        ChatFacts { protected: Some(on), ..was.clone() },
        ChatFacts { refused: Some(Refusal::Blocked), ..was.clone() },
        ChatFacts { kind: "group".to_owned(), ..was.clone() },
        ChatFacts { own_lookup: Some((MS, Standing::Inside, Rights::default())), ..was.clone() },
        ChatFacts { missed_until_s: T + 1, ..was.clone() },
        ChatFacts { linked: Some(Linked { asked_ms: MS, chat: Some(GROUP) }), ..was.clone() },
        ChatFacts { allowed_senders: [(GROUP, on)].into(), ..was.clone() },
        ChatFacts { upgraded_to: Some(GROUP), ..was.clone() },
    ] {
        assert!(!other.decides_like(&was), "{other:?}");
    }
    let mut other = was.clone();
    other.settings.change(UpdateId(4), MS, |settings| settings.dry_run = true);
    assert!(!other.decides_like(&was));
}

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
    for (asked_ms, standing, again) in
        [(MS, Standing::Admin, again), (MS + 60_000, Standing::Admin, again), (MS + 60_001, Standing::Outside, None)]
    {
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
    let mut chat = supergroup();
    chat.title = Some("Title".to_owned());
    chat.username = Some("name".to_owned());
    chat.invite_link = Some("https://t.me/+x".to_owned());
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

#[test]
fn e105_a_group_that_is_not_served_is_not_protected() {
    let protected = Some(Setting { value: true, update_id: UpdateId(1), received_ms: MS });
    let facts = ChatFacts { protected, refused: Some(Refusal::Blocked), ..ChatFacts::default() };
    assert!(!facts.is_protected());
}

#[test]
fn e58_edits_are_judged_where_the_group_says_so_and_is_protected() {
    for (check_edits, protected) in [(true, true), (true, false), (false, true)] {
        let mut facts = ChatFacts::default();
        facts.settings.change(UpdateId(1), MS, |settings| settings.check_edits = check_edits);
        facts.protected = Some(Setting { value: protected, update_id: UpdateId(2), received_ms: MS });
        assert_eq!(facts.looks_at_edits(), check_edits && protected);
    }
}

#[test]
fn a_log_chat_that_takes_nothing_any_more_is_told_nothing() {
    let (log, other) = (ChatId(-7), ChatId(-8));
    let mut facts = ChatFacts::default();
    assert_eq!(facts.log_chat(), None);
    facts.settings.change(UpdateId(1), MS, |settings| settings.log_chat = Some(log));
    for (log_refused, told) in [(None, Some(log)), (Some(other), Some(log)), (Some(log), None)] {
        assert_eq!(ChatFacts { log_refused, ..facts.clone() }.log_chat(), told);
    }
}

#[test]
fn e37_of_our_own_links_the_one_seen_last_counts() {
    let link = |asked_ms, url: &str| Some(OwnLink { asked_ms, url: url.to_owned() });
    let mut facts = ChatFacts::default();
    facts.apply_link(link(MS, "first"));
    for (seen, kept) in [
        (link(MS, "same time"), "first"),
        (link(MS - 1, "older"), "first"),
        (None, "first"),
        (link(MS + 1, "newer"), "newer"),
    ] {
        facts.apply_link(seen);
        assert_eq!(facts.link.as_ref().map(|link| link.url.as_str()), Some(kept));
    }
}

#[test]
fn people_get_in_by_the_username_or_else_by_our_own_link_or_else_by_any_other() {
    let mut facts = ChatFacts::default();
    assert_eq!(facts.address(), "");
    facts.invite_link = "https://t.me/+any".to_owned();
    assert_eq!(facts.address(), "https://t.me/+any");
    facts.link = Some(OwnLink { asked_ms: MS, url: "https://t.me/+own".to_owned() });
    assert_eq!(facts.address(), "https://t.me/+own");
    facts.username = "news".to_owned();
    assert_eq!(facts.address(), "https://t.me/news");
}

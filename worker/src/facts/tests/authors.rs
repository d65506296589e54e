//! Who changed somebody's limits, and what that allows.

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
fn e44_who_gives_a_voice_within_our_mute_has_lifted_it_and_whatever_else_is_changed_of_it_leaves_it_ours() {
    let Limits::Restricted { until, .. } = ours() else { unreachable!("a mute") };
    let with = |left| Limits::Restricted { until, left };
    let by_us = change(BOT.user(), T, FREE, muted(ours()));
    let voiced = change(ADMIN, T + 1, muted(ours()), muted(with(Permissions::TEXT)));
    let member = after(&[by_us.clone(), voiced.clone()]);
    let now = Now { limits: with(Permissions::TEXT), ours: false };
    assert_eq!((member.allowed_by_admin(), member.limits(mark(), MS + 1_000)), (true, now));

    // As a lookup shows it, which cannot tell who did it.
    let mut member = after(std::slice::from_ref(&by_us));
    look(&mut member, MS + 90_000, muted(with(Permissions::TEXT)));
    assert_eq!(member.limits(mark(), MS + 90_000), now);

    // Inviting others, say, says nothing.
    let invites: Permissions = serde_json::from_value(serde_json::json!({"can_invite_users": true})).unwrap();
    let restricted = change(ADMIN, T - 9, FREE, muted(Limits::Restricted { until: 0, left: Permissions::TEXT }));
    for before in [vec![by_us.clone()], vec![restricted, by_us.clone()]] {
        let amended = change(ADMIN, T + 2, muted(ours()), muted(with(invites)));
        let member = after(&[before.clone(), vec![amended]].concat());
        assert_eq!(member.theirs, after(&before).theirs, "what it covers is covered");
        assert!(member.limits(mark(), MS + 2_000).ours);
    }

    // Who has a voice no more is silenced by whoever has given it, not by us.
    let silenced = change(ADMIN, T + 2, muted(with(Permissions::TEXT)), muted(ours()));
    let member = after(&[by_us.clone(), voiced, silenced]);
    let theirs = Limits::Restricted { until: until + 1, left: Permissions::NONE };
    assert_eq!(member.imposed(mark(), MS).map(|imposed| (imposed.limits, imposed.lifted_ours)), Some((theirs, false)));

    // As an earlier version wrote it down.
    let theirs = Theirs { order: order(T + 2, 2), limits: ours(), lifted_ours: false };
    assert_eq!(Member { theirs: Some(theirs), ..after(&[by_us]) }.imposed(mark(), MS), None);
}

#[test]
fn an_administrators_word_counts_as_if_they_had_done_it_themselves() {
    let text = |until| Limits::Restricted { until, left: Permissions::TEXT };
    let muted_after = |before: Option<Limits>| {
        let mute = change(BOT.user(), T, FREE, muted(ours()));
        let before = before.map(|limits| change(ADMIN, T - 9, FREE, muted(limits)));
        after(&before.into_iter().chain([mute]).collect::<Vec<_>>())
    };
    for (before, freed_to) in [
        (None, Limits::Free),
        (Some(text(0)), text(0)),
        (Some(text(T + 2)), text(T + 2)),
        (Some(text(T + 1)), Limits::Free),
        (Some(theirs(0)), Limits::Free),
    ] {
        let mut member = muted_after(before);
        member.free_by_word(order(T + 1, 2), MS + 1_000);
        let word = Theirs { order: order(T + 1, 2), limits: freed_to, lifted_ours: true };
        assert_eq!((member.theirs, member.allowed_by_admin()), (Some(word), true), "{before:?}");
        member.ban_by_word(order(T, 9));
        assert_eq!(member.theirs, Some(word), "the newest word");
        member.ban_by_word(order(T + 2, 3));
        let limits = Limits::Banned { until: 0 };
        assert_eq!(member.theirs, Some(Theirs { order: order(T + 2, 3), limits, lifted_ours: false }));
    }
}

#[test]
fn e106_what_is_needed_to_lift_or_keep_something_is_not_forgotten() {
    let now_ms = T * 1000;
    let protects = |member: &Member| member.protects(mark(), now_ms);
    let of = |limits| after(&[change(if limits == ours() { BOT.user() } else { ADMIN }, T, FREE, muted(limits))]);
    assert!(!protects(&Member::default()) && !protects(&after(&[change(ANN, T, LEFT, FREE)])));
    assert!(protects(&of(ours())), "our mute would stay for ever");
    assert!(protects(&of(theirs(T + 60))) && !of(theirs(T + 60)).protects(mark(), (T + 60) * 1000));
    assert!(protects(&after(&[change(ADMIN, T, muted(ours()), FREE)])), "an administrator has lifted it");
    let allow = |value| Some(Setting { value, update_id: UpdateId(1), received_ms: now_ms });
    assert!(protects(&Member { allowed: allow(true), ..Member::default() }));
    assert!(!protects(&Member { allowed: allow(false), ..Member::default() }));
    assert!(protects(&Member { waiting: true, ..Member::default() }));
    assert!(protects(&Member { mute_until: Some(1), ..Member::default() }));
    assert!(protects(&Member { restored: Some(theirs(0)), ..Member::default() }));
    assert!(protects(&Member { ban: Some(Ban { until: 1, kick: false }), ..Member::default() }));
    assert!(protects(&Member { call: Some(Call::new(Act::Mute, now_ms, None)), ..Member::default() }));
}

#[test]
fn of_two_words_about_a_sender_the_newer_counts() {
    let of = |value, update| Setting { value, update_id: UpdateId(update), received_ms: 0 };
    let (mut facts, sender) = (ChatFacts::default(), ChatId(-5));
    assert!(!facts.is_sender_allowed(sender));
    assert!(facts.allow_sender(sender, of(true, 2)) && facts.is_sender_allowed(sender));
    assert!(!facts.allow_sender(sender, of(false, 1)) && facts.is_sender_allowed(sender));
    assert!(facts.allow_sender(sender, of(false, 3)) && !facts.is_sender_allowed(sender));
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

#[test]
fn what_somebody_wrote_before_a_lookup_shows_them_banned_was_not_written_from_outside() {
    for (later_s, writes) in [(1, true), (61, false)] {
        let mut member = Member::default();
        member.apply_message(order(T, 2));
        look(&mut member, (T + later_s) * 1000, (Standing::Banned, Limits::Banned { until: T + 90 }));
        assert_eq!(member.writes_from_outside(), writes, "a lookup {later_s} s after it");
        member.apply_message(order(T + 100, 3));
        assert!(member.writes_from_outside());
    }
}

#[test]
fn e11_our_mute_of_who_writes_from_outside_leaves_them_there_and_our_release_and_ban_do_not() {
    let outside = (Standing::Outside, ours());
    let banned = (Standing::Banned, Limits::Banned { until: 0 });
    for (author, old, new, writes) in [
        (BOT.user(), LEFT, outside, true),
        (ADMIN, LEFT, outside, false),
        (BOT.user(), muted(ours()), outside, false),
        (BOT.user(), outside, LEFT, false),
        (BOT.user(), outside, banned, false),
    ] {
        let mut member = after(&[change(author, T, old, new)]);
        member.apply_message(order(T - 1, 9));
        assert_eq!(member.writes_from_outside(), writes, "{author} {old:?} {new:?}");
    }
}

//! Who counts as being in a channel (E27, E29, E30, E35, E36).

use loadtest::world::{Act, ChatId, ChatKind, ChatSpec, Member, Permissions, Rights, UserId};
use serde_json::json;

use crate::{
    operators::is_looked_at,
    support::eventually,
    town::{ANN, BOB, GROUP, NEWS, OWNER, TALKS, Town, one_of_many},
};

async fn is_muted(town: &Town, user: UserId) {
    eventually(&format!("{user} is muted"), async || town.member(GROUP, user).is_muted()).await;
}

async fn is_free(town: &Town, user: loadtest::world::UserId) {
    eventually(&format!("{user} is free"), async || town.member(GROUP, user) == Member::Member).await;
}

pub(crate) async fn e29_e36_who_is_restricted_in_a_required_group_is_in_it_until_they_leave() {
    let town = Town::founded(|spec| {
        if spec.id == TALKS {
            spec.kind = ChatKind::Supergroup;
            spec.members = vec![(ANN, Member::Member), (BOB, Member::Administrator(Rights::default()))];
        }
    })
    .await;
    town.act(Act::AdminRestrict { admin: OWNER, chat: TALKS, user: ANN, permissions: Permissions::NONE, for_s: 0 });
    town.say(OWNER, GROUP, "/protect @talks");
    town.says(GROUP, "Protected: ").await;
    let before = town.deeds(GROUP).len();
    // The owner, an administrator and a restricted member are in.
    for user in [ANN, BOB] {
        town.act(Act::Join { user, chat: GROUP });
        town.say(user, GROUP, "hello");
    }
    eventually("Bob is looked up", async || town.lookups(BOB) > 0).await;
    town.has_heard().await;
    assert_eq!(town.deeds(GROUP).split_off(before), [""; 0]);
    town.act(Act::Leave { user: ANN, chat: TALKS });
    is_muted(&town, ANN).await;
    town.act(Act::Join { user: ANN, chat: TALKS });
    is_free(&town, ANN).await;
    town.end().await;
}

pub(crate) async fn e30_who_is_banned_from_a_channel_is_told_that_they_cannot_join_it() {
    let town = Town::protected("@news @talks").await;
    town.act(Act::AdminBan { admin: OWNER, chat: NEWS, user: ANN });
    town.act(Act::Join { user: ANN, chat: GROUP });
    is_muted(&town, ANN).await;
    eventually("she is asked to join", async || town.prompts() == 1).await;
    let banned = "You are banned from @news; only its administrators can let you in again.";
    assert_eq!(town.press(ANN, "I have joined").await, banned);
    town.act(Act::AdminUnban { admin: OWNER, chat: NEWS, user: ANN });
    assert_eq!(town.press(ANN, "I have joined").await, "You have not joined yet: @talks, @news");
    for chat in [NEWS, TALKS] {
        town.act(Act::Join { user: ANN, chat });
    }
    is_free(&town, ANN).await;
    town.end().await;
}

pub(crate) async fn e27_a_pending_request_counts_where_the_group_says_so() {
    let town = Town::protected("@news").await;
    for chat in [NEWS, GROUP] {
        town.act(if chat == NEWS { Act::AskToJoin { user: ANN, chat } } else { Act::Join { user: ANN, chat } });
    }
    is_muted(&town, ANN).await;
    town.say(OWNER, GROUP, "/settings pending_counts yes");
    is_free(&town, ANN).await;
    town.act(Act::AnswerRequest { admin: OWNER, chat: NEWS, user: ANN, granted: true });
    town.say(OWNER, GROUP, "/settings pending_counts no");
    town.says(GROUP, "pending_counts is now: no").await;
    town.act(Act::AskToJoin { user: BOB, chat: NEWS });
    town.act(Act::Join { user: BOB, chat: GROUP });
    is_muted(&town, BOB).await;
    assert_eq!(town.member(GROUP, ANN), Member::Member, "she was let in");
    assert!(town.calls("approveChatJoinRequest", NEWS).is_empty(), "the channel is its administrators'");
    town.end().await;
}

pub(crate) async fn e27_our_own_link_into_a_channel_asks_for_an_administrators_word_where_pending_requests_count() {
    let town = Town::new().await;
    town.act(Act::Rename { admin: OWNER, chat: NEWS, title: "News".to_owned(), username: None });
    town.say(OWNER, GROUP, &format!("/protect {NEWS}"));
    town.says(GROUP, "Protected: ").await;
    let asks = || town.telegram.world(|world| world.links(NEWS).iter().map(|link| link.asks).collect::<Vec<_>>());
    let follow = |user| town.act(town.telegram.world(|world| world.follow_link(user, NEWS)).unwrap());
    eventually("a link leads in", async || asks() == [false]).await;
    town.say(OWNER, GROUP, "/settings pending_counts yes");
    eventually("it asks", async || asks() == [true]).await;
    follow(ANN);
    assert!(town.telegram.world(|world| world.waits_to_be_let_in(NEWS, ANN)));
    town.act(Act::Join { user: BOB, chat: GROUP });
    is_muted(&town, BOB).await;
    follow(BOB);
    is_free(&town, BOB).await;
    // One that is made anew does as well, and one that somebody changed is put right within a day.
    town.act(Act::RevokeLinks { admin: OWNER, chat: NEWS });
    is_looked_at(&town, "link").await;
    eventually("another asks", async || asks() == [true, true]).await;
    town.set(&[("pending_counts", json!(false))]).await;
    eventually("it leads in again", async || {
        is_looked_at(&town, "link").await;
        asks() == [true, false]
    })
    .await;
    follow(one_of_many(0));
    assert_eq!(town.member(NEWS, one_of_many(0)), Member::Member);

    // Of several groups that require the channel, one for which a request is enough decides, for as long as it does require it.
    let other = ChatId(-1_001_000_000_002);
    town.found(town.telegram.now_ms(), ChatSpec::new(other, ChatKind::Supergroup, "Other"));
    town.say(OWNER, other, &format!("/protect {NEWS}"));
    town.says(other, "Protected: ").await;
    town.say(OWNER, other, "/settings pending_counts yes");
    eventually("it asks for the other's sake", async || asks() == [true, true]).await;
    town.say(OWNER, other, "/unprotect");
    eventually("it leads in for the other requires nothing", async || asks() == [true, false]).await;

    // Without the right to invite, the bot hears of no request.
    town.say(OWNER, GROUP, "/settings pending_counts yes");
    town.says(GROUP, "pending_counts is now: yes").await;
    let rights = Rights { can_invite_users: false, ..Rights::FULL };
    town.act(Act::Promote { admin: OWNER, chat: NEWS, user: town.bot, rights });
    town.has_heard().await;
    town.say(OWNER, GROUP, "/status");
    town.says(GROUP, "requests to join it do not reach me").await;
    town.end().await;
}

pub(crate) async fn e35_a_channel_that_cannot_be_seen_into_suspends_its_rule_until_it_can() {
    let town = Town::protected("@news").await;
    town.act(Act::Join { user: ANN, chat: GROUP });
    is_muted(&town, ANN).await;
    let place = |rights: Option<Rights>| match rights {
        Some(rights) => town.act(Act::Promote { admin: OWNER, chat: NEWS, user: town.bot, rights }),
        None => town.act(Act::Demote { admin: OWNER, chat: NEWS, user: town.bot }),
    };
    place(None);
    town.says(GROUP, "in @news I need to be an administrator").await;
    let before = town.deeds(GROUP).len();
    town.act(Act::Join { user: BOB, chat: GROUP });
    town.say(BOB, GROUP, "hello");
    town.has_heard().await;
    assert_eq!(town.lookups(BOB), 0, "Telegram would not tell");
    town.act(Act::Leave { user: ANN, chat: GROUP });
    town.act(Act::Join { user: ANN, chat: GROUP });
    town.has_heard().await;
    let since = town.deeds(GROUP).split_off(before);
    assert!(since.iter().all(|call| !call.starts_with("restrict")), "{since:?}");
    assert!(town.member(GROUP, ANN).is_muted(), "who waited goes on waiting");

    town.act(Act::Join { user: one_of_many(0), chat: NEWS });
    place(Some(Rights::FULL));
    town.act(Act::Join { user: one_of_many(0), chat: GROUP });
    is_muted(&town, BOB).await;
    town.has_heard().await;
    assert_eq!(town.standing(GROUP, BOB), 1, "what was written while the rule slept");
    assert_eq!(town.said(GROUP, "I cannot do all of my work"), 1);
    assert_eq!(town.member(GROUP, one_of_many(0)), Member::Member);
    town.end().await;
}

pub(crate) async fn e33_who_leaves_a_channel_is_muted_and_asked_once_in_the_group_and_elsewhere_only_remembered() {
    const CHIEF: UserId = one_of_many(0);
    const OUTSIDE: UserId = one_of_many(1);
    let town = Town::protected("@news").await;
    for user in [ANN, BOB, CHIEF, OUTSIDE] {
        town.act(Act::Join { user, chat: NEWS });
    }
    for user in [ANN, BOB, CHIEF] {
        town.act(Act::Join { user, chat: GROUP });
        town.say(user, GROUP, "hello");
    }
    town.act(Act::Promote { admin: OWNER, chat: GROUP, user: CHIEF, rights: Rights::default() });
    town.has_heard().await;
    let before = town.deeds(GROUP).len();
    for user in [ANN, CHIEF, OUTSIDE] {
        town.act(Act::Leave { user, chat: NEWS });
    }
    town.act(Act::AdminBan { admin: OWNER, chat: NEWS, user: BOB });
    for user in [ANN, BOB] {
        is_muted(&town, user).await;
    }
    let both = |text: String| text.contains("Ann") && text.contains("Bob") && !text.contains("Comer");
    eventually("both are told why", async || town.prompt(None).is_some_and(both)).await;
    town.say(CHIEF, GROUP, "hello again");
    town.has_heard().await;
    assert_eq!((town.prompts_ever(), town.prompts()), (1, 1), "one prompt");
    let mut deeds = town.deeds(GROUP).split_off(before);
    deeds.retain(|deed| deed.starts_with("restrict"));
    deeds.sort();
    assert_eq!(deeds, [format!("restrictchatmember {ANN}"), format!("restrictchatmember {BOB}")]);
    assert_eq!([ANN, BOB, CHIEF].map(|user| town.standing(GROUP, user)), [1, 1, 2], "what was written before stands");
    let asked = [ANN, BOB, CHIEF, OUTSIDE].map(|user| (town.lookups_in(NEWS, user), town.lookups_in(GROUP, user)));
    assert_eq!(asked[..3], [(0, 0); 3], "nobody need be looked up");
    assert!(asked[3] <= (0, 1), "whether they are in the group, which nobody has told");

    // Who is outside is remembered to have left: a lookup when they come would have found them in.
    town.act_untold(Act::Join { user: OUTSIDE, chat: NEWS });
    town.act(Act::Join { user: OUTSIDE, chat: GROUP });
    is_muted(&town, OUTSIDE).await;
    assert_eq!(town.lookups_in(NEWS, OUTSIDE), 0);
    town.end().await;
}

//! Facts do not depend on the order in which updates arrive, nor on how often.
//!
//! The updates of a generated history, by people and by the bot itself, are taken in by the real handler in many orders,
//! each with a fresh store; what they leave in the registers has to be the same every time.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use loadtest::world::{
    Act, ChatId as WorldChat, ChatKind, ChatSpec, Content, Happened, Member as WorldMember, Person, Rights,
    UserId as WorldUser, World,
};
use nezuko_shared::{cache::memory::MemoryCache, telemetry::metrics::Metrics};
use nezuko_telegram::{BotId, ChatId, Rights as OwnRights, Standing, Update, UpdateId, UserId, parse_update};
use nezuko_worker::{
    buttons::ButtonKey,
    facts::{Change, Event, EventOrder, Mark, Setting, Theirs},
    handle::{Handler, Receipt},
    store::{ChatWrites, PersonWrites, Scope, Store},
};
use rand::{
    Rng, SeedableRng,
    rngs::StdRng,
    seq::{IndexedRandom, SliceRandom},
};
use serde_json::json;

use crate::memory_store::MemoryStore;

const HISTORIES: u64 = 200;
const ORDERS: usize = 20;
const BOT: BotId = BotId(7_000_000_001);
const OWNER: WorldUser = WorldUser(10);
const PEOPLE: [WorldUser; 2] = [WorldUser(11), WorldUser(12)];
const GROUP: WorldChat = WorldChat(-1_001_000_000_001);
const CHANNELS: [WorldChat; 2] = [WorldChat(-1_001_000_000_011), WorldChat(-1_001_000_000_012)];
const BEGIN_MS: i64 = 1_700_000_000_000;

/// What the registers about one person in one chat hold: event, last out, change, theirs, spoke.
type Registers = (Option<Event>, Option<EventOrder>, Option<Change>, Option<Theirs>, Option<EventOrder>);
/// What the registers about the bot's own place in a chat hold.
type OwnRegisters = (Option<(EventOrder, Standing, OwnRights)>, Option<EventOrder>);

/// Everything that is left of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Left {
    members: BTreeMap<(UserId, ChatId), Registers>,
    chats: BTreeMap<ChatId, OwnRegisters>,
}

#[tokio::test]
async fn in_whatever_order_and_however_often_updates_arrive_the_facts_are_the_same() {
    let mut same_second = 0;
    let mut by_bot = 0;
    for seed in 0..HISTORIES {
        let mut rng = StdRng::seed_from_u64(seed);
        let world = live(&mut rng);
        let updates = updates_of(world.clone());
        let in_order = take_in(&updates).await;
        compare_with_world(seed, &world, &in_order);
        for _ in 0..ORDERS {
            let mut shuffled = updates.clone();
            shuffled.extend(updates.iter().filter(|_| rng.random_bool(0.3)).cloned());
            shuffled.shuffle(&mut rng);
            let left = take_in(&shuffled).await;
            let order: Vec<i64> = shuffled.iter().map(|update| update.id.0).collect();
            assert_eq!(left, in_order, "seed {seed}, order {order:?}");
        }
        same_second += usize::from(has_same_second(&world));
        by_bot += usize::from(told(&world).any(|(_, _, by, ..)| by.0 == BOT.0));
    }
    assert!(same_second > 100, "only {same_second} histories have two changes of one standing in one second");
    assert!(by_bot > 100, "only {by_bot} histories have acts of the bot");
}

/// A world in which people and the bot have acted.
fn live(rng: &mut StdRng) -> World {
    let bot = WorldUser(BOT.0);
    let mut world = World::new(World::bot_account(bot, "nezuko_bot"));
    for (user, name) in [OWNER, PEOPLE[0], PEOPLE[1]].into_iter().zip(["Olga", "Ann", "Bob"]) {
        world.add_person(Person::named(user, name));
    }
    let places = [(GROUP, ChatKind::Supergroup), (CHANNELS[0], ChatKind::Channel), (CHANNELS[1], ChatKind::Channel)];
    let mut now_ms = BEGIN_MS;
    for (chat, kind) in places {
        let mut spec = ChatSpec::new(chat, kind, "Chat");
        spec.members = vec![(OWNER, WorldMember::Creator { is_anonymous: false })];
        world.add_chat(now_ms, spec);
        let promote = Act::Promote { admin: OWNER, chat, user: bot, rights: Rights::FULL };
        assert!(world.act(now_ms, promote).is_ok(), "the bot becomes an administrator");
    }
    for _ in 0..rng.random_range(10..30) {
        now_ms += *[0, 0, 200, 400, 1_000, 5_000].choose(rng).unwrap();
        let user = *PEOPLE.choose(rng).unwrap();
        if rng.random_bool(0.25) {
            restrict(&mut world, now_ms, user, rng);
        } else {
            // What is not possible just then does not happen.
            world.act(now_ms, some_act(user, rng)).ok();
        }
    }
    world
}

fn some_act(user: WorldUser, rng: &mut StdRng) -> Act {
    let (admin, chat) = (OWNER, *[GROUP, GROUP, CHANNELS[0], CHANNELS[1]].choose(rng).unwrap());
    match rng.random_range(0..20) {
        0..=5 => Act::Join { user, chat },
        6..=8 => Act::Leave { user, chat },
        9..=12 => Act::Write { user, chat: GROUP, content: Content::Text("hello".to_owned()), thread: None },
        13 => Act::AdminMute { admin, chat: GROUP, user, for_s: *[0, 60].choose(rng).unwrap() },
        14 => Act::AdminUnmute { admin, chat: GROUP, user },
        15 => Act::AdminBan { admin, chat: GROUP, user },
        16 => Act::AdminUnban { admin, chat: GROUP, user },
        17 => Act::Promote { admin, chat: GROUP, user, rights: Rights::FULL },
        18 => Act::Demote { admin, chat: GROUP, user },
        _ if rng.random_bool(0.5) => Act::Demote { admin, chat, user: WorldUser(BOT.0) },
        _ => Act::Promote { admin, chat, user: WorldUser(BOT.0), rights: Rights::FULL },
    }
}

/// The bot mutes or releases.
fn restrict(world: &mut World, now_ms: i64, user: WorldUser, rng: &mut StdRng) {
    let mute = rng.random_bool(0.6);
    let until = if mute { mark(user).until(now_ms) } else { 0 };
    let permissions = if mute { json!({}) } else { serde_json::to_value(nezuko_telegram::Permissions::ALL).unwrap() };
    let params = json!({
        "chat_id": GROUP.0, "user_id": user.0, "permissions": permissions, "until_date": until,
        "use_independent_chat_permissions": true,
    });
    world.call(now_ms, "restrictChatMember", &params);
}

fn mark(user: WorldUser) -> Mark {
    Mark::of(BOT, ChatId(GROUP.0), UserId(user.0))
}

fn updates_of(mut world: World) -> Vec<Update> {
    world.take_updates().iter().map(|update| parse_update(update.body.as_bytes()).unwrap()).collect()
}

/// What is left when a fresh worker takes these updates in, one after the other.
async fn take_in(updates: &[Update]) -> Left {
    let store = MemoryStore::new(BOT);
    protect(&store).await;
    let handler = Handler {
        store: Arc::new(store.clone()),
        cache: Arc::new(MemoryCache::default()),
        bot: BOT,
        username: Arc::new(OnceLock::new()),
        buttons: ButtonKey::of_token(BOT, "a token"),
        metrics: Metrics::new(BOT, "abc"),
        clock: Arc::new(|| BEGIN_MS + 3_600_000),
        wake: Arc::default(),
    };
    for update in updates {
        let receipt = Receipt { update_id: update.id, received_ms: BEGIN_MS, trace_id: "" };
        handler.handle(update, &receipt).await.unwrap();
    }
    left_in(&store).await
}

async fn protect(store: &MemoryStore) {
    let set = Setting { value: true, update_id: UpdateId(1), received_ms: BEGIN_MS };
    let links: Vec<_> = CHANNELS.into_iter().map(|chat| (ChatId(chat.0), set)).collect();
    store
        .with_chat(ChatId(GROUP.0), "", BEGIN_MS, &mut |view| {
            let mut facts = view.chat.facts.clone();
            facts.protected = Some(set);
            ChatWrites { facts: Some(facts), links: links.clone(), put: Vec::new() }
        })
        .await
        .unwrap();
}

async fn left_in(store: &MemoryStore) -> Left {
    let mut left = Left { members: BTreeMap::new(), chats: BTreeMap::new() };
    for user in PEOPLE.map(|user| UserId(user.0)) {
        let scope = Scope { user, chat: ChatId(GROUP.0), update: None, trace_id: "", now_ms: BEGIN_MS };
        store
            .with_person(&scope, &mut |view| {
                for (chat, member) in &view.members {
                    let registers = (member.event, member.last_out, member.change, member.theirs, member.spoke);
                    left.members.insert((user, *chat), registers);
                }
                PersonWrites::default()
            })
            .await
            .unwrap();
    }
    for chat in [GROUP, CHANNELS[0], CHANNELS[1]].map(|chat| ChatId(chat.0)) {
        let facts = store.chat(chat).await.unwrap().chat.facts;
        left.chats.insert(chat, (facts.own_event, facts.became_admin));
    }
    left
}

/// Every change of which the bot was told: when, whose, by whom, after.
fn told(world: &World) -> impl Iterator<Item = (i64, (UserId, ChatId), WorldUser, WorldMember)> {
    world.history().iter().filter_map(|entry| match entry.what {
        Happened::Changed { chat, user, by, new, told: true, .. } => {
            Some((entry.at_ms, (UserId(user.0), ChatId(chat.0)), by, new))
        }
        _ => None,
    })
}

fn has_same_second(world: &World) -> bool {
    let changes: Vec<_> = told(world).map(|(at_ms, about, ..)| (at_ms / 1000, about)).collect();
    changes.iter().enumerate().any(|(index, change)| changes[..index].contains(change))
}

/// The last change of which the bot was told is the one that the registers hold.
fn compare_with_world(seed: u64, world: &World, left: &Left) {
    let last: BTreeMap<_, _> = told(world).map(|(at_ms, about, _, new)| (about, (at_ms / 1000, new.is_in()))).collect();
    for (about, (date, is_in)) in last {
        let known = if about.0 == BOT.user() {
            left.chats[&about.1].0.map(|(order, standing, _)| (order.date, standing.is_in()))
        } else {
            left.members[&about].0.map(|event| (event.order.date, event.standing.is_in()))
        };
        assert_eq!(known, Some((date, is_in)), "seed {seed}: {about:?}");
    }
}

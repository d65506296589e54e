//! What everybody lives through in a protected group, from the first day to the last.

use loadtest::world::{Act, Member};

use crate::{
    support::eventually,
    town::{ANN, BOB, GROUP, NEWS, OWNER, Town},
};

/// Asserts what was called about the group since `before` of its calls, in whatever order, and returns how many there are.
fn only(town: &Town, before: usize, calls: &[&str]) -> usize {
    let mut deeds = town.deeds(GROUP);
    let mut since = deeds.split_off(before);
    since.sort();
    assert_eq!(since, calls);
    before + since.len()
}

async fn is_muted(town: &Town) {
    eventually("Ann is muted", async || town.member(GROUP, ANN).is_muted()).await;
}

async fn is_free(town: &Town) {
    eventually("Ann is free, and nobody waits", async || {
        town.member(GROUP, ANN) == Member::Member && town.prompts() == 0
    })
    .await;
    town.has_heard().await;
}

async fn is_lived_through(town: &Town) {
    town.say(OWNER, GROUP, "/protect @news");
    town.says(GROUP, "Protected: ").await;
    town.act(Act::Join { user: BOB, chat: NEWS });
    town.act(Act::Join { user: BOB, chat: GROUP });
    town.say(BOB, GROUP, "hello");
    town.has_heard().await;
    let mut seen = town.deeds(GROUP).len();

    town.act(Act::Join { user: ANN, chat: GROUP });
    is_muted(town).await;
    let asked = |text: String| text == "Ann: to write here, please join @news first, then press the button below.";
    eventually("she is told why", async || town.prompt(None).is_some_and(asked)).await;
    assert_eq!(town.press(ANN, "I have joined").await, "You have not joined yet: @news");
    town.has_heard().await;
    seen = only(town, seen, &["restrictchatmember 11", "sendmessage"]);

    town.act(Act::Join { user: ANN, chat: NEWS });
    is_free(town).await;
    town.say(ANN, GROUP, "hello");
    town.has_heard().await;
    seen = only(town, seen, &["deletemessage", "restrictchatmember 11"]);

    town.act(Act::Leave { user: ANN, chat: NEWS });
    is_muted(town).await;
    for chat in [GROUP, NEWS] {
        town.act(if chat == GROUP { Act::Leave { user: ANN, chat } } else { Act::Join { user: ANN, chat } });
    }
    eventually("Ann is free outside", async || town.member(GROUP, ANN) == Member::Left).await;
    town.act(Act::Join { user: ANN, chat: GROUP });
    is_free(town).await;
    // Whoever comes and goes is not shown in a prompt at once (E34).
    seen = only(town, seen, &["restrictchatmember 11", "restrictchatmember 11"]);

    town.say(OWNER, GROUP, "/unprotect");
    town.says(GROUP, "No longer protected").await;
    town.act(Act::Leave { user: ANN, chat: NEWS });
    town.has_heard().await;
    only(town, seen, &["sendmessage"]);
    assert_eq!((town.standing(GROUP, ANN), town.standing(GROUP, BOB)), (1, 1), "what was written stands");
}

pub(crate) async fn whoever_comes_is_muted_asked_freed_and_muted_again() {
    let town = Town::new().await;
    is_lived_through(&town).await;
    town.end().await;
}

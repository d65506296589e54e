//! A rolling upgrade: while a day goes on the schema changes and every program of a fleet is replaced, one after the other.
//!
//! `make upgrade-check` begins with the programs and the schema of another commit, and brings the schema up to date. Else
//! the schema is expanded as a next version may do it, which programs of this one must bear: in their connections are
//! statements that were prepared before.
#![allow(clippy::unwrap_used)]

mod support;

use std::{mem, time::Duration};

use loadtest::{
    drive::{PlayOptions, Progress},
    generate::DayPlan,
    simulator::Switch,
    world::UserId,
};
use support::{
    Running, SECRET,
    fleet::Fleet,
    fresh_bot, is_upgrade,
    play::{Day, SHORT, assert_clean, play},
    program,
    servers::{count_rows, expand, migrate, with_servers},
};
use tokio::sync::watch;

/// So much of the day is over when the first program is replaced: each has done something by then.
const PART: usize = 9;

/// As a load balancer does it: the new one gets requests once it is ready, and the old one no more before it is told to go.
async fn replace_gateway(fleet: &mut Fleet, at: usize, name: &str, telegram: &Switch) {
    let new = Running::start("nezuko-gateway", name, &fleet.dir, &fleet.settings).await;
    let old = mem::replace(&mut fleet.gateways[at], new);
    let webhooks: Vec<String> = fleet.gateways.iter().map(Running::webhook).collect();
    telegram.deliver_to(&webhooks.iter().map(String::as_str).collect::<Vec<_>>(), Some(SECRET));
    // A round trip, in which what was on its way has arrived.
    assert!(old.metric("nezuko_webhook_requests_total").await > 0, "it got none of the updates");
    old.stop().await;
}

/// The new one reads beside the old one, which then gives back all that it holds.
async fn replace_worker(fleet: &mut Fleet, name: &str) {
    fleet.start_worker(name).await;
    let (old_name, old) = fleet.workers.remove(0);
    assert!(old.metric("nezuko_updates_total").await > 0, "{old_name} ended no update");
    old.stop().await;
    assert_eq!(fleet.stream.pending_of(&old_name).await, [""; 0], "{old_name} left something in hand");
}

async fn replace_all(fleet: &mut Fleet, owner_url: &str, telegram: &Switch, mut told: watch::Receiver<Progress>) {
    told.wait_for(|progress| progress.acted * PART > progress.acts).await.unwrap();
    let migrations = async || count_rows(owner_url, "_sqlx_migrations").await;
    let before = migrations().await;
    if is_upgrade() {
        migrate(&program("nezuko-worker"), owner_url).await;
    } else {
        expand(owner_url).await;
    }
    println!("the schema had {before} migrations, and has {}", migrations().await);
    replace_gateway(fleet, 0, "gateway-3", telegram).await;
    replace_gateway(fleet, 1, "gateway-4", telegram).await;
    for new in ["worker-4", "worker-5", "worker-6"] {
        replace_worker(fleet, new).await;
    }
    let Progress { acted, acts, .. } = *told.borrow();
    assert!(acted < acts, "the day was over before every program was replaced");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_program_is_replaced_under_load_and_telegram_sees_nothing_but_2xx_and_503_with_retry_after() {
    let bot: UserId = fresh_bot();
    with_servers(bot, async move |servers| {
        let options = PlayOptions { lasts: Duration::from_secs(24), drain: Duration::from_secs(45), ..SHORT };
        let mut run = Day::new(bot, 31, DayPlan::BUSY, options).begin(bot).await;
        let owner_url = servers.owner_url.clone();
        let mut fleet = Fleet::start(servers, run.simulator(), bot).await;
        let (tell, told) = watch::channel(Progress::default());
        let telegram = run.simulator().switch();
        let (verdict, ()) = tokio::join!(
            play(&mut run, |progress| tell.send_modify(|seen| *seen = progress)),
            replace_all(&mut fleet, &owner_url, &telegram, told)
        );

        let counters = run.simulator().counters();
        println!("{counters:?}");
        assert!(counters.delivered >= 1_500, "{counters:?}");
        assert!(counters.refused.keys().all(|status| *status == 503), "{counters:?}");
        assert_eq!(counters.without_retry_after, 0, "{counters:?}");
        assert_eq!((counters.hung_up, counters.timed_out, counters.dropped), (0, 0, 0), "{counters:?}");
        assert_clean(&verdict);
        fleet.end().await;
        run.stop().await;
    })
    .await;
}

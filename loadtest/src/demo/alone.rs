//! One process with nothing beside it.

use std::{path::Path, time::Instant};

use super::{
    DUPLICATE_ONE_IN, DemoOptions, STOP_WITHIN, now_ms,
    report::{Outcome, memory, tell},
    screen::Screen,
};
use crate::{
    drive::{PlayOptions, Run, alone::Alone},
    generate::{Scenario, day},
    simulator::{Options, Simulator},
    world::UserId,
};

const TOKEN: &str = "7000000001:demo-token-that-opens-nothing-anywhere";
const BOT: UserId = UserId(7_000_000_001);

pub(super) async fn show(options: &DemoOptions, dir: &Path) -> anyhow::Result<bool> {
    let scenario = day(options.seed, options.plan, Scenario::demo_bot(BOT));
    println!(
        "a day of {} chats and {} people, {} acts, in {:?} (seed {})",
        scenario.chats.len(),
        scenario.people.len(),
        scenario.acts.len(),
        options.lasts,
        options.seed
    );
    let settings = Options { duplicate_one_in: DUPLICATE_ONE_IN, seed: options.seed, ..Options::new(TOKEN) };
    let simulator = Simulator::start(scenario.world(now_ms()), settings).await?;
    let began = Instant::now();
    let nezuko = Alone::start(&options.programs, dir, TOKEN, &simulator, &[]).await?;
    let Alone { program, ready_after, metrics, .. } = nezuko;
    let idle = memory(&program);
    println!("nezuko is ready after {ready_after:.1?}");

    let mut screen = Screen::new(vec![metrics]);
    let mut run = Run::new(scenario, simulator, PlayOptions { lasts: options.lasts, ..PlayOptions::default() });
    run.play(|progress| screen.show(&progress)).await;
    let came_to_rest = run.drain(|progress| screen.show(&progress)).await;
    screen.end();

    let outcome = Outcome { came_to_rest, may_be_twice: false };
    let passed = tell(&run, &outcome, began.elapsed(), &dir.join("history.jsonl"))?;
    println!("started in {ready_after:.1?}; anonymous memory {idle} idle, {} at the end", memory(&program));
    let status = program.stop(STOP_WITHIN).await?;
    run.stop().await;
    if !status.success() {
        println!("the program ended with {status} after SIGTERM");
    }
    Ok(passed && status.success())
}

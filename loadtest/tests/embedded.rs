//! The program `nezuko`, alone with its database file: the demo that people see, and a death in mid-stream.
#![allow(clippy::unwrap_used)]

mod support;

use std::{fs, path::Path, process::Stdio};

use loadtest::{
    drive::{PlayOptions, Progress},
    generate::DayPlan,
};
use support::{
    Directory, Running, fresh_bot,
    play::{AFTER_A_DEATH, Day, SHORT, assert_clean_but_for_a_death, play},
    program,
    servers::count_rows,
    settings,
};
use tokio::{process::Command, sync::watch};

/// The processes that run in a directory or below.
fn processes_in(dir: &Path) -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    // A process may end while we look.
    let inside = processes.filter(|process| fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(dir)));
    inside.map(|process| fs::read_to_string(process.join("cmdline")).unwrap_or_default()).collect()
}

/// What the demo's report says the bot did of something.
fn number(report: &str, of: &str) -> u64 {
    let line = report.lines().find(|line| line.split_whitespace().next() == Some(of));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or_else(|| panic!("no {of} in\n{report}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_shows_every_flow_and_leaves_nothing() {
    let dir = Directory::new();
    let output = Command::new(program("nezuko-loadtest"))
        .args(["demo", "--quick", "--seconds", "12"])
        .env_clear()
        .env("TMPDIR", dir.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let report = String::from_utf8(output.stdout).unwrap();
    println!("{report}");
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    assert!(report.lines().any(|line| line.starts_with("lost=0 wrong=0 ")), "no clean verdict");
    for of in ["mutes", "frees", "deletions", "prompts", "presses"] {
        assert!(number(&report, of) > 0, "no {of}");
    }
    let idle = report.lines().find_map(|line| line.split_once("anonymous memory ")?.1.split_once(" MB idle"));
    let megabytes: f64 = idle.expect("the memory is told").0.parse().unwrap();
    assert!(megabytes <= 30.0, "{megabytes} MB idle");
    assert_eq!(processes_in(dir.path()), Vec::<String>::new());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "a directory is left");
}

/// What `nezuko-loadtest fixtures` says about a file with these lines, and whether it is content.
async fn fixtures(text: &str) -> (bool, String) {
    let dir = Directory::new();
    let file = dir.path().join("updates.jsonl");
    fs::write(&file, text).unwrap();
    let run = Command::new(program("nezuko-loadtest"))
        .args(["fixtures", "--file"])
        .arg(&file)
        .env_clear()
        .env("TMPDIR", dir.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = run.await.unwrap();
    let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    let kept = told.lines().find_map(|line| line.strip_prefix("kept for a look: "));
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        1 + usize::from(kept.is_some()),
        "a directory is left: {told}"
    );
    if let Some(kept) = kept {
        assert!(Path::new(kept).join("nezuko.log").is_file(), "the log tells what happened: {told}");
    }
    assert!(!output.status.success() || kept.is_none(), "{told}");
    (output.status.success(), told)
}

#[tokio::test(flavor = "multi_thread")]
async fn collected_updates_are_taken_in_whatever_kind_they_are_of() {
    let lines = concat!(
        r#"{"update_id":7,"message":{"message_id":1,"date":1,"chat":{"id":-1,"type":"supergroup","title":"G"},"from":{"id":5,"is_bot":false,"first_name":"A"},"text":"hi"}}"#,
        "\n",
        r#"{"update_id":7,"poll":{"id":"1","question":"?","options":[]}}"#,
        "\n\n",
        r#"{"update_id":7,"some_future_kind":{"deep":[[[1]]]}}"#,
        "\n",
    );
    let (content, told) = fixtures(lines).await;
    assert!(content && told.contains("lines=3 decoded=1 unknown=2 quarantine=0 dead_letters=0 panics=0"), "{told}");

    let undecodable = r#"{"update_id":7,"message":{"message_id":"one"}}"#;
    let (content, told) = fixtures(undecodable).await;
    assert!(!content && told.contains("lines=1 decoded=0 unknown=0 quarantine=0 dead_letters=1 panics=0"), "{told}");
    assert!(told.contains("kept for a look: "), "{told}");

    let (content, told) = fixtures("{}\n[]\n").await;
    assert!(!content && told.contains("line 2 of") && told.contains("is no JSON object"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_the_program_is_killed_in_mid_stream() {
    let (dir, bot) = (Directory::new(), fresh_bot());
    let options = PlayOptions { drain: AFTER_A_DEATH, ..SHORT };
    let mut run = Day::new(bot, 11, DayPlan::QUICK, options).begin(bot).await;
    let mut settings = settings(bot, &run.simulator().api_url(), &dir.sqlite_url());
    settings.push(("RECLAIM_IDLE_MS", "2000".to_owned()));
    let first = Running::start("nezuko", "first", &dir, &settings).await;

    let (tell, mut told) = watch::channel(Progress::default());
    let killing = async {
        let mut running = first;
        for (nth, name) in [(1, "second"), (2, "third")] {
            told.wait_for(|progress| progress.acted * 3 > progress.acts * nth).await.unwrap();
            let ports = (running.port, running.ops_port);
            running.kill_when("entries in hand", async || count_rows(&dir.sqlite_url(), "queue").await > 0).await;
            running = Running::start_on(ports, "nezuko", name, &dir, &settings).await;
        }
        running
    };
    let (verdict, survivor) =
        tokio::join!(play(&mut run, |progress| tell.send_modify(|seen| *seen = progress)), killing);
    assert_clean_but_for_a_death(&verdict);
    survivor.stop().await;
    assert_eq!(count_rows(&dir.sqlite_url(), "queue").await, 0);
    assert_eq!(count_rows(&dir.sqlite_url(), "dead_letters").await, 0);
    run.stop().await;
}

//! The crate beneath keeps its own time by the real clock, so these use short times instead of a paused clock.
#![allow(clippy::unwrap_used)]

use std::{
    future::pending,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
};

use futures_util::{FutureExt, future::join_all};
use nezuko_telegram::BotId;

use super::*;

const MS: Duration = Duration::from_millis(1);
const LIMIT: Duration = Duration::from_secs(5);
const POLICY: Policy = Policy { failures: 3, first: Duration::from_millis(80), longest: Duration::from_millis(320) };

/// What the server says: `Ok` where it works, else whether that is its failure.
type Answer = Result<(), Outcome>;

fn judge(answer: &Answer) -> Outcome {
    answer.err().unwrap_or(Outcome::Success)
}

async fn say(breaker: &Breaker, answer: Answer) -> Result<Answer, Unavailable> {
    breaker.call(LIMIT, async { answer }, judge).await
}

async fn fail(breaker: &Breaker) {
    assert_eq!(say(breaker, Err(Outcome::Failure)).await, Ok(Err(Outcome::Failure)));
}

fn refused() -> Result<Answer, Unavailable> {
    Err(Unavailable::Refused(Dependency::Redis))
}

fn closed() -> Breaker {
    Breaker::new(Dependency::Redis, POLICY)
}

async fn open() -> Breaker {
    let breaker = closed();
    for _ in 0..POLICY.failures {
        fail(&breaker).await;
    }
    assert_eq!(breaker.state(), State::Open);
    breaker
}

#[tokio::test]
async fn it_opens_after_failures_in_a_row_and_no_others() {
    let breaker = closed();
    for _ in 0..10 {
        fail(&breaker).await;
        fail(&breaker).await;
        say(&breaker, Ok(())).await.unwrap().unwrap();
    }
    fail(&breaker).await;
    // Neutral answers count nothing and forgive nothing.
    for _ in 0..10 {
        assert_eq!(say(&breaker, Err(Outcome::Neutral)).await, Ok(Err(Outcome::Neutral)));
    }
    fail(&breaker).await;
    assert_eq!(breaker.state(), State::Closed);
    fail(&breaker).await;
    assert_eq!(breaker.state(), State::Open);
    assert_eq!(say(&breaker, Ok(())).await, refused());
}

#[tokio::test]
async fn a_call_that_hangs_is_a_failure() {
    let breaker = closed();
    let hanging = || breaker.call(20 * MS, pending::<Answer>(), judge);
    let began = Instant::now();
    for outcome in join_all((0..POLICY.failures).map(|_| hanging())).await {
        assert_eq!(outcome, Err(Unavailable::TooLate(Dependency::Redis)));
    }
    assert!(began.elapsed() < LIMIT, "{:?}", began.elapsed());
    assert_eq!(breaker.state(), State::Open);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_hundred_callers_one_is_the_probe() {
    let breaker = open().await;
    breaker.ready().await;
    let made = Arc::new(AtomicUsize::new(0));
    let answered = Arc::new(Notify::new());
    let callers: Vec<_> = (0..100)
        .map(|_| {
            let (breaker, made, answered) = (breaker.clone(), made.clone(), answered.clone());
            tokio::spawn(async move {
                let work = async {
                    made.fetch_add(1, SeqCst);
                    answered.notified().await;
                    Ok(())
                };
                breaker.call(LIMIT, work, judge).await
            })
        })
        .collect();
    // All but the probe are refused at once, and only then is the probe answered.
    let (mut probes, mut refusals) = (0, 0);
    let mut running = callers.into_iter().map(|caller| caller.boxed()).collect::<Vec<_>>();
    while !running.is_empty() {
        let (outcome, _, rest) = futures_util::future::select_all(running).await;
        running = rest;
        match outcome.unwrap() {
            Ok(answer) => {
                answer.unwrap();
                probes += 1;
            }
            Err(unavailable) => {
                assert_eq!(unavailable, Unavailable::Refused(Dependency::Redis));
                refusals += 1;
            }
        }
        if running.len() == 1 {
            assert_eq!(breaker.state(), State::HalfOpen);
            answered.notify_one();
        }
    }
    assert_eq!((probes, refusals, made.load(SeqCst)), (1, 99, 1));
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test]
async fn a_dropped_probe_makes_room_for_another() {
    let breaker = open().await;
    breaker.ready().await;
    let mut dropped = Box::pin(breaker.call(LIMIT, pending::<Answer>(), judge));
    assert!(dropped.as_mut().now_or_never().is_none());
    assert_eq!(say(&breaker, Ok(())).await, refused());
    // Who waits is woken by that.
    let mut ready = Box::pin(breaker.ready());
    assert!(ready.as_mut().now_or_never().is_none());
    drop(dropped);
    timeout(LIMIT, ready).await.unwrap();
    assert_eq!(breaker.state(), State::HalfOpen);
    say(&breaker, Ok(())).await.unwrap().unwrap();
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test]
async fn a_neutral_probe_neither_closes_nor_opens() {
    let breaker = open().await;
    breaker.ready().await;
    for _ in 0..3 {
        assert_eq!(say(&breaker, Err(Outcome::Neutral)).await, Ok(Err(Outcome::Neutral)));
        assert_eq!(breaker.state(), State::HalfOpen);
    }
    say(&breaker, Ok(())).await.unwrap().unwrap();
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test]
async fn it_stays_open_for_longer_each_time_and_begins_anew_once_it_has_closed() {
    let due = |breaker: &Breaker| *breaker.0.watch.0.due.lock().unwrap();
    let mut before = Instant::now();
    let breaker = open().await;
    // Half to all of 80, 160, 320 and 320 ms again.
    for longest in [80 * MS, 160 * MS, 320 * MS, 320 * MS] {
        let due = due(&breaker);
        assert!(due <= Instant::now() + longest + 5 * MS, "{longest:?} at most");
        assert!(due >= before + longest / 2, "half of {longest:?} at least");
        assert_eq!(say(&breaker, Ok(())).await, refused());
        breaker.ready().await;
        before = Instant::now();
        // One failure of a probe is enough.
        fail(&breaker).await;
        assert_eq!(breaker.state(), State::Open);
    }
    breaker.ready().await;
    say(&breaker, Ok(())).await.unwrap().unwrap();
    fail(&breaker).await;
    fail(&breaker).await;
    assert_eq!(breaker.state(), State::Closed, "failures are counted anew");
    fail(&breaker).await;
    assert!(due(&breaker) <= Instant::now() + POLICY.first + 5 * MS);
}

#[tokio::test]
async fn what_began_before_it_opened_changes_nothing_afterwards() {
    for late in [Ok(()), Err(Outcome::Failure)] {
        let breaker = closed();
        let answer = Notify::new();
        let straggling = breaker.call(
            LIMIT,
            async {
                answer.notified().await;
                late
            },
            judge,
        );
        let mut straggling = Box::pin(straggling);
        assert!(straggling.as_mut().now_or_never().is_none());
        for _ in 0..POLICY.failures {
            fail(&breaker).await;
        }
        breaker.ready().await;
        let mut probe = Box::pin(breaker.call(LIMIT, pending::<Answer>(), judge));
        assert!(probe.as_mut().now_or_never().is_none());
        answer.notify_one();
        assert_eq!(straggling.await, Ok(late));
        assert_eq!(breaker.state(), State::HalfOpen);
        drop(probe);
    }
}

#[tokio::test]
async fn what_began_before_it_opened_is_not_counted_when_it_has_closed_again() {
    let breaker = closed();
    let stragglers = [breaker.permit().unwrap(), breaker.permit().unwrap(), breaker.permit().unwrap()];
    for _ in 0..POLICY.failures {
        fail(&breaker).await;
    }
    breaker.ready().await;
    say(&breaker, Ok(())).await.unwrap().unwrap();
    assert_eq!(breaker.state(), State::Closed);
    for straggler in stragglers {
        straggler.end(Outcome::Failure);
        assert_eq!(breaker.state(), State::Closed);
    }
}

#[tokio::test]
async fn who_would_be_the_probe_when_it_has_just_closed_is_a_call_like_any_other() {
    let breaker = closed();
    // It was open when they looked.
    let (one, other) = (breaker.probe().unwrap(), breaker.probe().unwrap());
    assert!(!one.is_probe && !other.is_probe);
    for _ in 0..POLICY.failures {
        fail(&breaker).await;
    }
    breaker.ready().await;
    let probe = breaker.permit().unwrap();
    assert!(probe.is_probe);
    one.end(Outcome::Success);
    assert_eq!(breaker.state(), State::HalfOpen);
    assert_eq!(say(&breaker, Ok(())).await, refused(), "only the probe makes room for another");
    probe.end(Outcome::Success);
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test]
async fn whoever_waits_goes_on_at_once_when_it_closes() {
    let breaker = open().await;
    let waiting: Vec<_> = (0..8)
        .map(|_| {
            let breaker = breaker.clone();
            tokio::spawn(async move {
                // One of them is the probe and all others wait for it.
                loop {
                    breaker.ready().await;
                    if say(&breaker, Ok(())).await.is_ok() {
                        return;
                    }
                }
            })
        })
        .collect();
    timeout(POLICY.longest + 200 * MS, join_all(waiting)).await.unwrap();
}

#[tokio::test]
async fn state_and_refusals_are_shown() {
    let metrics = Metrics::new(BotId(42), "abc");
    let breaker = closed();
    let shows = |state: u8, refusals: u8| {
        let page = metrics.encode();
        for line in [
            format!(r#"nezuko_breaker_state{{bot_id="0",dependency="redis"}} {state}"#),
            format!(r#"nezuko_breaker_refusals_total{{bot_id="0",dependency="redis"}} {refusals}"#),
        ] {
            assert!(page.lines().any(|shown| shown == line), "no line {line} in\n{page}");
        }
    };
    breaker.show_in(metrics.of_nobody());
    shows(0, 0);
    for _ in 0..POLICY.failures {
        fail(&breaker).await;
    }
    assert_eq!(say(&breaker, Ok(())).await, refused());
    shows(1, 1);
    breaker.ready().await;
    let probe = breaker.permit().unwrap();
    assert_eq!(say(&breaker, Ok(())).await, refused());
    shows(2, 2);
    probe.end(Outcome::Success);
    shows(0, 2);
}

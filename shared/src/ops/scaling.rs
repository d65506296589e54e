//! `/scaling`: how much waits for all workers together, as one number for whoever scales them.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::future::{try_join, try_join_all};

use crate::queue::{Consumer, QueueError};

/// The queues of all bots, once they are known. They are asked when somebody wants to know, so that the answer is never of
/// yesterday; where one of them cannot be asked there is no answer, since a part of the sum would read as quiet.
#[derive(Clone, Default)]
pub struct Scaling(Arc<OnceLock<Vec<Arc<dyn Consumer>>>>);

impl fmt::Debug for Scaling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scaling")
    }
}

impl Scaling {
    /// These are the queues, one for each bot.
    ///
    /// # Panics
    /// Where that was said before.
    pub fn of(&self, queues: Vec<Arc<dyn Consumer>>) {
        assert!(self.0.set(queues).is_ok(), "invariant: a process finds its queues once");
    }

    pub(super) async fn answer(&self) -> Response {
        let waits = match self.0.get() {
            Some(queues) => self::waits(queues).await,
            None => Err(QueueError::Unavailable("the process has only begun".to_owned())),
        };
        match waits {
            Ok(waits) => ([(header::CONTENT_TYPE, "application/json")], waits.to_string()).into_response(),
            Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
        }
    }
}

async fn waits(queues: &[Arc<dyn Consumer>]) -> Result<serde_json::Value, QueueError> {
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64;
    let of_each = queues.iter().map(|queue| try_join(queue.backlog(), queue.oldest_ms()));
    let of_each = try_join_all(of_each).await?;
    let unread: u64 = of_each.iter().map(|(backlog, _)| backlog.unread).sum();
    let pending: u64 = of_each.iter().map(|(backlog, _)| backlog.pending).sum();
    let oldest_ms = of_each.iter().filter_map(|(_, oldest_ms)| *oldest_ms).min();
    let waited_ms = oldest_ms.map_or(0, |oldest_ms| (now_ms - oldest_ms).max(0));
    Ok(serde_json::json!({
        "backlog": unread + pending,
        "unread": unread,
        "pending": pending,
        "oldest_seconds": waited_ms as f64 / 1000.0,
    }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use async_trait::async_trait;

    use super::*;
    use crate::queue::{Backlog, Delivery, EntryId};

    /// A queue that holds so much since so long; `None`: it is away.
    struct Holds(Option<(Backlog, Option<i64>)>);

    impl Holds {
        fn told<T>(&self, part: impl FnOnce((Backlog, Option<i64>)) -> T) -> Result<T, QueueError> {
            self.0.map(part).ok_or_else(|| QueueError::Unavailable("away".to_owned()))
        }
    }

    #[async_trait]
    impl Consumer for Holds {
        async fn read(&self, _: usize, _: Duration) -> Result<Vec<Delivery>, QueueError> {
            unreachable!("nobody reads")
        }

        async fn ack(&self, _: &[EntryId]) -> Result<(), QueueError> {
            unreachable!("nobody reads")
        }

        async fn keep_alive(&self, _: &[EntryId]) -> Result<(), QueueError> {
            unreachable!("nobody reads")
        }

        async fn reclaim(&self, _: Duration, _: usize) -> Result<Vec<Delivery>, QueueError> {
            unreachable!("nobody reads")
        }

        async fn dead_letter(&self, _: &Delivery, _: &str) -> Result<bool, QueueError> {
            unreachable!("nobody reads")
        }

        async fn backlog(&self) -> Result<Backlog, QueueError> {
            self.told(|(backlog, _)| backlog)
        }

        async fn oldest_ms(&self) -> Result<Option<i64>, QueueError> {
            self.told(|(_, oldest_ms)| oldest_ms)
        }

        async fn leave(&self) -> Result<(), QueueError> {
            unreachable!("nobody reads")
        }
    }

    async fn status_of(queues: Vec<Holds>) -> StatusCode {
        let scaling = Scaling::default();
        scaling.of(queues.into_iter().map(|queue| Arc::new(queue) as Arc<dyn Consumer>).collect());
        scaling.answer().await.status()
    }

    #[tokio::test]
    async fn what_waits_for_all_bots_is_summed_up_and_the_oldest_of_all_counts() {
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
        let of = |unread, pending, oldest_ms| Holds(Some((Backlog { unread, pending }, oldest_ms)));
        let queues: [Arc<dyn Consumer>; 3] = [
            Arc::new(of(5, 2, Some(now_ms - 10_000))),
            Arc::new(of(0, 0, None)),
            Arc::new(of(1, 0, Some(now_ms - 60_000))),
        ];
        let waits = waits(&queues).await.unwrap();
        assert_eq!((&waits["backlog"], &waits["unread"], &waits["pending"]), (&8.into(), &6.into(), &2.into()));
        let oldest = waits["oldest_seconds"].as_f64().unwrap();
        assert!((60.0..70.0).contains(&oldest), "{waits}");
        let nothing = self::waits(&queues[1..2]).await.unwrap();
        assert_eq!((&nothing["backlog"], &nothing["oldest_seconds"]), (&0.into(), &0.0.into()), "never null");
    }

    #[tokio::test]
    async fn a_part_of_the_sum_is_no_answer() {
        let some = || Holds(Some((Backlog { unread: 1, pending: 0 }, None)));
        assert_eq!(status_of(vec![some(), some()]).await, StatusCode::OK);
        assert_eq!(status_of(vec![some(), Holds(None)]).await, StatusCode::SERVICE_UNAVAILABLE);
        let unknown = Scaling::default().answer().await.status();
        assert_eq!(unknown, StatusCode::SERVICE_UNAVAILABLE, "a worker that has only begun");
    }
}

//! A fleet as an SRE runs it: two gateways and three workers over a real Redis and a real PostgreSQL.

use loadtest::{simulator::Simulator, world::UserId};

use super::{
    Directory, Running, SECRET, Settings, eventually,
    servers::{Servers, Stream},
    settings,
};

/// Two gateways and some workers.
pub(crate) struct Fleet {
    pub(crate) dir: Directory,
    pub(crate) settings: Settings,
    pub(crate) stream: Stream,
    pub(crate) gateways: Vec<Running>,
    pub(crate) workers: Vec<(String, Running)>,
}

impl Fleet {
    pub(crate) async fn start(servers: Servers, telegram: &Simulator, bot: UserId) -> Self {
        let dir = Directory::new();
        let mut settings = settings(bot, &telegram.api_url(), &servers.database_url);
        settings.extend([("REDIS_URL", servers.redis_url), ("RECLAIM_IDLE_MS", "2000".to_owned())]);
        let mut fleet = Self { dir, settings, stream: servers.stream, gateways: Vec::new(), workers: Vec::new() };
        for name in ["gateway-1", "gateway-2"] {
            fleet.gateways.push(Running::start_first("nezuko-gateway", name, &fleet.dir, &fleet.settings).await);
        }
        for name in ["worker-1", "worker-2", "worker-3"] {
            let settings = fleet.settings_of(name);
            let worker = Running::start_first("nezuko-worker", name, &fleet.dir, &settings).await;
            fleet.workers.push((name.to_owned(), worker));
        }
        let webhooks: Vec<String> = fleet.gateways.iter().map(Running::webhook).collect();
        let webhooks: Vec<&str> = webhooks.iter().map(String::as_str).collect();
        telegram.deliver_to(&webhooks, Some(SECRET));
        fleet
    }

    pub(crate) async fn start_worker(&mut self, name: &str) {
        let worker = Running::start("nezuko-worker", name, &self.dir, &self.settings_of(name)).await;
        self.workers.push((name.to_owned(), worker));
    }

    fn settings_of(&self, worker: &str) -> Settings {
        let mut settings = self.settings.clone();
        settings.push(("WORKER_NAME", worker.to_owned()));
        settings
    }

    /// Kills a worker that has entries in hand; returns those that it left unacknowledged.
    pub(crate) async fn kill_a_busy_worker(&mut self) -> Vec<String> {
        let (name, worker) = self.workers.remove(0);
        let mut left = Vec::new();
        worker
            .kill_when("entries are pending", async || {
                // A round trip first: what it had sent to the last moment has been carried out then.
                self.stream.unfinished().await;
                left = self.stream.pending_of(&name).await;
                !left.is_empty()
            })
            .await;
        println!("{name} was killed with {} entries pending: {left:?}", left.len());
        left
    }

    pub(crate) async fn reclaimed(&self) -> u64 {
        let mut reclaimed = 0;
        for (_, worker) in &self.workers {
            reclaimed += worker.metric("nezuko_updates_reclaimed_total").await;
        }
        reclaimed
    }

    /// Everything has been finished, nothing given up, and everybody ends well.
    pub(crate) async fn end(self) {
        eventually("the stream is empty", async || self.stream.unfinished().await == 0).await;
        assert_eq!(self.stream.dead_letters().await, 0);
        assert_eq!(self.stream.quarantined().await, 0);
        for program in self.gateways.into_iter().chain(self.workers.into_iter().map(|(_, worker)| worker)) {
            program.stop().await;
        }
    }
}

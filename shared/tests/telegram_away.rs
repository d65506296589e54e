//! What of Telegram's answers opens the breaker, and what does not.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use frankenstein::{AsyncTelegramApi, response::MethodResponse};
use nezuko_shared::{
    bot_api::BotApi,
    config::{Role, Settings},
    conformance::bot_api_server::{BotApiServer, Manner},
    telemetry::metrics::Metrics,
};
use nezuko_telegram::{BotId, CallError, Client, ErrorClass, TransportError};

const BOT: BotId = BotId(42);
const CALL_TIMEOUT: Duration = Duration::from_millis(300);
/// So many failures in a row open it.
const FAILURES: usize = 5;

struct Telegram {
    server: BotApiServer,
    /// Two clients of one bot.
    clients: [Client; 2],
    metrics: Metrics,
}

impl Telegram {
    async fn start(manner: Manner) -> Self {
        let server = BotApiServer::start(manner).await;
        let settings = Settings::from_vars(Role::Alone, |name| match name {
            "BOT_TOKEN" => Some("42:abcdefghijklmnopqrstuvwxyz".to_owned()),
            "TELEGRAM_API_URL" => Some(server.url()),
            _ => None,
        });
        let (api, metrics) = (BotApi::new(&settings.unwrap()), Metrics::new(BOT, "abc"));
        api.show_in(&metrics);
        let client = || api.client(BOT, CALL_TIMEOUT).unwrap();
        Self { server, clients: [client(), client()], metrics }
    }

    async fn call(&self) -> Result<(), CallError> {
        let answer: Result<MethodResponse<bool>, _> = self.clients[0].request("deleteMessage", None::<()>).await;
        answer.map(drop)
    }

    fn state(&self) -> Option<u8> {
        let page = self.metrics.encode();
        let gauge = r#"nezuko_breaker_state{bot_id="42",dependency="telegram"} "#;
        page.lines().find_map(|line| line.strip_prefix(gauge)?.parse().ok())
    }

    /// Calls, those whose time was taken, and those that failed.
    fn counted(&self) -> [usize; 3] {
        let page = self.metrics.encode();
        ["bot_api_calls_total", "nezuko_api_call_duration_seconds_count", "bot_api_errors_total"].map(|name| {
            let of_method = format!("{name}{{bot_id=\"42\",method=\"deleteMessage\"");
            let samples = page.lines().filter(|line| line.starts_with(&of_method));
            samples.filter_map(|line| line.rsplit_once(' ')?.1.parse::<usize>().ok()).sum()
        })
    }
}

#[tokio::test]
async fn errors_of_the_server_and_silence_open_it_and_the_next_answer_closes_it() {
    for manner in [Manner::Page(502), Manner::Page(503), Manner::Refuses(500), Manner::Hangs] {
        let telegram = Telegram::start(manner).await;
        assert_eq!(telegram.state(), Some(0));
        for _ in 0..FAILURES {
            assert!(!telegram.clients[1].is_held_back(), "{manner:?}");
            let class = telegram.call().await.unwrap_err().class();
            assert!(!matches!(class, ErrorClass::Input), "{manner:?}: {class:?}");
        }
        assert_eq!((telegram.state(), telegram.clients[1].is_held_back()), (Some(1), true), "{manner:?}");
        let began = Instant::now();
        assert_eq!(telegram.call().await, Err(CallError::Transport(TransportError::NotSent)));
        assert!(began.elapsed() < Duration::from_millis(50), "{:?}", began.elapsed());
        assert_eq!(telegram.server.calls().len(), FAILURES);
        assert_eq!(telegram.counted(), [FAILURES; 3], "what was refused was no call");

        telegram.server.set(Manner::Works);
        telegram.clients[1].ready().await;
        telegram.call().await.unwrap();
        assert_eq!(telegram.counted(), [FAILURES + 1, FAILURES + 1, FAILURES]);
        assert_eq!((telegram.state(), telegram.clients[1].is_held_back()), (Some(0), false), "{manner:?}");
    }
}

#[tokio::test]
async fn refusals_and_floods_leave_it_closed() {
    for manner in [400, 401, 403, 404, 409, 413, 429].map(Manner::Refuses).into_iter().chain([Manner::Page(404)]) {
        let telegram = Telegram::start(manner).await;
        for _ in 0..3 * FAILURES {
            assert!(!matches!(telegram.call().await.unwrap_err(), CallError::Transport(_)), "{manner:?}");
        }
        assert_eq!(telegram.state(), Some(0), "{manner:?}");
        assert_eq!(telegram.server.calls().len(), 3 * FAILURES);
    }
}

#[tokio::test]
async fn a_flood_does_not_close_it_either() {
    let telegram = Telegram::start(Manner::Page(502)).await;
    for _ in 0..FAILURES {
        telegram.call().await.unwrap_err();
    }
    telegram.server.set(Manner::Refuses(429));
    telegram.clients[0].ready().await;
    assert!(matches!(telegram.call().await.unwrap_err().class(), ErrorClass::RetryAfter(_)));
    assert_eq!(telegram.state(), Some(2));
    telegram.server.set(Manner::Works);
    telegram.call().await.unwrap();
    assert_eq!(telegram.state(), Some(0));
}

#[tokio::test]
async fn a_server_that_is_not_there_opens_it() {
    let telegram = Telegram::start(Manner::Works).await;
    let Telegram { server, clients, metrics: _ } = telegram;
    drop(server);
    let call = async || {
        let answer: Result<MethodResponse<bool>, _> = clients[0].request("deleteMessage", None::<()>).await;
        answer.map(drop)
    };
    let deadline = Instant::now() + Duration::from_secs(10);
    while !clients[0].is_held_back() {
        drop(call().await);
        assert!(Instant::now() < deadline, "never opened");
    }
    assert_eq!(call().await, Err(CallError::Transport(TransportError::NotSent)));
}

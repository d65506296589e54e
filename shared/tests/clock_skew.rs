//! The clock of this machine beside the one that Telegram's answers show.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, SystemTime};

use axum::{Router, http::header, response::IntoResponse};
use frankenstein::{AsyncTelegramApi, response::MethodResponse};
use nezuko_shared::{
    bot_api::BotApi,
    config::{Role, Settings},
    telemetry::metrics::Metrics,
};
use nezuko_telegram::{BotId, CallError};
use tokio::net::TcpListener;

const HOUR: Duration = Duration::from_hours(1);
const LIMIT: Duration = Duration::from_secs(10);

/// A Bot API whose answers have this `Date`.
async fn telegram_at(date: Option<SystemTime>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = move || async move {
        let date = date.map(|date| [(header::DATE, httpdate::fmt_http_date(date))]);
        (date, r#"{"ok":true,"result":true}"#).into_response()
    };
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    url
}

/// How far the clock is off after one call.
async fn skew(url: String) -> (Option<f64>, String) {
    let settings = Settings::from_vars(Role::Alone, |name| match name {
        "BOT_TOKEN" => Some("42:abcdefghijklmnopqrstuvwxyz".to_owned()),
        "TELEGRAM_API_URL" => Some(url.clone()),
        _ => None,
    });
    let (api, metrics) = (BotApi::new(&settings.unwrap()), Metrics::new(BotId(42), "abc"));
    api.show_in(&metrics);
    let client = api.client(BotId(42), LIMIT).unwrap();
    let called: Result<MethodResponse<bool>, CallError> = client.request("getMe", None::<()>).await;
    assert!(called.unwrap().result);
    (api.clock_skew(), metrics.encode())
}

#[tokio::test]
async fn the_date_of_an_answer_shows_how_far_the_clock_is_off() {
    let now = SystemTime::now();
    let (ahead, page) = skew(telegram_at(Some(now - HOUR)).await).await;
    let ahead = ahead.unwrap();
    assert!((3_598.0..3_660.0).contains(&ahead), "{ahead}");
    assert!(page.contains(&format!("nezuko_clock_skew_seconds{{bot_id=\"0\"}} {ahead}\n")), "{page}");

    let (behind, _) = skew(telegram_at(Some(now + HOUR)).await).await;
    assert!((-3_601.0..-3_500.0).contains(&behind.unwrap()), "{behind:?}");

    let (right, _) = skew(telegram_at(None).await).await;
    assert_eq!(right, Some(0.0), "where nothing else is said, the server tells its own time");
}

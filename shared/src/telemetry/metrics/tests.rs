//! The names are a promise, and the document is made from what a process shows.

use std::time::Duration;

use super::*;
use crate::{
    breaker::State,
    limiter::{Budget, Paused, Urgency},
    queue::Backlog,
};

fn touched() -> Metrics {
    touched_in(Role::Alone)
}

fn of(role: Role) -> Metrics {
    Metrics::of_program(Program { name: "test", role, revision: "abc" }, BotId(42))
}

/// Whatever can be counted, as a program of this kind shows it.
fn touched_in(role: Role) -> Metrics {
    let metrics = of(role);
    let moment = Duration::from_millis(3);
    metrics.webhook_answered(WebhookOutcome::Stored, moment);
    metrics.webhook_doubt(Doubt::MemoryShort);
    metrics.set_backlog(Backlog { unread: 7, pending: u64::MAX });
    metrics.update_ended("message", UpdateOutcome::Acquitted);
    metrics.webhook_registration(RegistrationOutcome::Registered);
    metrics.set_webhook_state(12, Some(1_800_000_000));
    metrics.poll(PollOutcome::Empty);
    metrics.of(BotId(43)).mute();
    metrics.duplicate_update();
    metrics.updates_reclaimed(2);
    metrics.group_lost();
    metrics.outage();
    metrics.dead_letter("handler");
    metrics.set_intents_waiting("member", 5);
    metrics.set_intents_open(IntentState::Later, 6);
    metrics.mute();
    metrics.release();
    metrics.messages_deleted(100);
    metrics.prompt(PromptAction::Edited);
    metrics.join_request(JoinRequestAction::Granted);
    metrics.press("freed");
    metrics.reply();
    metrics.verification("verified");
    metrics.join_to_mute(moment);
    metrics.press_to_answer(moment);
    metrics.api_call("sendMessage", moment);
    metrics.press_to_free(moment);
    metrics.set_intents_oldest_age("member", moment);
    metrics.intent_retry("member");
    metrics.set_suspended_groups(3);
    metrics.set_stream_oldest_age(moment);
    metrics.batch(3);
    metrics.of_nobody().set_db_connections(Connections::InUse, 4);
    metrics.api_error("sendMessage", "rate_limited");
    metrics.limiter_grant(Budget::Message, Urgency::Urgent);
    metrics.limiter_denial(Budget::Answer, Urgency::Bulk);
    metrics.limiter_late(Budget::Message);
    metrics.limiter_pause(Paused::Bot);
    metrics.rate_limit_delay(Budget::Message, Urgency::Urgent, moment);
    metrics.cache_hits(3);
    metrics.cache_misses(4);
    metrics.query("batch", moment);
    metrics.set_redis_connected(true);
    metrics.set_db_connected(false);
    metrics.breaker(Dependency::Telegram, State::HalfOpen);
    metrics.of_nobody().set_clock_skew(-2.5);
    metrics.of_nobody().breaker_refused(Dependency::Redis, 3);
    metrics.clone().mute();
    metrics.telemetry_dropped(Exporter::Traces).inc();
    metrics.verification_latency(moment);
    metrics.rate_limit_delays();
    metrics.cache(CacheOperation::Remember, moment);
    metrics.error(Trouble::Queue);
    std::mem::forget(metrics.asking_for_leave());
    drop(metrics.asking_for_leave());
    metrics
}

/// The names are a promise to dashboards and alerts; whoever changes one has to change it here, too.
#[test]
fn every_metric_is_shown_under_its_promised_name() {
    let page = touched().encode();
    for line in [
        r#"nezuko_webhook_requests_total{bot_id="42",outcome="stored"} 1"#,
        r#"nezuko_webhook_requests_total{bot_id="42",outcome="too_large"} 0"#,
        r#"nezuko_webhook_unavailable_total{bot_id="42",reason="memory_short"} 1"#,
        r#"nezuko_webhook_unavailable_total{bot_id="42",reason="backlog_full"} 0"#,
        r#"nezuko_webhook_duration_seconds_bucket{le="0.005",bot_id="42"} 1"#,
        r#"nezuko_webhook_duration_seconds_bucket{le="0.0025",bot_id="42"} 0"#,
        r#"nezuko_webhook_registrations_total{bot_id="42",outcome="registered"} 1"#,
        r#"nezuko_webhook_pending_updates{bot_id="42"} 12"#,
        r#"nezuko_webhook_last_error_timestamp_seconds{bot_id="42"} 1800000000"#,
        r#"nezuko_polls_total{bot_id="42",outcome="empty"} 1"#,
        r#"nezuko_queue_unread{bot_id="42"} 7"#,
        r#"nezuko_queue_pending{bot_id="42"} 9223372036854775807"#,
        r#"nezuko_updates_total{bot_id="42",kind="message",outcome="acquitted"} 1"#,
        r#"bot_duplicate_updates_total{bot_id="42"} 1"#,
        r#"nezuko_updates_reclaimed_total{bot_id="42"} 2"#,
        r#"nezuko_outages_total{bot_id="42"} 1"#,
        r#"nezuko_dead_letters_total{bot_id="42",reason="handler"} 1"#,
        r#"nezuko_intents_waiting{bot_id="42",kind="member"} 5"#,
        r#"nezuko_intents_open{bot_id="42",state="later"} 6"#,
        r#"nezuko_mutes_total{bot_id="42"} 2"#,
        r#"nezuko_mutes_total{bot_id="43"} 1"#,
        r#"nezuko_releases_total{bot_id="42"} 1"#,
        r#"nezuko_messages_deleted_total{bot_id="42"} 100"#,
        r#"nezuko_prompts_total{bot_id="42",action="edited"} 1"#,
        r#"nezuko_prompts_total{bot_id="42",action="sent"} 0"#,
        r#"nezuko_join_requests_total{bot_id="42",action="granted"} 1"#,
        r#"nezuko_presses_total{bot_id="42",outcome="freed"} 1"#,
        r#"nezuko_replies_total{bot_id="42"} 1"#,
        r#"bot_verifications_total{bot_id="42",status="verified"} 1"#,
        r#"nezuko_join_to_mute_seconds_count{bot_id="42"} 1"#,
        r#"nezuko_press_to_answer_seconds_count{bot_id="42"} 1"#,
        r#"bot_api_calls_total{bot_id="42",method="sendMessage"} 1"#,
        r#"bot_api_errors_total{bot_id="42",method="sendMessage",error_type="rate_limited"} 1"#,
        r#"nezuko_limiter_grants_total{bot_id="42",budget="message",urgency="urgent"} 1"#,
        r#"nezuko_limiter_denials_total{bot_id="42",budget="answer",urgency="bulk"} 1"#,
        r#"nezuko_limiter_late_grants_total{bot_id="42",budget="message"} 1"#,
        r#"nezuko_limiter_pauses_total{bot_id="42",of="bot"} 1"#,
        r#"bot_rate_limit_delay_seconds_count{bot_id="42",budget="message",urgency="urgent"} 1"#,
        r#"nezuko_press_to_free_seconds_count{bot_id="42"} 1"#,
        r#"nezuko_api_call_duration_seconds_count{bot_id="42",method="sendMessage"} 1"#,
        r#"nezuko_intents_oldest_age_seconds{bot_id="42",kind="member"} 0.003"#,
        r#"nezuko_intent_retries_total{bot_id="42",kind="member"} 1"#,
        r#"nezuko_suspended_groups{bot_id="42"} 3"#,
        r#"nezuko_stream_oldest_age_seconds{bot_id="42"} 0.003"#,
        r#"nezuko_batch_entries_bucket{le="4.0",bot_id="42"} 1"#,
        r#"nezuko_db_connections{bot_id="0",state="in_use"} 4"#,
        r#"bot_cache_hits_total{bot_id="42"} 3"#,
        r#"bot_cache_misses_total{bot_id="42"} 4"#,
        r#"db_query_duration_seconds_count{bot_id="42",query_type="batch"} 1"#,
        r#"bot_redis_connected{bot_id="42"} 1"#,
        r#"bot_db_connected{bot_id="42"} 0"#,
        r#"nezuko_breaker_state{bot_id="42",dependency="telegram"} 2"#,
        r#"nezuko_breaker_refusals_total{bot_id="0",dependency="redis"} 3"#,
        r#"nezuko_clock_skew_seconds{bot_id="0"} -2.5"#,
        r#"nezuko_queue_groups_lost_total{bot_id="42"} 1"#,
        r#"bot_verification_latency_seconds_count{bot_id="42"} 1"#,
        r#"bot_rate_limit_delays_total{bot_id="42"} 1"#,
        r#"bot_rate_limit_queue_size{bot_id="42"} 1"#,
        r#"bot_cache_operation_seconds_count{bot_id="42",operation="remember"} 1"#,
        r#"bot_errors_total{bot_id="42",error_type="queue"} 1"#,
        r#"bot_errors_total{bot_id="42",error_type="telegram"} 0"#,
        r#"nezuko_telemetry_dropped_total{bot_id="0",exporter="traces"} 1"#,
        concat!(r#"nezuko_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#"",revision="abc"} 1"#),
    ] {
        assert!(page.lines().any(|shown| shown == line), "no line {line} in\n{page}");
    }
    let series = |name: &str| page.lines().filter(|line| line.starts_with(name)).count();
    assert_eq!(
        series("nezuko_limiter_grants_total{bot_id=\"42\""),
        10,
        "a budget is counted under one of the listed labels"
    );
    assert_eq!(series("nezuko_limiter_denials_total{bot_id=\"42\""), 10);
    assert_eq!(series("# TYPE nezuko_mutes counter"), 1, "each name is described once");
    assert!(page.contains(r#"bot_start_time_seconds{bot_id="42"} "#), "{page}");
    assert!(page.ends_with("# EOF\n"));
}

#[test]
fn the_plain_page_has_the_same_samples_and_describes_each_under_its_own_name() {
    // Times of the start are equal on pages of the same metrics.
    let metrics = touched();
    let (open, plain) = (metrics.encode(), metrics.encode_plain());
    let samples =
        |page: &str| page.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(samples(&plain), samples(&open));
    let described = |page: &str, what: &str| page.lines().filter(|line| line.starts_with(what)).count();
    assert_eq!(described(&plain, "# HELP "), described(&open, "# HELP "));
    assert_eq!(described(&plain, "# "), 2 * described(&plain, "# HELP "), "meaning and kind, and nothing else");
    for kind in [
        "# TYPE nezuko_build_info gauge",
        "# TYPE nezuko_mutes_total counter",
        "# TYPE nezuko_queue_unread gauge",
        "# TYPE nezuko_join_to_mute_seconds histogram",
    ] {
        assert!(plain.lines().any(|line| line == kind), "no {kind} in\n{plain}");
    }
}

#[test]
fn a_program_shows_nothing_of_another_s_work() {
    for (role, others, own) in [
        (
            Role::Gateway,
            ["nezuko_mutes_total", "bot_errors_total", "nezuko_polls_total"],
            "nezuko_webhook_requests_total",
        ),
        (
            Role::Worker,
            ["nezuko_webhook_requests_total", "nezuko_webhook_duration_seconds", "nezuko_polls_total"],
            "nezuko_mutes_total",
        ),
    ] {
        let (fresh, touched) = (of(role).encode(), touched_in(role).encode());
        assert!(fresh.contains(&format!("{own}{{bot_id=\"42\"")), "{role:?}:\n{fresh}");
        for other in others {
            assert!(!fresh.contains(other) && !touched.contains(other), "{other} in {role:?}");
        }
    }
}

/// `docs/metrics.md`, from what a process shows.
fn page() -> String {
    let shown = touched().encode_plain();
    let fleet = [(Role::Gateway, "gateway"), (Role::Worker, "worker")];
    let fleet = fleet.map(|(role, name)| (touched_in(role).encode_plain(), name));
    let mut page = String::from(
        "# Metrics\n\n\
         <!-- Made from shared/src/telemetry/metrics by `make docs`; a test compares the two. -->\n\n\
         At `/metrics` of the operations port, in the OpenMetrics format for whoever takes it, as Prometheus does, else in\n\
         Prometheus' text format. All but the build's carry `bot_id` (0 for requests for no bot that runs there, and for what\n\
         all bots share); no chat or person is ever a label. Histograms are in seconds where their\n\
         names say so. The one-process program shows what gateways and workers do, but for `bot_redis_connected`; what\n\
         it alone shows is of neither.\n\n\
         | name | kind | further labels | of | meaning |\n|---|---|---|---|---|\n",
    );
    for help in shown.lines().filter_map(|line| line.strip_prefix("# HELP ")) {
        let (name, meaning) = help.split_once(' ').unwrap_or((help, ""));
        let kind = shown.lines().find_map(|line| line.strip_prefix(&format!("# TYPE {name} "))).unwrap_or_default();
        let series = shown.lines().find(|line| line.starts_with(name) && line.contains('{')).unwrap_or_default();
        let labels = series.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or("", |(inside, _)| inside);
        let labels: Vec<_> = labels
            .split(',')
            .filter_map(|label| label.split_once('=').map(|(name, _)| name))
            .filter(|label| !matches!(*label, "bot_id" | "le"))
            .map(|label| format!("`{label}`"))
            .collect();
        let (labels, meaning) = (labels.join(" "), meaning.trim_end_matches('.'));
        let of: Vec<_> = fleet.iter().filter(|(shown, _)| shown.contains(&format!("# HELP {name} "))).collect();
        let of = of.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(" ");
        page += &format!("| `{name}` | {kind} | {labels} | {of} | {meaning} |\n");
    }
    page
}

#[test]
fn documents_match_the_metrics() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
    if std::env::var_os("REWRITE_DOCS").is_some() {
        assert!(std::fs::write(path, page()).is_ok(), "{path} cannot be written");
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(found == page(), "docs/metrics.md is out of date: run `make docs`");
}

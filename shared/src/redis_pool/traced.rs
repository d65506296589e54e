//! Spans of calls, by <https://opentelemetry.io/docs/specs/semconv/db/redis/>: parts of what is being done, where that is
//! recorded. They name commands and scripts, and no key.

use redis::{Arg, Cmd, ErrorKind, RedisError, RedisResult};

use crate::telemetry::trace::{KeyValue, Span, SpanKind};

/// Sending this command.
pub(crate) fn command(command: &Cmd) -> Span {
    Span::part(SpanKind::Client, || {
        let operation = match command.args_iter().next() {
            Some(Arg::Simple(name)) => String::from_utf8_lossy(name).into_owned(),
            _ => String::new(),
        };
        (operation.clone().into(), vec![system(), KeyValue::new(OPERATION, operation)])
    })
}

/// Running the script of this name.
pub(super) fn script(name: &'static str) -> Span {
    Span::part(SpanKind::Client, || {
        let about =
            vec![system(), KeyValue::new(OPERATION, "EVALSHA"), KeyValue::new("db.stored_procedure.name", name)];
        (format!("EVALSHA {name}").into(), about)
    })
}

/// Makes a call in its span.
pub(super) async fn within<T>(span: Span, call: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    let answer = span.clone().around(call).await;
    if let Err(error) = &answer {
        if let Some(code) = error.code() {
            span.note("db.response.status_code", code.to_owned());
        }
        span.fail(class(error));
    }
    answer
}

fn class(error: &RedisError) -> &'static str {
    match error.kind() {
        ErrorKind::Server(_) | ErrorKind::Extension => "refused",
        _ if error.is_timeout() => "timeout",
        _ => "no answer",
    }
}

const OPERATION: &str = "db.operation.name";

fn system() -> KeyValue {
    KeyValue::new("db.system.name", "redis")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use redis::Value;

    use super::*;
    use crate::telemetry::trace::recorded;

    #[tokio::test]
    async fn a_call_is_a_part_of_what_asks_and_says_why_it_failed_and_no_key() {
        let whole = recorded::sampled();
        let refused = || redis::parse_redis_value(b"-OOM command not allowed\r\n").unwrap().extract_error();
        let late = RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
        let asking = Span::following(&whole, [], SpanKind::Consumer, || ("asking".into(), Vec::new()));
        asking
            .around(async {
                within(script("grant"), async { Ok(()) }).await.unwrap();
                within(command(redis::cmd("MGET").arg("a:key")), async { refused() }).await.unwrap_err();
                within(command(redis::cmd("XADD").arg("a:key")), async { Err::<Value, _>(late) }).await.unwrap_err();
            })
            .await;
        within(command(&redis::cmd("PING")), async { Ok(()) }).await.unwrap();

        let spans = recorded::spans(&whole);
        let [granted, refused, late, asking] = spans.as_slice() else { panic!("{spans:?}") };
        let operation = |name: &'static str| [system(), KeyValue::new(OPERATION, name)].to_vec();
        let failed = |class: &'static str| KeyValue::new("error.type", class);
        assert_eq!(granted.name, "EVALSHA grant");
        let script = KeyValue::new("db.stored_procedure.name", "grant");
        assert_eq!(granted.attributes, [operation("EVALSHA"), vec![script]].concat());
        assert_eq!(refused.name, "MGET");
        let code = KeyValue::new("db.response.status_code", "OOM");
        assert_eq!(refused.attributes, [operation("MGET"), vec![code, failed("refused")]].concat());
        assert_eq!(late.attributes, [operation("XADD"), vec![failed("timeout")]].concat());
        assert!(spans[..3].iter().all(|part| part.parent_span_id == asking.span_context.span_id()));
        assert!(spans[..3].iter().all(|part| part.span_kind == SpanKind::Client));
    }
}

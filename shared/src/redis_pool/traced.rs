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

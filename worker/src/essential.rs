//! Tasks without which a worker is only in the way: it would look alive, hold its entries and do nothing.

use nezuko_shared::telemetry;

/// Runs a task whose panic ends the process, so that whoever watches over it starts it anew and others take over its work.
pub(crate) async fn essential(name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
    if let Err(error) = tokio::spawn(task).await
        && error.is_panic()
    {
        tracing::error!(task = name, "an essential task has panicked, the process ends");
        telemetry::end();
        std::process::exit(EXIT_SOFTWARE);
    }
}

/// `EX_SOFTWARE` of sysexits.h: an internal error.
const EXIT_SOFTWARE: i32 = 70;

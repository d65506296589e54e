//! The way out: the first signal asks the process to finish what it has in hand, the second one ends it at once.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that is cancelled at the first SIGTERM or SIGINT. A second signal ends the process with 128 plus its number
/// (143 or 130), as a shell would report it.
///
/// # Errors
/// Where the signals cannot be listened to.
pub fn on_signal() -> io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = CancellationToken::new();
    let asked = token.clone();
    tokio::spawn(async move {
        let first = either(&mut terminate, &mut interrupt).await;
        tracing::info!(signal = first.as_raw_value(), "asked to stop, finishing what is in hand");
        asked.cancel();
        let second = either(&mut terminate, &mut interrupt).await;
        tracing::warn!(signal = second.as_raw_value(), "asked to stop again, ending at once");
        std::process::exit(128 + second.as_raw_value());
    });
    Ok(token)
}

/// Cancellation safe: a signal is only consumed by the branch that completes.
async fn either(terminate: &mut Signal, interrupt: &mut Signal) -> SignalKind {
    tokio::select! {
        _ = terminate.recv() => SignalKind::terminate(),
        _ = interrupt.recv() => SignalKind::interrupt(),
    }
}

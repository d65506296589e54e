//! Reads a body that may be too large, too slow or broken off.

use axum::body::{Body, HttpBody};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;

/// Twice Telegram's own maximum of 512 KiB (`TQueue::MAX_EVENT_LENGTH` of the Bot API server, 65536 × 8).
pub(crate) const MAX_BYTES: usize = 1024 * 1024;

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyError {
    TooLarge,
    BrokenOff,
}

/// Whether the sender has announced more than the limit (`Content-Length`).
pub(crate) fn announces_too_much(body: &Body) -> bool {
    body.size_hint().lower() > MAX_BYTES as u64
}

/// The whole body, never holding more than the limit and one frame. The common case, one frame, is not copied.
pub(crate) async fn read(mut body: Body) -> Result<Bytes, BodyError> {
    let mut whole = Bytes::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| BodyError::BrokenOff)?.into_data() else { continue };
        if whole.len() + data.len() > MAX_BYTES {
            return Err(BodyError::TooLarge);
        }
        whole = if whole.is_empty() { data } else { append(whole, &data) };
    }
    Ok(whole)
}

fn append(whole: Bytes, data: &[u8]) -> Bytes {
    // Gives the buffer back without a copy from the second frame on, where nobody else holds it.
    let mut buffer = whole.try_into_mut().unwrap_or_else(|shared| BytesMut::from(shared.as_ref()));
    buffer.extend_from_slice(data);
    buffer.freeze()
}

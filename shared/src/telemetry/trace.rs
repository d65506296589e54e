//! W3C trace context. Its trace id is the correlation id: the gateway makes it, the stream entry carries it, and every
//! log line about the update has it as `trace_id`.

/// Makes `traceparent` values (<https://www.w3.org/TR/trace-context/>, version 00).
#[derive(Debug)]
pub enum Traceparent {}

impl Traceparent {
    /// The start of a new trace: `00-<32 hex>-<16 hex>-01`, random and sampled.
    #[must_use]
    pub fn fresh() -> String {
        // The standard forbids ids of all zeros.
        let trace_id = rand::random::<u128>().max(1);
        let span_id = rand::random::<u64>().max(1);
        format!("00-{trace_id:032x}-{span_id:016x}-01")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::Traceparent;

    #[test]
    fn a_fresh_one_has_the_standard_form_and_is_not_seen_twice() {
        let value = Traceparent::fresh();
        let parts: Vec<_> = value.split('-').collect();
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [2, 32, 16, 2], "{value}");
        assert!(parts.iter().all(|part| u128::from_str_radix(part, 16).is_ok()), "{value}");
        assert_eq!((parts[0], parts[3]), ("00", "01"));
        assert_ne!(value, Traceparent::fresh());
    }
}

//! The labels that have a fixed set of values, so that each of their counters can begin at zero.

use std::fmt;

/// A label with a fixed set of values.
pub(super) trait Label {
    /// All of them.
    const VALUES: &'static [&'static str];
}

/// Makes a [`Label`]; `as_str` is the value of a variant.
macro_rules! label {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $value:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// The label's value.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $value,)+
                }
            }
        }

        impl Label for $name {
            const VALUES: &'static [&'static str] = &[$($value),+];
        }
    };
}

label! {
    /// How the gateway answered a webhook request.
    WebhookOutcome {
        /// 200: the update is in the queue.
        Stored = "stored",
        /// 200: no update; set aside with a reason.
        Quarantined = "quarantined",
        /// 401: secret missing or wrong.
        Unauthorized = "unauthorized",
        /// 404: no such bot or path.
        Unknown = "unknown",
        /// 405: not a POST.
        Method = "method",
        /// 413: over the limit.
        TooLarge = "too_large",
        /// 503: not stored for certain, Telegram is to come again.
        Unavailable = "unavailable",
    }
}

label! {
    /// Why an update was not taken, so that Telegram is to come again.
    Doubt {
        /// The process is stopping.
        ShuttingDown = "shutting_down",
        /// More waits than workers can be expected to catch up with.
        BacklogFull = "backlog_full",
        /// What is left of the queue's memory is for those who empty it.
        MemoryShort = "memory_short",
        /// The queue refused, or did not answer in time: it may or may not have the update.
        QueueUnavailable = "queue_unavailable",
        /// The body did not arrive whole in time.
        BodyIncomplete = "body_incomplete",
    }
}

label! {
    /// What asking Telegram for updates came to.
    PollOutcome {
        /// Updates came and are in the queue.
        Updates = "updates",
        /// None came while it waited.
        Empty = "empty",
        /// Telegram delivers to a webhook or to another poller.
        Conflict = "conflict",
        /// Telegram or the queue did not answer as it should.
        Failed = "failed",
    }
}

label! {
    /// What registering the webhook came to.
    RegistrationOutcome {
        /// Telegram took it.
        Registered = "registered",
        /// Telegram refused it or did not answer.
        Failed = "failed",
    }
}

label! {
    /// How a worker ended an update.
    UpdateOutcome {
        /// The cache knew that its sender may write there; nothing to do.
        Acquitted = "acquitted",
        /// A handler took it in and its transaction committed.
        Handled = "handled",
        /// Nothing in it concerns Nezuko.
        Ignored = "ignored",
        /// A handler failed; it is tried again.
        Failed = "failed",
        /// Given up after repeated failures.
        DeadLettered = "dead_lettered",
    }
}

label! {
    /// What happened to a group's prompt.
    PromptAction {
        /// A new message.
        Sent = "sent",
        /// The number of people in it changed.
        Edited = "edited",
        /// Nobody waits any longer.
        Removed = "removed",
    }
}

label! {
    /// What became of a request to be let into a group.
    JoinRequestAction {
        /// Granted by us.
        Granted = "granted",
        /// The person was told what to join first.
        Greeted = "greeted",
        /// The person cannot be told.
        Unreachable = "unreachable",
    }
}

label! {
    /// What an intent that is not done waits for.
    IntentState {
        /// A sender: its time has come.
        Due = "due",
        /// Telegram, or its turn: a sender has it in hand.
        Claimed = "claimed",
        /// Its time, or that of another try.
        Later = "later",
    }
}

label! {
    /// How somebody was removed who had waited for too long.
    Removal {
        /// They may come back at once.
        Kicked = "kicked",
        /// They are banned for a while.
        Banned = "banned",
    }
}

label! {
    /// A server whose calls a breaker guards.
    Dependency {
        /// Queue, cache and limiter of a fleet.
        Redis = "redis",
        /// The store of a fleet.
        Postgres = "postgresql",
        /// The Bot API, for each bot by itself.
        Telegram = "telegram",
    }
}

label! {
    /// What sends telemetry out of the process.
    Exporter {
        /// Traces to a collector.
        Traces = "traces",
        /// Errors to Sentry.
        Errors = "errors",
    }
}

label! {
    /// What connections to the database are counted.
    Connections {
        /// Lent to somebody.
        InUse = "in_use",
        /// Open, and lent to nobody.
        Idle = "idle",
        /// As many as there may be.
        Max = "max",
    }
}

impl fmt::Display for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

label! {
    /// What went wrong, for the earlier Nezuko's counter of everything that did.
    Trouble {
        /// An update could not be taken in.
        Update = "update",
        /// Code panicked.
        Panic = "panic",
        /// An intent could not be settled.
        Intent = "intent",
        /// The database did not do what it was asked.
        Database = "database",
        /// Nor did the queue.
        Queue = "queue",
        /// Nor the cache.
        Cache = "cache",
        /// Nor the limiter.
        Limiter = "limiter",
        /// Telegram did not answer, or not as it should.
        Telegram = "telegram",
    }
}

label! {
    /// What the cache was asked for.
    CacheOperation {
        /// Who is known to be free to write.
        Acquitted = "acquitted",
        /// To remember that somebody is.
        Remember = "remember",
        /// To remember what is enforced in a chat.
        RememberChat = "remember_chat",
    }
}

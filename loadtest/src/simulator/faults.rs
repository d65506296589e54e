//! Misfortunes of the Bot API, by command.

use std::time::Duration;

use crate::world::ChatId;

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The answer takes this long; the call is carried out first.
    Delay(Duration),
    /// A proxy answers with a page in HTML and this status; nothing is carried out.
    Page(u16),
    /// `500 Internal Server Error: restart` in JSON; nothing is carried out.
    Restart,
    /// 429 with this many seconds; nothing is carried out.
    Flood {
        /// Seconds.
        retry_after: u64,
    },
    /// `400 Bad Request:` and this; nothing is carried out.
    Refused(&'static str),
    /// The call is carried out, and the connection breaks before the answer.
    AnswerLost,
}

/// A misfortune and whom it meets.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Only calls of this method.
    pub method: Option<&'static str>,
    /// Only calls about this chat.
    pub chat: Option<ChatId>,
    /// Only every n-th of them; 0 and 1 mean each.
    pub every: u32,
    /// How many calls it meets before it is over.
    pub times: u32,
    /// What goes wrong.
    pub kind: FaultKind,
}

#[derive(Debug, Default)]
pub(super) struct Faults {
    active: Vec<(Fault, u32)>,
}

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        self.active.push((fault, 0));
    }

    /// The first fault that meets this call.
    pub(super) fn meet(&mut self, method: &str, chat: Option<ChatId>) -> Option<FaultKind> {
        let mut met = None;
        for (fault, seen) in &mut self.active {
            let fits = fault.method.is_none_or(|m| m.eq_ignore_ascii_case(method))
                && fault.chat.is_none_or(|c| Some(c) == chat);
            if fits {
                *seen += 1;
                if seen.is_multiple_of(fault.every.max(1)) && fault.times > 0 {
                    fault.times -= 1;
                    met = Some(fault.kind.clone());
                    break;
                }
            }
        }
        self.active.retain(|(fault, _)| fault.times > 0);
        met
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_meets_every_nth_fitting_call_until_it_is_spent() {
        let mut faults = Faults::default();
        let kind = FaultKind::Page(502);
        faults.add(Fault { method: Some("sendMessage"), chat: None, every: 2, times: 2, kind: kind.clone() });
        let met: Vec<_> = (0..6).map(|_| faults.meet("sendmessage", None)).collect();
        assert_eq!(met, [None, Some(kind.clone()), None, Some(kind), None, None]);
        assert_eq!(faults.meet("getMe", None), None);
    }
}

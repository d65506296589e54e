//! Requests to be let in: granted to who is in the channels, and to nobody else; who is not is told what to join (E23, E24).

use super::{Judge, due::Due, verdict::Kind};
use crate::world::{Act, ChatId, ChatKind, Happened, UserId};

/// One request.
struct Request {
    group: ChatId,
    user: UserId,
    asked_ms: i64,
    /// When it was answered, by whomever, and whether they came in.
    answered: Option<(i64, UserId, bool)>,
}

impl Judge<'_, '_> {
    pub(super) fn judge_requests(&mut self) {
        let requests = self.requests();
        let (mut granted, mut due, mut possible) = (0, 0, 0);
        for request in &requests {
            let Request { group, user, asked_ms, answered } = *request;
            let about = |judge: &Self, at, what: &str| judge.about(group, user, at, what);
            let terms = |at| self.record.terms_at(group, at);
            let is_answering = |at| terms(at).is_some_and(|terms| terms.answers_requests());
            if let Some((at, by, true)) = answered
                && by == self.record.bot()
            {
                granted += 1;
                let dues = self.dues_during(group, user, self.reasons_from(at), at);
                possible += 1;
                due += usize::from(dues.iter().all(|due| due.is_free()));
                if dues.iter().all(|due| *due == Due::Dry) {
                    self.verdict.find(Kind::ActedInDryRun, about(self, at, "let in"));
                } else if dues.iter().all(|due| !matches!(due, Due::Free | Due::Allowed | Due::Either))
                    && !self.may_come_in_meanwhile(group, user, at, &dues)
                    || terms(at).is_some_and(|terms| !terms.answers_requests())
                {
                    self.verdict.find(Kind::RequestGrantedWrongly, about(self, at, "let in"));
                }
                continue;
            }
            let until = answered.map_or(self.record.end_ms, |(at, ..)| at);
            let free_since = self.segments(group, user).iter().rfind(|segment| segment.from_ms <= until).copied();
            let free_since =
                free_since.filter(|last| matches!(last.due, Due::Free | Due::Allowed)).map(|last| last.from_ms);
            let may_admit = |at| self.record.member_at(group, self.record.bot(), at).rights().can_invite_users;
            if let Some(since) = free_since.map(|since| since.max(asked_ms))
                && self.settled(since) < until
                && is_answering(since)
                && is_answering(until)
                && may_admit(since)
                && may_admit(until)
            {
                (due, possible) = (due + 1, possible + 1);
                self.verdict.find(Kind::RequestNotGranted, about(self, since, "did not let in"));
            }
            let settled = self.settled(asked_ms);
            let lacking = self.dues_during(group, user, self.crossing_from(asked_ms), settled);
            if lacking.iter().all(|due| *due == Due::Restricted)
                && settled < until
                && is_answering(asked_ms)
                && may_admit(asked_ms)
                && !self.is_told(user, asked_ms, settled)
            {
                self.verdict.find(Kind::NotGreeted, about(self, asked_ms, "told nothing to"));
            }
        }
        if !requests.is_empty() {
            self.count("admissions", granted, due, possible);
        }
    }

    /// Whether the rule sleeps because the bot may not restrict, and they have joined: whoever asks is let in all the same.
    fn may_come_in_meanwhile(&self, group: ChatId, user: UserId, at_ms: i64, dues: &[Due]) -> bool {
        let mut required = self.record.required_during(group, at_ms, at_ms).into_iter();
        dues.contains(&Due::Suspended) && required.all(|channel| self.record.member_at(channel, user, at_ms).is_in())
    }

    fn requests(&self) -> Vec<Request> {
        let mut requests: Vec<Request> = Vec::new();
        for entry in self.record.world.history() {
            let at_ms = entry.at_ms;
            let mut answer = |chat: ChatId, whose: UserId, by: UserId, granted: bool| {
                let open = |request: &&mut Request| {
                    request.answered.is_none() && (request.group, request.user) == (chat, whose)
                };
                if let Some(request) = requests.iter_mut().find(open) {
                    request.answered = Some((at_ms, by, granted));
                }
            };
            match &entry.what {
                Happened::Changed { chat, user, by, old, new, .. } if new.is_in() && !old.is_in() => {
                    answer(*chat, *user, *by, true);
                }
                Happened::Acted { act: Act::AnswerRequest { admin, chat, user, granted: false }, refused: None } => {
                    answer(*chat, *user, *admin, false);
                }
                Happened::Acted { act: Act::AskToJoin { user, chat }, refused: None }
                    if self.record.world.chat(*chat).is_some_and(|chat| chat.spec.kind == ChatKind::Supergroup) =>
                {
                    requests.push(Request { group: *chat, user: *user, asked_ms: at_ms, answered: None });
                }
                _ => {}
            }
        }
        requests
    }

    /// Whether the bot wrote to somebody in private between two moments.
    fn is_told(&self, user: UserId, from_ms: i64, to_ms: i64) -> bool {
        let private = user.private_chat();
        let first = self.record.said.partition_point(|said| said.at_ms < from_ms);
        let soon = self.record.said[first..].iter().take_while(|said| said.at_ms <= to_ms);
        soon.into_iter().any(|said| said.chat == private && said.author == self.record.bot())
    }
}

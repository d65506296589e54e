//! The bot's own place in a chat: what follows where it changed, and what administrators are told about it (E43, E76, E77).
//! Pure.

use std::collections::BTreeSet;

use nezuko_telegram::{ChatId, Standing};

use crate::{
    facts::{ChatFacts, Right},
    intent::{About, Intent, Notice, Put},
    store::ChatView,
};

/// What follows where `facts` have become what they are, which were those of `view`: everybody whom it concerns is decided
/// again, and administrators are told once of what the bot has come to lack. What they were told is remembered in `facts`
/// until the right is back. `arrived_ms`: when the bot was added to the group, if this is about that, of which they hear
/// anyway (Unix milliseconds).
#[must_use]
pub fn changed(view: &ChatView, facts: &mut ChatFacts, chat: ChatId, arrived_ms: Option<i64>, now_ms: i64) -> Vec<Put> {
    let before = &view.chat.facts;
    let mut put = Vec::new();
    if (facts.watched(), facts.own()) != (before.watched(), before.own()) {
        put = view.redecide(chat, now_ms);
    }
    let tell = |group, about, since_ms| Put::urgent(Intent::Notice(Notice { group, about, since_ms }), now_ms);
    let lacking = lacking(facts, !view.required_by.is_empty());
    let is_news = |right: &Right| lacking.contains(right) && !facts.told.contains(right);
    if let Some(since_ms) = arrived_ms {
        put.push(tell(chat, About::Arrival, since_ms));
    } else if [Right::Restrict, Right::Delete, Right::Invite].iter().any(is_news) {
        put.push(tell(chat, About::Rights, now_ms));
    }
    if is_news(&Right::Administer) {
        put.extend(view.required_by.iter().map(|group| tell(*group, About::Rights, now_ms)));
    }
    facts.told = lacking;
    put
}

/// What the bot lacks in a chat, as far as its place there is known and a rule depends on it. From where it is out nobody
/// can be told anything.
fn lacking(facts: &ChatFacts, is_required: bool) -> BTreeSet<Right> {
    let Some((standing, rights)) = facts.own() else { return facts.told.clone() };
    let in_group = facts.is_protected() && standing.is_in();
    let lacks = [
        (Right::Restrict, in_group && !rights.can_restrict_members),
        (Right::Delete, in_group && !rights.can_delete_messages),
        (Right::Invite, in_group && leaves_requests(facts)),
        (Right::Administer, is_required && !standing.is_admin()),
    ];
    lacks.into_iter().filter(|(_, lacks)| *lacks).map(|(right, _)| right).collect()
}

/// What the bot lacks in a group that it protects or is to protect.
#[must_use]
pub fn missing_here(facts: &ChatFacts) -> Vec<Right> {
    let rights = facts.own().map(|(_, rights)| rights).unwrap_or_default();
    let needed = [(Right::Restrict, rights.can_restrict_members), (Right::Delete, rights.can_delete_messages)];
    needed.into_iter().filter(|(_, has)| !has).map(|(right, _)| right).collect()
}

/// Whether the bot is to answer requests to be let in and may not.
#[must_use]
pub fn leaves_requests(facts: &ChatFacts) -> bool {
    facts.settings.join_requests() && !facts.can_admit()
}

/// Whether the bot answers requests to be let in, and some were made.
#[must_use]
pub fn answers_requests(facts: &ChatFacts) -> bool {
    facts.is_asked && facts.is_protected() && facts.settings.join_requests() && facts.can_admit()
}

/// Whether requests to be let into a channel, which are to count in a group, do not reach the bot (E27).
#[must_use]
pub fn misses_requests(group: &ChatFacts, channel: &ChatFacts) -> bool {
    group.settings.pending_counts() && channel.own().is_some() && !channel.can_admit()
}

/// Whether the bot is known not to be an administrator of a channel that a group requires.
#[must_use]
pub fn is_blind(channel: &ChatFacts) -> bool {
    channel.own().is_some_and(|(standing, _)| !Standing::is_admin(standing))
}

#[cfg(test)]
mod tests {
    use nezuko_telegram::{Rights, UpdateId};

    use super::*;
    use crate::facts::{EventOrder, Setting};

    const GROUP: ChatId = ChatId(-1_001_000_000_001);
    const NEWS: ChatId = ChatId(-1_001_000_000_011);
    const MS: i64 = 1_700_000_000_000;
    const ALL: Rights = Rights {
        can_restrict_members: true,
        can_delete_messages: true,
        can_invite_users: true,
        can_change_info: true,
        is_anonymous: false,
    };

    /// A group under a rule, or a channel that it requires, in which the bot stands so since `nth` seconds.
    fn stands(facts: &ChatFacts, nth: i64, standing: Standing, rights: Rights) -> ChatFacts {
        let order = EventOrder { date: MS / 1000 + nth, update_id: UpdateId(nth) };
        ChatFacts { own_event: Some((order, standing, rights)), ..facts.clone() }
    }

    fn group() -> ChatFacts {
        let protected = Some(Setting { value: true, update_id: UpdateId(1), received_ms: MS });
        stands(&ChatFacts { protected, ..ChatFacts::default() }, 1, Standing::Admin, ALL)
    }

    fn view(facts: &ChatFacts, required_by: &[ChatId]) -> ChatView {
        let chat = crate::store::Chat { facts: facts.clone(), version: 1 };
        ChatView { chat, required_by: required_by.to_vec(), ..ChatView::default() }
    }

    /// What is told, after which the facts are these.
    fn told(before: &ChatFacts, mut after: ChatFacts, required_by: &[ChatId]) -> (Vec<(ChatId, About)>, ChatFacts) {
        let put = changed(
            &view(before, required_by),
            &mut after,
            if required_by.is_empty() { GROUP } else { NEWS },
            None,
            MS,
        );
        let notice = |put: Put| match put.intent {
            Intent::Notice(notice) => Some((notice.group, notice.about)),
            _ => None,
        };
        (put.into_iter().filter_map(notice).collect(), after)
    }

    #[test]
    fn e43_of_each_right_that_is_lost_administrators_hear_once_until_it_is_back() {
        let fewer = |nth, facts: &ChatFacts, restrict, delete| {
            let rights = Rights { can_restrict_members: restrict, can_delete_messages: delete, ..ALL };
            stands(facts, nth, Standing::Admin, rights)
        };
        let rights = vec![(GROUP, About::Rights)];
        let mut facts = group();
        for (nth, restrict, delete, expected) in [
            (2, false, true, rights.clone()),
            (3, false, true, vec![]),
            (4, false, false, rights.clone()),
            (5, true, false, vec![]),
            (6, false, false, rights),
            (7, true, true, vec![]),
        ] {
            let (heard, after) = told(&facts, fewer(nth, &facts, restrict, delete), &[]);
            assert_eq!(heard, expected, "step {nth}");
            facts = after;
        }
        assert!(facts.told.is_empty());
    }

    #[test]
    fn e35_every_group_that_requires_a_channel_hears_that_the_bot_is_blind_there() {
        let groups = [GROUP, ChatId(-1_001_000_000_002)];
        let channel = stands(&ChatFacts::default(), 1, Standing::Admin, ALL);
        for standing in [Standing::Inside, Standing::Outside, Standing::Banned] {
            let gone = stands(&channel, 2, standing, Rights::default());
            let (heard, facts) = told(&channel, gone, &groups);
            assert_eq!(heard, groups.map(|group| (group, About::Rights)), "{standing:?}");
            assert_eq!(told(&facts, stands(&facts, 3, standing, Rights::default()), &groups).0, []);
            assert!(is_blind(&facts) && !is_blind(&channel) && !is_blind(&ChatFacts::default()));
        }
    }

    #[test]
    fn e76_nobody_is_told_in_a_group_that_the_bot_is_out_of_or_where_no_rule_is() {
        let out = stands(&group(), 2, Standing::Banned, Rights::default());
        assert_eq!(told(&group(), out, &[]).0, []);
        let free = ChatFacts { protected: None, ..group() };
        assert_eq!(told(&free, stands(&free, 2, Standing::Inside, Rights::default()), &[]).0, []);
    }

    #[test]
    fn e76_who_adds_the_bot_hears_what_it_lacks_with_the_greeting_and_not_again() {
        let mut back = stands(&group(), 2, Standing::Inside, Rights::default());
        let put = changed(&view(&group(), &[]), &mut back, GROUP, Some(MS - 5), MS);
        let notice = Intent::Notice(Notice { group: GROUP, about: About::Arrival, since_ms: MS - 5 });
        assert_eq!(put, [Put::urgent(notice, MS)]);
        assert_eq!(told(&back, stands(&back, 3, Standing::Inside, Rights::default()), &[]).0, []);
        assert_eq!(missing_here(&back), [Right::Restrict, Right::Delete]);
    }
}

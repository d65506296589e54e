//! The two things that the gateway has to know of an update: its number and whom it is about.
//!
//! One pass over the bytes, nothing allocated, nothing built. Everything else in them is only checked to be JSON, so that
//! kinds and fields that nobody knew when this was written pass untouched.

use std::fmt;

use nezuko_telegram::UpdateId;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

/// What the queue entry needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peek {
    pub(crate) update_id: UpdateId,
    /// The person, else the chat, else 0. Updates with one key are handled one after the other.
    pub(crate) routing_key: i64,
}

/// Why authenticated bytes are no update. The text goes into the quarantine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotAnUpdate {
    NotJson,
    NoUpdateId,
    BadUpdateId,
}

impl NotAnUpdate {
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::NotJson => "not JSON",
            Self::NoUpdateId => "no update_id",
            Self::BadUpdateId => "update_id is not a positive integer",
        }
    }
}

/// Looks into an update.
pub(crate) fn peek(body: &[u8]) -> Result<Peek, NotAnUpdate> {
    // serde_json skips over strings without looking whether they are UTF-8.
    let text = std::str::from_utf8(body).map_err(|_| NotAnUpdate::NotJson)?;
    let Tolerant(update) = serde_json::from_str::<Tolerant<Update>>(text).map_err(|_| NotAnUpdate::NotJson)?;
    match update.update_id {
        None => Err(NotAnUpdate::NoUpdateId),
        Some(Number(Some(id))) if id > 0 => Ok(Peek { update_id: UpdateId(id), routing_key: update.routing_key }),
        Some(_) => Err(NotAnUpdate::BadUpdateId),
    }
}

/// The whole body: `update_id` and one content under the name of its kind.
#[derive(Default)]
struct Update {
    update_id: Option<Number>,
    routing_key: i64,
}

/// A message, a press, a change of membership: every kind names its people and its chat in these fields.
#[derive(Default)]
struct Content {
    /// Of `chat_member` and `my_chat_member`: whose membership changed. Goes before `from`, who only changed it.
    member: Option<i64>,
    /// `from`, or `user` as reactions and poll answers have it.
    person: Option<i64>,
    chat: Option<i64>,
}

/// `new_chat_member` of a change of membership.
#[derive(Default)]
struct Member {
    user: Option<i64>,
}

/// A person or a chat.
#[derive(Default)]
struct Identified {
    id: Option<i64>,
}

/// An integer, or a value that is none.
#[derive(Clone, Copy, Default)]
struct Number(Option<i64>);

/// The fields that are looked at, wherever they stand.
enum Key {
    UpdateId,
    From,
    User,
    Chat,
    NewChatMember,
    Id,
    Other,
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;

        impl Visitor<'_> for KeyVisitor {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_str<E>(self, key: &str) -> Result<Key, E> {
                Ok(match key {
                    "update_id" => Key::UpdateId,
                    "from" => Key::From,
                    "user" => Key::User,
                    "chat" => Key::Chat,
                    "new_chat_member" => Key::NewChatMember,
                    "id" => Key::Id,
                    _ => Key::Other,
                })
            }
        }

        deserializer.deserialize_str(KeyVisitor)
    }
}

/// Something taken out of a JSON value: out of an object's fields, or of an integer. Any other value leaves it empty.
trait Take: Default {
    /// Reads the value of `key`, which must be consumed.
    fn field<'de, A: MapAccess<'de>>(&mut self, _key: &Key, map: &mut A) -> Result<(), A::Error> {
        map.next_value::<IgnoredAny>().map(drop)
    }

    fn integer(&mut self, _value: i64) {}
}

impl Take for Update {
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &Key, map: &mut A) -> Result<(), A::Error> {
        if let Key::UpdateId = key {
            self.update_id = Some(map.next_value::<Tolerant<Number>>()?.0);
            return Ok(());
        }
        let Tolerant(content) = map.next_value::<Tolerant<Content>>()?;
        if let Some(about) = content.member.or(content.person).or(content.chat) {
            self.routing_key = about;
        }
        Ok(())
    }
}

impl Take for Content {
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &Key, map: &mut A) -> Result<(), A::Error> {
        match key {
            Key::NewChatMember => self.member = map.next_value::<Tolerant<Member>>()?.0.user,
            Key::From | Key::User => self.person = map.next_value::<Tolerant<Identified>>()?.0.id,
            Key::Chat => self.chat = map.next_value::<Tolerant<Identified>>()?.0.id,
            Key::UpdateId | Key::Id | Key::Other => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }
}

impl Take for Member {
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &Key, map: &mut A) -> Result<(), A::Error> {
        match key {
            Key::User => self.user = map.next_value::<Tolerant<Identified>>()?.0.id,
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }
}

impl Take for Identified {
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &Key, map: &mut A) -> Result<(), A::Error> {
        match key {
            Key::Id => self.id = map.next_value::<Tolerant<Number>>()?.0.0,
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }
}

impl Take for Number {
    fn integer(&mut self, value: i64) {
        self.0 = Some(value);
    }
}

/// Takes a `T` out of whatever value stands there; only what is no JSON is an error.
struct Tolerant<T>(T);

impl<'de, T: Take> Deserialize<'de> for Tolerant<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TakeVisitor(T::default())).map(Self)
    }
}

struct TakeVisitor<T>(T);

impl<'de, T: Take> Visitor<'de> for TakeVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<T, A::Error> {
        while let Some(key) = map.next_key::<Key>()? {
            self.0.field(&key, &mut map)?;
        }
        Ok(self.0)
    }

    fn visit_i64<E>(mut self, value: i64) -> Result<T, E> {
        self.0.integer(value);
        Ok(self.0)
    }

    fn visit_u64<E>(mut self, value: u64) -> Result<T, E> {
        if let Ok(value) = i64::try_from(value) {
            self.0.integer(value);
        }
        Ok(self.0)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<T, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(self.0)
    }

    fn visit_f64<E>(self, _: f64) -> Result<T, E> {
        Ok(self.0)
    }

    fn visit_str<E>(self, _: &str) -> Result<T, E> {
        Ok(self.0)
    }

    fn visit_bool<E>(self, _: bool) -> Result<T, E> {
        Ok(self.0)
    }

    fn visit_unit<E>(self) -> Result<T, E> {
        Ok(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(content: &str) -> i64 {
        let body = format!("{{\"update_id\":7,\n{content}}}");
        let found = peek(body.as_bytes());
        assert_eq!(found.map(|peek| peek.update_id), Ok(UpdateId(7)), "{body}");
        found.map_or(0, |peek| peek.routing_key)
    }

    #[test]
    fn the_key_is_the_person_whom_it_is_about() {
        assert_eq!(key(r#""message":{"chat":{"id":-100},"message_id":1,"from":{"is_bot":false,"id":5}}"#), 5);
        assert_eq!(key(r#""callback_query":{"id":"9","from":{"id":5},"message":{"chat":{"id":-100}}}"#), 5);
        assert_eq!(key(r#""message_reaction":{"chat":{"id":-100},"user":{"id":5}}"#), 5);
        assert_eq!(key(r#""poll_answer":{"poll_id":"1","user":{"id":5}}"#), 5);
        assert_eq!(key(r#""chat_join_request":{"chat":{"id":-100},"from":{"id":5},"user_chat_id":5}"#), 5);
        assert_eq!(key(r#""kind_of_2031":{"from":{"id":5},"chat":{"id":-100}}"#), 5);
    }

    #[test]
    fn a_change_of_membership_is_about_the_member_whoever_made_it() {
        let change = r#"{"chat":{"id":-100},"from":{"id":1},"old_chat_member":{"user":{"id":5}},"new_chat_member":{"status":"left","user":{"id":5}}}"#;
        assert_eq!(key(&format!(r#""chat_member":{change}"#)), 5);
        assert_eq!(key(&format!(r#""my_chat_member":{change}"#)), 5);
        // The service message has a person under the same name, an old double of `new_chat_members`.
        assert_eq!(key(r#""message":{"chat":{"id":-100},"from":{"id":1},"new_chat_member":{"id":5}}"#), 1);
    }

    #[test]
    fn without_a_person_it_is_the_chat_and_without_a_chat_zero() {
        assert_eq!(key(r#""channel_post":{"chat":{"id":-100},"sender_chat":{"id":-100}}"#), -100);
        assert_eq!(key(r#""chat_boost":{"chat":{"id":-100}}"#), -100);
        assert_eq!(key(r#""poll":{"id":"1"}"#), 0);
        assert_eq!(peek(br#"{"update_id":7}"#), Ok(Peek { update_id: UpdateId(7), routing_key: 0 }));
    }

    #[test]
    fn odd_values_and_order_cost_nothing() {
        assert_eq!(key(r#""message":{"from":"someone","chat":{"id":-100}}"#), -100);
        assert_eq!(key(r#""message":{"from":{"id":"5"},"chat":{"id":1e3}}"#), 0);
        assert_eq!(key(r#""message":[1,{"from":{"id":5}}]"#), 0);
        assert_eq!(key(r#""message":null,"note":true,"deep":[[[{}]]],"number":-1.5"#), 0);
        assert_eq!(key(r#""message":{"fr\u006fm":{"id":5}}"#), 5);
        let last = peek(br#"{"message":{"from":{"id":5}},"update_id":8}"#);
        assert_eq!(last, Ok(Peek { update_id: UpdateId(8), routing_key: 5 }));
    }

    #[test]
    fn what_is_no_update_is_told_apart() {
        for body in [
            &b""[..],
            b"{",
            b"<html>",
            b"{\"update_id\":1",
            b"{\"update_id\":1}{",
            b"{\"update_id\":1,}",
            b"{\"update_id\":1,\"message\":{\"text\":\"\xff\"}}",
        ] {
            assert_eq!(peek(body), Err(NotAnUpdate::NotJson), "{body:?}");
        }
        for body in ["{}", "[]", "7", "null", "\"update_id\"", r#"{"message":{"update_id":7}}"#] {
            assert_eq!(peek(body.as_bytes()), Err(NotAnUpdate::NoUpdateId), "{body}");
        }
        for id in ["0", "-1", "1.0", "\"1\"", "null", "[1]", "9223372036854775808"] {
            let body = format!("{{\"update_id\":{id},\"message\":{{}}}}");
            assert_eq!(peek(body.as_bytes()), Err(NotAnUpdate::BadUpdateId), "{body}");
        }
    }
}

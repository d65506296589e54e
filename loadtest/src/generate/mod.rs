//! Scenarios: who is there and what they do, made from a seed; and plain streams of updates.

mod crowd;
mod day;
mod people;
mod stories;
mod stream;
mod varied;
mod week;

use std::io::{BufRead, Write};

use serde::{Deserialize, Serialize};

pub use self::{
    crowd::{BacklogPlan, LoudPlan, RaidPlan, backlog, loud, raid},
    day::{DayPlan, day, varied_day},
    stream::stream,
    week::{WeekPlan, week},
};
use crate::world::{Act, ChatSpec, Person, World};

/// An act and when it happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timed {
    /// Ms since the scenario's beginning, by its own clock.
    pub at_ms: i64,
    /// What happens.
    #[serde(flatten)]
    pub act: Act,
}

/// A run before it is played.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// The bot under test.
    pub bot: Person,
    /// Everybody else.
    pub people: Vec<Person>,
    /// Every chat but the private ones.
    pub chats: Vec<ChatSpec>,
    /// What people do, in order of time.
    pub acts: Vec<Timed>,
}

/// One line of a scenario's file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Bot(Person),
    Person(Person),
    Chat(ChatSpec),
    Act(Timed),
}

impl Scenario {
    /// The world before the first act.
    #[must_use]
    pub fn world(&self, now_ms: i64) -> World {
        let mut world = World::new(self.bot.clone());
        for person in &self.people {
            world.add_person(person.clone());
        }
        for chat in &self.chats {
            world.add_chat(now_ms, chat.clone());
        }
        world
    }

    /// Writes one JSON object a line.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write_to(&self, mut out: impl Write) -> anyhow::Result<()> {
        let people = self.people.iter().cloned().map(Line::Person);
        let chats = self.chats.iter().cloned().map(Line::Chat);
        let acts = self.acts.iter().cloned().map(Line::Act);
        for line in std::iter::once(Line::Bot(self.bot.clone())).chain(people).chain(chats).chain(acts) {
            serde_json::to_writer(&mut out, &line)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    }

    /// Reads what [`Self::write_to`] wrote.
    ///
    /// # Errors
    /// Where it cannot be read, a line is no part of a scenario, or none names the bot.
    pub fn read_from(input: impl BufRead) -> anyhow::Result<Self> {
        let (mut bot, mut people, mut chats, mut acts) = (None, Vec::new(), Vec::new(), Vec::new());
        for (number, line) in input.lines().enumerate() {
            let line = serde_json::from_str(&line?).map_err(|error| anyhow::anyhow!("line {}: {error}", number + 1))?;
            match line {
                Line::Bot(person) => bot = Some(person),
                Line::Person(person) => people.push(person),
                Line::Chat(chat) => chats.push(chat),
                Line::Act(act) => acts.push(act),
            }
        }
        let bot = bot.ok_or_else(|| anyhow::anyhow!("no line names the bot"))?;
        Ok(Self { bot, people, chats, acts })
    }
}

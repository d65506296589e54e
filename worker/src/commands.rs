//! The commands that there are: who may give each. `/help`, the menus of Telegram's applications and `docs/commands.md` are
//! made from this table; what each does in words stands in the catalogues of texts.

/// Who may give a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// Anybody, in a group or in private.
    Anybody,
    /// In a group, its administrators with the right to restrict members (E84).
    Admins,
}

/// A command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CommandSpec {
    /// Its word, without the slash.
    pub(crate) name: &'static str,
    /// Who may give it.
    pub(crate) who: Who,
    /// Whether something may follow the word, which the catalogues tell.
    pub(crate) takes_more: bool,
}

const fn command(name: &'static str, who: Who, takes_more: bool) -> CommandSpec {
    CommandSpec { name, who, takes_more }
}

/// All of them, in the order in which they are shown.
pub(crate) const COMMANDS: [CommandSpec; 16] = [
    command("start", Who::Anybody, false),
    command("help", Who::Anybody, false),
    command("verify", Who::Anybody, false),
    command("forget_me", Who::Anybody, false),
    command("protect", Who::Admins, true),
    command("unprotect", Who::Admins, true),
    command("channels", Who::Admins, false),
    command("status", Who::Admins, false),
    command("settings", Who::Admins, true),
    command("allow", Who::Admins, true),
    command("disallow", Who::Admins, true),
    command("recheck", Who::Admins, false),
    command("raid", Who::Admins, true),
    command("stats", Who::Admins, false),
    command("export", Who::Admins, false),
    command("import", Who::Admins, true),
];

/// The command of this name.
pub(crate) fn named(name: &str) -> Option<&'static CommandSpec> {
    COMMANDS.iter().find(|command| command.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{settings::Language, texts::Texts};

    #[test]
    fn a_command_is_found_by_its_name_and_named_once() {
        for command in &COMMANDS {
            assert_eq!(named(command.name), Some(command));
            assert!(command.name.len() <= 32 && command.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
        }
        assert_eq!(named("nothing"), None);
    }

    /// `docs/commands.md`.
    fn page() -> String {
        let mut page = String::from(
            "# Commands\n\n\
             <!-- Made from worker/src/commands.rs and worker/texts/en.ftl by `make docs`; a test compares the two. -->\n\n\
             *Anybody* gives commands in a group or in private; *administrators* are those of the group who have the right to\n\
             restrict members, looked up afresh each time. Who writes anonymously, in the group's name, is asked to press a\n\
             button as themselves. In a group where the bot may delete messages, a command and its answer go after a minute,\n\
             unless `clean_commands` is off; panels, statistics and exports stand for ten, and what tells how far a work is for an hour.\n\n\
             | command | who | what | usage |\n|---|---|---|---|\n",
        );
        let texts = Texts(Language::En);
        for command in &COMMANDS {
            let who = match command.who {
                Who::Anybody => "anybody",
                Who::Admins => "administrators",
            };
            let usage = if command.takes_more { texts.usage_of(command.name) } else { String::new() };
            let usage = ["<b>", "</b>", "<code>", "</code>"].iter().fold(usage, |usage, tag| usage.replace(tag, ""));
            let usage = usage.replace('|', "\\|");
            page += &format!("| `/{}` | {who} | {} | {usage} |\n", command.name, texts.about(command.name));
        }
        page += "\n## The log chat\n\n\
            `/settings log_chat @channel` has what is done in the group told there: who was muted, freed, let in or banned, and whose\n\
            messages were deleted, in one message at most every five seconds; deletions of one person's messages that follow each\n\
            other are one line. Under it are buttons for each person: *Free* lifts our mute until they leave, and leaves what an\n\
            administrator had imposed before, *Exempt* lets them write without having joined (as `/allow`), *Ban* bans them for\n\
            good. They work for a week, for administrators of the group, looked up afresh each time. A log chat that does not\n\
            let the bot write is told nothing more, and the group is told so once; setting it anew begins again. What could not\n\
            be told for a day is told no more, and names are kept only until they are told, for a day at most.\n";
        page + "\n## What `/forget_me` erases\n\n\
            What is known about the asker in every chat, the messages of theirs that wait for a decision, lifted entries of the\n\
            ledger and their links. Entries of the verification log and of the audit trail stay, without whom they were about\n\
            or who did it. Who brought the bot into a group is kept for their quota while the bot is in it. Kept is what is known\n\
            in groups where the bot mutes them now or waits for what came of a call, where an administrator has restricted them\n\
            or lifted a mute, and where they are allowed to write: without it a mute would stay for ever, or an administrator's\n\
            act would be undone. The number of transactions about a person is kept beside their id, and for a day how often they\n\
            have lately pressed or commanded.\n"
    }

    #[test]
    fn documents_match_the_commands() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/commands.md");
        if std::env::var_os("REWRITE_DOCS").is_some() {
            assert!(std::fs::write(path, page()).is_ok(), "{path} cannot be written");
        }
        let found = std::fs::read_to_string(path).unwrap_or_default();
        assert!(found == page(), "docs/commands.md is out of date: run `make docs`");
    }
}

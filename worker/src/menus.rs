//! The menus of commands in Telegram's applications: one for everybody, one for groups' administrators, in each language.

use frankenstein::{AsyncTelegramApi, response::MethodResponse};
use nezuko_telegram::{CallError, Client};
use serde::{Deserialize, Serialize};

use crate::{
    commands::{COMMANDS, Who},
    settings::Language,
    texts::Texts,
};

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    command: String,
    description: String,
}

/// Whose menu, and in which language; empty: in all others.
#[derive(Clone, Copy, Debug, Serialize)]
struct Menu {
    scope: Scope,
    language_code: &'static str,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Scope {
    Default,
    AllChatAdministrators,
}

#[derive(Debug, Serialize)]
struct SetMyCommands<'a> {
    commands: &'a [Entry],
    #[serde(flatten)]
    menu: Menu,
}

impl Scope {
    fn entries(self, texts: Texts) -> Vec<Entry> {
        let shown = COMMANDS
            .iter()
            .filter(|command| command.who == Who::Anybody || matches!(self, Self::AllChatAdministrators));
        let entry = |name: &str| Entry { command: name.to_owned(), description: texts.about(name) };
        shown.map(|command| entry(command.name)).collect()
    }
}

/// Has Telegram show the menus as they are to be. Those that are so are left alone. Dropping the future leaves some undone.
///
/// # Errors
/// Those of the calls; the next time does the rest.
pub(crate) async fn announce(api: &Client) -> Result<(), CallError> {
    for language in Language::ALL {
        let language_code = if language == Language::default() { "" } else { language.code() };
        for scope in [Scope::Default, Scope::AllChatAdministrators] {
            let menu = Menu { scope, language_code };
            let wanted = scope.entries(Texts(language));
            let shown: MethodResponse<Vec<Entry>> = api.request("getMyCommands", Some(menu)).await?;
            if shown.result != wanted {
                let set = SetMyCommands { commands: &wanted, menu };
                let _done: MethodResponse<bool> = api.request("setMyCommands", Some(set)).await?;
                tracing::info!(?scope, ?language, "menu of commands changed");
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_one_that_telegram_takes() {
        for texts in Language::ALL.map(Texts) {
            for Entry { command, description } in Scope::AllChatAdministrators.entries(texts) {
                assert!(description.chars().count() <= 256 && !description.is_empty(), "{command}");
            }
            let names: Vec<String> = Scope::Default.entries(texts).into_iter().map(|entry| entry.command).collect();
            assert_eq!(names, ["start", "help", "verify", "forget_me"]);
        }
    }
}

//! What judges Nezuko, and what it is judged against, share no code with it.
#![allow(clippy::unwrap_used)]

use std::{fs, path::Path};

fn sources(dir: &Path) -> Vec<(String, String)> {
    let mut sources = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources.extend(self::sources(&path));
        } else {
            sources.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
        }
    }
    sources
}

/// The first segment of every path in a source that is neither `std`, `serde`, this crate nor local.
fn foreign<'a>(source: &'a str, allowed: &[&str]) -> Vec<&'a str> {
    let crates =
        ["nezuko_worker", "nezuko_gateway", "nezuko_shared", "nezuko_telegram", "frankenstein", "nezuko_migrations"];
    let mut found: Vec<&str> = crates.into_iter().filter(|name| source.contains(name)).collect();
    for line in source.lines().filter_map(|line| line.trim().strip_prefix("use ")) {
        let first = line.split("::").next().unwrap();
        if !allowed.contains(&first.trim_end_matches([';', '{', ' '])) {
            found.push(line);
        }
    }
    for (at, _) in source.match_indices("crate::") {
        if !["world", "{"].iter().any(|module| source[at + "crate::".len()..].starts_with(module)) {
            found.push(&source[at..(at + 40).min(source.len())]);
        }
    }
    found
}

#[test]
fn the_oracle_knows_the_world_and_nothing_of_the_bot() {
    let sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/oracle"));
    assert!(sources.len() > 4, "the sources are there");
    for (path, source) in sources {
        let found = foreign(&source, &["std", "serde", "super", "self", "crate", "Due", "Refused"]);
        assert!(found.is_empty(), "{path}: {found:?}");
    }
}

#[test]
fn the_world_knows_nothing_but_itself() {
    for (path, source) in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/world")) {
        let found = foreign(&source, &["std", "serde", "serde_json", "super", "self", "Refused"]);
        assert!(found.is_empty(), "{path}: {found:?}");
    }
}

#[test]
fn an_import_of_the_bot_would_be_found() {
    assert!(!foreign("use nezuko_worker::policy;\n", &["std"]).is_empty());
    assert!(!foreign("let x = crate::drive::Run::new();\n", &["std"]).is_empty());
    assert!(!foreign("    use tokio::time;\n", &["std"]).is_empty());
    assert!(foreign("use std::fmt;\nuse crate::world::World;\n", &["std", "crate"]).is_empty());
}

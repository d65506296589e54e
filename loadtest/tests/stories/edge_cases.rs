//! Each row of docs/edge-cases.md has a test that exists, or says why it has none.

use std::{fs, path::Path};

/// Edge cases, and faults of the earlier Nezuko, are numbered without a gap.
const TABLES: [(&str, usize); 2] = [("E", 107), ("F", 15)];

struct Row {
    number: usize,
    tests: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn rows(letter: &str) -> Vec<Row> {
    let text = fs::read_to_string(root().join("docs/edge-cases.md")).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| ")?.strip_prefix(letter));
    let numbered = rows.filter(|row| row.starts_with(|c: char| c.is_ascii_digit()));
    numbered
        .map(|row| {
            let cells: Vec<&str> = row.trim_end_matches('|').split(" | ").map(str::trim).collect();
            let [number, _, tests] = cells[..] else { panic!("three cells: {row}") };
            Row { number: number.parse().unwrap(), tests: tests.to_owned() }
        })
        .collect()
}

fn source(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Whether `file::name` is a test, one of a macro's, or a story that is told.
fn is_test(test: &str) -> bool {
    let (file, name) = test.rsplit_once("::").unwrap_or_else(|| panic!("file::name: {test}"));
    let source = source(file);
    let Some((before, _)) = source.split_once(&format!("fn {name}(")) else {
        return source.contains(&format!("    {name}: "));
    };
    let above = before.rsplit('\n').skip(1).take_while(|line| line.trim_start().starts_with(['#', '/']));
    let is_marked =
        above.map(str::trim_start).any(|line| ["#[test]", "#[tokio::test"].iter().any(|a| line.starts_with(a)));
    is_marked || is_told(file, name)
}

fn is_told(file: &str, name: &str) -> bool {
    let chapter = file.strip_prefix("loadtest/tests/stories/").and_then(|file| file.strip_suffix(".rs"));
    chapter.is_some_and(|of| source("loadtest/tests/stories/told.rs").contains(&format!("        {of}::{name},\n")))
}

#[test]
fn every_case_and_fault_has_a_test_or_a_reason() {
    for (letter, count) in TABLES {
        let rows = rows(letter);
        let numbers: Vec<usize> = rows.iter().map(|row| row.number).collect();
        assert_eq!(numbers, (1..=count).collect::<Vec<_>>());
        for Row { number, tests } in rows {
            if tests.starts_with("No test: ") {
                continue;
            }
            let named: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
            let in_play = named.iter().any(|test| test.starts_with("loadtest/"));
            assert!(in_play, "{letter}{number} has neither a test with the real programs nor a reason");
            for test in named {
                assert!(is_test(test), "{letter}{number}: there is no test {test}");
            }
        }
    }
}

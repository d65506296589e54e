//! The text format of Prometheus, for whoever does not ask for OpenMetrics: `curl`, `promtool check metrics`, older agents.
//!
//! It differs in the descriptions alone. Here a family is called as its samples are, with the suffix; there is no kind `info`,
//! no unit and no end.

/// The same page as `open`, which is in the OpenMetrics text format.
pub(super) fn plain(open: &str) -> String {
    let mut page = String::with_capacity(open.len());
    let mut help = None;
    for line in open.lines() {
        if let Some(described) = line.strip_prefix("# HELP ") {
            help = described.split_once(' ');
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|typed| typed.split_once(' ')) {
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                _ => ("", kind),
            };
            if let Some((_, meaning)) = help.take() {
                page += &format!("# HELP {name}{suffix} {meaning}\n");
            }
            page += &format!("# TYPE {name}{suffix} {kind}\n");
        } else if !line.starts_with('#') {
            page += line;
            page.push('\n');
        }
    }
    page
}

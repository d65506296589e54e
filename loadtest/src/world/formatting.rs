//! Telegram's HTML for messages: enough of it to refuse what Telegram refuses.

/// The tags that Bot API 10 knows.
const TAGS: [&str; 17] = [
    "b",
    "strong",
    "i",
    "em",
    "u",
    "ins",
    "s",
    "strike",
    "del",
    "span",
    "tg-spoiler",
    "a",
    "code",
    "pre",
    "blockquote",
    "tg-emoji",
    "tg-time",
];

/// The text without its markup.
///
/// # Errors
/// What the Bot API says after `can't parse entities: `.
pub fn plain_text(html: &str) -> Result<String, String> {
    let mut text = String::with_capacity(html.len());
    let mut open: Vec<&str> = Vec::new();
    let mut at = 0;
    while let Some(next) = html[at..].find(['<', '&']) {
        let start = at + next;
        text.push_str(&html[at..start]);
        at = if html.as_bytes()[start] == b'&' {
            let (character, length) = entity(&html[start..]);
            text.push(character);
            start + length
        } else {
            tag(html, start, &mut open)?
        };
    }
    text.push_str(&html[at..]);
    match open.last() {
        Some(tag) => Err(format!("Can't find end tag corresponding to start tag \"{tag}\"")),
        None => Ok(text),
    }
}

/// Reads the tag that begins at `start` and returns where it ends.
fn tag<'a>(html: &'a str, start: usize, open: &mut Vec<&'a str>) -> Result<usize, String> {
    let rest = &html[start + 1..];
    let (closing, rest) = rest.strip_prefix('/').map_or((false, rest), |rest| (true, rest));
    let name_length = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).unwrap_or(rest.len());
    let name = &rest[..name_length];
    let Some(end) = rest.find('>') else {
        let kind = if closing { "end" } else { "start" };
        return Err(format!("Unclosed {kind} tag at byte offset {start}"));
    };
    let after = html.len() - rest.len() + end + 1;
    if closing {
        return match open.pop() {
            None => Err(format!("Unexpected end tag at byte offset {start}")),
            Some(expected) if !name.is_empty() && !name.eq_ignore_ascii_case(expected) => Err(format!(
                "Unmatched end tag at byte offset {start}, expected \"</{expected}>\", found \"</{name}>\""
            )),
            Some(_) => Ok(after),
        };
    }
    if !TAGS.iter().any(|tag| tag.eq_ignore_ascii_case(name)) {
        return Err(format!("Unsupported start tag \"{name}\" at byte offset {start}"));
    }
    if name.eq_ignore_ascii_case("span") && !rest[..end].contains("tg-spoiler") {
        return Err(format!("Tag \"span\" must have class \"tg-spoiler\" at byte offset {start}"));
    }
    open.push(name);
    Ok(after)
}

/// The character that an `&…;` stands for and its length; a bare `&` stands for itself.
fn entity(text: &str) -> (char, usize) {
    for (name, character) in [("&lt;", '<'), ("&gt;", '>'), ("&amp;", '&'), ("&quot;", '"')] {
        if text.starts_with(name) {
            return (character, name.len());
        }
    }
    let number = text.strip_prefix("&#").and_then(|rest| rest.split_once(';')).map(|(number, _)| number);
    let code = number.and_then(|number| match number.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => number.parse().ok(),
    });
    match (number, code.and_then(char::from_u32)) {
        (Some(number), Some(character)) => (character, number.len() + "&#;".len()),
        _ => ('&', 1),
    }
}

#[cfg(test)]
mod tests {
    use super::plain_text;

    #[test]
    fn markup_falls_away_and_entities_become_characters() {
        assert_eq!(
            plain_text("<b>Hi</b> <a href=\"tg://user?id=1\">&lt;Ann &amp; Bob&gt;</a> &#65;&#x42; & c").as_deref(),
            Ok("Hi <Ann & Bob> AB & c")
        );
    }

    #[test]
    fn what_telegram_refuses_is_refused() {
        for (html, error) in [
            ("<b>x", "Can't find end tag corresponding to start tag \"b\""),
            ("x</b>", "Unexpected end tag at byte offset 1"),
            ("<b><i>x</b></i>", "Unmatched end tag at byte offset 7, expected \"</i>\", found \"</b>\""),
            ("<h1>x</h1>", "Unsupported start tag \"h1\" at byte offset 0"),
            ("1 < 2", "Unclosed start tag at byte offset 2"),
            ("<span>x</span>", "Tag \"span\" must have class \"tg-spoiler\" at byte offset 0"),
        ] {
            assert_eq!(plain_text(html), Err(error.to_owned()), "{html}");
        }
    }
}

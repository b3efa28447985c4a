//! The front matter of a model card, as far as it is taken over: keys with a short text or a list of short texts.

/// The lines of a card between the two `---` at its beginning.
pub(super) fn front_matter(card: &str) -> Vec<&str> {
    let mut lines = card.lines();
    if lines.next() != Some("---") {
        return Vec::new();
    }
    let front: Vec<&str> = lines.clone().take_while(|line| *line != "---").collect();
    if lines.any(|line| line == "---") {
        front
    } else {
        Vec::new()
    }
}

/// The value of a key of the front matter, if it is one short text on the key's line.
pub(super) fn scalar<'a>(front: &[&'a str], key: &str) -> Option<&'a str> {
    let mut values = front
        .iter()
        .filter_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let value = values.next()?.trim();
    is_plain(value).then_some(value)
}

/// Whether a text means itself in YAML and in every program that reads cards.
fn is_plain(value: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || " ./_-+:".contains(c);
    value.starts_with(|c: char| c.is_ascii_alphanumeric())
        && value.chars().all(plain)
        && !value.contains(": ")
}

/// The lines of a key whose value is one short text or a list of them, `key: text`, `key: [a, b]` or `- a` in lines of
/// their own; none if the value is something else.
pub(super) fn block(front: &[&str], key: &str) -> Vec<String> {
    if let Some(value) = scalar(front, key) {
        return vec![format!("{key}: {value}")];
    }
    let begins = |line: &&str| {
        line.strip_prefix(key)
            .is_some_and(|rest| rest.starts_with(':'))
    };
    let Some(start) = front.iter().position(begins) else {
        return Vec::new();
    };
    let inline = front[start][key.len() + 1..].trim();
    let items: Vec<&str> = if inline.is_empty() {
        let rest = front[start + 1..].iter().map(|line| line.trim_start());
        rest.map_while(|line| line.strip_prefix("- ")).collect()
    } else {
        let list = inline.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
        list.map_or_else(Vec::new, |list| list.split(',').collect())
    };
    // Quoted texts are written without their quotes, which plain ones do not need.
    let item = |text: &&str| {
        let text = text.trim().trim_matches(['"', '\'']);
        is_plain(text).then(|| format!("- {text}"))
    };
    let items: Option<Vec<String>> = items.iter().map(item).collect();
    match items {
        Some(items) if !items.is_empty() => [vec![format!("{key}:")], items].concat(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_are_read_from_the_front_matter_only() {
        let card = "---\nlicense: llama2\nlicense_link: https://a.b/c\nlanguage:\n- en\n---\nlicense: mit\n";
        let front = front_matter(card);
        assert_eq!(scalar(&front, "license"), Some("llama2"));
        assert_eq!(scalar(&front, "license_link"), Some("https://a.b/c"));
        assert_eq!(scalar(&front, "license_name"), None);
        assert_eq!(scalar(&front, "language"), None, "a list");
        assert_eq!(scalar(&["license: [a]"], "license"), None);
        assert!(front_matter("license: mit\n").is_empty());
        assert!(front_matter("---\nlicense: mit\n").is_empty(), "not closed");
    }

    #[test]
    fn lists_are_taken_over_in_one_form() {
        let card =
            "---\nlanguage:\n- en\n- de\ntags: [a-b, \"c d\"]\nx:\n  y: 1\nodd:\n- {a: b}\n---\n";
        let front = front_matter(card);
        assert_eq!(block(&front, "language"), ["language:", "- en", "- de"]);
        assert_eq!(block(&front, "tags"), ["tags:", "- a-b", "- c d"]);
        for key in ["x", "odd", "missing"] {
            assert!(block(&front, key).is_empty(), "{key}");
        }
        assert_eq!(block(&["language: en"], "language"), ["language: en"]);
    }
}

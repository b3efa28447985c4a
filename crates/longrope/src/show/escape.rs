//! Text that comes from files, made harmless for a terminal.

use std::borrow::Cow;
use std::fmt::Write;

/// The text with its control characters escaped as `\u{..}`, except line breaks and tabs.
///
/// A terminal takes them as commands: a tensor's name could clear the screen, or hide what comes after it. The characters
/// that turn the direction of writing are escaped as well, because they make a text look like another.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_command) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_command(c) {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "{}", c.escape_unicode());
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

/// As [`printable`], with line breaks and tabs escaped too.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    if !text.contains(['\n', '\t']) {
        return printable(text);
    }
    let escaped = printable(text).replace('\n', "\\n").replace('\t', "\\t");
    Cow::Owned(escaped)
}

/// The text with the line breaks inside of backticks escaped: they belong to a name, such as that of a file.
///
/// A line with an odd number of backticks opens a name, the next such line closes it.
pub(crate) fn join_names(text: &str) -> Cow<'_, str> {
    let is_odd = |line: &str| line.matches('`').count() % 2 == 1;
    if !text.contains('\n') || text.lines().filter(|line| is_odd(line)).count() < 2 {
        return Cow::Borrowed(text);
    }
    let mut joined = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some((line, after)) = rest.split_once('\n') {
        joined.push_str(line);
        // Only if another line closes the name.
        let is_inside =
            is_odd(joined.rsplit('\n').next().unwrap_or_default()) && after.lines().any(is_odd);
        joined.push_str(if is_inside { "\\n" } else { "\n" });
        rest = after;
    }
    joined.push_str(rest);
    Cow::Owned(joined)
}

fn is_command(c: char) -> bool {
    let turns_direction = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns_direction || (c.is_control() && c != '\n' && c != '\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_line_breaks_is_one_line() {
        assert_eq!(one_line("a\nb\tc\u{1b}"), "a\\nb\\tc\\u{1b}");
        assert_eq!(one_line("plain"), "plain");
        for (text, expected) in [
            ("no `a\nb` here", "no `a\\nb` here"),
            ("`a\n\nb` and\n`c`", "`a\\n\\nb` and\n`c`"),
            ("`a\nb` is `c\nd`\nnext", "`a\\nb` is `c\\nd`\nnext"),
            ("two\nlines", "two\nlines"),
            ("`a`\n`b`", "`a`\n`b`"),
            ("one ` only\nnext", "one ` only\nnext"),
        ] {
            assert_eq!(join_names(text), expected);
        }
    }

    #[test]
    fn control_characters_are_escaped_and_other_text_is_not() {
        for text in ["plain", "two\nlines\tand a tab", "Größe 7 µm, 漢字 😀"] {
            assert_eq!(printable(text), text);
        }
        for (text, expected) in [
            ("a\u{1b}[31mb", "a\\u{1b}[31mb"),
            ("\r\u{8}\u{7}\0\u{7f}", "\\u{d}\\u{8}\\u{7}\\u{0}\\u{7f}"),
            ("\u{9b}2J", "\\u{9b}2J"),
            ("\u{202e}txt.exe", "\\u{202e}txt.exe"),
        ] {
            assert_eq!(printable(text), expected);
        }
    }
}

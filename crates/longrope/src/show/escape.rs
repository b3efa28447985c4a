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

fn is_command(c: char) -> bool {
    let turns_direction = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns_direction || (c.is_control() && c != '\n' && c != '\t')
}

#[cfg(test)]
mod tests {
    use super::*;

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

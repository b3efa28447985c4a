//! Text that needles are hidden in.

use longrope_data::needle::FILLER;
use longrope_data::sha256_hex;

use crate::fit::{Fill, rounded};

/// A text that repeats without end, with a space between repetitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Haystack {
    text: String,
}

impl Haystack {
    /// Repeats `text`, with every run of white space replaced by one space. `None` if there is only white space.
    pub fn new(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split_whitespace().collect();
        (!words.is_empty()).then(|| Self::of(&words.join(" ")))
    }

    /// The sentences of the passkey test, [`FILLER`], for use without a text of one's own.
    pub fn filler() -> Self {
        Self::of(FILLER)
    }

    /// SHA-256 of the text, in hexadecimal.
    pub fn fingerprint(&self) -> String {
        sha256_hex(&[self.text.as_bytes()])
    }

    /// Repeats a text that has words.
    pub(crate) fn of(text: &str) -> Self {
        Self {
            text: format!("{text} "),
        }
    }

    /// The same text, beginning after the last sentence that ends at or before a relative place from 0 to 1.
    #[must_use]
    pub(crate) fn starting_at(&self, place: f64) -> Self {
        let start = sentence_end(&self.text, place);
        let (before, after) = self.text.split_at(start);
        let parts = [after.trim(), before.trim()];
        Self::of(parts.join(" ").trim())
    }

    /// The first `n_bytes` of the repeated text, or up to three fewer so that no character is cut.
    pub fn head(&self, n_bytes: usize) -> String {
        let mut head = self.text.repeat(n_bytes / self.text.len());
        let rest = n_bytes - head.len();
        head.push_str(&self.text[..self.text.floor_char_boundary(rest)]);
        head
    }

    /// A stretch of the text, with `needles` inserted at relative depths, each after the end of a sentence at or before
    /// its depth.
    ///
    /// The stretch has `fill.bytes` bytes and begins at `fill.moved`. A depth of 0 is its beginning and 1 its end.
    /// Needles at the same place keep their order.
    pub(crate) fn with_needles(&self, fill: Fill, needles: &[(f64, &str)]) -> String {
        let head = self.head(fill.bytes + fill.moved);
        let hay = &head[head.ceil_char_boundary(fill.moved.min(head.len()))..];
        let mut places: Vec<(usize, &str)> = needles
            .iter()
            .map(|(depth, needle)| (sentence_end(hay, *depth), *needle))
            .collect();
        places.sort_by_key(|(place, _)| *place);
        let mut text = String::with_capacity(hay.len() + 256);
        let mut done = 0;
        for (place, needle) in places {
            push_apart(&mut text, &hay[done..place]);
            push_apart(&mut text, needle);
            done = place;
        }
        push_apart(&mut text, &hay[done..]);
        text
    }
}

/// Appends a part, with a space before it unless there is white space already.
fn push_apart(text: &mut String, part: &str) {
    let is_apart = text.is_empty()
        || part.is_empty()
        || text.ends_with(char::is_whitespace)
        || part.starts_with(char::is_whitespace);
    if !is_apart {
        text.push(' ');
    }
    text.push_str(part);
}

/// The end of the last sentence that ends at or before a relative depth.
fn sentence_end(hay: &str, depth: f64) -> usize {
    if depth >= 1.0 {
        return hay.len();
    }
    let limit = hay.floor_char_boundary(rounded(depth * hay.len() as f64));
    let bytes = hay.as_bytes();
    let is_end = |i: usize| {
        let is_mark = matches!(bytes[i - 1], b'.' | b'!' | b'?');
        is_mark && bytes.get(i).is_none_or(u8::is_ascii_whitespace)
    };
    (1..=limit).rev().find(|i| is_end(*i)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_repeats_and_cuts_no_character() {
        let hay = Haystack::new(" ab é. ").unwrap(); // "ab é. ", 7 bytes
        assert_eq!(hay.head(0), "");
        assert_eq!(hay.head(4), "ab ", "é has two bytes");
        assert_eq!(hay.head(9), "ab é. ab");
        assert!(Haystack::new("  \n").is_none());
    }

    #[test]
    fn it_can_begin_at_any_sentence() {
        let hay = Haystack::new("One two. Three four. Five six.").unwrap();
        assert_eq!(hay.starting_at(0.0), hay);
        let later = hay.starting_at(0.5);
        assert_eq!(later.head(31), "Three four. Five six. One two. ");
    }

    #[test]
    fn needles_go_behind_sentences() {
        let hay = Haystack::new("One two. Three four. Five six.").unwrap();
        let n = "One two. Three four. Five six.".len();
        let fill = |bytes, moved| Fill { bytes, moved };
        let with = |depth| hay.with_needles(fill(n, 0), &[(depth, "NEEDLE.")]);
        assert_eq!(with(0.0), "NEEDLE. One two. Three four. Five six.");
        assert_eq!(with(0.5), "One two. NEEDLE. Three four. Five six.");
        assert_eq!(with(0.9), "One two. Three four. NEEDLE. Five six.");
        assert_eq!(with(1.0), "One two. Three four. Five six. NEEDLE.");
        assert_eq!(
            hay.with_needles(fill(n, 0), &[(1.0, "B."), (0.3, "A.")]),
            "One two. A. Three four. Five six. B."
        );
        assert_eq!(
            hay.with_needles(fill(17, 2), &[(0.5, "A.")]),
            "e two. A. Three four"
        );
    }
}

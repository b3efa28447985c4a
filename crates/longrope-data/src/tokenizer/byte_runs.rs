//! Characters that a vocabulary writes as bytes, such as `é` as `<0xC3>` and `<0xA9>`.
//!
//! If one byte of a run of such tokens belongs to no character, the decoder of the `tokenizers` library makes
//! replacement characters of the whole run. So the last token of a text that ends within a character would change all
//! before it.

use tokenizers::DecoderWrapper;

/// Whether the decoder makes characters of tokens such as `<0xC3>`.
pub(super) fn joins_bytes(decoder: &DecoderWrapper) -> bool {
    match decoder {
        DecoderWrapper::ByteFallback(_) => true,
        DecoderWrapper::Sequence(sequence) => sequence.get_decoders().iter().any(joins_bytes),
        _ => false,
    }
}

/// Tokens whose bytes are all of characters: the replacement character stands for those that are of none. The others
/// stay as they are.
pub(super) fn with_whole_characters(tokens: Vec<String>) -> Vec<String> {
    let mut whole = Vec::with_capacity(tokens.len());
    let mut run = Vec::new();
    for token in tokens {
        if let Some(byte) = byte_of(&token) {
            run.push(byte);
        } else {
            end_run(&mut run, &mut whole);
            whole.push(token);
        }
    }
    end_run(&mut run, &mut whole);
    whole
}

fn end_run(run: &mut Vec<u8>, tokens: &mut Vec<String>) {
    let written = |byte: u8| format!("<0x{byte:02X}>");
    tokens.extend(String::from_utf8_lossy(run).bytes().map(written));
    run.clear();
}

fn byte_of(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    let byte = u8::from_str_radix(digits, 16).ok()?;
    (digits.len() == 2).then_some(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(tokens: &[&str]) -> Vec<String> {
        with_whole_characters(tokens.iter().copied().map(String::from).collect())
    }

    #[test]
    fn only_bytes_of_no_character_are_replaced() {
        let replacement = ["<0xEF>", "<0xBF>", "<0xBD>"];
        for whole in [
            ["a", "<0xC3>", "<0xA9>", "b", "<0x0A>"],
            ["<0xC3>", "<0xA9>", "<0x41>", "<0xC3>", "<0xA9>"],
            ["<0x>", "<0xC3", "<0x0C3>", "0xC3", ""],
        ] {
            assert_eq!(replaced(&whole), whole);
        }
        let [one, two, three] = replacement;
        assert_eq!(
            replaced(&["<0xC3>", "<0xA9>", "<0xC3>"]),
            ["<0xC3>", "<0xA9>", one, two, three]
        );
        // The parts of a character that are not adjoining are two, and two bytes of one character are one.
        assert_eq!(
            replaced(&["<0xC3>", "a", "<0xA9>"]),
            [one, two, three, "a", one, two, three]
        );
        assert_eq!(replaced(&["<0xE6>", "<0x9D>"]), replacement);
    }
}

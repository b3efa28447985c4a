//! A generated text that is printed while it grows.

use anyhow::Result;
use longrope_data::Tokenizer;

/// Writes generated text to stdout.
pub(super) type Print = fn(&str) -> Result<()>;

/// A text that continues a prompt, as far as it was printed.
pub(super) struct GrowingText<'a> {
    tokenizer: &'a Tokenizer,
    prompt: &'a [u32],
    shown: String,
    print: Print,
}

impl<'a> GrowingText<'a> {
    /// A text of which nothing was printed yet.
    pub(super) fn new(tokenizer: &'a Tokenizer, prompt: &'a [u32], print: Print) -> Self {
        Self {
            tokenizer,
            prompt,
            shown: String::new(),
            print,
        }
    }

    /// Prints what `tokens` add to the text printed so far. An incomplete character decodes to the replacement
    /// character and is not printed yet; [`Tokenizer::decode_continuation`] changes nothing before it later.
    pub(super) fn show(&mut self, tokens: &[u32]) -> Result<()> {
        let text = self.tokenizer.decode_continuation(self.prompt, tokens)?;
        self.add(text.trim_end_matches('\u{fffd}'))
    }

    /// Prints what the whole text has beside the text printed so far: a character that stayed incomplete.
    pub(super) fn end(&mut self, text: &str) -> Result<()> {
        self.add(text)
    }

    fn add(&mut self, text: &str) -> Result<()> {
        if let Some(new) = text.strip_prefix(self.shown.as_str())
            && !new.is_empty()
        {
            (self.print)(new)?;
            text.clone_into(&mut self.shown);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::path::Path;

    use serde_json::{Value, json};

    use super::*;

    thread_local! {
        static PRINTED: RefCell<String> = const { RefCell::new(String::new()) };
    }

    fn print(text: &str) -> Result<()> {
        anyhow::ensure!(!text.is_empty(), "nothing is printed");
        PRINTED.with_borrow_mut(|printed| printed.push_str(text));
        Ok(())
    }

    /// A tokenizer in the style of LLaMA 2, to which everything but spaces is bytes.
    fn byte_fallback(folder: &Path) -> Tokenizer {
        let bytes = (0..256).map(|byte| format!("<0x{byte:02X}>"));
        let tokens = ["<unk>".to_owned(), "▁".to_owned()]
            .into_iter()
            .chain(bytes);
        let vocab: serde_json::Map<String, Value> = tokens
            .zip(0..)
            .map(|(token, id)| (token, json!(id)))
            .collect();
        let json = json!({
            "version": "1.0",
            "added_tokens": [],
            "normalizer": { "type": "Sequence", "normalizers": [
                { "type": "Prepend", "prepend": "▁" },
                { "type": "Replace", "pattern": { "String": " " }, "content": "▁" }
            ]},
            "decoder": { "type": "Sequence", "decoders": [
                { "type": "Replace", "pattern": { "String": "▁" }, "content": " " },
                { "type": "ByteFallback" },
                { "type": "Fuse" },
                { "type": "Strip", "content": " ", "start": 1, "stop": 0 }
            ]},
            "model": {
                "type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true,
                "vocab": vocab, "merges": []
            }
        });
        let path = folder.join("tokenizer.json");
        fs_err::write(&path, json.to_string()).unwrap();
        Tokenizer::from_file(&path).unwrap()
    }

    #[test]
    fn all_of_a_text_is_printed_even_if_it_ends_within_a_character() {
        let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/tiny-llama-256");
        let folder = tempfile::tempdir().unwrap();
        for tokenizer in [
            Tokenizer::from_model_dir(&bundled).unwrap(),
            byte_fallback(folder.path()),
        ] {
            let prompt = tokenizer.encode_prompt("The key is").unwrap();
            let tokens = tokenizer.encode_continuation(" 48 é🦊").unwrap();
            let (_, tokens) = tokens.split_last().unwrap();
            let mut text = GrowingText::new(&tokenizer, &prompt, print);
            for n in 1..=tokens.len() {
                text.show(&tokens[..n]).unwrap();
            }
            assert_eq!(PRINTED.with_borrow(String::clone), " 48 é");
            let whole = tokenizer.decode_continuation(&prompt, tokens).unwrap();
            assert_eq!(whole, " 48 é\u{fffd}");
            text.end(&whole).unwrap();
            assert_eq!(PRINTED.take(), whole);
        }
    }
}

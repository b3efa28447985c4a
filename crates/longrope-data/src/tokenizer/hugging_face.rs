//! A tokenizer as Hugging Face saves it.

use std::fmt;
use std::path::{Path, PathBuf};

use super::add_bos::adds_bos;
use super::config::TokenizerConfig;
use super::split;
use crate::fence::{Panicked, fenced};
use crate::fingerprint::sha256_hex;
use crate::reading::{files, reader};
use crate::{Error, Result};

/// Texts longer than two of these are tokenized piece by piece if that provably gives the same ids: the `tokenizers`
/// library needs up to 160 bytes of memory per byte of text.
const PIECE_BYTES: usize = 1 << 16;
/// Bytes of the longest text that is tokenized in one piece, which may need 10 GiB of memory.
const MAX_WHOLE_BYTES: usize = 1 << 26;

/// A text with letters, digits, marks and white space, which is tokenized once to find damaged files early.
const PROBE: &str = "The 12 foxes,\n  naïve — ▁東京 🦊";

/// Turns text into token ids and back, exactly as the `tokenizer.json` says.
///
/// The `tokenizers` library panics on some damaged files, when they are loaded or when they are used. Such panics are
/// errors here.
#[derive(Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    path: PathBuf,
    fingerprint: String,
    /// The special tokens around a text; `None` if texts must not be cut.
    specials: Option<Specials>,
    adds_bos: bool,
    bos_id: Option<u32>,
}

#[derive(Clone)]
struct Specials {
    prefix: Vec<u32>,
    suffix: Vec<u32>,
}

impl Tokenizer {
    /// Reads a `tokenizer.json`.
    ///
    /// Truncation and padding in the file are leftovers of training and are switched off.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Read`], and [`Error::BadTokenizer`] for other files.
    pub fn from_file(path: &Path) -> Result<Self> {
        Self::from_bytes(&reader::read_bytes(path)?, path, None)
    }

    /// Reads the `tokenizer.json` of a model folder.
    ///
    /// # Errors
    /// [`Error::NoTokenizer`] if the folder has none; [`Error::NotJson`], [`Error::NotJsonObject`] and
    /// [`Error::TokenizerKey`] if `tokenizer_config.json` or `special_tokens_map.json` are there but damaged; otherwise
    /// as [`Tokenizer::from_file`].
    pub fn from_model_dir(folder: &Path) -> Result<Self> {
        fs_err::read_dir(folder).map_err(|source| files::read_error(folder, source))?;
        let path = folder.join("tokenizer.json");
        if !path.exists() {
            let has_sentencepiece = folder.join("tokenizer.model").exists();
            return Err(Error::NoTokenizer {
                folder: folder.to_path_buf(),
                has_sentencepiece,
            });
        }
        let config = TokenizerConfig::read(folder)?;
        Self::from_bytes(&reader::read_bytes(&path)?, &path, config.as_ref())
    }

    pub(crate) fn from_bytes(
        bytes: &[u8],
        path: &Path,
        config: Option<&TokenizerConfig>,
    ) -> Result<Self> {
        let bad_tokenizer = |source| Error::BadTokenizer {
            path: path.to_path_buf(),
            source,
        };
        let load = || {
            let mut inner = tokenizers::Tokenizer::from_bytes(bytes)?;
            inner.with_truncation(None)?;
            inner.with_padding(None);
            Ok(inner)
        };
        let inner = in_fence(load).map_err(bad_tokenizer)?;
        let mut tokenizer = Self {
            inner,
            path: path.to_path_buf(),
            fingerprint: sha256_hex(&[bytes]),
            specials: None,
            adds_bos: adds_bos(bytes, config),
            bos_id: None,
        };
        let bos_token = config.and_then(|config| config.bos_token.as_deref());
        tokenizer.bos_id = bos_token.and_then(|token| tokenizer.token_id(token));
        // A vocabulary may lack the words of the probe, but a panic shows that the file is damaged.
        if let Err(Error::Encode { source, .. }) = tokenizer.encode_whole(PROBE, true)
            && source.is::<Panicked>()
        {
            return Err(bad_tokenizer(source));
        }
        if split::is_splittable(bytes) {
            tokenizer.specials = tokenizer.probe_specials()?;
        }
        Ok(tokenizer)
    }

    /// The token ids of `text`; with `special`, also the tokens that the tokenizer puts around a text, such as `<s>`.
    ///
    /// Special tokens written out in the text become special tokens either way.
    ///
    /// # Errors
    /// [`Error::Encode`] if the text has no tokens in this vocabulary, [`Error::TextTooLong`] if it would need too much
    /// memory.
    pub fn encode(&self, text: &str, special: bool) -> Result<Vec<u32>> {
        self.encode_in_pieces(text, special, PIECE_BYTES)
    }

    /// The token ids of a text that will be continued: with the special tokens before a text, such as `<s>`, and
    /// without those after it.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_prompt(&self, text: &str) -> Result<Vec<u32>> {
        let mut tokens = self
            .probe_specials()?
            .map_or_else(Vec::new, |specials| specials.prefix);
        tokens.extend(self.encode(text, false)?);
        Ok(tokens)
    }

    /// The text of `tokens`, without special tokens.
    ///
    /// # Errors
    /// [`Error::Decode`] if the tokenizer's decoder refuses them.
    pub fn decode(&self, tokens: &[u32]) -> Result<String> {
        in_fence(|| self.inner.decode(tokens, true)).map_err(|source| Error::Decode {
            tokenizer: self.path.clone(),
            n_tokens: tokens.len(),
            source,
        })
    }

    /// Whether llama.cpp would begin every text with the beginning-of-text token: what its converter makes of
    /// `tokenizer_config.json` and of the post-processor in `tokenizer.json`.
    pub fn adds_bos(&self) -> bool {
        self.adds_bos
    }

    /// The id of `bos_token` in `tokenizer_config.json`.
    pub fn bos_id(&self) -> Option<u32> {
        self.bos_id
    }

    /// The number of tokens, added ones included. A model's embedding may have more rows.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The id of a token as it is written in the vocabulary, such as `<s>`.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// SHA-256 of the `tokenizer.json`, in hexadecimal.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    fn encode_in_pieces(&self, text: &str, special: bool, piece_bytes: usize) -> Result<Vec<u32>> {
        let Some(specials) = self
            .specials
            .as_ref()
            .filter(|_| text.len() > 2 * piece_bytes)
        else {
            return self.encode_whole(text, special);
        };
        let mut tokens = if special {
            specials.prefix.clone()
        } else {
            Vec::new()
        };
        for piece in split::pieces(text, piece_bytes) {
            tokens.extend(self.encode_whole(piece, false)?);
        }
        if special {
            tokens.extend(&specials.suffix);
        }
        Ok(tokens)
    }

    fn encode_whole(&self, text: &str, special: bool) -> Result<Vec<u32>> {
        if text.len() > MAX_WHOLE_BYTES {
            return Err(Error::TextTooLong {
                n_bytes: text.len(),
                limit: MAX_WHOLE_BYTES,
            });
        }
        // The fast variant only leaves out character offsets.
        let encoding = in_fence(|| self.inner.encode_fast(text, special));
        let encoding = encoding.map_err(|source| Error::Encode {
            tokenizer: self.path.clone(),
            n_bytes: text.len(),
            source,
        })?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Finds the special tokens before and after a text by encoding a short one.
    fn probe_specials(&self) -> Result<Option<Specials>> {
        let bare = self.encode_whole("a", false)?;
        let full = self.encode_whole("a", true)?;
        let start = (!bare.is_empty())
            .then(|| full.windows(bare.len()).position(|window| window == bare))
            .flatten();
        Ok(start.map(|start| Specials {
            prefix: full[..start].to_vec(),
            suffix: full[start + bare.len()..].to_vec(),
        }))
    }
}

/// Calls the tokenizer library, whose panics become errors.
pub(crate) fn in_fence<T>(call: impl FnOnce() -> tokenizers::Result<T>) -> tokenizers::Result<T> {
    fenced(call).unwrap_or_else(|panicked| Err(panicked.into()))
}

impl fmt::Debug for Tokenizer {
    // The whole vocabulary would fill the screen.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Tokenizer")
            .field("vocab_size", &self.vocab_size())
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::fixtures::{tokenizer, tokenizer_from, tokenizer_json};

    #[test]
    fn encodes_with_and_without_special_tokens() {
        let tokenizer = tokenizer();
        let [the, space_the, space_a] =
            ["the", "Ġthe", "Ġa"].map(|token| tokenizer.token_id(token).unwrap());
        assert_eq!(
            tokenizer.encode("the the a", false).unwrap(),
            [the, space_the, space_a]
        );
        assert_eq!(
            tokenizer.encode("the the a", true).unwrap(),
            [0, the, space_the, space_a]
        );
        assert_eq!(tokenizer.encode("", true).unwrap(), [0]);
        assert_eq!(tokenizer.vocab_size(), 261);
    }

    #[test]
    fn decode_turns_back_any_text() {
        let tokenizer = tokenizer();
        let text = "the  naïve\n\tFox — 東京 🦊";
        assert_eq!(
            tokenizer
                .decode(&tokenizer.encode(text, true).unwrap())
                .unwrap(),
            text
        );
    }

    #[test]
    fn truncation_and_padding_in_the_file_are_ignored() {
        let mut json = tokenizer_json();
        json["truncation"] = json!({
            "direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0
        });
        json["padding"] = json!({
            "strategy": { "Fixed": 8 }, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0,
            "pad_type_id": 0, "pad_token": "<s>"
        });
        assert_eq!(
            tokenizer_from(&json).encode("bcdefg", false).unwrap().len(),
            6
        );
        assert_eq!(tokenizer_from(&json).encode("bc", false).unwrap().len(), 2);
    }

    #[test]
    fn files_and_folders_that_do_not_fit_are_named() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(
            Tokenizer::from_model_dir(dir.path()),
            Err(Error::NoTokenizer {
                has_sentencepiece: false,
                ..
            })
        ));
        let path = dir.path().join("tokenizer.json");
        assert!(matches!(
            Tokenizer::from_file(&path),
            Err(Error::NotFound { .. })
        ));
        fs_err::write(&path, "{}").unwrap();
        assert!(matches!(
            Tokenizer::from_file(&path),
            Err(Error::BadTokenizer { .. })
        ));
        fs_err::write(&path, tokenizer_json().to_string()).unwrap();
        let from_dir = Tokenizer::from_model_dir(dir.path()).unwrap();
        assert_eq!(from_dir.fingerprint(), tokenizer().fingerprint());
        assert_eq!(from_dir.fingerprint().len(), 64);
    }

    #[test]
    fn the_suffix_of_the_template_comes_last_in_pieces_too() {
        let mut json = tokenizer_json();
        json["post_processor"]["single"]
            .as_array_mut()
            .unwrap()
            .push(json!({ "SpecialToken": { "id": "<s>", "type_id": 0 } }));
        let tokenizer = tokenizer_from(&json);
        let whole = tokenizer.encode_whole("one the a two", true).unwrap();
        assert_eq!(
            tokenizer
                .encode_in_pieces("one the a two", true, 2)
                .unwrap(),
            whole
        );
        assert_eq!((whole.first(), whole.last()), (Some(&0), Some(&0)));
        let prompt = tokenizer.encode_prompt("one the a two").unwrap();
        assert_eq!(prompt, whole[..whole.len() - 1], "to be continued");
    }

    #[test]
    fn panics_of_the_library_are_errors_that_name_the_file() {
        let damaged = |edit: &dyn Fn(&mut serde_json::Value)| {
            let mut json = tokenizer_json();
            edit(&mut json);
            json.to_string().into_bytes()
        };
        for (name, bytes) in [
            (
                "empty prepend",
                damaged(&|json| json["normalizer"] = json!({ "type": "Prepend", "prepend": "" })),
            ),
            (
                "short charsmap",
                damaged(&|json| {
                    json["normalizer"] =
                        json!({ "type": "Precompiled", "precompiled_charsmap": "AAAA" });
                }),
            ),
            (
                "wrong charsmap",
                damaged(&|json| {
                    json["normalizer"] =
                        json!({ "type": "Precompiled", "precompiled_charsmap": "/////w==" });
                }),
            ),
        ] {
            let loaded = Tokenizer::from_bytes(&bytes, Path::new("m/tokenizer.json"), None);
            let error = loaded.err().map(|error| error.to_string());
            assert_eq!(
                error.as_deref(),
                Some("`m/tokenizer.json` is not a usable tokenizer"),
                "{name}"
            );
        }
    }

    #[test]
    fn a_file_that_panics_on_some_texts_only_fails_there() {
        let mut json = tokenizer_json();
        // Only texts with a Z reach the normalizer that panics.
        json["normalizer"] =
            json!({ "type": "Replace", "pattern": { "String": "Z" }, "content": "" });
        let tokenizer = tokenizer_from(&json);
        assert_eq!(tokenizer.encode("the", false).unwrap().len(), 1);
        if let Err(error) = tokenizer.encode("Z", false) {
            assert!(matches!(error, Error::Encode { n_bytes: 1, .. }), "{error}");
        }
    }

    #[test]
    fn texts_that_cannot_be_cut_have_a_limit() {
        let tokenizer = tokenizer();
        let text = "\0".repeat(MAX_WHOLE_BYTES + 1);
        assert!(matches!(
            tokenizer.encode(&text, false),
            Err(Error::TextTooLong { .. })
        ));
    }

    proptest! {
        #[test]
        fn pieces_give_the_ids_of_the_whole(
            text in "([a-z '.]|the| a|<s>|[ \n\r\t]{1,4}|[0-9]{1,5}|[éß東\u{301}\u{2003}\u{a0}]){0,60}",
            piece_bytes in 1_usize..20,
            special: bool,
        ) {
            let tokenizer = tokenizer();
            prop_assert!(tokenizer.specials.is_some());
            prop_assert_eq!(
                tokenizer.encode_in_pieces(&text, special, piece_bytes).unwrap(),
                tokenizer.encode_whole(&text, special).unwrap()
            );
        }
    }
}

//! A tokenizer as Hugging Face saves it.

use std::fmt;
use std::path::{Path, PathBuf};

use tokenizers::Decoder;

use super::add_bos::adds_bos;
use super::byte_runs::{joins_bytes, with_whole_characters};
use super::config::TokenizerConfig;
use super::continuation::Continuation;
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

/// Tokens of a text that are decoded together with those that continue it.
const DECODED_BEFORE: usize = 32;

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
    continuation: Continuation,
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
            continuation: Continuation::default(),
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
        tokenizer.continuation = Continuation::of(|text| tokenizer.encode_whole(text, false));
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

    /// The token ids of a text that continues another one, as they are in the middle of a text that was tokenized as a
    /// whole. Tokenizers that put a space before every text put none there.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_continuation(&self, text: &str) -> Result<Vec<u32>> {
        let encode = |text: &str| self.encode(text, false);
        self.continuation.encode(text, encode)
    }

    /// Whether some texts have other tokens at their beginning than where they continue another one; see
    /// [`Tokenizer::encode_continuation`].
    pub fn marks_beginnings(&self) -> bool {
        self.continuation.differs()
    }

    /// Whether the tokenizer itself puts this special token before a text.
    pub fn puts_first(&self, token_id: u32) -> bool {
        match self.probe_specials() {
            Ok(Some(specials)) => specials.prefix.contains(&token_id),
            // The text of the probe has no tokens of its own.
            _ => self
                .encode_whole("", true)
                .is_ok_and(|tokens| tokens.first() == Some(&token_id)),
        }
    }

    /// The text of `tokens`, without special tokens.
    ///
    /// # Errors
    /// [`Error::Decode`] if the tokenizer's decoder refuses them.
    pub fn decode(&self, tokens: &[u32]) -> Result<String> {
        in_fence(|| self.inner.decode(tokens, true))
            .map_err(|source| self.not_decoded(tokens, source))
    }

    /// The text of `tokens` that continue those `before`, as it is in the text of all together. Decoders of tokenizers
    /// that put a space before every text remove one from the first word, which is wanted there.
    ///
    /// An incomplete character is a replacement character. More tokens change no other part of the text, so all but
    /// replacement characters at its end can be shown before they are known.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn decode_continuation(&self, before: &[u32], tokens: &[u32]) -> Result<String> {
        let before = &before[before.len().saturating_sub(DECODED_BEFORE)..];
        let beginning = self.decode_characters(before)?;
        let whole = self.decode_characters(&[before, tokens].concat())?;
        // A character that begins before and ends in them is theirs.
        let complete = beginning.trim_end_matches(char::REPLACEMENT_CHARACTER);
        let text = whole
            .strip_prefix(beginning.as_str())
            .or_else(|| whole.strip_prefix(complete));
        match text {
            Some(text) => Ok(text.to_owned()),
            // The decoder writes a text otherwise if more follows.
            None => self.decode_characters(tokens),
        }
    }

    /// The text of `tokens`, without special tokens. Only those bytes that are of no character become replacement
    /// characters, not all that adjoin them.
    fn decode_characters(&self, tokens: &[u32]) -> Result<String> {
        let decoder = self.inner.get_decoder();
        let Some(decoder) = decoder.filter(|decoder| joins_bytes(decoder)) else {
            return self.decode(tokens);
        };
        let added = self.inner.get_added_vocabulary();
        let written: Vec<String> = tokens
            .iter()
            .filter_map(|&id| self.inner.id_to_token(id))
            .filter(|token| !added.is_special_token(token))
            .collect();
        let decoded = in_fence(|| decoder.decode(with_whole_characters(written)));
        decoded.map_err(|source| self.not_decoded(tokens, source))
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

    fn not_decoded(&self, tokens: &[u32], source: tokenizers::Error) -> Error {
        Error::Decode {
            tokenizer: self.path.clone(),
            n_tokens: tokens.len(),
            source,
        }
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
#[path = "hugging_face_tests.rs"]
mod tests;

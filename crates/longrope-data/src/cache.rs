//! A cache of token ids on disk.
//!
//! A file is named after everything its content depends on, so it never goes stale and can be deleted at any time:
//!
//! ```text
//! <sha256 of format version, tokenizer, special tokens or not, version of this crate, text>.tokens
//!   {"format":"longrope-tokens","version":1,"n_tokens":3,"sha256":".."}   one line of JSON
//!   token ids, u32 little-endian                                           checked against n_tokens and sha256
//! ```

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use crate::atomic::write_atomically;
use crate::fingerprint::{sha256_hex, token_bytes};
use crate::{Result, Tokenizer};

const FORMAT: &str = "longrope-tokens";
/// Part of every file's name: another version looks for other files.
const VERSION: u32 = 1;
/// Version of the code that makes tokens of a text, part of every file's name too.
const CODE: &str = env!("CARGO_PKG_VERSION");
const MAX_HEADER_BYTES: usize = 512;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: String,
    version: u32,
    n_tokens: usize,
    sha256: String,
}

/// A folder of token ids keyed by content, or a disabled cache.
///
/// The cache saves time and never changes results: texts whose tokens are missing or damaged are tokenized again.
/// Damaged files and failed writes are reported as `tracing` warnings.
#[derive(Debug)]
pub struct TokenCache {
    folder: Option<PathBuf>,
    /// Set by the first failed write. Later writes are not tried: most likely the disk is full.
    write_failed: AtomicBool,
}

impl TokenCache {
    /// A cache in `folder`, which is created when the first tokens are stored.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: Some(folder.into()),
            write_failed: AtomicBool::new(false),
        }
    }

    /// A cache that stores nothing.
    pub fn disabled() -> Self {
        Self {
            folder: None,
            write_failed: AtomicBool::new(false),
        }
    }

    /// The tokens of `text`, from the cache if they are there.
    pub(crate) fn get_or_encode(
        &self,
        tokenizer: &Tokenizer,
        text: &str,
        special: bool,
    ) -> Result<Vec<u32>> {
        let Some(folder) = &self.folder else {
            return tokenizer.encode(text, special);
        };
        let path = folder.join(file_name(CODE, tokenizer.fingerprint(), text, special));
        if let Some(tokens) = load(&path) {
            return Ok(tokens);
        }
        let tokens = tokenizer.encode(text, special)?;
        self.store(folder, &path, &tokens);
        Ok(tokens)
    }

    fn store(&self, folder: &Path, path: &Path, tokens: &[u32]) {
        if self.write_failed.load(Ordering::Relaxed) {
            return;
        }
        if let Err(error) = write_atomically(path, &encode_file(tokens)) {
            self.write_failed.store(true, Ordering::Relaxed);
            tracing::warn!(folder = %folder.display(), %error, "cannot write the token cache, going on without it");
        }
    }
}

fn file_name(code: &str, tokenizer_fingerprint: &str, text: &str, special: bool) -> String {
    // All parts before the text have a fixed length, so different parts never give the same bytes.
    let code = sha256_hex(&[code.as_bytes()]);
    let parts: [&[u8]; 5] = [
        &VERSION.to_le_bytes(),
        tokenizer_fingerprint.as_bytes(),
        &[u8::from(special)],
        code.as_bytes(),
        text.as_bytes(),
    ];
    format!("{}.tokens", sha256_hex(&parts))
}

fn load(path: &Path) -> Option<Vec<u32>> {
    let bytes = match fs_err::read(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!(%error, "cannot read the token cache, tokenizing again");
            }
            return None;
        }
    };
    match decode_file(&bytes) {
        Ok(tokens) => Some(tokens),
        Err(damage) => {
            tracing::warn!(path = %path.display(), damage, "token cache file is damaged, tokenizing again");
            None
        }
    }
}

fn encode_file(tokens: &[u32]) -> Vec<u8> {
    let ids = token_bytes(tokens);
    let header = serde_json::json!(Header {
        format: FORMAT.to_owned(),
        version: VERSION,
        n_tokens: tokens.len(),
        sha256: sha256_hex(&[&ids]),
    });
    [header.to_string().as_bytes(), b"\n", &ids].concat()
}

fn decode_file(bytes: &[u8]) -> std::result::Result<Vec<u32>, &'static str> {
    let head = &bytes[..bytes.len().min(MAX_HEADER_BYTES)];
    let end = head
        .iter()
        .position(|byte| *byte == b'\n')
        .ok_or("no header")?;
    let header: Header =
        serde_json::from_slice(&bytes[..end]).map_err(|_| "header is not understood")?;
    if header.format != FORMAT || header.version != VERSION {
        return Err("another format or version");
    }
    let ids = &bytes[end + 1..];
    if header.n_tokens.checked_mul(size_of::<u32>()) != Some(ids.len()) {
        return Err("wrong number of tokens");
    }
    if sha256_hex(&[ids]) != header.sha256 {
        return Err("wrong checksum");
    }
    let (tokens, _) = ids.as_chunks();
    Ok(tokens.iter().copied().map(u32::from_le_bytes).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{tokenizer, tokenizer_from, tokenizer_json};

    const TEXT: &str = "the fox and the hen";

    fn files(folder: &Path) -> Vec<PathBuf> {
        fs_err::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect()
    }

    /// Stores `TEXT`, damages the file and asks again: the tokens must be right and the file repaired.
    fn check_recovers(change: impl FnOnce(&mut Vec<u8>)) {
        let dir = tempfile::tempdir().unwrap();
        let cache = TokenCache::new(dir.path());
        let tokens = cache.get_or_encode(&tokenizer(), TEXT, true).unwrap();
        let path = files(dir.path()).pop().unwrap();
        let good = fs_err::read(&path).unwrap();
        let mut bytes = good.clone();
        change(&mut bytes);
        assert_ne!(bytes, good);
        fs_err::write(&path, &bytes).unwrap();
        assert!(decode_file(&bytes).is_err());
        assert_eq!(
            cache.get_or_encode(&tokenizer(), TEXT, true).unwrap(),
            tokens
        );
        assert_eq!(fs_err::read(&path).unwrap(), good);
    }

    #[test]
    fn what_was_stored_is_used() {
        let dir = tempfile::tempdir().unwrap();
        let cache = TokenCache::new(dir.path().join("new/folder"));
        let tokens = cache.get_or_encode(&tokenizer(), TEXT, true).unwrap();
        assert_eq!(tokens, tokenizer().encode(TEXT, true).unwrap());
        let stored = files(&dir.path().join("new/folder"));
        assert_eq!(stored.len(), 1, "one file and no temporary ones");

        // Other tokens in a sound file show that the file is what is read.
        fs_err::write(&stored[0], encode_file(&[7, 8])).unwrap();
        assert_eq!(
            cache.get_or_encode(&tokenizer(), TEXT, true).unwrap(),
            [7, 8]
        );
    }

    #[test]
    fn damaged_files_are_replaced() {
        check_recovers(Vec::clear);
        check_recovers(|bytes| bytes.truncate(bytes.len() - 4));
        check_recovers(|bytes| bytes.truncate(20));
        check_recovers(|bytes| *bytes.last_mut().unwrap() ^= 1);
        check_recovers(|bytes| bytes.extend([0; 4]));
        check_recovers(|bytes| bytes[2] ^= 1);
        check_recovers(|bytes| *bytes = vec![0; 4096]);
    }

    #[test]
    fn an_unwritable_folder_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs_err::write(&file, "in the way").unwrap();
        let cache = TokenCache::new(&file);
        for _ in 0..2 {
            assert_eq!(
                cache
                    .get_or_encode(&tokenizer(), TEXT, false)
                    .unwrap()
                    .len(),
                13
            );
        }
        assert!(cache.write_failed.load(Ordering::Relaxed));
    }

    #[test]
    fn the_key_depends_on_text_tokenizer_special_tokens_and_the_code() {
        let mut other = tokenizer_json();
        other["model"]["merges"].as_array_mut().unwrap().pop();
        let (this, other) = (tokenizer(), tokenizer_from(&other));
        let name = |tokenizer: &Tokenizer, text: &str, special: bool| {
            file_name(CODE, tokenizer.fingerprint(), text, special)
        };
        let first = name(&this, TEXT, true);
        assert_eq!(first, name(&tokenizer(), TEXT, true));
        assert_ne!(first, name(&this, "the fox", true));
        assert_ne!(first, name(&this, TEXT, false));
        assert_ne!(first, name(&other, TEXT, true));
        // Another version may make other tokens.
        assert_ne!(first, file_name("0.0.1", this.fingerprint(), TEXT, true));
    }

    #[test]
    fn the_file_format_is_pinned() {
        let bytes = encode_file(&[1, 70000]);
        let header = concat!(
            r#"{"format":"longrope-tokens","version":1,"n_tokens":2,"#,
            r#""sha256":"0ba3781d15536a133fa930b7db07684563795c35520f7afc24ebade9daab7866"}"#,
            "\n"
        );
        assert_eq!(String::from_utf8_lossy(&bytes[..bytes.len() - 8]), header);
        assert_eq!(bytes[bytes.len() - 8..], [1, 0, 0, 0, 0x70, 0x11, 1, 0]);
        assert_eq!(decode_file(&bytes).unwrap(), [1, 70000]);
    }
}

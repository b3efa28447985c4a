//! Hashes of token ids and bytes.

use std::fmt::Write;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::TokenDocument;

/// A SHA-256, in hexadecimal, of the token ids of `documents` in their order.
///
/// Identifies the text a result was made from. The hash depends on the ids and on where documents end, not on file
/// names.
pub fn text_fingerprint(documents: &[TokenDocument]) -> String {
    let mut hash = Sha256::new();
    // A version of this scheme; the counts keep `[1, 2], [3]` apart from `[1], [2, 3]`.
    hash.update(b"longrope-text 1\n");
    hash.update((documents.len() as u64).to_le_bytes());
    for document in documents {
        hash.update((document.tokens.len() as u64).to_le_bytes());
        for chunk in document.tokens.chunks(4096) {
            hash.update(token_bytes(chunk));
        }
    }
    hex(&hash.finalize())
}

/// The SHA-256 of the concatenated `parts`, in hexadecimal.
pub fn sha256_hex(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hex(&hash.finalize())
}

/// The SHA-256 of the content of a file, in hexadecimal. The file is read in pieces, so it may be of any size.
///
/// # Errors
/// If it cannot be read.
pub fn sha256_of_file(path: &Path) -> io::Result<String> {
    let mut file = fs_err::File::open(path)?;
    let mut hash = Sha256::new();
    let mut piece = vec![0; 1 << 18];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hex(&hash.finalize())),
            n_bytes => hash.update(&piece[..n_bytes]),
        }
    }
}

/// Token ids as little-endian bytes.
pub(crate) fn token_bytes(tokens: &[u32]) -> Vec<u8> {
    tokens
        .iter()
        .flat_map(|token| token.to_le_bytes())
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(source: &str, tokens: &[u32]) -> TokenDocument {
        TokenDocument {
            source: source.to_owned(),
            tokens: tokens.to_vec(),
        }
    }

    #[test]
    fn sha256_of_the_standards_example() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256_hex(&[b"a", b"bc"]), expected);
    }

    #[test]
    fn a_file_has_the_sha256_of_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        for n_bytes in [0, 3, 1 << 18, (1 << 19) + 7] {
            let bytes: Vec<u8> = (0..n_bytes).map(|i: u32| i.to_le_bytes()[0]).collect();
            fs_err::write(&path, &bytes).unwrap();
            assert_eq!(sha256_of_file(&path).unwrap(), sha256_hex(&[&bytes]));
        }
    }

    #[test]
    fn tokens_and_borders_matter_and_names_do_not() {
        let print = text_fingerprint(&[document("a", &[1, 2]), document("b", &[3])]);
        assert_eq!(
            print,
            text_fingerprint(&[document("x", &[1, 2]), document("y", &[3])])
        );
        assert_ne!(
            print,
            text_fingerprint(&[document("a", &[1]), document("b", &[2, 3])])
        );
        assert_ne!(print, text_fingerprint(&[document("a", &[1, 2, 3])]));
        assert_ne!(
            print,
            text_fingerprint(&[document("a", &[2, 1]), document("b", &[3])])
        );
    }

    #[test]
    fn the_scheme_is_pinned() {
        let print = text_fingerprint(&[document("a", &[1, 2, 70000])]);
        assert_eq!(
            print,
            "73649807f62ee271047297719d8dc2b250e02d6292bf8463123ab182e3be31ad"
        );
    }
}

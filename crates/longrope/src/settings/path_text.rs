//! Paths as text, for configuration files: lossless for names that are not UTF-8.
//!
//! Bytes that are not UTF-8 become characters of Unicode's private use area, byte `0x80` the character U+F780 and so on.
//! Characters of that range in a name are written the same way, byte by byte, so that every text stands for one path.

use std::path::{Path, PathBuf};

/// What the number of a character is above the byte it stands for.
const OFFSET: u32 = 0xF700;

/// The path as text.
pub(crate) fn to_text(path: &Path) -> String {
    let text = path.to_str().map(str::to_owned);
    match text.filter(|text| !text.chars().any(is_escape)) {
        Some(text) => text,
        None => escaped(path),
    }
}

/// The path that [`to_text`] has written, or that a user has.
pub(crate) fn from_text(path: PathBuf) -> PathBuf {
    match path.to_str() {
        Some(text) if text.chars().any(is_escape) => unescaped(text),
        _ => path,
    }
}

fn is_escape(c: char) -> bool {
    (OFFSET + 0x80..=OFFSET + 0xFF).contains(&u32::from(c))
}

#[cfg(unix)]
fn escaped(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;

    let escape = |byte: &u8| char::from_u32(OFFSET + u32::from(*byte)).unwrap_or_default();
    let mut text = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            if is_escape(c) {
                text.extend(c.encode_utf8(&mut [0; 4]).as_bytes().iter().map(escape));
            } else {
                text.push(c);
            }
        }
        text.extend(chunk.invalid().iter().map(escape));
    }
    text
}

#[cfg(unix)]
fn unescaped(text: &str) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;

    let mut bytes = Vec::new();
    for c in text.chars() {
        match u8::try_from(u32::from(c).wrapping_sub(OFFSET)) {
            Ok(byte) if is_escape(c) => bytes.push(byte),
            _ => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

#[cfg(not(unix))]
fn escaped(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(not(unix))]
fn unescaped(text: &str) -> PathBuf {
    PathBuf::from(text)
}

#[cfg(all(test, unix))]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn every_path_survives_as_text() {
        let names: [&[u8]; 6] = [
            b"models/a",
            "modèles/\u{F8FF}".as_bytes(),
            b"caf\xe9/\xff\xfe",
            b"\xf0\x9f\x98\x80\xf0\x9f",
            "\u{F7E9}".as_bytes(),
            "\u{F7E9}\u{F780}x".as_bytes(),
        ];
        for name in names {
            let path = Path::new(OsStr::from_bytes(name));
            let text = to_text(path);
            assert_eq!(from_text(PathBuf::from(&text)), path, "{text:?}");
        }
        assert_eq!(to_text(Path::new("modèles/a")), "modèles/a");
    }
}

//! Paths in command lines.

use std::fmt::Write;
use std::path::Path;

/// A path as a word of a shell's command line.
///
/// One that begins with `-` gets `./`, so that it is no flag. One that is not UTF-8, or has control characters, is written
/// as `$'..'`, which bash and zsh read.
///
/// ```
/// # use longrope_data::quoted;
/// assert_eq!(quoted("a b".as_ref()), "'a b'");
/// assert_eq!(quoted("-a".as_ref()), "./-a");
/// ```
pub fn quoted(path: &Path) -> String {
    let bytes = path.as_os_str().as_encoded_bytes();
    if bytes.starts_with(b"-") {
        return quoted(&Path::new(".").join(path));
    }
    let text = path.to_str();
    let Some(text) = text.filter(|text| !text.contains(char::is_control)) else {
        return escaped(bytes);
    };
    let is_plain = |c: char| c.is_alphanumeric() || "_-./:@=,+%".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Bytes as `$'..'`, with the numbers of those that are no printable text.
fn escaped(bytes: &[u8]) -> String {
    let mut word = String::from("$'");
    let push_bytes = |word: &mut String, bytes: &[u8]| {
        for byte in bytes {
            // Writing to a string cannot fail.
            let _ = write!(word, "\\x{byte:02x}");
        }
    };
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() {
                push_bytes(&mut word, c.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            if matches!(c, '\'' | '\\') {
                word.push('\\');
            }
            word.push(c);
        }
        push_bytes(&mut word, chunk.invalid());
    }
    word.push('\'');
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_no_flag() {
        for (path, expected) in [
            ("-runs/a", "./-runs/a"),
            ("-", "./-"),
            ("-my run", "'./-my run'"),
            ("a-b", "a-b"),
        ] {
            assert_eq!(quoted(Path::new(path)), expected);
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_word_has_every_byte_of_a_path() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;

        for (path, expected) in [
            (&b"caf\xe9/it's"[..], r"$'caf\xe9/it\'s'"),
            (b"-\xff", r"$'./-\xff'"),
            (b"a\nb\\", r"$'a\x0ab\\'"),
        ] {
            assert_eq!(quoted(Path::new(OsStr::from_bytes(path))), expected);
        }
    }
}

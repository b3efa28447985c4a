//! Opens a file as a stream of bytes, decompressed where its name says so, and reads it up to a limit.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::string::FromUtf8Error;

use fs_err::File;

use super::file_type::FileType;
use super::files::{Compression, check_is_readable, classify, read_error};
use super::gzip::GzipMembers;
use super::zstd::ZstdFrames;
use crate::{Error, Result};

/// Bytes of the longest file that is read as a whole, after decompression. A few kilobytes can decompress to terabytes.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// Opens `path`; `.gz` and `.zst` are decompressed.
///
/// # Errors
/// [`Error::NotText`] if the first bytes are those of another kind of file.
pub(crate) fn open(path: &Path) -> Result<Box<dyn BufRead + Send>> {
    check_is_readable(path)?;
    let file = BufReader::new(File::open(path).map_err(|source| read_error(path, source))?);
    let mut reader: Box<dyn BufRead + Send> = match classify(path).0 {
        Compression::None => Box::new(file),
        Compression::Gzip => Box::new(BufReader::new(GzipMembers::new(file))),
        Compression::Zstd => Box::new(BufReader::new(ZstdFrames::new(file))),
    };
    let head = reader
        .fill_buf()
        .map_err(|source| read_error(path, source))?;
    match FileType::of(head) {
        None => Ok(reader),
        Some(kind) => Err(Error::NotText {
            path: path.to_path_buf(),
            kind,
        }),
    }
}

/// Reads all of `path`, decompressed.
pub(crate) fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    read_up_to(path, MAX_FILE_BYTES)
}

fn read_up_to(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let n_bytes = open(path)?
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| read_error(path, source))?;
    if n_bytes as u64 > limit {
        return Err(Error::FileTooLong {
            path: path.to_path_buf(),
            limit,
        });
    }
    Ok(bytes)
}

/// Reads a whole file as UTF-8. `.gz` and `.zst` are decompressed, and a leading byte order mark is removed.
///
/// # Errors
/// [`Error::NotFound`], [`Error::NotAFile`], [`Error::Read`], [`Error::FileTooLong`] above 1 GiB, [`Error::NotText`] and
/// [`Error::NotUtf8`].
pub fn read_text(path: &Path) -> Result<String> {
    let mut text =
        String::from_utf8(read_bytes(path)?).map_err(|error| not_utf8(path, &error, 0))?;
    if text.starts_with(BYTE_ORDER_MARK) {
        text.drain(..BYTE_ORDER_MARK.len_utf8());
    }
    Ok(text)
}

/// The error for bytes that begin at `start` of a file.
pub(crate) fn not_utf8(path: &Path, error: &FromUtf8Error, start: u64) -> Error {
    /// Bytes on either side that are looked at.
    const AROUND: usize = 4096;
    let at = error.utf8_error().valid_up_to();
    let bytes = error.as_bytes();
    let around = &bytes[at.saturating_sub(AROUND)..bytes.len().min(at + AROUND)];
    Error::NotUtf8 {
        path: path.to_path_buf(),
        byte_offset: start + at as u64,
        is_binary: around.contains(&0),
    }
}

/// Some editors put it in front of UTF-8. A tokenizer would read it as a character.
pub(crate) const BYTE_ORDER_MARK: char = '\u{feff}';

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{gzip, zstd};

    #[test]
    fn files_that_decompress_without_end_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let zeros = "\0".repeat(1 << 20);
        for (name, bytes) in [
            ("a.txt", zeros.clone().into_bytes()),
            ("a.txt.gz", gzip(&zeros)),
            ("a.txt.zst", zstd(&zeros)),
        ] {
            let path = dir.path().join(name);
            fs_err::write(&path, bytes).unwrap();
            assert_eq!(read_up_to(&path, 1 << 20).unwrap().len(), 1 << 20);
            assert!(
                matches!(read_up_to(&path, (1 << 20) - 1), Err(Error::FileTooLong { path: found, .. }) if found == path)
            );
        }
    }

    #[test]
    fn damaged_compression_is_an_error_wherever_it_is_damaged() {
        let text = "the quick brown fox, número 7\n".repeat(300);
        for (name, bytes) in [("a.gz", gzip(&text)), ("a.zst", zstd(&text))] {
            for at in (0..bytes.len()).step_by(3) {
                for bit in [0, 3, 7] {
                    let mut damaged = bytes.clone();
                    damaged[at] ^= 1 << bit;
                    // Some bits, such as those of a time, have no meaning.
                    match read_back(name, &damaged) {
                        Ok(found) => assert_eq!(found, text),
                        Err(Error::Read { .. } | Error::ZstdWindow { .. }) => {}
                        Err(error) => panic!("byte {at}, bit {bit} of {name}: {error}"),
                    }
                }
            }
        }
    }

    fn read_back(name: &str, bytes: &[u8]) -> Result<String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        fs_err::write(&path, bytes).unwrap();
        read_text(&path)
    }

    #[test]
    fn compressed_files_read_like_plain_ones() {
        // Longer than one zstd block (128 KiB).
        let text = "the quick brown fox, número 7\n".repeat(9000);
        assert_eq!(read_back("a.txt", text.as_bytes()).unwrap(), text);
        assert_eq!(read_back("a.txt.gz", &gzip(&text)).unwrap(), text);
        assert_eq!(read_back("a.txt.zst", &zstd(&text)).unwrap(), text);
    }

    #[test]
    fn files_of_several_members_are_read_to_the_end() {
        assert_eq!(
            read_back("a.gz", &[gzip("one "), gzip("two")].concat()).unwrap(),
            "one two"
        );
        let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"xyz"].concat();
        let frames = [zstd("one "), skippable, zstd(""), zstd("two")].concat();
        assert_eq!(read_back("a.zst", &frames).unwrap(), "one two");
    }

    #[test]
    fn broken_compression_is_an_error_and_not_a_short_text() {
        for (name, bytes) in [("a.gz", gzip("some text")), ("a.zst", zstd("some text"))] {
            let cut = &bytes[..bytes.len() - 3];
            assert!(
                matches!(read_back(name, cut), Err(Error::Read { .. })),
                "{name} truncated"
            );
            assert!(
                matches!(read_back(name, b"plain text"), Err(Error::Read { .. })),
                "{name} not compressed"
            );
        }
        let mut wrong_checksum = zstd("some text");
        *wrong_checksum.last_mut().unwrap() ^= 1;
        assert!(matches!(
            read_back("a.zst", &wrong_checksum),
            Err(Error::Read { .. })
        ));
    }

    #[test]
    fn zero_bytes_after_the_last_member_are_the_end() {
        let members = [gzip("one "), gzip("two")].concat();
        for n_zeros in [1, 512, 100_000] {
            let padded = [members.clone(), vec![0; n_zeros]].concat();
            assert_eq!(read_back("a.gz", &padded).unwrap(), "one two");
            let more = [padded, gzip("three")].concat();
            assert!(matches!(read_back("a.gz", &more), Err(Error::Read { .. })));
        }
    }

    #[test]
    fn a_file_that_needs_a_wide_window_is_no_damaged_one() {
        // Magic number, header, window of 2^(10 + 21) bytes, and an empty last block.
        let with_window = |window: u8| [0x28, 0xb5, 0x2f, 0xfd, 0, window << 3, 1, 0, 0];
        assert_eq!(read_back("a.zst", &with_window(17)).unwrap(), "");
        let result = read_back("a.zst", &with_window(21));
        let is_named = matches!(
            result,
            Err(Error::ZstdWindow {
                window: 0x8000_0000,
                most: 0x800_0000,
                ..
            })
        );
        assert!(is_named, "{result:?}");
    }

    #[test]
    fn invalid_utf8_names_the_byte() {
        let result = read_back("a.txt", b"abc\xffdef");
        assert!(matches!(
            &result,
            Err(Error::NotUtf8 {
                byte_offset: 3,
                is_binary: false,
                ..
            })
        ));
        assert!(!result.unwrap_err().to_string().contains("decompression"));
        let result = read_back("a.txt", b"abc\xff\0\x01def");
        assert!(matches!(
            result,
            Err(Error::NotUtf8 {
                is_binary: true,
                ..
            })
        ));
        let error = read_back("a.txt.gz", &gzip(b"abc\xff")).unwrap_err();
        assert!(
            error.to_string().contains("(after decompression)"),
            "{error}"
        );
    }

    #[test]
    fn files_of_other_kinds_are_named() {
        let nested = gzip("some text");
        for (name, bytes, expected) in [
            ("a.txt", &b"PAR1\x15\x04"[..], FileType::Parquet),
            ("a.txt", &nested, FileType::Gzip),
            ("a.jsonl", b"\xff\xfe{\0}\0", FileType::Utf16),
        ] {
            let result = read_back(name, bytes);
            assert!(
                matches!(result, Err(Error::NotText { kind, .. }) if kind == expected),
                "{name}: {result:?}"
            );
        }
    }

    #[test]
    fn byte_order_mark_is_dropped() {
        assert_eq!(read_back("a.txt", "\u{feff}abc".as_bytes()).unwrap(), "abc");
    }
}

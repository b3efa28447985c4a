//! Files that hold no text, recognized by their first bytes.

/// A kind of file that is not plain text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileType {
    /// Apache Parquet, as data sets are distributed.
    Parquet,
    /// Apache Arrow or Feather.
    Arrow,
    /// A ZIP archive, which office documents and EPUB books are too.
    Zip,
    /// A PDF document.
    Pdf,
    /// Compressed with gzip.
    Gzip,
    /// Compressed with Zstandard.
    Zstd,
    /// Compressed with bzip2.
    Bzip2,
    /// Compressed with xz.
    Xz,
    /// A 7z archive.
    SevenZip,
    /// A tar archive.
    Tar,
    /// Text in UTF-16.
    Utf16,
    /// Text in UTF-32.
    Utf32,
    /// Weights of a model in GGUF.
    Gguf,
    /// A database of `SQLite`.
    Sqlite,
    /// An array of `NumPy`.
    Numpy,
    /// HDF5.
    Hdf5,
    /// An image.
    Image,
    /// A program.
    Program,
}

/// The bytes that files of a kind begin with.
const MAGIC: [(&[u8], FileType); 23] = [
    (b"ARROW1\0\0", FileType::Arrow),
    (b"PK\x03\x04", FileType::Zip),
    (b"PK\x05\x06", FileType::Zip),
    (b"%PDF-", FileType::Pdf),
    (b"\x1f\x8b", FileType::Gzip),
    (b"\x28\xb5\x2f\xfd", FileType::Zstd),
    (b"BZh91AY&SY", FileType::Bzip2),
    (b"\xfd7zXZ\0", FileType::Xz),
    (b"7z\xbc\xaf\x27\x1c", FileType::SevenZip),
    (b"\xff\xfe\0\0", FileType::Utf32),
    (b"\0\0\xfe\xff", FileType::Utf32),
    (b"\xff\xfe", FileType::Utf16),
    (b"\xfe\xff", FileType::Utf16),
    (b"GGUF\x02\0\0\0", FileType::Gguf),
    (b"GGUF\x03\0\0\0", FileType::Gguf),
    (b"SQLite format 3\0", FileType::Sqlite),
    (b"\x93NUMPY", FileType::Numpy),
    (b"\x89HDF\r\n\x1a\n", FileType::Hdf5),
    (b"\x89PNG\r\n\x1a\n", FileType::Image),
    (b"\xff\xd8\xff", FileType::Image),
    (b"GIF89a\x01", FileType::Image),
    (b"\x7fELF", FileType::Program),
    (b"MZ\x90\0", FileType::Program),
];

impl FileType {
    /// The kind of a file with these first bytes; `None` if they may be those of a text.
    pub(crate) fn of(head: &[u8]) -> Option<Self> {
        let by_magic = MAGIC.iter().find(|(magic, _)| head.starts_with(magic));
        if let Some((_, kind)) = by_magic {
            return Some(*kind);
        }
        // A text may begin with the same letters, but not with what follows them.
        if head.starts_with(b"PAR1")
            && head
                .get(4)
                .is_some_and(|byte| *byte < b' ' && *byte != b'\n')
        {
            return Some(Self::Parquet);
        }
        if head.get(257..262) == Some(b"ustar") {
            return Some(Self::Tar);
        }
        is_utf16_without_mark(head).then_some(Self::Utf16)
    }

    /// What it is, with an article.
    pub fn name(self) -> &'static str {
        match self {
            Self::Parquet => "a Parquet file",
            Self::Arrow => "an Arrow file",
            Self::Zip => "a ZIP archive",
            Self::Pdf => "a PDF document",
            Self::Gzip => "compressed with gzip",
            Self::Zstd => "compressed with Zstandard",
            Self::Bzip2 => "compressed with bzip2",
            Self::Xz => "compressed with xz",
            Self::SevenZip => "a 7z archive",
            Self::Tar => "a tar archive",
            Self::Utf16 => "text in UTF-16",
            Self::Utf32 => "text in UTF-32",
            Self::Gguf => "a GGUF model",
            Self::Sqlite => "an SQLite database",
            Self::Numpy => "a NumPy array",
            Self::Hdf5 => "an HDF5 file",
            Self::Image => "an image",
            Self::Program => "a program",
        }
    }

    /// How to make text of it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Parquet => {
                "give it under a name that ends in .parquet, not compressed once more: then its column of text is read"
            }
            Self::Arrow => {
                "convert it to Parquet, for example with pandas: \
                 pandas.read_feather(FILE).to_parquet(\"text.parquet\")"
            }
            Self::Zip | Self::SevenZip | Self::Tar => {
                "unpack it, and give the folder with the text files"
            }
            Self::Pdf => "extract its text first, for example with pdftotext",
            Self::Gzip => "rename it so that it ends in .gz, and it is decompressed",
            Self::Zstd => "rename it so that it ends in .zst, and it is decompressed",
            Self::Bzip2 => "decompress it first, for example with bunzip2",
            Self::Xz => "decompress it first, for example with unxz",
            Self::Utf16 => "convert it to UTF-8: iconv -f UTF-16 -t UTF-8 FILE > text.txt",
            Self::Utf32 => "convert it to UTF-8: iconv -f UTF-32 -t UTF-8 FILE > text.txt",
            Self::Gguf => "this is a model: give it as MODEL or with --model, and text with --text",
            Self::Sqlite | Self::Numpy | Self::Hdf5 => {
                "export its text to .txt or .jsonl files first"
            }
            Self::Image | Self::Program => {
                "give other files; in a folder of texts, remove it or rename it"
            }
        }
    }
}

/// Whether ASCII text was written with two bytes per character: every other byte is 0.
fn is_utf16_without_mark(head: &[u8]) -> bool {
    let pairs = &head[..head.len().min(64)];
    let zeros = |first: usize| {
        let bytes = pairs.iter().skip(first).step_by(2);
        bytes.clone().count() >= 4 && bytes.copied().all(|byte| byte == 0)
    };
    let has_text = pairs.iter().any(|byte| *byte != 0);
    has_text && (zeros(0) || zeros(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_recognized() {
        let mut tar = vec![b'a'; 257];
        tar.extend(b"ustar\0");
        let utf16: Vec<u8> = "plain text"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        for (head, expected) in [
            (&b"PAR1\x15\x04\x15"[..], FileType::Parquet),
            (b"PK\x03\x04\x14\0", FileType::Zip),
            (b"%PDF-1.7\n%", FileType::Pdf),
            (b"\x1f\x8b\x08\0", FileType::Gzip),
            (b"\xff\xfea\0b\0", FileType::Utf16),
            (b"\xff\xfe\0\0a\0\0\0", FileType::Utf32),
            (&utf16, FileType::Utf16),
            (&tar, FileType::Tar),
        ] {
            assert_eq!(FileType::of(head), Some(expected), "{head:?}");
        }
    }

    #[test]
    fn a_gguf_file_is_given_as_a_model() {
        let kind = FileType::of(b"GGUF\x03\0\0\0");
        assert_eq!(kind, Some(FileType::Gguf));
        assert!(FileType::Gguf.advice().contains("give it as MODEL"));
    }

    #[test]
    fn texts_are_not_mistaken() {
        for text in [
            "",
            "a",
            "PAR1 is not a file",
            "PK",
            "GIF89a is a format",
            "BZh",
            "MZ",
            "GGUF",
            "7z",
            "\u{feff}text",
            "Größe",
            "漢字",
            "\0\0\0\0\0\0\0\0\0\0",
        ] {
            assert_eq!(FileType::of(text.as_bytes()), None, "{text}");
        }
    }
}

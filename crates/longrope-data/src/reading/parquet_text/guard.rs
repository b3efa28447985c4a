//! Refuses numbers in a Parquet file by which a small file would need much memory, before the library believes them.
//!
//! The layout of pages, their headers and encodings:
//! <https://github.com/apache/parquet-format/blob/master/README.md> and `Encodings.md` there.

use std::fs::File;
use std::io::{BufReader, Read};
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::Encoding;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::{ChunkReader, Length, SerializedPageReader};

/// Bytes of the largest page, decompressed. A page holds at least one text.
const MAX_PAGE_BYTES: u64 = 1 << 30;
/// Bytes that one byte compressed with snappy stands for at most: three bytes copy up to 64.
const MAX_RATIO: u64 = 22;
/// Texts of a page that are stored as a list of lengths.
const MAX_LENGTHS: u32 = 1 << 24;

/// A file as the library reads pages from it.
pub(super) struct Pages {
    file: File,
}

impl Pages {
    pub(super) fn new(file: File) -> Self {
        Self { file }
    }
}

/// The pages of a column of a row group.
///
/// # Errors
/// If they do not lie in the file. The pages are errors if they ask for more memory than they can need.
pub(super) fn checked_pages(
    file: &Arc<Pages>,
    column: &ColumnChunkMetaData,
    n_rows: i64,
) -> Result<Box<dyn PageReader>> {
    let (start, n_bytes) = column.byte_range();
    if start
        .checked_add(n_bytes)
        .is_none_or(|end| end > file.len())
    {
        return Err(ParquetError::EOF(format!(
            "the column has {n_bytes} bytes from byte {start}, the file only {}",
            file.len()
        )));
    }
    let n_rows = usize::try_from(n_rows)?;
    let pages = SerializedPageReader::new(Arc::clone(file), column, n_rows, None)?;
    Ok(Box::new(CheckedPages {
        pages,
        may_be_null: column.column_descr().max_def_level() > 0,
    }))
}

impl Length for Pages {
    fn len(&self) -> u64 {
        self.file.len()
    }
}

impl ChunkReader for Pages {
    type T = BufReader<File>;

    /// A reader from the beginning of a page.
    fn get_read(&self, start: u64) -> Result<Self::T> {
        /// The sizes are the second and third of the numbers at the beginning.
        const HEAD: u64 = 32;
        let mut head = Vec::new();
        self.file
            .get_read(start)?
            .take(HEAD)
            .read_to_end(&mut head)?;
        check_sizes(&head)?;
        self.file.get_read(start)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        self.file.get_bytes(start, length)
    }
}

/// Checks the sizes in the header of a page: three 32-bit integers, the kind of page, its bytes decompressed, and its
/// bytes in the file.
fn check_sizes(head: &[u8]) -> Result<()> {
    /// A field of the next number, a 32-bit integer.
    const FIELD: u8 = 0x15;
    let mut bytes = head;
    let mut number = || {
        let (&field, rest) = bytes.split_first()?;
        bytes = rest;
        (field == FIELD).then(|| varint(&mut bytes)).flatten()
    };
    let (Some(_), Some(decompressed), Some(compressed)) = (number(), number(), number()) else {
        return Err(ParquetError::General(
            "a page begins with something else than its sizes".to_owned(),
        ));
    };
    // Sizes are not negative, so the least bit, the sign, is 0.
    let (decompressed, compressed) = (decompressed >> 1, compressed >> 1);
    if decompressed > MAX_PAGE_BYTES
        || decompressed > compressed.saturating_mul(MAX_RATIO).saturating_add(64)
    {
        return Err(ParquetError::General(format!(
            "a page of {compressed} bytes says that it decompresses to {decompressed}"
        )));
    }
    Ok(())
}

/// The number at the beginning, seven bits per byte, the last byte without its highest bit. Removes it.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..63).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

/// Pages whose counts fit their content.
struct CheckedPages {
    pages: SerializedPageReader<Pages>,
    may_be_null: bool,
}

impl Iterator for CheckedPages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for CheckedPages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let page = self.pages.get_next_page()?;
        if let Some(page) = &page {
            check_page(page, self.may_be_null)?;
        }
        Ok(page)
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.pages.skip_next_page()
    }
}

/// Checks the counts by which the library allocates.
fn check_page(page: &Page, may_be_null: bool) -> Result<()> {
    let refused = |found: String| Err(ParquetError::General(found));
    let (data, n_values, encoding) = match page {
        Page::DictionaryPage {
            buf, num_values, ..
        } => {
            // Every text has four bytes for its length.
            return if u64::from(*num_values) * 4 > buf.len() as u64 {
                refused(format!(
                    "a dictionary of {} bytes says that it has {num_values} texts",
                    buf.len()
                ))
            } else {
                Ok(())
            };
        }
        Page::DataPage {
            buf,
            num_values,
            encoding,
            ..
        } if may_be_null => (after_levels(buf), *num_values, *encoding),
        Page::DataPage {
            buf,
            num_values,
            encoding,
            ..
        } => (Some(&buf[..]), *num_values, *encoding),
        Page::DataPageV2 {
            buf,
            num_values,
            encoding,
            def_levels_byte_len,
            rep_levels_byte_len,
            ..
        } => {
            let n_bytes = u64::from(*def_levels_byte_len) + u64::from(*rep_levels_byte_len);
            let data = usize::try_from(n_bytes).ok().and_then(|n| buf.get(n..));
            (data, *num_values, *encoding)
        }
    };
    match encoding {
        Encoding::DELTA_LENGTH_BYTE_ARRAY => match data.and_then(n_lengths) {
            Some(n) if n <= u64::from(n_values) && n_values <= MAX_LENGTHS => Ok(()),
            Some(n) => refused(format!(
                "a page of {n_values} values says that it has {n} texts"
            )),
            None => refused("a page ends before its texts".to_owned()),
        },
        // It stores beginnings that texts share, by which a short page can stand for texts of any length.
        Encoding::DELTA_BYTE_ARRAY => {
            refused("the texts are encoded as DELTA_BYTE_ARRAY, which is not read".to_owned())
        }
        _ => Ok(()),
    }
}

/// What follows the list of which values are null: four bytes with its length, and the list.
fn after_levels(buffer: &[u8]) -> Option<&[u8]> {
    let (length, rest) = buffer.split_first_chunk::<4>()?;
    rest.get(usize::try_from(u32::from_le_bytes(*length)).ok()?..)
}

/// The number of lengths: the third number of a delta encoding, after the sizes of its blocks.
fn n_lengths(mut data: &[u8]) -> Option<u64> {
    let bytes = &mut data;
    varint(bytes)?;
    varint(bytes)?;
    varint(bytes)
}

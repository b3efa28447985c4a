//! Files to documents: text, lines of JSON and rows of Parquet, compressed or not.

mod documents;
mod file_type;
pub(crate) mod files;
mod gzip;
pub(crate) mod jsonl;
mod line_ends;
mod parquet_text;
pub(crate) mod reader;
mod zstd;

pub use documents::{Documents, ReadOptions, read_documents, stream_documents};
pub use file_type::FileType;
pub use files::text_files_below;
pub use line_ends::warn_of_line_ends;
pub use reader::read_text;

//! Windows to train on: an endless, repeatable stream with positions that can be saved.

mod document_bos;
mod mixture;
mod packed;
mod positions;

pub use document_bos::document_bos;
pub use mixture::{Grouping, Mixture, MixtureCursor, MixturePart, SourceCursor, WindowSource};
pub use packed::{
    DataCursor, LengthWeight, Overflow, PackedStream, PackingConfig, partition_by_length,
};
pub use positions::{Skips, skipped_positions, stretched_positions};

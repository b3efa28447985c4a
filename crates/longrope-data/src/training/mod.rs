//! Windows to train on: an endless, repeatable stream whose place can be saved and found again.

mod mixture;
mod packed;
mod window;

pub use mixture::{Grouping, Mixture, MixtureCursor, MixturePart, SourceCursor, WindowSource};
pub use packed::{
    DataCursor, LengthWeight, Overflow, PackedStream, PackingConfig, partition_by_length,
};
pub use window::{RopeChoice, TrainingWindow};

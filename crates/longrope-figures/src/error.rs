//! Errors of drawing.

use std::error::Error as StdError;

/// Result of the fallible functions of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a figure could not be drawn.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A heat map has so many cells that its size in pixels overflows.
    #[error("a heat map of {columns} columns and {rows} rows is too large to draw")]
    TooLarge {
        /// Number of columns.
        columns: usize,
        /// Number of rows.
        rows: usize,
    },
    /// The drawing library failed.
    #[error("the figure could not be drawn")]
    Drawing(#[source] Box<dyn StdError + Send + Sync>),
}

/// The result of drawing, with any error of the drawing library.
pub(crate) type Drawn = std::result::Result<(), Box<dyn StdError + Send + Sync>>;

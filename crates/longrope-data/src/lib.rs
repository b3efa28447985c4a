#![doc = include_str!("../README.md")]
//!
//! # The way through the crate
//!
//! Every step is a function of its arguments:
//!
//! ```text
//! paths ── read_documents ─► Document ── tokenize ─► TokenDocument ─┬─ select_samples ─► Sample         (search)
//!                                                         ▲         ├─ plan_windows   ─► TokenWindow    (evaluation)
//!                                                         │         ├─ PackedStream   ─► TrainingWindow (training)
//!               token ids as JSON ── read_token_ids ──────┘         └─ text_fingerprint                 (provenance)
//! ```
//!
//! # What always holds
//!
//! - The same files, tokenizer and seed give the same tokens on every machine: files are read in the order of their
//!   paths, random choices come from a `ChaCha8` stream of the seed, and nothing depends on threads or hash order.
//! - A window says which of its tokens are scored, and no token is scored twice; see [`Window`].
//! - Sizes are bounded where data comes in: bytes of a file, of a line, and of a text that cannot be cut.
//! - A panic of a library that reads foreign data is an error; see [`fenced`].
//! - The token cache changes time, never results; see [`TokenCache`].

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

mod atomic;
mod bos;
mod cache;
mod counted;
mod document;
mod error;
mod fence;
mod fingerprint;
pub mod needle;
mod plan;
mod quoted;
mod random;
mod reading;
mod sample;
mod sources;
mod synthetic;
mod token_json;
mod token_window;
mod tokenize;
mod tokenizer;
mod tokens;
mod training;
mod training_window;
mod window;

#[cfg(test)]
mod fixtures;

pub use atomic::{
    STAGED_PREFIX, StagedFile, create_folder, holds_both, is_being_written, link_or_copy,
    remove_leftovers, remove_leftovers_in, replace_folder, take_over, write_atomically,
};
pub use bos::Bos;
pub use cache::TokenCache;
pub use counted::counted;
pub use document::Document;
pub use error::{Error, Result};
pub use fence::{Panicked, fenced};
pub use fingerprint::{sha256_hex, sha256_of_file, text_fingerprint};
pub use plan::{WindowProtocol, plan_windows};
pub use quoted::quoted;
pub use reading::{
    Documents, FileType, ReadOptions, read_documents, read_text, stream_documents,
    text_files_below, warn_of_line_ends,
};
pub use sample::{Sample, select_samples};
pub use sources::{
    HELD_OUT_CRATES, LockedPackage, Lockfile, SourceCorpus, SourceCrate, SourceOptions,
};
pub use synthetic::{SyntheticConfig, SyntheticKind, SyntheticStream};
pub use token_window::TokenWindow;
pub use tokenize::{tokenize, tokenize_document, tokenize_documents};
pub use tokenizer::{
    BOS_TOKEN, EOS_TOKEN, Tokenizer, TokenizerTraining, save_tokenizer, train_tokenizer,
};
pub use tokens::{TokenDocument, read_token_ids};
pub use training::{
    DataCursor, Grouping, LengthWeight, Mixture, MixtureCursor, MixturePart, Overflow,
    PackedStream, PackingConfig, Skips, SourceCursor, WindowSource, document_bos,
    partition_by_length, skipped_positions, stretched_positions,
};
pub use training_window::{Goal, RopeChoice, TrainingWindow};
pub use window::{Window, sliding_windows, spread_windows};

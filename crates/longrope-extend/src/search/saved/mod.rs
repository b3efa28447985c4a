//! What a search saves while it runs, and reads again when it is resumed.
//!
//! ```text
//! RUN/search/inputs.json    what its scores depend on
//!     search/state.json     the search after its last generation
//!     search/scores.jsonl   losses of the running generation
//!     search/methods.jsonl  the methods measured so far
//!     metrics.jsonl         a line per generation, for people and plots
//! ```

mod generation_line;
pub(super) mod journal;
mod line_file;
pub(super) mod recorded;
pub(crate) mod search_input;
pub(super) mod state;

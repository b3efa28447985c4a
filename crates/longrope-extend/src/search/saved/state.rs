//! The state of a search, saved after every generation.

use std::path::Path;

use longrope_search::{Search, SearchState};
use longrope_trainer::run::records;

use super::generation_line::metrics;
use crate::error::{Error, Result};
use crate::json_files::json_lines;
use crate::lossy_text::read_lossy;
use crate::run_folder::RunFolder;

/// `search/state.json`, relative to the run folder.
pub(in crate::search) const STATE_FILE: &str = "search/state.json";

/// Saves the state of a search and its history.
pub(in crate::search) fn save_state(run: &RunFolder, search: &Search) -> Result<()> {
    run.write(STATE_FILE, &search.state().to_json()?)?;
    let lines = search.state().history().iter().map(metrics);
    run.write(
        "metrics.jsonl",
        &(records::header("search")? + &json_lines(lines)?),
    )
}

/// The state of the search that was begun in a folder; `None` if it is not there.
///
/// # Errors
/// As [`read_state`].
pub(in crate::search) fn begun_state(folder: &Path) -> Result<Option<SearchState>> {
    let path = folder.join(STATE_FILE);
    if !path.is_file() {
        return Ok(None);
    }
    read_state(&path).map(Some)
}

/// Reads the state of a search.
///
/// # Errors
/// If the file cannot be read, or [`Error::ReadState`] if it is damaged.
pub(in crate::search) fn read_state(path: &Path) -> Result<SearchState> {
    SearchState::from_json(&read_lossy(path)?).map_err(|source| Error::ReadState {
        path: path.to_owned(),
        source,
    })
}

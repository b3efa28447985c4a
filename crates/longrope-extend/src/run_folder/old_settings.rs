//! Whether a `config.toml` is that of a run: other programs call their settings that too.

use std::path::Path;

use toml::Table;

/// Top-level keys of a configuration. Runs of this version show by their `run.json`, so a key that is added later need not
/// stand here.
const KEYS: [&str; 26] = [
    "bench",
    "compare",
    "contexts",
    "data",
    "device",
    "eval",
    "force",
    "gain",
    "generate",
    "model",
    "needle",
    "out",
    "passkey",
    "precision",
    "pretrain",
    "recover",
    "rope",
    "rope-layers",
    "ruler",
    "search",
    "search-needle",
    "seed",
    "text",
    "tokens",
    "train",
    "weights",
];

/// Whether a file holds settings of a run: only keys of a configuration. A file without any is one that a kill has kept from
/// being written.
pub(super) fn holds_settings(path: &Path) -> bool {
    let text = fs_err::read_to_string(path).ok();
    let table = text.and_then(|text| text.parse::<Table>().ok());
    table.is_some_and(|table| table.keys().all(|key| KEYS.contains(&key.as_str())))
}

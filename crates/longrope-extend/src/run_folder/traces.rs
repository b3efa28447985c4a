//! What shows that a search has worked in a folder, if its state is not there.

use std::path::Path;

use longrope_data::counted;

use crate::lossy_text::read_lossy;

/// Files that a search writes at its end.
const WRITTEN_LAST: [(&str, &str); 2] = [
    ("search/result.json", "the result of a search"),
    ("rope.json", "the factors that a search has found"),
];

/// What a search has left in a folder beside its state, in words; `None` if it has finished no generation there.
pub(crate) fn trace_of_search(folder: &Path) -> Option<String> {
    let is_there = |name: &str| folder.join(name).is_file();
    if let Some((name, what)) = WRITTEN_LAST.iter().find(|(name, _)| is_there(name)) {
        return Some(format!("`{}` is {what}", folder.join(name).display()));
    }
    let metrics = folder.join("metrics.jsonl");
    let text = read_lossy(&metrics).unwrap_or_default();
    let is_generation = |line: &&str| line.contains("\"generation\":");
    let n_generations = text.lines().filter(is_generation).count();
    (n_generations > 0).then(|| {
        format!(
            "`{}` has {}",
            metrics.display(),
            counted(n_generations, "generation")
        )
    })
}

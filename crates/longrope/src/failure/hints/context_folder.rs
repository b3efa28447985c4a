//! The folder of one context of a recovery.

use std::path::Path;

use longrope_extend::{RunFolder, RunKind};

/// The folder of one context, if a file belongs to the search for one in a recovery.
pub(super) fn context_of(file: &Path) -> Option<&Path> {
    let is_of_context = |folder: &&Path| {
        let name = folder.file_name().and_then(|name| name.to_str());
        let number = name.and_then(|name| name.strip_prefix("context-"));
        number.is_some_and(|number| number.parse::<u64>().is_ok())
    };
    let folder = file.ancestors().skip(1).find(is_of_context)?;
    let recovers = |run: &Path| RunFolder::holds(run, RunKind::Recover).unwrap_or(false);
    folder.parent().is_some_and(recovers).then_some(folder)
}

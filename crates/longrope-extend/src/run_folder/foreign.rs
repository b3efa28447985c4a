//! Files in the place of a run folder that are not of a run: a model, a checkout, somebody's documents.

use std::path::Path;

/// Names that show what a folder is, whatever else it holds: a checkpoint, a repository.
const SIGNS: [&str; 2] = ["config.json", ".git"];

/// The name of a file or folder that shows that the folder is for something else; `None` if a run may begin there.
///
/// Hidden files, empty files and folders, and logs, which a shell opens before the program starts, do not matter.
pub(super) fn foreign_file(folder: &Path) -> Option<String> {
    foreign_file_beside(folder, "")
}

/// As [`foreign_file`], in a folder whose file `ours` is that of a run.
pub(super) fn foreign_file_beside(folder: &Path, ours: &str) -> Option<String> {
    if let Some(sign) = sign(folder) {
        return Some(sign);
    }
    let entries = fs_err::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter(|entry| entry.file_name() != ours && !is_harmless(&entry.path()))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names.into_iter().next()
}

/// The file that shows that a folder is a checkpoint or a repository.
pub(super) fn sign(folder: &Path) -> Option<String> {
    let sign = SIGNS.into_iter().find(|name| folder.join(name).exists());
    sign.map(str::to_owned)
}

fn is_harmless(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name.starts_with('.')
        || [".log", ".out", ".err"]
            .iter()
            .any(|end| name.ends_with(end))
    {
        return true;
    }
    match fs_err::metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            fs_err::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
        }
        Ok(metadata) => metadata.len() == 0,
        // A link to nothing.
        Err(_) => false,
    }
}

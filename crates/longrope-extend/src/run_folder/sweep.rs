//! Removes what killed processes left behind.

use std::path::Path;

use longrope_data::{STAGED_PREFIX, holds_both, is_being_written};
use longrope_model::EXPORT_PREFIX;
use longrope_trainer::checkpoint;

use super::lock::Lock;

/// How the names of temporary files and folders begin; see [`longrope_data::replace_folder`].
const TEMPORARY: [&str; 3] = [STAGED_PREFIX, ".saving-", EXPORT_PREFIX];
/// Folders below a run folder that are looked into: stages, their phases and states, and what is in those.
const DEPTH: usize = 5;

/// Removes temporary files and folders in a run folder that the caller has locked, and in those of its parts in which no
/// other process works. What another process is writing, such as an export, stays. What cannot be removed is left, with a
/// warning in the log. Saved states that were being replaced are put in their place.
pub(super) fn sweep(folder: &Path) {
    sweep_to(folder, DEPTH);
}

fn sweep_to(folder: &Path, depth: usize) {
    checkpoint::end_replacements(folder);
    let Ok(entries) = fs_err::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        // The type of the entry itself: links are neither followed nor removed.
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        let (name, path) = (entry.file_name(), entry.path());
        let name = name.to_string_lossy();
        let is_temporary = TEMPORARY.iter().any(|prefix| name.starts_with(prefix));
        if is_temporary && is_being_written(&path) {
            tracing::debug!("`{}` is being written", path.display());
        } else if is_temporary && holds_both(&path) {
            tracing::warn!(
                "`{}` is kept: it has the only copies of a folder that was being replaced",
                path.display()
            );
        } else if is_temporary {
            let removed = if kind.is_dir() {
                fs_err::remove_dir_all(&path)
            } else {
                fs_err::remove_file(&path)
            };
            match removed {
                Ok(()) => tracing::info!(
                    "removed `{}`, left by a run that was killed",
                    path.display()
                ),
                Err(error) => tracing::warn!("a run that was killed left a file: {error}"),
            }
        } else if kind.is_dir() && depth > 0 && !Lock::is_taken(&path) {
            sweep_to(&path, depth - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporaries_go_and_everything_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in [
            "part/.saving-1/new",
            "part/.longrope-export-1/new",
            "busy",
            "step-000001",
            ".saved",
        ] {
            fs_err::create_dir_all(path(name)).unwrap();
        }
        for name in [
            ".writing-a",
            "part/.saving-1/new/model.safetensors",
            "part/.longrope-export-1/new/model.safetensors",
            "busy/.writing-b",
            "step-000001/state.json",
            "notes.writing-c",
        ] {
            fs_err::write(path(name), "text").unwrap();
        }
        let busy = Lock::take(&path("busy")).unwrap();
        let exported = longrope_data::create_folder(&path("exported"), EXPORT_PREFIX, |new| {
            sweep(folder.path());
            std::io::Result::Ok(new.is_dir())
        });
        assert!(exported.unwrap(), "another process was writing it");
        for (name, stays) in [
            (".writing-a", false),
            ("part/.saving-1", false),
            ("part/.longrope-export-1", false),
            ("part", true),
            ("busy/.writing-b", true),
            ("step-000001/state.json", true),
            ("notes.writing-c", true),
            (".saved", true),
        ] {
            assert_eq!(path(name).exists(), stays, "{name}");
        }
        drop(busy);
        sweep(folder.path());
        assert!(!path("busy/.writing-b").exists());
    }
}

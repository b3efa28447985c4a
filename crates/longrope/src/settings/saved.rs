//! The settings that a run has saved in its folder.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::Result;
use longrope_extend::RunFolder;
use toml::Table;

/// The text of the settings of a run, in the file `name` of its folder. If the file is missing or damaged, that is the copy in
/// `run.json`, and a warning says so.
///
/// # Errors
/// If the file cannot be read, or is not text and there is no copy.
pub(crate) fn saved_text(run: &Path, name: &str) -> Result<String> {
    let path = run.join(name);
    let text = fs_err::read_to_string(&path);
    let problem = match &text {
        Ok(text) => problem(text),
        Err(error) => match error.kind() {
            ErrorKind::InvalidData => Some("is not text in UTF-8"),
            ErrorKind::NotFound => Some("is missing"),
            _ => None,
        },
    };
    if let Some(problem) = problem
        && let Ok(Some(copy)) = RunFolder::settings(run)
    {
        tracing::warn!(
            "`{}` {problem}: the settings are taken from the copy in `run.json`",
            path.display()
        );
        return Ok(copy);
    }
    Ok(text?)
}

/// What is wrong with settings as a whole. Keys that are wrong were edited.
fn problem(text: &str) -> Option<&'static str> {
    match text.parse::<Table>() {
        Err(_) => Some("is not valid TOML"),
        Ok(table) => table.is_empty().then_some("has no settings"),
    }
}

#[cfg(test)]
mod tests {
    use longrope_extend::{RunKind, RunMode, RunSettings};

    use super::*;

    #[test]
    fn damaged_settings_are_taken_from_the_copy() {
        let here = tempfile::tempdir().unwrap();
        let begun = RunSettings {
            text: "seed = 7\n",
            ..RunSettings::default()
        };
        let run = here.path();
        drop(RunFolder::open(run, RunKind::Search, RunMode::New, &begun).unwrap());
        let path = run.join("config.toml");
        let read = |bytes: &[u8]| {
            fs_err::write(&path, bytes).unwrap();
            saved_text(run, "config.toml")
        };
        for damaged in [&b""[..], b"\n", b"\0\0\0\0", b"seed = ", b"seed = 7 # \xff"] {
            assert_eq!(read(damaged).unwrap(), "seed = 7\n", "{damaged:?}");
        }
        // Edited, rightly or wrongly.
        for edited in ["seed = 8\n", "sead = 7\n"] {
            assert_eq!(read(edited.as_bytes()).unwrap(), edited);
        }
        fs_err::remove_file(&path).unwrap();
        assert_eq!(saved_text(run, "config.toml").unwrap(), "seed = 7\n");
        fs_err::remove_file(run.join("run.json")).unwrap();
        assert_eq!(read(b"").unwrap(), "");
        assert!(read(b"\xff").is_err());
    }
}

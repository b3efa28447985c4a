//! Running the stages that are not done.

use std::path::{Path, PathBuf};
use std::time::Instant;

use longrope_data::write_atomically;
use serde::{Deserialize, Serialize};

use super::plan::Verb;
use crate::error::{Error, Result};
use crate::json_files::read_json;

/// Written into the folder of a stage when it is done.
const DONE_FILE: &str = "done.json";
/// The settings of a stage.
const SETTINGS_FILE: &str = "stage.toml";

/// A stage with everything it is run with.
#[derive(Clone, Debug)]
pub struct PlannedStage<W> {
    /// Name of the stage.
    pub name: String,
    /// What it does.
    pub verb: Verb,
    /// Its folder.
    pub folder: PathBuf,
    /// Its settings as text, saved in its folder as `stage.toml`.
    pub settings: String,
    /// What the caller's function needs to run it.
    pub work: W,
}

/// A stage that is done: `done.json` in its folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DoneStage {
    format: String,
    version: u32,
    /// Name of the stage.
    pub stage: String,
    /// What it did.
    pub verb: Verb,
    /// Time it took, seconds.
    pub elapsed_secs: f64,
}

/// The stage that is about to run.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// Its number, from 1.
    pub number: usize,
    /// Number of stages.
    pub of: usize,
    /// Whether it has run before and was interrupted.
    pub has_begun: bool,
}

/// Runs the stages that are not done, in order. Returns all of them as done.
///
/// Calls `run` for each of them; when `run` returns, the stage is done. A finished stage whose settings have changed is
/// not run again, with a warning in the log.
///
/// # Errors
/// The error of `run`, or of a file that cannot be read or written. Stages before it stay done.
pub fn run<W, E: From<Error>>(
    stages: &[PlannedStage<W>],
    mut run: impl FnMut(&PlannedStage<W>, Turn) -> Result<(), E>,
) -> Result<Vec<DoneStage>, E> {
    let mut done = Vec::with_capacity(stages.len());
    for (index, stage) in stages.iter().enumerate() {
        if let Some(earlier) = read_done(stage)? {
            done.push(earlier);
            continue;
        }
        let turn = Turn {
            number: index + 1,
            of: stages.len(),
            has_begun: stage.folder.is_dir(),
        };
        write(&stage.folder.join(SETTINGS_FILE), &stage.settings)?;
        let started = Instant::now();
        run(stage, turn)?;
        let finished = DoneStage {
            format: "longrope-stage".to_owned(),
            version: 1,
            stage: stage.name.clone(),
            verb: stage.verb,
            elapsed_secs: started.elapsed().as_secs_f64(),
        };
        let json = serde_json::to_string_pretty(&finished).map_err(Error::from)?;
        write(&stage.folder.join(DONE_FILE), &(json + "\n"))?;
        done.push(finished);
    }
    Ok(done)
}

fn read_done<W>(stage: &PlannedStage<W>) -> Result<Option<DoneStage>> {
    let path = stage.folder.join(DONE_FILE);
    if !path.is_file() {
        return Ok(None);
    }
    let done = read_json(&path)?;
    let saved = fs_err::read_to_string(stage.folder.join(SETTINGS_FILE)).unwrap_or_default();
    let own = |settings: &str| of_verb(&in_folder(settings, &stage.folder), stage.verb);
    if own(&saved) != own(&stage.settings) {
        tracing::warn!(
            "stage `{}` is done and is not run again, but the recipe has other settings for it now; to run it again, remove `{}`",
            stage.name,
            stage.folder.display()
        );
    }
    Ok(Some(done))
}

/// Settings with paths relative to the folder of the run, however that folder is named.
fn in_folder(settings: &str, stage: &Path) -> String {
    let name = stage.file_name().unwrap_or_default().to_string_lossy();
    let end = format!("{name}\"");
    let out = settings
        .lines()
        .filter_map(|line| line.strip_prefix("out = \""))
        .find_map(|path| path.strip_suffix(&end));
    match out {
        // The folder of the run, with a slash.
        Some(run) if !run.is_empty() => settings.replace(&format!("\"{run}"), "\""),
        _ => settings.to_owned(),
    }
}

/// The lines of settings without the sections that the verb does not read, so that a change of these is none for its stages.
fn of_verb(settings: &str, verb: Verb) -> String {
    let mut is_read = true;
    let lines = settings.split_inclusive('\n').filter(|line| {
        if let Some(header) = line.strip_prefix('[') {
            let section = header.trim_start_matches('[').split(['.', ']']).next();
            is_read = section.is_none_or(|section| verb.reads(section));
        }
        is_read
    });
    lines.collect()
}

fn write(path: &Path, text: &str) -> Result<()> {
    Ok(write_atomically(path, text.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_run_folder_is_no_setting() {
        let settings = |run: &str| {
            format!(
                "model = \"{run}02-train/model\"\nout = \"{run}03-measure\"\ntext = [\"run.txt\"]\n"
            )
        };
        let stage = Path::new("run/03-measure");
        let expected = in_folder(&settings("run/"), stage);
        assert!(expected.contains("\"02-train/model\""), "{expected}");
        for other in ["./run/", "/somewhere/run/", "run//"] {
            assert_eq!(in_folder(&settings(other), stage), expected, "{other}");
        }
        assert_ne!(
            in_folder(&settings("run/").replace("train", "t"), stage),
            expected
        );
    }

    #[test]
    fn a_change_of_what_a_verb_does_not_read_is_none() {
        let settings = |population: u32, windows: u32| {
            format!(
                "seed = 1\n\n[eval]\nwindows = {windows}\n\n[search]\npopulation = {population}\n\n\
                 [search.attention]\ntype = \"none\"\n\n[[search.more]]\na = 1\n\n[search-needle]\ndigits = 5\n\n[train]\nsteps = 1\n"
            )
        };
        let own = |population, windows, verb| of_verb(&settings(population, windows), verb);
        assert_eq!(own(8, 2, Verb::Ppl), "seed = 1\n\n[eval]\nwindows = 2\n\n");
        assert_ne!(own(8, 2, Verb::Ppl), own(8, 3, Verb::Ppl));
        assert_ne!(own(8, 2, Verb::Search), own(9, 2, Verb::Search));
        assert_eq!(own(8, 2, Verb::Finetune), own(9, 2, Verb::Finetune));
        assert!(own(8, 2, Verb::Finetune).ends_with("[train]\nsteps = 1\n"));
    }

    #[test]
    fn stages_run_once_and_a_failed_one_runs_again() {
        let here = tempfile::tempdir().unwrap();
        let planned: Vec<PlannedStage<usize>> = (0..3)
            .map(|work| PlannedStage {
                name: format!("s{work}"),
                verb: Verb::Ppl,
                folder: here.path().join(format!("s{work}")),
                settings: format!("work = {work}\n"),
                work,
            })
            .collect();
        let mut ran = Vec::new();
        let first = run(&planned, |stage, turn| {
            ran.push((stage.work, turn.has_begun));
            let failed = std::io::Error::other("no power");
            if stage.work == 1 {
                Err(Error::from(failed))
            } else {
                Ok(())
            }
        });
        assert!(first.is_err());
        let done = run::<_, Error>(&planned, |stage, turn| {
            ran.push((stage.work, turn.has_begun));
            Ok(())
        });
        assert_eq!(done.unwrap().len(), 3);
        assert_eq!(ran, [(0, false), (1, false), (1, true), (2, false)]);
    }
}

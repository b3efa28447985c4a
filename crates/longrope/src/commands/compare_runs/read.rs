//! The results of a run folder or a file.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use longrope_eval::{EvalReport, EvalResult};
use longrope_model::ResultSource;
use serde_json::Value;

use crate::failure::Hint;

/// A result, the file it is in, and what it was measured on.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    pub(super) file: PathBuf,
    /// `None` in files that do not say.
    pub(super) source: Option<ResultSource>,
    pub(super) result: EvalResult,
}

/// Reads `eval/*.json` of a run folder, or a single file of results.
///
/// # Errors
/// If there are no results, or a file cannot be read.
pub(super) fn read(path: &Path) -> Result<Vec<Measured>> {
    let files = if path.is_dir() {
        let mut files = json_files(&path.join("eval"))?;
        files.extend(json_files(path)?);
        files
    } else if path.is_file() {
        vec![path.to_owned()]
    } else {
        return Err(anyhow!("`{}` does not exist", path.display()).context(Hint(
            "give a run folder with results, or a file of results: RUN/eval/ppl.json".to_owned(),
        )));
    };
    let mut all = Vec::new();
    for file in files {
        let json: Result<Value, _> = serde_json::from_slice(&fs_err::read(&file)?);
        let is_report = |json: &Value| json["format"] == "longrope-eval";
        match json {
            Ok(json) if is_report(&json) => all.extend(results(&file, json)?),
            // Other files of a run.
            Ok(_) if path.is_dir() => {}
            Err(error) if path.is_dir() => {
                tracing::warn!("`{}` is left out: {error}", file.display());
            }
            Ok(_) => {
                return Err(
                    anyhow!("`{}` is not a file of results", file.display()).context(Hint(
                        "results are in RUN/eval/ppl.json, RUN/eval/passkey.json and so on"
                            .to_owned(),
                    )),
                );
            }
            Err(error) => {
                return Err(anyhow!(error)
                    .context(format!("reading results `{}`", file.display()))
                    .context(Hint("measure again; the file is damaged".to_owned())));
            }
        }
    }
    if all.is_empty() {
        return Err(anyhow!("`{}` holds no results of measurements", path.display()).context(Hint(
            "measure both with the same command first, for example longrope eval ppl MODEL --text BOOK --contexts N --out RUN"
                .to_owned(),
        )));
    }
    Ok(all)
}

/// The version of the files of results.
const VERSION: u64 = 1;

fn results(file: &Path, json: Value) -> Result<Vec<Measured>> {
    if json["version"] != VERSION {
        return Err(anyhow!(
            "`version` of `{}` is {}, expected {VERSION}",
            file.display(),
            json["version"]
        )
        .context(Hint(
            "another version of longrope wrote the file; compare them there, or measure again"
                .to_owned(),
        )));
    }
    let report: EvalReport = serde_json::from_value(json)
        .with_context(|| format!("reading results `{}`", file.display()))
        .context(Hint("measure again; the file is damaged".to_owned()))?;
    let EvalReport {
        source, results, ..
    } = report;
    let measured = results.into_iter().map(|result| Measured {
        file: file.to_owned(),
        source: source.clone(),
        result,
    });
    Ok(measured.collect())
}

/// The JSON files of a folder, by name; states of evaluations are none of results.
fn json_files(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_file() && name.ends_with(".json") && !name.ends_with(".state.json") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

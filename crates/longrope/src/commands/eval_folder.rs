//! The run folder of an evaluation: its results, and what they were measured on.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use longrope_data::write_atomically;
use longrope_eval::{EvalReport, EvalResult, EvalSource};
use longrope_extend::{RunFolder, RunMode};

use crate::hint::Hint;
use crate::input;
use crate::settings::config::Config;

/// The locked run folder of an evaluation.
pub(crate) struct EvalFolder {
    _folder: RunFolder,
    report: PathBuf,
    pub(crate) source: EvalSource,
}

impl EvalFolder {
    /// Takes the configured run folder; `None` if there is none. `text` is the fingerprint of what is measured.
    ///
    /// # Errors
    /// If another process works in the folder, or it has results with this name of another model or text.
    pub(crate) fn open(
        config: &Config,
        name: &str,
        mode: RunMode,
        text: Option<String>,
    ) -> Result<Option<Self>> {
        let Some(out) = &config.out else {
            return Ok(None);
        };
        let model = input::model_folder(config)?;
        let source = EvalSource {
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            model: model.display().to_string(),
            model_fingerprint: input::model_fingerprint(config)?,
            text_fingerprint: text,
        };
        let report = report_path(out, name);
        // A stage that is not done yet replaces what it has written itself.
        if mode != RunMode::Part {
            check_results(&report, &source)?;
        }
        Ok(Some(Self {
            _folder: RunFolder::open_for_results(out)?,
            report,
            source,
        }))
    }

    /// Writes `eval/NAME.json`.
    pub(crate) fn write<T: Clone + Into<EvalResult>>(&self, results: &[T]) -> Result<()> {
        let report = EvalReport {
            source: Some(self.source.clone()),
            ..EvalReport::new(results.iter().cloned())
        };
        let text = serde_json::to_string(&report)?;
        Ok(write_atomically(&self.report, (text + "\n").as_bytes())?)
    }
}

/// `eval/NAME.json` of a run folder.
fn report_path(out: &Path, name: &str) -> PathBuf {
    out.join(format!("eval/{name}.json"))
}

/// Checks that results, if there are any, are of the same model and text, and so may be replaced.
fn check_results(path: &Path, source: &EvalSource) -> Result<()> {
    if !path.is_file() {
        return Ok(());
    }
    let text = fs_err::read_to_string(path)?;
    let found = serde_json::from_str::<EvalReport>(&text)
        .ok()
        .and_then(|report| report.source);
    let problem = match found {
        Some(found) if found.model_fingerprint != source.model_fingerprint => {
            format!("holds results of another model, `{}`", found.model)
        }
        Some(found) if found.text_fingerprint != source.text_fingerprint => {
            "holds results of another text".to_owned()
        }
        Some(_) => return Ok(()),
        None => "does not say which model its results are of".to_owned(),
    };
    Err(
        anyhow!("`{}` {problem}; it is not replaced", path.display()).context(Hint(
            "choose another --out, or move that file away".to_owned(),
        )),
    )
}

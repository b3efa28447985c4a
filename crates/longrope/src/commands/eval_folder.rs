//! Where the results of an evaluation go: what they were measured on, and the run folder, if there is one.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use longrope_data::write_atomically;
use longrope_eval::{EffectiveRule, EvalReport, EvalResult};
use longrope_extend::{RunFolder, RunMode};
use longrope_model::ResultSource;

use super::effective_rule::effective_rule;
use crate::hint::Hint;
use crate::input;
use crate::settings::config::{AngleSetting, Config};

/// What an evaluation measures on, and its locked run folder.
pub(crate) struct EvalFolder {
    folder: Option<Folder>,
    pub(crate) source: ResultSource,
    rule: EffectiveRule,
}

struct Folder {
    _locked: RunFolder,
    report: PathBuf,
}

/// The results of an evaluation, and what they were measured on.
#[derive(Clone, Debug)]
pub(crate) struct Evaluated<T> {
    pub(crate) source: ResultSource,
    pub(crate) results: Vec<T>,
    /// How effective lengths are found.
    pub(crate) rule: EffectiveRule,
}

impl<T: Clone + Into<EvalResult>> Evaluated<T> {
    /// The results in the form of `--json` and of `eval/NAME.json`.
    pub(crate) fn report(&self) -> EvalReport {
        EvalReport {
            source: Some(self.source.clone()),
            ..EvalReport::new(self.results.iter().cloned()).with_effective_lengths(self.rule)
        }
    }
}

impl EvalFolder {
    /// Takes the configured run folder, if there is one. `text` is the fingerprint of what is measured.
    ///
    /// # Errors
    /// If another process works in the folder, or it has results with this name of another model or text.
    pub(crate) fn open(
        config: &Config,
        name: &str,
        mode: RunMode,
        text: Option<String>,
    ) -> Result<Self> {
        let source = input::source(config, text)?;
        let rule = effective_rule(config)?;
        let folder = match &config.out {
            None => None,
            Some(out) => {
                let report = report_path(out, name);
                // A stage that is not done yet replaces what it has written itself.
                if mode != RunMode::Part {
                    check_results(&report, &source)?;
                }
                Some(Folder {
                    _locked: RunFolder::open_for_results(out)?,
                    report,
                })
            }
        };
        Ok(Self {
            folder,
            source,
            rule,
        })
    }

    /// Records how rotation angles are rounded, for measurements that let one choose.
    pub(crate) fn with_angles(mut self, angles: AngleSetting) -> Self {
        self.source.angles = match angles {
            AngleSetting::F64 => None,
            AngleSetting::CompatF32 => Some("compat-f32".to_owned()),
        };
        self
    }

    /// Writes `eval/NAME.json`, if there is a folder.
    pub(crate) fn write<T: Clone + Into<EvalResult>>(
        self,
        results: Vec<T>,
    ) -> Result<Evaluated<T>> {
        let evaluated = Evaluated {
            source: self.source,
            results,
            rule: self.rule,
        };
        if let Some(folder) = self.folder {
            let text = serde_json::to_string(&evaluated.report())?;
            write_atomically(&folder.report, (text + "\n").as_bytes())?;
        }
        Ok(evaluated)
    }
}

/// `eval/NAME.json` of a run folder.
fn report_path(out: &Path, name: &str) -> PathBuf {
    out.join(format!("eval/{name}.json"))
}

/// Checks that results, if there are any, are of the same model and text, and so may be replaced.
fn check_results(path: &Path, source: &ResultSource) -> Result<()> {
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

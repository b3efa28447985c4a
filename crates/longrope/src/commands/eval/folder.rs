//! Where the results of an evaluation go: what they were measured on, and the run folder, if there is one.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use longrope_data::write_atomically;
use longrope_eval::{EffectiveRule, EvalReport, EvalResult};
use longrope_extend::{RunFolder, RunMode};
use longrope_model::{ResultSource, rope_fingerprint};
use longrope_rope::RopeSpec;

use super::effective_rule::effective_rule;
use crate::failure::Hint;
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

/// A result that an evaluation is going to have.
pub(crate) struct Planned {
    task: String,
    context: usize,
    rope: String,
    rope_fingerprint: String,
}

impl Planned {
    pub(crate) fn new(task: &str, context: usize, rope: &str, spec: &RopeSpec) -> Self {
        Self {
            task: task.to_owned(),
            context,
            rope: rope.to_owned(),
            rope_fingerprint: rope_fingerprint(spec),
        }
    }

    fn key(&self) -> (&str, usize, &str) {
        (&self.task, self.context, &self.rope)
    }
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
    /// If another process works in the folder, or it has results with this name of another model or text, or results that
    /// are not `planned`.
    pub(crate) fn open(
        config: &Config,
        name: &str,
        mode: RunMode,
        text: Option<String>,
        planned: &[Planned],
    ) -> Result<Self> {
        let source = input::source(config, text)?;
        let rule = effective_rule(config)?;
        let folder = match &config.out {
            None => None,
            Some(out) => {
                let report = report_path(out, name);
                // A stage that is not done yet replaces what it has written itself.
                if mode != RunMode::Part {
                    check_results(&report, &source, planned)?;
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

    /// The file of the results; `None` without a run folder.
    pub(crate) fn report(&self) -> Option<&Path> {
        self.folder.as_ref().map(|folder| folder.report.as_path())
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

/// Checks that results, if there are any, are of the same model and text, and are all `planned`: so they may be replaced.
fn check_results(path: &Path, source: &ResultSource, planned: &[Planned]) -> Result<()> {
    if !path.is_file() {
        return Ok(());
    }
    let bytes = fs_err::read(path)?;
    let problem = match serde_json::from_slice::<EvalReport>(&bytes).ok() {
        Some(EvalReport {
            source: Some(found),
            results,
            ..
        }) => other_source(&found, source).or_else(|| lost(&results, planned)),
        _ => Some("does not say which model its results are of".to_owned()),
    };
    match problem {
        None => Ok(()),
        Some(problem) => Err(
            anyhow!("`{}` {problem}; it is not replaced", path.display()).context(Hint(
                "choose another --out, or move that file away".to_owned(),
            )),
        ),
    }
}

/// How results of another source differ, as the end of a sentence.
fn other_source(found: &ResultSource, now: &ResultSource) -> Option<String> {
    if found.model_fingerprint != now.model_fingerprint {
        return Some(format!("holds results of another model, `{}`", found.model));
    }
    if found.text_fingerprint != now.text_fingerprint {
        return Some("holds results of another text".to_owned());
    }
    if found.rope_layers != now.rope_layers {
        return Some("holds results under another `rope-layers`".to_owned());
    }
    match (&found.precision, &now.precision) {
        (Some(found), Some(now)) if found != now => {
            Some(format!("holds results that were computed in `{found}`"))
        }
        _ => None,
    }
}

/// The results that are not planned again, as the end of a sentence.
fn lost(results: &[EvalResult], planned: &[Planned]) -> Option<String> {
    let why = |result: &EvalResult| {
        let Some(same) = planned.iter().find(|it| it.key() == result.key()) else {
            return Some(result.to_string());
        };
        // Older files do not say the factors.
        let fingerprint = result.rope_fingerprint();
        let is_other = fingerprint.is_some_and(|it| it != same.rope_fingerprint);
        is_other.then(|| format!("{result} with other factors"))
    };
    let mut lost = results.iter().filter_map(why);
    let first = lost.next()?;
    let more = match lost.count() {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    Some(format!(
        "holds results that this measurement does not have: {first}{more}"
    ))
}

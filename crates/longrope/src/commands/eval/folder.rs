//! Where the results of an evaluation go: what they were measured on, and the run folder, if there is one.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use longrope_data::write_atomically;
use longrope_eval::{ChangedSetting, EffectiveRule, EvalReport, EvalResult, HowMeasured};
use longrope_extend::{RunFolder, RunMode};
use longrope_model::{ResultSource, rope_fingerprint};
use longrope_rope::RopeSpec;
use serde_json::json;

use super::effective_rule::effective_rule;
use crate::failure::Hint;
use crate::input;
use crate::settings::config::{AngleSetting, Config};

/// The name of angles that are not rounded, which results do not record.
const EXACT_ANGLES: &str = "f64";

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
    how: HowMeasured,
}

impl Planned {
    /// The result of a task at a context under a RoPE, measured in this way.
    pub(crate) fn new(
        task: &str,
        context: usize,
        rope: &str,
        spec: &RopeSpec,
        how: HowMeasured,
    ) -> Self {
        Self {
            task: task.to_owned(),
            context,
            rope: rope.to_owned(),
            rope_fingerprint: rope_fingerprint(spec),
            how,
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
    /// If another process works in the folder, or it has results with this name of another model or text, results that
    /// are not `planned`, or such that are planned with other settings.
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
                    check_results(&report, &source, planned, mode)?;
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
        let is_rounded = angles != AngleSetting::F64;
        self.source.angles = is_rounded.then(|| angles_name(angles).to_owned());
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

/// How rotation angles are rounded, as it is configured.
pub(super) fn angles_name(angles: AngleSetting) -> &'static str {
    match angles {
        AngleSetting::F64 => EXACT_ANGLES,
        AngleSetting::CompatF32 => "compat-f32",
    }
}

/// `eval/NAME.json` of a run folder.
fn report_path(out: &Path, name: &str) -> PathBuf {
    out.join(format!("eval/{name}.json"))
}

/// Checks that results, if there are any, are of the same model and text, and are all `planned`, with the same settings:
/// so they may be replaced. What is resumed compares its settings itself.
fn check_results(
    path: &Path,
    source: &ResultSource,
    planned: &[Planned],
    mode: RunMode,
) -> Result<()> {
    if !path.is_file() {
        return Ok(());
    }
    let bytes = fs_err::read(path)?;
    let problem = match serde_json::from_slice::<EvalReport>(&bytes).ok() {
        Some(EvalReport {
            source: Some(found),
            results,
            ..
        }) => {
            let is_resumed = mode == RunMode::Resume;
            other_source(&found, source)
                .or_else(|| lost(&results, planned))
                .or_else(|| {
                    (!is_resumed)
                        .then(|| other_settings(&results, &found, planned))
                        .flatten()
                })
        }
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

/// The first result that was measured with other settings than it is planned with, and these settings, as the end of a
/// sentence. More trials or windows may replace fewer.
fn other_settings(
    results: &[EvalResult],
    source: &ResultSource,
    planned: &[Planned],
) -> Option<String> {
    results.iter().find_map(|result| {
        let now = planned.iter().find(|it| it.key() == result.key())?;
        let mut before = HowMeasured::of_result(result);
        if let EvalResult::Ppl(_) = result {
            let angles = source.angles.as_deref().unwrap_or(EXACT_ANGLES);
            before = before.with("angles", json!(angles));
        }
        let changes = before.reasons_to_keep(&now.how);
        if changes.is_empty() {
            return None;
        }
        Some(format!(
            "holds results that were measured with other settings: {} ({result})",
            ChangedSetting::listed(&changes)
        ))
    })
}

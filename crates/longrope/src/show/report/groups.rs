//! Which results can stand in one table: those of the same text, windows or trials, and settings.

use std::path::{Component, Path, PathBuf};

use longrope_eval::{EffectiveLength, PplResult, TaskResult};
use longrope_model::ResultSource;
use serde_json::{Value, json};

use super::data::{Evaluation, RunReport};

/// One result, and whose it is.
#[derive(Debug)]
pub(super) struct Row<'a, T> {
    /// Folder of the stage, in a recipe.
    pub(super) stage: Option<String>,
    /// The model, relative to the run folder if it is in there; the file of the results if they do not say the model.
    pub(super) model: String,
    /// Identifies the model.
    model_id: String,
    /// The RoPE, relative to the run folder if it is in there.
    pub(super) rope: String,
    /// Identifies the RoPE at its context; `None` in older files.
    rope_fingerprint: Option<&'a str>,
    /// Whether the factors are of a file, or the model was trained in this run; in a run with a search, not under a known method.
    pub(super) is_own: bool,
    pub(super) context: usize,
    /// How far the suite of a task keeps its score under this RoPE.
    pub(super) effective: Option<&'a EffectiveLength>,
    pub(super) result: &'a T,
}

/// Results that can be compared, with those of each context next to each other, shortest context first.
#[derive(Debug)]
pub(super) struct Group<'a, T> {
    /// What all of them have in common.
    key: Value,
    pub(super) source: Option<&'a ResultSource>,
    pub(super) rows: Vec<Row<'a, T>>,
}

/// A result that is not in a group yet.
struct Found<'a, T> {
    /// What must be the same for all results of a group.
    key: Value,
    source: Option<&'a ResultSource>,
    row: Row<'a, T>,
}

/// The perplexities of a run, by text and settings.
pub(super) fn perplexities(report: &RunReport) -> Vec<Group<'_, PplResult>> {
    let mut found = Vec::new();
    for (stage, evaluation) in evaluations(report) {
        for result in &evaluation.perplexities {
            let settings = json!([result.protocol, result.bos, result.within]);
            let own = (result.rope.as_str(), result.rope_fingerprint.as_deref());
            let row = row(report, stage, evaluation, own, result.context, result);
            found.push(of(evaluation, &settings, row));
        }
    }
    groups(found, |a, b| {
        (a.stride, a.n_windows, a.n_tokens) == (b.stride, b.n_windows, b.n_tokens)
    })
}

/// The results of tasks, with their trials. Tasks of one suite are in one group.
pub(super) fn tasks(report: &RunReport) -> Vec<Group<'_, TaskResult>> {
    let mut found = Vec::new();
    for (stage, evaluation) in evaluations(report) {
        for result in &evaluation.tasks {
            let suite = suite(&result.task);
            let settings = json!([suite, result.task_version, result.protocol, result.seed]);
            let own = (result.rope.as_str(), result.rope_fingerprint.as_deref());
            let mut row = row(report, stage, evaluation, own, result.context, result);
            let mut lengths = evaluation.effective_lengths.iter();
            row.effective = lengths.find(|it| it.task == suite && it.rope == result.rope);
            found.push(of(evaluation, &settings, row));
        }
    }
    groups(found, |a, b| {
        a.task != b.task || (a.n == b.n && a.settings == b.settings)
    })
}

/// The suite of a task: `ruler` for `ruler/vt`.
pub(super) fn suite(task: &str) -> &str {
    task.split('/').next().unwrap_or(task)
}

/// All evaluations with the folder of their stage, if they are of a recipe.
fn evaluations(report: &RunReport) -> Vec<(Option<&RunReport>, &Evaluation)> {
    let own = report
        .evaluations
        .iter()
        .map(|evaluation| (None, evaluation));
    let of_stages = report.stages.iter().flat_map(|stage| {
        let evaluations = stage.evaluations.iter();
        evaluations.map(move |evaluation| (Some(stage), evaluation))
    });
    own.chain(of_stages).collect()
}

/// Whether factors were searched in the run. What was trained there under a known method is to compare them with.
fn searches(report: &RunReport) -> bool {
    report.parts().any(|part| part.search.is_some())
}

fn row<'a, T>(
    report: &RunReport,
    stage: Option<&RunReport>,
    evaluation: &Evaluation,
    (rope, rope_fingerprint): (&str, Option<&'a str>),
    context: usize,
    result: &'a T,
) -> Row<'a, T> {
    let run = Path::new(&report.run);
    let (model, model_id) = match &evaluation.source {
        Some(source) => (source.model.clone(), source.model_fingerprint.clone()),
        // Who knows which model it was: it is compared with nothing.
        None => (evaluation.file.clone(), evaluation.file.clone()),
    };
    Row {
        stage: stage.map(RunReport::name),
        is_own: is_file(rope)
            || Path::new(&model).starts_with(run) && (rope == "checkpoint" || !searches(report)),
        model: inside(run, &model),
        model_id,
        rope: inside(run, rope),
        rope_fingerprint,
        context,
        effective: None,
        result,
    }
}

/// Whether a RoPE is a file, not a method or published factors.
fn is_file(rope: &str) -> bool {
    let extension = Path::new(rope).extension();
    extension.is_some_and(|extension| extension == "json" || extension == "csv")
}

/// A path relative to the run folder, if it is in there.
pub(super) fn inside(run: &Path, path: &str) -> String {
    let inner = Path::new(path).strip_prefix(run).ok();
    inner.map_or_else(|| path.to_owned(), |inner| inner.display().to_string())
}

fn of<'a, T>(evaluation: &'a Evaluation, settings: &Value, row: Row<'a, T>) -> Found<'a, T> {
    let source = evaluation.source.as_ref();
    let measured_on = match source {
        Some(source) => measured_on(source),
        None => Value::from(row.model_id.as_str()),
    };
    Found {
        key: json!([measured_on, settings]),
        source,
        row,
    }
}

/// Everything in a source except the model and the RoPE, which are what is compared.
fn measured_on(source: &ResultSource) -> Value {
    let mut source = serde_json::to_value(source).unwrap_or_default();
    if let Some(fields) = source.as_object_mut() {
        // The names of texts are how they were given; their fingerprint is what they are.
        let is_compared = |name: &str| name.starts_with("model") || name == "rope";
        fields.retain(|name, _| !is_compared(name) && name != "texts");
    }
    source
}

/// Puts results into groups. Those of one context are of the same windows or trials, as `same` tells.
fn groups<'a, T>(found: Vec<Found<'a, T>>, same: impl Fn(&T, &T) -> bool) -> Vec<Group<'a, T>>
where
    T: PartialEq,
{
    let mut groups: Vec<Group<'a, T>> = Vec::new();
    for Found { key, source, row } in found {
        let fits = |group: &&mut Group<'a, T>| {
            group.key == key
                && !group.rows.iter().any(|other| is_other_file(other, &row))
                && group.rows.iter().all(|other| {
                    other.context != row.context
                        || (same(other.result, row.result) && !is_same_line(other, &row))
                })
        };
        match groups.iter_mut().find(fits) {
            Some(group) => group.rows.push(row),
            None => groups.push(Group {
                key,
                source,
                rows: vec![row],
            }),
        }
    }
    for group in &mut groups {
        // Stable: within a context, the order stays that of the files.
        group.rows.sort_by_key(|row| row.context);
    }
    groups
}

/// Whether two results are of files with the same name and other factors: one was written over the other.
fn is_other_file<T>(a: &Row<'_, T>, b: &Row<'_, T>) -> bool {
    let both = a.rope_fingerprint.zip(b.rope_fingerprint);
    a.rope == b.rope && is_file(&a.rope) && both.is_some_and(|(a, b)| a != b)
}

/// Whether two results are of the same RoPE and model, and so of one line of a figure. A method has other factors at every
/// context; a name that stands for two RoPEs of one context is in two groups.
fn is_same_line<T>(a: &Row<'_, T>, b: &Row<'_, T>) -> bool {
    (&a.stage, &a.model_id, &a.rope) == (&b.stage, &b.model_id, &b.rope)
}

impl<'a, T> Group<'a, T> {
    /// Whether the results are of stages of a recipe.
    pub(super) fn has_stages(&self) -> bool {
        self.rows.iter().any(|row| row.stage.is_some())
    }

    /// The models, in order of their first result; each with the first stage that measured it.
    pub(super) fn models(&self) -> Vec<(&str, Option<&str>)> {
        let mut models: Vec<(&str, Option<&str>)> = Vec::new();
        for row in &self.rows {
            if !models.iter().any(|(model, _)| *model == row.model) {
                models.push((&row.model, row.stage.as_deref()));
            }
        }
        models
    }

    /// A model's name in tables and figures: as much of the end of its path as tells it from the other models.
    pub(super) fn short_name(&self, model: &str) -> String {
        let models = self.models();
        let parts: Vec<Component> = Path::new(model).components().collect();
        let ends = (0..parts.len())
            .rev()
            .map(|from| parts[from..].iter().collect());
        let is_enough = |end: &PathBuf| {
            let mut others = models.iter().filter(|(other, _)| *other != model);
            // Trained models are in folders of this name.
            end != Path::new("model") && !others.any(|(other, _)| Path::new(other).ends_with(end))
        };
        let short = ends.into_iter().find(is_enough);
        short.map_or_else(|| model.to_owned(), |end| end.display().to_string())
    }

    /// What a row is called in a figure: what distinguishes it from the others.
    pub(super) fn label(&self, row: &Row<'_, T>) -> String {
        match &row.stage {
            Some(stage) => format!("{stage}: {}", row.rope),
            None if self.models().len() > 1 => {
                format!("{}: {}", self.short_name(&row.model), row.rope)
            }
            None => row.rope.clone(),
        }
    }

    /// The rows of each line of a figure, in order of their first row.
    pub(super) fn lines(&self) -> Vec<Vec<&Row<'a, T>>> {
        let mut lines: Vec<Vec<&Row<'a, T>>> = Vec::new();
        for row in &self.rows {
            match lines.iter_mut().find(|line| is_same_line(line[0], row)) {
                Some(line) => line.push(row),
                None => lines.push(vec![row]),
            }
        }
        lines
    }

    /// The contexts, shortest first.
    pub(super) fn contexts(&self) -> Vec<usize> {
        let mut contexts: Vec<usize> = self.rows.iter().map(|row| row.context).collect();
        contexts.dedup();
        contexts
    }

    /// The first row of a context: what the others are compared with.
    pub(super) fn reference(&self, context: usize) -> Option<&Row<'a, T>> {
        self.rows.iter().find(|row| row.context == context)
    }
}

#[cfg(test)]
#[path = "groups_tests.rs"]
mod tests;

//! What to do after a verb: one to three command lines with the paths of the command that has ended.
//!
//! A line that the verb would refuse is not shown: [`Subject`] makes all lines about a model, and knows what is refused.

mod subject;
mod words;

use std::path::{Path, PathBuf};

use longrope_model::ModelConfig;
use subject::Subject;
pub(crate) use words::quoted;
use words::{beside, free};

use crate::settings::config::Config;
use crate::settings::path_text::{from_text, to_text};
use crate::terminal::progress;

/// Command lines that go on from the end of a verb, each without the name of the program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NextSteps(Vec<String>);

impl NextSteps {
    fn of(steps: impl IntoIterator<Item = Option<String>>) -> Self {
        Self(steps.into_iter().flatten().collect())
    }

    /// Prints them on stderr, where they are in nobody's way.
    pub(crate) fn show(&self) {
        if self.0.is_empty() {
            return;
        }
        progress::line("next:");
        for step in &self.0 {
            progress::line(&format!("  longrope {step}"));
        }
    }
}

/// After `inspect` and `doctor` of the model `name` in a folder: what is there at longer contexts.
pub(crate) fn after_look(name: &Path, folder: &Path, model: &ModelConfig) -> NextSteps {
    let config = Config::default();
    let subject = Subject::new(&config, name, folder, model);
    let original = model.rope.original_context;
    let longer = subject.longer();
    NextSteps::of([
        Some(subject.plan(longer)),
        subject.compare(&[original, longer]),
    ])
}

/// After a plan for `context` tokens: the search there, with the device and the weights of `config`, with which it fits; or
/// another plan with these `flags`, if this one fits.
pub(crate) fn after_plan(
    config: &Config,
    name: &Path,
    folder: &Path,
    model: &ModelConfig,
    context: usize,
    flags: Option<&str>,
) -> NextSteps {
    let subject = Subject::new(config, name, folder, model).that_fits();
    let original = model.rope.original_context;
    let otherwise = || {
        if model.has_extendable_rope() {
            let flags = flags.filter(|_| context <= original)?;
            Some(format!("{}{flags}", subject.plan(subject.longer())))
        } else {
            subject.compare(&[original, context])
        }
    };
    NextSteps::of([subject.search(context).or_else(otherwise)])
}

/// After a search for `target` tokens: measure, train, report. Trained is the RoPE of the search, or `other`, the method
/// that its verdict recommends instead.
pub(crate) fn after_search(config: &Config, target: usize, other: Option<&str>) -> NextSteps {
    let (Some(subject), Some(out)) = (Subject::of(config), config.out.as_deref()) else {
        return NextSteps::default();
    };
    let rope = to_text(&out.join("rope.json"));
    let init = config.search.run.init.as_deref();
    let init = init.map(to_text);
    let mut ropes = vec!["none", "yarn"];
    // The verdict names the RoPE that ratios multiply by what it is for the search.
    let measured = match other {
        Some("init") => init.as_deref(),
        other => other,
    };
    ropes.extend(measured.filter(|method| !ropes.contains(method)));
    ropes.push(&rope);
    let trained = match other {
        None => Some(rope.as_str()),
        // Nothing to train for: the model is best as it is, or with factors that are for a shorter context.
        Some("none" | "checkpoint" | "init") => None,
        Some(method) => Some(method),
    };
    NextSteps::of([
        subject.measure(&[subject.original(), target], &ropes, out),
        trained.and_then(|trained| subject.train(target, trained, &beside(out, "trained"))),
        Some(report(out)),
    ])
}

/// After a recovery: measure the recovered contexts, and write the checkpoint.
pub(crate) fn after_recover(config: &Config) -> NextSteps {
    let (Some(subject), Some(out)) = (Subject::of(config), config.out.as_deref()) else {
        return NextSteps::default();
    };
    let rope = to_text(&out.join("rope.json"));
    let mut ropes: Vec<&str> = config.rope.iter().map(String::as_str).collect();
    ropes.push(&rope);
    NextSteps::of([
        subject.measure(&config.contexts, &ropes, out),
        Some(subject.export(&rope, &beside(out, "exported"))),
    ])
}

/// After a measurement: the page if there is a run folder. Else the checkpoint with the factors, if one file of factors was
/// measured. Else, for a model that claims the longest context, what other programs read from it. Else the search for that
/// context or, within the window, a plan for a longer one.
pub(crate) fn after_measurement(config: &Config) -> NextSteps {
    if let Some(out) = &config.out {
        return NextSteps(vec![report(out)]);
    }
    let longest = config.contexts.iter().copied().max();
    let (Some(subject), Some(longest)) = (Subject::of(config), longest) else {
        return NextSteps::default();
    };
    if let Some(rope) = only_file(&config.rope) {
        return NextSteps(vec![subject.export(rope, &free(Path::new("extended")))]);
    }
    let is_within = longest <= subject.original();
    if !is_within && longest <= subject.claimed() {
        return NextSteps::of([Some(subject.doctor()), subject.generate()]);
    }
    let plan = Some(subject.plan(subject.longer())).filter(|_| is_within);
    NextSteps::of([subject.search(longest).or(plan)])
}

/// The file among the RoPEs that says which context it is for, if there is exactly one. A list of factors does not.
fn only_file(ropes: &[String]) -> Option<&str> {
    let path = |rope: &str| from_text(PathBuf::from(rope));
    let mut files = ropes.iter().filter(|rope| path(rope).is_file());
    let first = files.next().filter(|_| files.next().is_none())?;
    let is_json = |file: &&str| path(file).extension().is_some_and(|it| it == "json");
    Some(first.as_str()).filter(is_json)
}

/// After a training of windows of `context` tokens, whose model is in `trained`: measure it, see its curves.
pub(crate) fn after_training(config: &Config, trained: &Path, context: Option<usize>) -> NextSteps {
    let config = Config {
        model: Some(trained.to_owned()),
        gguf: None,
        ..config.clone()
    };
    let (Some(subject), Some(out)) = (Subject::of(&config), config.out.as_deref()) else {
        return NextSteps::default();
    };
    let measure =
        context.and_then(|context| subject.measure(&[context / 2, context], &["checkpoint"], out));
    NextSteps::of([measure, Some(report(out)), subject.generate()])
}

/// After a recipe: its page.
pub(crate) fn after_recipe(out: &Path) -> NextSteps {
    NextSteps(vec![report(out)])
}

/// After a dry run of a recipe: the command that runs it.
pub(crate) fn after_dry_run(command: String) -> NextSteps {
    NextSteps(vec![command])
}

/// After a report: its numbers for other programs.
pub(crate) fn after_report(run: &Path, has_metrics: bool) -> NextSteps {
    if !has_metrics {
        return NextSteps::default();
    }
    let run_text = quoted(run);
    NextSteps(vec![
        format!(
            "report {run_text} --csv {}",
            quoted(&run.join("metrics.csv"))
        ),
        format!(
            "report {run_text} --tensorboard {}",
            quoted(&run.join("tensorboard"))
        ),
    ])
}

/// After an export: how others read it, whether they compute the same, and whether it speaks.
pub(crate) fn after_export(out: &Path) -> NextSteps {
    let config = Config {
        model: Some(out.to_owned()),
        ..Config::default()
    };
    let subject = Subject::of(&config);
    NextSteps::of([
        Some(format!("doctor {}", quoted(out))),
        Some(format!("verify {} --with transformers", quoted(out))),
        subject.and_then(|subject| subject.generate()),
    ])
}

/// After an export to a GGUF file: a look at it, and whether llama.cpp computes the same.
pub(crate) fn after_gguf(out: &Path) -> NextSteps {
    NextSteps::of([
        Some(format!("inspect {}", quoted(out))),
        Some(format!("verify {} --with llama.cpp", quoted(out))),
    ])
}

/// After a continuation of `longest` tokens: the measurement behind the impression, at that length or in the window.
pub(crate) fn after_generate(config: &Config, longest: usize) -> NextSteps {
    let Some(subject) = Subject::of(config) else {
        return NextSteps::default();
    };
    let rope = config.rope.first().map_or("checkpoint", String::as_str);
    let passkeys = |context| subject.passkeys(&[context], &[rope], None);
    NextSteps::of([passkeys(longest).or_else(|| passkeys(subject.original()))])
}

/// While a worker serves `address`: how another machine computes on it.
#[cfg(feature = "remote")]
pub(crate) fn with_worker(address: &str) -> NextSteps {
    NextSteps(vec![format!(
        "compare MODEL --text TEXT --contexts 4096 --device remote:ws://{address}"
    )])
}

fn report(out: &Path) -> String {
    format!("report {}", quoted(out))
}

#[cfg(test)]
mod tests;

//! What to do after a verb: one to three command lines with the paths of the command that has ended.

use std::path::{Path, PathBuf};

use crate::progress;
use crate::settings::config::Config;

/// Command lines that go on from the end of a verb, each without the name of the program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NextSteps(Vec<String>);

impl NextSteps {
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

/// What the next command needs to know about this one.
struct Known<'a> {
    model: String,
    /// `--text ..` or `--tokens ..`.
    text: String,
    out: Option<&'a Path>,
    has_tokenizer: bool,
}

impl<'a> Known<'a> {
    fn of(config: &'a Config) -> Self {
        let model = config.model.as_deref().unwrap_or(Path::new("MODEL"));
        Self {
            model: quoted(model),
            text: text_flag(&config.text, config.tokens.as_deref()),
            out: config.out.as_deref(),
            has_tokenizer: config.tokens.is_none(),
        }
    }

    /// A measurement of these contexts and RoPEs: passkeys, or perplexity for a model without a tokenizer.
    fn measurement(&self, contexts: &[usize], ropes: &[&str], out: &Path) -> String {
        let contexts = joined(contexts);
        let ropes: Vec<String> = ropes.iter().map(|rope| quoted(Path::new(rope))).collect();
        let ropes = ropes.join(" ");
        let (model, text, out) = (&self.model, &self.text, quoted(out));
        if self.has_tokenizer {
            format!("eval passkey {model} --contexts {contexts} --rope {ropes} --out {out}")
        } else {
            format!("eval ppl {model} {text} --contexts {contexts} --rope {ropes} --out {out}")
        }
    }
}

/// After `inspect` and `doctor`: what is there at longer contexts.
pub(crate) fn after_look(model: &Path, original_context: usize) -> NextSteps {
    let (model, longer) = (quoted(model), original_context.saturating_mul(4));
    NextSteps(vec![
        format!("plan {model} --context {longer}"),
        format!("compare {model} --text TEXT --contexts {original_context},{longer}"),
    ])
}

/// After `plan`: the search.
pub(crate) fn after_plan(model: &Path, context: usize) -> NextSteps {
    NextSteps(vec![format!(
        "search {} --text TEXT --target {context} --out runs/factors",
        quoted(model)
    )])
}

/// After a search for `target` tokens: measure, train, report.
pub(crate) fn after_search(config: &Config, original: usize, target: usize) -> NextSteps {
    let known = Known::of(config);
    let Some(out) = known.out else {
        return NextSteps::default();
    };
    let rope = out.join("rope.json");
    let ropes = ["none", "yarn", &rope.display().to_string()];
    NextSteps(vec![
        known.measurement(&[original, target], &ropes, out),
        format!(
            "finetune {} {} --rope {} --out {}",
            known.model,
            known.text,
            quoted(&rope),
            quoted(&beside(out, "trained"))
        ),
        report(out),
    ])
}

/// After a recovery: measure the recovered contexts, and write the checkpoint.
pub(crate) fn after_recover(config: &Config) -> NextSteps {
    let known = Known::of(config);
    let Some(out) = known.out else {
        return NextSteps::default();
    };
    let rope = out.join("rope.json").display().to_string();
    let mut ropes: Vec<&str> = config.rope.iter().map(String::as_str).collect();
    ropes.push(&rope);
    NextSteps(vec![
        known.measurement(&config.contexts, &ropes, out),
        format!(
            "export {} --rope {} --out {}",
            known.model,
            quoted(Path::new(&rope)),
            quoted(&beside(out, "exported"))
        ),
    ])
}

/// After a measurement: the page if there is a run folder, else the search for the longest context.
pub(crate) fn after_measurement(config: &Config) -> NextSteps {
    let known = Known::of(config);
    let Some(out) = known.out else {
        let longest = config.contexts.iter().max();
        let search = longest.map(|longest| {
            format!(
                "search {} {} --target {longest} --out runs/factors",
                known.model, known.text
            )
        });
        return NextSteps(search.into_iter().collect());
    };
    NextSteps(vec![report(out)])
}

/// After a training of windows of `context` tokens, whose model is in `trained`: measure it, see its curves.
pub(crate) fn after_training(config: &Config, trained: &Path, context: Option<usize>) -> NextSteps {
    let known = Known {
        model: quoted(trained),
        ..Known::of(config)
    };
    let Some(out) = known.out else {
        return NextSteps::default();
    };
    let mut steps = Vec::new();
    if let Some(context) = context {
        let halves = [context / 2, context];
        steps.push(known.measurement(&halves, &["checkpoint"], out));
    }
    steps.push(report(out));
    if known.has_tokenizer {
        steps.push(format!(
            "generate {} --prompt \"Once upon a time\"",
            known.model
        ));
    }
    NextSteps(steps)
}

/// After a recipe: its page; after a dry run: the recipe.
pub(crate) fn after_recipe(config: &Path, out: &Path, dry_run: bool) -> NextSteps {
    NextSteps(vec![if dry_run {
        format!("extend --config {} --out {}", quoted(config), quoted(out))
    } else {
        report(out)
    }])
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

/// After an export: how others read it, and whether it speaks.
pub(crate) fn after_export(out: &Path) -> NextSteps {
    let out = quoted(out);
    NextSteps(vec![
        format!("doctor {out}"),
        format!("generate {out} --prompt \"Once upon a time\""),
    ])
}

/// After a continuation: the measurement behind the impression.
pub(crate) fn after_generate(config: &Config, longest: usize) -> NextSteps {
    let known = Known::of(config);
    let rope = config.rope.first().map_or("checkpoint", String::as_str);
    NextSteps(vec![format!(
        "eval passkey {} --contexts {longest} --rope {}",
        known.model,
        quoted(Path::new(rope))
    )])
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

fn text_flag(text: &[PathBuf], tokens: Option<&Path>) -> String {
    if let Some(tokens) = tokens {
        return format!("--tokens {}", quoted(tokens));
    }
    if text.is_empty() {
        return "--text TEXT".to_owned();
    }
    let paths: Vec<String> = text.iter().map(|path| quoted(path)).collect();
    format!("--text {}", paths.join(" "))
}

/// A folder beside another: `runs/a-trained` for `runs/a`.
fn beside(out: &Path, what: &str) -> PathBuf {
    let name = out.file_name().unwrap_or_default().to_string_lossy();
    out.with_file_name(format!("{name}-{what}"))
}

fn joined(contexts: &[usize]) -> String {
    let texts: Vec<String> = contexts.iter().map(ToString::to_string).collect();
    texts.join(",")
}

/// A path as a word of a shell's command line.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "_-./:@=,+%".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config {
            model: Some(PathBuf::from("m")),
            text: vec![PathBuf::from("my book.txt")],
            out: Some(PathBuf::from("runs/a")),
            contexts: vec![128, 512],
            ..Config::default()
        }
    }

    #[test]
    fn commands_have_the_paths_of_the_run() {
        assert_eq!(
            after_search(&config(), 256, 1024).0,
            [
                "eval passkey m --contexts 256,1024 --rope none yarn runs/a/rope.json --out runs/a",
                "finetune m --text 'my book.txt' --rope runs/a/rope.json --out runs/a-trained",
                "report runs/a",
            ]
        );
        let trained = after_training(&config(), Path::new("runs/a/model"), Some(512));
        assert_eq!(
            trained.0[0],
            "eval passkey runs/a/model --contexts 256,512 --rope checkpoint --out runs/a"
        );
        assert_eq!(after_measurement(&config()).0, ["report runs/a"]);
    }

    #[test]
    fn models_without_a_tokenizer_are_measured_on_token_ids() {
        let config = Config {
            tokens: Some(PathBuf::from("tokens.json")),
            out: None,
            ..config()
        };
        assert_eq!(
            after_measurement(&config).0,
            ["search m --tokens tokens.json --target 512 --out runs/factors"]
        );
        let with_out = Config {
            out: Some(PathBuf::from("run")),
            rope: vec!["old.json".to_owned()],
            ..config
        };
        assert_eq!(
            after_recover(&with_out).0[0],
            "eval ppl m --tokens tokens.json --contexts 128,512 --rope old.json run/rope.json --out run"
        );
    }

    #[test]
    fn words_are_quoted_for_a_shell() {
        for (path, expected) in [
            ("runs/a-1.0", "runs/a-1.0"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
            ("$(rm)", "'$(rm)'"),
        ] {
            assert_eq!(quoted(Path::new(path)), expected);
        }
    }
}

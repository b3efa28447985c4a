//! `longrope extend`: the stages of a recipe, one verb after the other.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use clap::Parser;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::hint::Hint;
use crate::run_dir::write_atomically;
use crate::settings::args;
use crate::settings::args::Args;
use crate::settings::config::{Config, SearchRunKeys, Stage as SearchStage};
use crate::settings::layers;
use crate::show::output;

/// Written into the folder of a stage when it is done.
const DONE_FILE: &str = "done.json";
/// The configuration of a stage.
const SETTINGS_FILE: &str = "stage.toml";

/// One stage as the recipe has it: a verb, where its inputs come from, and configuration keys that
/// hold for it alone.
#[derive(Clone, Debug)]
struct Stage {
    name: String,
    verb: Verb,
    /// The stage whose trained model is used; default: the last one before; `base` is the recipe's.
    model_from: Option<String>,
    /// The stage whose factors are used, likewise.
    rope_from: Option<String>,
    keys: Table,
}

/// What a stage does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Verb {
    Search,
    Recover,
    Finetune,
    Ppl,
    Passkey,
    Compare,
    Export,
}

impl Verb {
    fn words(self) -> &'static [&'static str] {
        match self {
            Self::Search => &["search"],
            Self::Recover => &["recover"],
            Self::Finetune => &["finetune"],
            Self::Ppl => &["eval", "ppl"],
            Self::Passkey => &["eval", "passkey"],
            Self::Compare => &["compare"],
            Self::Export => &["export"],
        }
    }

    fn gives_rope(self) -> bool {
        matches!(self, Self::Search | Self::Recover)
    }

    fn gives_model(self) -> bool {
        self == Self::Finetune
    }
}

/// What a finished stage left.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Done {
    format: String,
    version: u32,
    stage: String,
    verb: Verb,
    elapsed_secs: f64,
}

pub(crate) fn run(args: &args::Extend) -> Result<()> {
    let (base, stages) = recipe(args)?;
    let out = out_folder(&base, args)?;
    let planned = plan(&base, &stages, &out)?;
    if args.dry_run {
        return output::line(plan_table(&planned));
    }
    if out.join("recipe.toml").is_file() && !args.resume {
        return Err(
            anyhow!("`{}` already holds an extension", out.display()).context(Hint(
                "continue it with --resume, or choose another --out".to_owned(),
            )),
        );
    }
    let text = fs_err::read_to_string(&args.config)?;
    write_atomically(&out.join("recipe.toml"), &text)?;
    let mut rows = Vec::new();
    for (index, stage) in planned.iter().enumerate() {
        let done = match read_done(stage)? {
            Some(done) => done,
            None => run_stage(stage, (index + 1, planned.len()))?,
        };
        rows.push(vec![
            stage.stage.name.clone(),
            stage.stage.verb.words().join(" "),
            output::duration(done.elapsed_secs),
            stage.folder.display().to_string(),
        ]);
    }
    let header = ["stage", "verb", "time", "folder"].map(str::to_owned);
    output::line(output::table(&header, &rows))
}

/// Splits the recipe into the configuration of all stages and the stages.
fn recipe(args: &args::Extend) -> Result<(Table, Vec<Stage>)> {
    let path = &args.config;
    let text = fs_err::read_to_string(path)?;
    let mut base: Table =
        toml::from_str(&text).with_context(|| format!("`{}` is not valid TOML", path.display()))?;
    let stages = match base.remove("stage") {
        Some(Value::Array(stages)) if !stages.is_empty() => stages,
        _ => {
            return Err(anyhow!("`{}` has no stages", path.display()).context(Hint(
                "a recipe lists them as [[stage]] tables; see configs/README.md".to_owned(),
            )));
        }
    };
    for assignment in &args.set {
        layers::merge(&mut base, layers::assignment_table(assignment)?);
    }
    if let Some(device) = &args.device {
        base.insert("device".to_owned(), Value::from(device.clone()));
    }
    let stages: Vec<Stage> = stages
        .into_iter()
        .enumerate()
        .map(|(index, stage)| {
            read_stage(stage)
                .with_context(|| format!("stage {} of `{}`", index + 1, path.display()))
        })
        .collect::<Result<_>>()?;
    for (index, stage) in stages.iter().enumerate() {
        if stages[..index].iter().any(|it| it.name == stage.name) {
            return Err(anyhow!("two stages are called `{}`", stage.name)
                .context(Hint("give one of them a `name` of its own".to_owned())));
        }
    }
    Ok((base, stages))
}

fn read_stage(stage: Value) -> Result<Stage> {
    let Value::Table(mut keys) = stage else {
        return Err(anyhow!("it is no table"));
    };
    let mut text = |key: &str| match keys.remove(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(anyhow!("`{key}` is {other}, expected a string")),
    };
    let name = text("name")?;
    let verb = text("verb")?.ok_or_else(|| anyhow!("`verb` is missing"))?;
    let model_from = text("model-from")?;
    let rope_from = text("rope-from")?;
    let parsed: Verb = Value::from(verb.clone()).try_into().map_err(|_| {
        anyhow!("verb `{verb}` is unknown").context(Hint(
            "verbs of stages are search, recover, finetune, ppl, passkey, compare, export"
                .to_owned(),
        ))
    })?;
    Ok(Stage {
        name: name.unwrap_or(verb),
        verb: parsed,
        model_from,
        rope_from,
        keys,
    })
}

fn out_folder(base: &Table, args: &args::Extend) -> Result<PathBuf> {
    if let Some(out) = &args.out {
        return Ok(out.clone());
    }
    match base.get("out") {
        Some(Value::String(out)) => Ok(PathBuf::from(out)),
        _ => Err(anyhow!("`--out` is missing")
            .context(Hint("give --out or set `out` in the recipe".to_owned()))),
    }
}

/// A stage with everything it will be run with.
struct Planned {
    stage: Stage,
    folder: PathBuf,
    config: Table,
}

impl Planned {
    /// The context that its search is for.
    fn target(&self) -> Option<usize> {
        let target = self.config.get("search")?.get("target")?.as_integer()?;
        (self.stage.verb == Verb::Search).then(|| usize::try_from(target).ok())?
    }
}

/// Checks that ratios on top of factors for `ground` tokens are searched for, and on, longer contexts.
fn check_ratios(search: &SearchRunKeys, ground: usize) -> Result<()> {
    if search.stage != SearchStage::Ratios {
        return Ok(());
    }
    let lengths = [
        ("search.target", search.target),
        ("search.sample-context", search.sample_context),
    ];
    for (key, length) in lengths {
        if let Some(length) = length
            && length <= ground
        {
            return Err(anyhow!(
                "`{key}` is {length}, but the factors it starts from are for {ground} tokens already"
            )
            .context(Hint("ratios extend a context further".to_owned())));
        }
    }
    Ok(())
}

/// Gives every stage its folder, model and factors, and checks all of their keys before anything
/// runs.
fn plan(base: &Table, stages: &[Stage], out: &Path) -> Result<Vec<Planned>> {
    let mut planned: Vec<Planned> = Vec::new();
    for (index, stage) in stages.iter().enumerate() {
        let folder = out.join(format!("{:02}-{}", index + 1, stage.name));
        let mut config = base.clone();
        layers::merge(&mut config, stage.keys.clone());
        config.insert("out".to_owned(), text(&folder));
        let model = source(&planned, stage.model_from.as_deref(), Verb::gives_model)?;
        if let Some(from) = model {
            config.insert("model".to_owned(), text(&from.folder.join("model")));
        }
        let rope = source(&planned, stage.rope_from.as_deref(), Verb::gives_rope)?;
        let own_rope = stage.keys.contains_key("rope");
        if let Some(from) = rope
            && !own_rope
        {
            let path = text(&from.folder.join("rope.json"));
            if stage.verb == Verb::Search {
                // A search starts from factors only where the recipe says so.
                if stage.rope_from.is_some() {
                    let search = config
                        .entry("search")
                        .or_insert_with(|| Table::new().into());
                    if let Value::Table(search) = search {
                        search.insert("init".to_owned(), path);
                    }
                }
            } else {
                config.insert("rope".to_owned(), Value::Array(vec![path]));
            }
        }
        let parsed = Config::deserialize_table(config.clone())
            .with_context(|| format!("keys of stage `{}`", stage.name))?;
        if stage.rope_from.is_some()
            && let Some(ground) = rope.and_then(Planned::target)
        {
            check_ratios(&parsed.search.run, ground)
                .with_context(|| format!("stage `{}`", stage.name))?;
        }
        planned.push(Planned {
            stage: stage.clone(),
            folder,
            config,
        });
    }
    Ok(planned)
}

/// The stage that an input comes from: the one named, or the last that gives it.
fn source<'a>(
    planned: &'a [Planned],
    name: Option<&str>,
    gives: impl Fn(Verb) -> bool,
) -> Result<Option<&'a Planned>> {
    match name {
        Some("base") => Ok(None),
        None => Ok(planned.iter().rev().find(|it| gives(it.stage.verb))),
        Some(name) => planned
            .iter()
            .find(|it| it.stage.name == name && gives(it.stage.verb))
            .map(Some)
            .ok_or_else(|| {
                anyhow!("`{name}` is no earlier stage that gives what is asked of it").context(
                    Hint("models come from finetune, factors from search and recover".to_owned()),
                )
            }),
    }
}

fn text(path: &Path) -> Value {
    Value::from(path.display().to_string())
}

fn read_done(planned: &Planned) -> Result<Option<Done>> {
    let path = planned.folder.join(DONE_FILE);
    if !path.is_file() {
        return Ok(None);
    }
    let done = serde_json::from_str(&fs_err::read_to_string(&path)?)
        .with_context(|| format!("reading `{}`", path.display()))?;
    let saved = fs_err::read_to_string(planned.folder.join(SETTINGS_FILE)).unwrap_or_default();
    if saved != toml::to_string_pretty(&planned.config)? {
        tracing::warn!(
            "stage `{}` was done with other settings than the recipe now has, and is kept; to run it again, remove `{}`",
            planned.stage.name,
            planned.folder.display()
        );
    }
    Ok(Some(done))
}

fn run_stage(planned: &Planned, (number, of): (usize, usize)) -> Result<Done> {
    let Planned {
        stage,
        folder,
        config,
    } = planned;
    output::line(format!(
        "stage {number} of {of}: {}, {}",
        stage.name,
        stage.verb.words().join(" ")
    ))?;
    let has_begun = folder.is_dir();
    let path = folder.join(SETTINGS_FILE);
    write_atomically(&path, &toml::to_string_pretty(config)?)?;
    let words = command_line(planned, &path, has_begun)?;
    let parsed = Args::try_parse_from(words)
        .with_context(|| format!("command line of stage `{}`", stage.name))?;
    let started = Instant::now();
    super::run(parsed).with_context(|| format!("stage `{}`", stage.name))?;
    let done = Done {
        format: "longrope-stage".to_owned(),
        version: 1,
        stage: stage.name.clone(),
        verb: stage.verb,
        elapsed_secs: started.elapsed().as_secs_f64(),
    };
    let mut json = serde_json::to_string_pretty(&done)?;
    json.push('\n');
    write_atomically(&folder.join(DONE_FILE), &json)?;
    Ok(done)
}

/// What a user would type for the stage.
fn command_line(planned: &Planned, config_file: &Path, has_begun: bool) -> Result<Vec<String>> {
    let Planned {
        stage,
        folder,
        config,
    } = planned;
    let mut words = vec!["longrope".to_owned()];
    words.extend(stage.verb.words().iter().map(|word| (*word).to_owned()));
    if stage.verb == Verb::Export {
        let get = |key: &str| -> Result<String> {
            let value = match config.get(key) {
                Some(Value::Array(values)) => values.first(),
                value => value,
            };
            let value = value.and_then(Value::as_str);
            let value = value.ok_or_else(|| anyhow!("stage `{}` has no `{key}`", stage.name))?;
            Ok(value.to_owned())
        };
        let target = folder.join("checkpoint");
        words.extend(["--model".to_owned(), get("model")?]);
        words.extend(["--rope".to_owned(), get("rope")?]);
        words.extend(["--out".to_owned(), target.display().to_string()]);
        words.push("--force".to_owned());
        return Ok(words);
    }
    words.extend(["--config".to_owned(), config_file.display().to_string()]);
    let resumes = match stage.verb {
        Verb::Search => folder.join("search/state.json").is_file(),
        Verb::Finetune | Verb::Recover | Verb::Passkey => has_begun,
        Verb::Ppl | Verb::Compare | Verb::Export => false,
    };
    if resumes {
        words.push("--resume".to_owned());
        // Some verbs look there for their configuration before they read any.
        words.extend(["--out".to_owned(), folder.display().to_string()]);
    }
    Ok(words)
}

/// What `--dry-run` shows.
fn plan_table(planned: &[Planned]) -> String {
    let header = ["stage", "verb", "model", "rope"].map(str::to_owned);
    let word = |config: &Table, key: &str| match config.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(values)) => values
            .iter()
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join(" "),
        _ => "-".to_owned(),
    };
    let rows: Vec<Vec<String>> = planned
        .iter()
        .map(|it| {
            let init = match it.config.get("search") {
                Some(Value::Table(search)) => word(search, "init"),
                _ => "-".to_owned(),
            };
            let rope = match it.stage.verb {
                Verb::Search => init,
                _ => word(&it.config, "rope"),
            };
            vec![
                it.stage.name.clone(),
                it.stage.verb.words().join(" "),
                word(&it.config, "model"),
                rope,
            ]
        })
        .collect();
    output::table(&header, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(text: &str) -> Result<Vec<Planned>> {
        let mut base: Table = toml::from_str(text)?;
        let Some(Value::Array(stages)) = base.remove("stage") else {
            panic!("no stages");
        };
        let stages: Vec<Stage> = stages.into_iter().map(read_stage).collect::<Result<_>>()?;
        plan(&base, &stages, Path::new("run"))
    }

    const RECIPE: &str = r#"
        model = "base"
        [[stage]]
        name = "find"
        verb = "search"
        search = { target = 1024 }
        [[stage]]
        name = "train"
        verb = "finetune"
        train = { steps = 3 }
        [[stage]]
        name = "further"
        verb = "search"
        rope-from = "find"
        search = { target = 4096 }
        [[stage]]
        verb = "ppl"
        contexts = [4096]
    "#;

    #[test]
    fn inputs_come_from_the_stages_before() {
        let planned = planned(RECIPE).unwrap();
        let words = plan_table(&planned);
        let model = |index: usize| planned[index].config["model"].as_str().unwrap();
        assert_eq!((model(0), model(1)), ("base", "base"), "{words}");
        assert_eq!(
            (model(2), model(3)),
            ("run/02-train/model", "run/02-train/model")
        );
        let rope = |index: usize| planned[index].config["rope"][0].as_str().unwrap();
        assert_eq!(rope(1), "run/01-find/rope.json");
        assert_eq!(rope(3), "run/03-further/rope.json");
        let init = planned[2].config["search"]["init"].as_str();
        assert_eq!(init, Some("run/01-find/rope.json"));
        assert!(planned[0].config["search"].get("init").is_none());
    }

    #[test]
    fn mistakes_are_found_before_anything_runs() {
        for (from, to, message) in [
            ("verb = \"ppl\"", "verb = \"pll\"", "verb `pll` is unknown"),
            (
                "rope-from = \"find\"",
                "rope-from = \"fund\"",
                "`fund` is no earlier stage",
            ),
            ("steps = 3", "step = 3", "unknown field"),
            (
                "target = 4096",
                "target = 4096, stage = \"ratios\", sample-context = 1024",
                "factors it starts from are for 1024 tokens",
            ),
        ] {
            let error = planned(&RECIPE.replace(from, to)).err().unwrap();
            let chain = format!("{error:#}");
            assert!(chain.contains(message), "{chain}");
        }
    }
}

//! The RoPE of an export for a runtime: as it is if the runtime takes it, else the closest one that it takes.

use std::path::Path;

use anyhow::{Result, anyhow};
use longrope_data::TokenDocument;
use longrope_extend::{ClosestInputs, Models, NamedSpec, choose_closest, compare_on_windows};
use longrope_gguf::Sets;
use longrope_model::{ModelConfig, gguf_rope, read_config_json};
use longrope_rope::{RopeSpec, Runtime, Taken, taken_by};
use longrope_search::closest::{Aim, Fit, Form, Goal, computes_the_same, fits};
use serde_json::{Map, Value};

use super::choice::Chosen;
use crate::commands::not_finite;
use crate::failure::Hint;
use crate::input;
use crate::input::memory::Work;
use crate::settings::args::{Common, Export, FlagLayer};
use crate::settings::config::Config;
use crate::show::{closest_table, output};
use crate::terminal::{progress, signals};

/// What the RoPE is written into.
#[derive(Clone, Copy, Debug)]
pub(super) enum Written {
    /// A config.json.
    Config,
    /// A GGUF file with these sets.
    Gguf { sets: Sets },
}

/// The RoPE that `--for` and `--single-set` make of the one chosen for the model of this name, which lies in `folder`. Says
/// what it costs, if there is text to measure it on.
pub(super) fn adjusted(
    args: &Export,
    name: &Path,
    folder: &Path,
    chosen: Chosen,
    written: Written,
) -> Result<Chosen> {
    let true_rope = chosen.spec.clone();
    let chosen = if args.single_set {
        let spec = chosen.spec.with_single_set(chosen.context)?;
        chosen.with_spec(spec)
    } else {
        chosen
    };
    let has_text = !args.measured.text.text.is_empty() || args.measured.text.tokens.is_some();
    let task = || Task::new(args, name, folder, &true_rope, chosen.context);
    let Some(runtime) = args.runtime else {
        if args.single_set && has_text {
            let task = task()?;
            task.compare(&task.load()?, &chosen.spec)?;
        }
        return Ok(chosen);
    };
    let runtime = Runtime::from(runtime);
    let model = ModelConfig::from_folder(folder)?;
    let reader = Reader::new(runtime, folder, &model, written, chosen.context)?;
    let lengths = [model.rope.original_context, chosen.context];
    if let Some(computed) = reader.takes(&chosen.spec)
        && computes_the_same(&computed, &chosen.spec, &lengths)
    {
        check_sample_context(args, chosen.context)?;
        output::line(format!("{} takes the RoPE as it is", runtime.name()))?;
        if args.single_set && has_text {
            let task = task()?;
            task.compare(&task.load()?, &computed)?;
        }
        return Ok(chosen);
    }
    closest(&reader, &task()?, chosen)
}

/// Refuses samples that are longer than the exported model is made for, also where nothing is measured.
fn check_sample_context(args: &Export, target: usize) -> Result<()> {
    match args.measured.context.filter(|context| *context > target) {
        None => Ok(()),
        Some(context) => Err(anyhow!(
            "samples have {context} tokens, expected at most the {target} that the exported model is for"
        )
        .context(Hint(format!("give --context {target}, or leave it out")))),
    }
}

/// The RoPE that the runtime takes whose losses are closest to those of the chosen one, which it does not take.
fn closest(reader: &Reader<'_>, task: &Task<'_>, chosen: Chosen) -> Result<Chosen> {
    let runtime = reader.runtime;
    let original = reader.model.rope.original_context;
    let goal = Goal::new(&chosen.spec, chosen.context);
    let takes = |spec: &RopeSpec| reader.takes(spec);
    let aim = Aim {
        goal: &goal,
        rope: &chosen.spec,
        takes: &takes,
    };
    let found = fits(aim);
    if found.is_empty() {
        return Err(reader.refusal(&chosen.spec));
    }
    output::line(format!(
        "{} does not take the RoPE as it is; the closest one that it takes is chosen by loss",
        runtime.name()
    ))?;
    let loaded = task.load()?;
    let fit = task.choose(&loaded, &found, aim)?;
    output::line(closest_table::words(&fit, original))?;
    task.compare(&loaded, &fit.computed)?;
    if fit.form == Form::AsItIs {
        return Ok(chosen);
    }
    if fit.written.original_context != original {
        tracing::warn!(
            "`original_max_position_embeddings` is written as {}, not {original}: {} computes other numbers from it",
            fit.written.original_context,
            runtime.name()
        );
    }
    Ok(chosen.with_spec(fit.written))
}

/// What a runtime makes of a RoPE in this model.
struct Reader<'a> {
    runtime: Runtime,
    config: Map<String, Value>,
    model: &'a ModelConfig,
    written: Written,
    context: usize,
}

impl<'a> Reader<'a> {
    fn new(
        runtime: Runtime,
        folder: &Path,
        model: &'a ModelConfig,
        written: Written,
        context: usize,
    ) -> Result<Self> {
        let config = match read_config_json(&folder.join("config.json"))? {
            Value::Object(map) => map,
            _ => Map::new(),
        };
        Ok(Self {
            runtime,
            config,
            model,
            written,
            context,
        })
    }

    fn takes(&self, spec: &RopeSpec) -> Option<RopeSpec> {
        match self.written {
            Written::Gguf { sets } => gguf_rope(self.model, spec, self.context, sets).ok(),
            Written::Config => match self.taken(spec) {
                Ok(Taken::Computes(computed)) => Some(computed),
                _ => None,
            },
        }
    }

    fn taken(&self, spec: &RopeSpec) -> longrope_rope::Result<Taken> {
        taken_by(self.runtime, &self.config, spec, self.context)
    }

    /// Why the runtime takes no RoPE of any form.
    fn refusal(&self, spec: &RopeSpec) -> anyhow::Error {
        let name = self.runtime.name();
        if let Written::Gguf { sets } = self.written
            && let Err(error) = gguf_rope(self.model, spec, self.context, sets)
        {
            return error.into();
        }
        let family = self.model.family.model_type();
        let why = match self.taken(spec) {
            Ok(Taken::Refused { reason }) => format!("{name} takes no RoPE like this: {reason}"),
            Err(error) => return error.into(),
            Ok(_) => format!("what {name} computes for `{family}` models is not known"),
        };
        anyhow!(why).context(Hint(
            "leave out --for to write the RoPE as it is, and compare losses in the runtime before you rely on it"
                .to_owned(),
        ))
    }
}

/// A model, and the text to measure it on.
struct Loaded {
    models: Models,
    documents: Vec<TokenDocument>,
}

/// Measuring RoPEs on text.
struct Task<'a> {
    config: Config,
    model: ModelConfig,
    /// The RoPE before anything was lost.
    rope: &'a RopeSpec,
    /// Tokens of a sample.
    context: usize,
}

impl<'a> Task<'a> {
    /// Checks the settings, before a model is loaded.
    fn new(
        args: &Export,
        name: &Path,
        folder: &Path,
        rope: &'a RopeSpec,
        target: usize,
    ) -> Result<Self> {
        let measured = &args.measured;
        let common = Common {
            config: None,
            set: measured.set.clone(),
            device: measured.device.clone(),
            force: args.force,
        };
        let flags = FlagLayer::default()
            .path("model", Some(&name.to_owned()))
            .text(&measured.text)
            .number("seed", measured.seed)
            .count("search.samples", measured.samples)
            .count("search.sample-context", measured.context)
            .table();
        let config = input::configuration(&common, flags)?;
        input::check_text_is_given(&config).map_err(|error| {
            error.context("the RoPE that is written is chosen by loss on text".to_owned())
        })?;
        input::check_text_is_there(&config)?;
        let model = ModelConfig::from_folder(folder)?;
        let original = model.rope.original_context;
        let context = config.search.run.sample_context.unwrap_or(target);
        let expected = if context > target {
            format!("at most the {target} that the exported model is for")
        } else {
            format!("more than the original context of {original}")
        };
        if context > target || context <= original {
            return Err(
                anyhow!("samples have {context} tokens, expected {expected}")
                    .context(Hint(format!("give --context {target}, or leave it out"))),
            );
        }
        Ok(Self {
            config,
            model,
            rope,
            context,
        })
    }

    fn load(&self) -> Result<Loaded> {
        let context = self.context;
        let models = input::load_models(&self.config, Work::Measure { context })?;
        let documents = input::load_documents(&self.config, models.decoder().config())?;
        Ok(Loaded { models, documents })
    }

    /// Chooses among fits and variants of the best one, and shows their losses.
    fn choose(&self, loaded: &Loaded, found: &[Fit], aim: Aim<'_>) -> Result<Fit> {
        let inputs = self.inputs(loaded);
        let bar = progress::spinner("measuring RoPEs");
        let chosen = choose_closest(&inputs, found, aim, &signals::listen()?, &mut |_| {
            bar.tick();
        });
        bar.finish_and_clear();
        let chosen = chosen
            .map_err(|error| not_finite::explain(error.into(), self.config.model.as_deref()))?;
        output::line(closest_table::tried(&chosen, inputs.samples, self.context))?;
        Ok(chosen.chosen)
    }

    /// Shows the losses of the RoPE, of what is written, and of the model's own RoPE, at the original context and beyond.
    fn compare(&self, loaded: &Loaded, written: &RopeSpec) -> Result<()> {
        let inputs = self.inputs(loaded);
        let own = &self.model.rope;
        let ropes: Vec<NamedSpec> = vec![
            NamedSpec::new("the RoPE", self.rope.clone()),
            NamedSpec::new("as written", written.clone()),
            NamedSpec::new("the model's own", own.clone()),
        ];
        let bar = progress::spinner("measuring windows");
        let contexts = [own.original_context, self.context];
        let found =
            compare_on_windows(&inputs, &ropes, &contexts, &signals::listen()?, &mut |_| {
                bar.tick();
            });
        bar.finish_and_clear();
        let found = found
            .map_err(|error| not_finite::explain(error.into(), self.config.model.as_deref()))?;
        output::line(closest_table::comparison(&found))
    }

    fn inputs<'l>(&self, loaded: &'l Loaded) -> ClosestInputs<'l> {
        ClosestInputs {
            models: &loaded.models,
            documents: &loaded.documents,
            samples: self.config.search.run.samples,
            context: self.context,
            seed: self.config.seed,
        }
    }
}

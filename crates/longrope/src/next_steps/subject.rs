//! Command lines about a model, without those that would be refused.

use std::path::{Path, PathBuf};

use longrope_data::Tokenizer;
use longrope_eval::{Passkey, PasskeyConfig};
use longrope_model::{Checkpoint, FIRST_CAPACITY, ModelConfig};
use longrope_rope::RopeScaling;
use longrope_trainer::run::{TrainConfig, TrainMode};

use super::words::{free, joined, quoted, rope_word, words};
use crate::input::memory::{self, Work};
use crate::input::rope_arg::RopeArg;
use crate::input::{extendable, model_config};
use crate::settings::bounds::MOST_TOKENS;
use crate::settings::config::{Config, PrecisionSetting, RopeLayers, WeightSetting};
use crate::settings::layers::assignment_table;

/// A model, and how the next command would load it.
pub(super) struct Subject<'a> {
    config: &'a Config,
    /// As a word of the command line.
    name: String,
    folder: PathBuf,
    model: ModelConfig,
    /// Whether lines that this machine has no memory for are left out.
    checks_memory: bool,
}

impl<'a> Subject<'a> {
    /// The model of a configuration; `None` if it cannot be read.
    pub(super) fn of(config: &'a Config) -> Option<Self> {
        let (name, folder) = (config.named_model()?, config.model.as_deref()?);
        let model = model_config(config).ok()?;
        Some(Self::new(config, name, folder, &model))
    }

    /// A model whose name is not that of its folder.
    pub(super) fn new(config: &'a Config, name: &Path, folder: &Path, model: &ModelConfig) -> Self {
        Self {
            config,
            name: quoted(name),
            folder: folder.to_owned(),
            model: model.clone(),
            checks_memory: true,
        }
    }

    /// The same for lines whose memory has been compared, maybe with that of another machine.
    pub(super) fn that_fits(self) -> Self {
        Self {
            checks_memory: false,
            ..self
        }
    }

    /// The context that the model was trained for.
    pub(super) fn original(&self) -> usize {
        self.model.rope.original_context
    }

    /// The context that the model is for, by its configuration. With dynamic NTK, its `config.json` claims the original one.
    pub(super) fn claimed(&self) -> usize {
        let ModelConfig {
            rope, max_context, ..
        } = &self.model;
        match rope.scaling {
            RopeScaling::DynamicNtk { .. } => rope.max_context().max(*max_context),
            _ => *max_context,
        }
    }

    /// A context worth extending to.
    pub(super) fn longer(&self) -> usize {
        let most = usize::try_from(MOST_TOKENS).unwrap_or(usize::MAX);
        self.original().saturating_mul(4).min(most)
    }

    /// `plan`
    pub(super) fn plan(&self, context: usize) -> String {
        format!("plan {} --context {context}{}", self.name, self.device())
    }

    /// `doctor`
    pub(super) fn doctor(&self) -> String {
        format!("doctor {}", self.name)
    }

    /// `search`, if there is something to extend and the model fits.
    pub(super) fn search(&self, target: usize) -> Option<String> {
        extendable::check_target(&self.model, target).ok()?;
        let line = format!(
            "search {} {} --target {target} --out {}",
            self.name,
            self.text(),
            quoted(&free(Path::new("runs/factors")))
        );
        self.measured(&line, target, &self.devices())
    }

    /// `compare`
    pub(super) fn compare(&self, contexts: &[usize]) -> Option<String> {
        let line = format!(
            "compare {} {} --contexts {}",
            self.name,
            self.text(),
            joined(contexts)
        );
        self.measured(&line, contexts.iter().copied().max()?, &self.devices())
    }

    /// A measurement of these contexts and RoPEs: passkeys, or perplexity where passkeys cannot be tried.
    pub(super) fn measure(&self, contexts: &[usize], ropes: &[&str], out: &Path) -> Option<String> {
        let passkeys = self.passkeys(contexts, ropes, Some(out));
        passkeys.or_else(|| {
            let line = format!(
                "eval ppl {} {} --contexts {} --rope {} --out {}",
                self.name,
                self.text(),
                joined(contexts),
                words(ropes),
                quoted(out)
            );
            self.measured(&line, contexts.iter().copied().max()?, &self.devices())
        })
    }

    /// `eval passkey` at those contexts that passkeys fit into, if there is a tokenizer.
    pub(super) fn passkeys(
        &self,
        contexts: &[usize],
        ropes: &[&str],
        out: Option<&Path>,
    ) -> Option<String> {
        if self.config.tokens.is_some() {
            return None;
        }
        let tokenizer = Tokenizer::from_model_dir(&self.folder).ok()?;
        let settings = PasskeyConfig::default();
        // The line has no seed, so it has the default.
        let seed = Config::default().seed;
        // A longer prompt only has more filler.
        let fits = |context: &usize| {
            let context = (*context).min(4096);
            Passkey::new(&tokenizer, &settings, context, seed).is_ok()
        };
        let contexts: Vec<usize> = contexts.iter().copied().filter(fits).collect();
        let out = out.map_or_else(String::new, |out| format!(" --out {}", quoted(out)));
        let line = format!(
            "eval passkey {} --contexts {} --rope {}{out}",
            self.name,
            joined(&contexts),
            words(ropes)
        );
        self.measured(&line, contexts.iter().copied().max()?, &self.device())
    }

    /// `finetune` under a RoPE, a file for `context` tokens or a method, with windows of as many: of all weights, or of
    /// adapters if only they fit.
    pub(super) fn train(&self, context: usize, rope: &str, out: &Path) -> Option<String> {
        let shares =
            self.config.rope_layers == RopeLayers::All && self.model.family.has_local_rope();
        if self.model.is_nested || shares {
            return None;
        }
        // The line has no settings of a training, so it has the defaults.
        let train = TrainConfig::default();
        let adapters = TrainConfig {
            mode: TrainMode::Lora,
            ..train.clone()
        };
        let forced = |config| self.forced(Work::Train { context, config });
        let mode = match (forced(&train), forced(&adapters)) {
            (Some(""), _) => "",
            (_, Some("")) => " --lora",
            (other, _) => other?,
        };
        let windows =
            if RopeArg::read(rope, &self.model, context).is_ok_and(|rope| rope.needs_context()) {
                format!(" --context {context}")
            } else {
                String::new()
            };
        Some(format!(
            "finetune {} {} --rope {}{windows} --out {}{mode}{}{}",
            self.name,
            self.text(),
            rope_word(rope),
            quoted(out),
            self.layers(),
            self.devices()
        ))
    }

    /// `export`
    pub(super) fn export(&self, rope: &str, out: &Path) -> String {
        format!(
            "export {} --rope {} --out {}",
            self.name,
            rope_word(rope),
            quoted(out)
        )
    }

    /// `generate`, if there is a tokenizer.
    pub(super) fn generate(&self) -> Option<String> {
        Tokenizer::from_model_dir(&self.folder).ok()?;
        let line = format!("generate {} --prompt \"Once upon a time\"", self.name);
        let work = Work::Generate {
            tokens: FIRST_CAPACITY,
        };
        self.loaded(&line, work, &self.device())
    }

    fn measured(&self, line: &str, context: usize, devices: &str) -> Option<String> {
        self.loaded(line, Work::Measure { context }, devices)
    }

    /// A line with the settings that the model is loaded with; `None` if there are no weights, or they do not fit.
    fn loaded(&self, line: &str, work: Work<'_>, devices: &str) -> Option<String> {
        Checkpoint::open(&self.folder).ok()?;
        let force = self.forced(work)?;
        let weights = match self.config.weights {
            WeightSetting::Resident => "",
            WeightSetting::Streamed => " --set weights=streamed",
        };
        let precision = match self.config.precision {
            PrecisionSetting::Auto => String::new(),
            other => format!(" --set precision={}", other.name()),
        };
        let layers = self.layers();
        Some(format!(
            "{line}{weights}{precision}{layers}{devices}{force}"
        ))
    }

    /// The flag without which the work would be refused for its memory, empty if it fits; `None` if it does not, and is not
    /// started anyway.
    fn forced(&self, work: Work<'_>) -> Option<&'static str> {
        let config = Config {
            force: !self.checks_memory,
            ..self.config.clone()
        };
        if memory::check(&config, &self.model, work).is_ok() {
            return Some("");
        }
        self.config.force.then_some(" --force")
    }

    /// `--device ..` for a verb that computes on all devices, unless it is the default.
    fn devices(&self) -> String {
        device_flags(self.config.device.names().unwrap_or_default())
    }

    /// `--device ..` for a verb that computes on one device.
    fn device(&self) -> String {
        let names = self.config.device.names().unwrap_or_default();
        device_flags(&names[..names.len().min(1)])
    }

    fn layers(&self) -> &'static str {
        match self.config.rope_layers {
            RopeLayers::Full => "",
            RopeLayers::All => " --set rope-layers=all",
        }
    }

    /// `--text ..`, with the field that it is in, or `--tokens ..`, with a place to fill in if none was given.
    fn text(&self) -> String {
        let Config { text, tokens, .. } = self.config;
        if let Some(tokens) = tokens {
            return format!("--tokens {}", quoted(tokens));
        }
        if text.is_empty() {
            let has_tokenizer = self.folder.join("tokenizer.json").is_file();
            let place = if has_tokenizer {
                "--text TEXT"
            } else {
                "--tokens TOKENS"
            };
            return place.to_owned();
        }
        let paths: Vec<String> = text.iter().map(|path| quoted(path)).collect();
        format!("--text {}{}", paths.join(" "), self.text_field())
    }

    /// `--set data.text-field=..`, if it is not the default.
    fn text_field(&self) -> String {
        let field = self.config.data.text_field.as_str();
        if field == Config::default().data.text_field {
            return String::new();
        }
        let set = format!("data.text-field={field}");
        let read = assignment_table(&set).ok();
        let value = read
            .as_ref()
            .and_then(|table| table.get("data")?.get("text-field"));
        let set = if value.and_then(toml::Value::as_str) == Some(field) {
            set
        } else {
            // It looks like a number, for example.
            format!("data.text-field={}", toml::Value::from(field))
        };
        format!(" --set {}", quoted(Path::new(&set)))
    }
}

/// `--device ..` for each name, with a blank before it; empty for the default.
fn device_flags(names: &[String]) -> String {
    if names.is_empty() || names == ["flex"] {
        return String::new();
    }
    let words: Vec<String> = names.iter().map(|name| quoted(Path::new(name))).collect();
    format!(" --device {}", words.join(" --device "))
}

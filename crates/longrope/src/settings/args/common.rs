//! Flags shared by several verbs.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args as ClapArgs, ValueEnum};

use crate::failure::Hint;
use crate::settings::path_text::to_text;

/// Configuration and device flags.
#[derive(Debug, ClapArgs)]
pub(crate) struct Common {
    /// Configuration file (TOML); flags and `--set` override it.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Set a configuration key, for example `search.population=32`; repeatable.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    #[arg(
        long,
        value_name = "DEVICE",
        help = "Device to compute on: flex (default), ndarray, wgpu[:N|:cpu|:integrated], vulkan[:N|:cpu|:integrated], \
                metal[:N|:integrated], cuda[:N], rocm[:N], remote:ws://HOST:PORT; A+B puts some layers on each; repeatable where \
                the verb uses several"
    )]
    pub(crate) device: Vec<String>,
    /// Start even if the job needs more memory than there is.
    #[arg(long)]
    pub(crate) force: bool,
}

/// Reads the values of `--rope`: names, or paths, which need not be UTF-8 and become text.
pub(super) fn rope_name() -> impl TypedValueParser<Value = String> {
    OsStringValueParser::new().map(|name| to_text(Path::new(&name)))
}

/// Text input flags.
#[derive(Debug, ClapArgs)]
pub(crate) struct TextFlags {
    /// Text: files or folders of plain text, JSON lines or Parquet, or `hf:OWNER/NAME`; repeatable.
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub(crate) text: Vec<PathBuf>,
    /// Token ids to use instead of text: a JSON list of ids, or a list of such lists.
    #[arg(long, value_name = "FILE", conflicts_with = "text")]
    pub(crate) tokens: Option<PathBuf>,
}

/// The model, given as `MODEL` or as `--model MODEL`.
#[derive(Debug, ClapArgs)]
pub(crate) struct ModelArg {
    /// Checkpoint folder, GGUF file or `hf:OWNER/NAME`; also accepted as --model MODEL.
    #[arg(value_name = "MODEL")]
    place: Option<PathBuf>,
    /// Checkpoint folder, GGUF file or `hf:OWNER/NAME`; also accepted without the flag.
    #[arg(
        long = "model",
        value_name = "MODEL",
        conflicts_with = "place",
        hide = true
    )]
    flag: Option<PathBuf>,
}

impl ModelArg {
    /// The model, if it was given.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.place.as_deref().or(self.flag.as_deref())
    }

    /// The model, for verbs without a configuration file that could name it.
    ///
    /// # Errors
    /// If it was not given.
    pub(crate) fn required(&self) -> Result<&Path> {
        self.path().ok_or_else(|| {
            anyhow!("the model is missing").context(Hint(
                "give its folder as MODEL or as --model MODEL".to_owned(),
            ))
        })
    }
}

/// `--dashboard`
#[derive(Clone, Copy, Debug, ClapArgs)]
pub(crate) struct DashboardFlag {
    /// When to show a dashboard; auto shows it in a terminal. Ctrl-C saves and stops.
    #[arg(long, value_enum, value_name = "WHEN", default_value = "auto")]
    dashboard: Dashboard,
}

/// When to show a dashboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Dashboard {
    Auto,
    On,
    Off,
}

impl DashboardFlag {
    /// Whether to show a dashboard. With `auto`, there is none if results are printed as JSON.
    pub(crate) fn is_on(self, json: bool) -> bool {
        let is_terminal = std::io::stdin().is_terminal()
            && std::io::stdout().is_terminal()
            && std::io::stderr().is_terminal();
        match self.dashboard {
            Dashboard::Off => false,
            Dashboard::Auto => is_terminal && !json,
            Dashboard::On => {
                if !is_terminal {
                    tracing::warn!("`--dashboard on` has no effect without a terminal");
                }
                is_terminal
            }
        }
    }
}

/// Flags shared by the tasks with trials.
#[derive(Debug, ClapArgs)]
pub(crate) struct TaskFlags {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) model: ModelArg,
    /// Context lengths in tokens, answer included, separated by commas; default of `eval bench`: the model's context.
    #[arg(long, value_name = "N,..", value_delimiter = ',')]
    pub(crate) contexts: Vec<usize>,
    /// RoPE, as for `eval ppl`; default: the one in config.json; repeatable.
    #[arg(long, value_name = "R", num_args = 1.., value_parser = rope_name())]
    pub(crate) rope: Vec<String>,
    /// RoPE that differences are taken to, by its name in the table; default: the first.
    #[arg(long, value_name = "R", value_parser = rope_name())]
    pub(crate) reference: Option<String>,
    /// Seed of all random choices; default: 42, of `eval bench` 1234.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Run folder for the results and for the state that --resume continues from.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Resume the evaluation in the run folder.
    #[arg(long)]
    pub(crate) resume: bool,
    /// Print JSON on stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

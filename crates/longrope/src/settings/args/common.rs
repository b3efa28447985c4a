//! Flags that several verbs have.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use clap::{Args as ClapArgs, ValueEnum};

use crate::hint::Hint;

/// Flags that every verb with a model has.
#[derive(Debug, ClapArgs)]
pub(crate) struct Common {
    /// Configuration file (TOML); flags and `--set` override it.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Sets a configuration key, for instance `search.population=32`; repeatable.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    #[arg(
        long,
        value_name = "DEVICE",
        help = "Where to compute: flex, ndarray, wgpu[:N], vulkan[:N|:cpu], cuda[:N], \
                remote:ws://HOST:PORT; repeatable"
    )]
    pub(crate) device: Vec<String>,
}

/// Flags for text.
#[derive(Debug, ClapArgs)]
pub(crate) struct TextFlags {
    /// Text: files, folders or JSON lines, also .gz and .zst; repeatable.
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub(crate) text: Vec<PathBuf>,
    /// Token ids instead of text: a JSON list of ids, or a list of such lists.
    #[arg(long, value_name = "FILE", conflicts_with = "text")]
    pub(crate) tokens: Option<PathBuf>,
}

/// The model, as `MODEL` or as `--model MODEL`.
#[derive(Debug, ClapArgs)]
pub(crate) struct ModelArg {
    /// Checkpoint folder, or `hf:OWNER/NAME`; also as --model MODEL.
    #[arg(value_name = "MODEL")]
    place: Option<PathBuf>,
    /// Checkpoint folder, or `hf:OWNER/NAME`; also without the flag.
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

    /// The model of a verb that takes it from nowhere else.
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
    /// Dashboard in the terminal; auto shows it where there is a terminal. `q` and Ctrl-C save and stop.
    #[arg(long, value_enum, value_name = "WHEN", default_value = "auto")]
    dashboard: Dashboard,
}

/// When there is a dashboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Dashboard {
    Auto,
    On,
    Off,
}

impl DashboardFlag {
    /// Whether to take the terminal over. JSON on stdout leaves it alone unless a dashboard is asked for.
    pub(crate) fn is_on(self, json: bool) -> bool {
        let is_terminal = std::io::stdin().is_terminal()
            && std::io::stdout().is_terminal()
            && std::io::stderr().is_terminal();
        match self.dashboard {
            Dashboard::Off => false,
            Dashboard::Auto => is_terminal && !json,
            Dashboard::On => {
                if !is_terminal {
                    tracing::warn!("there is no terminal for a dashboard");
                }
                is_terminal
            }
        }
    }
}

/// Flags that every task with trials has.
#[derive(Debug, ClapArgs)]
pub(crate) struct TaskFlags {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) model: ModelArg,
    /// Contexts, tokens of prompt and answer, separated by commas.
    #[arg(long, value_name = "N,..", value_delimiter = ',')]
    pub(crate) contexts: Vec<usize>,
    /// A RoPE as for `eval ppl`; repeatable; default: what config.json says.
    #[arg(long, value_name = "R", num_args = 1..)]
    pub(crate) rope: Vec<String>,
    /// Seed of every random choice.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Run folder: results go there, and an interrupted evaluation can go on.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Continues the evaluation in the run folder.
    #[arg(long)]
    pub(crate) resume: bool,
    /// JSON on stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Context lengths as configuration values.
pub(crate) fn contexts(contexts: &[usize]) -> Vec<i64> {
    contexts
        .iter()
        .filter_map(|n| i64::try_from(*n).ok())
        .collect()
}

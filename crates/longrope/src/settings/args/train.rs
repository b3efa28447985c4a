//! Flags of the verbs that train.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::common::{Common, DashboardFlag, ModelArg, TextFlags};

#[derive(Debug, ClapArgs)]
pub(crate) struct Pretrain {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Text instead of the sources of our dependencies: files, folders or JSON lines; repeatable.
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub(crate) text: Vec<PathBuf>,
    /// Run folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Seed of every random choice.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Continues the training in the run folder.
    #[arg(long)]
    pub(crate) resume: bool,
    #[command(flatten)]
    pub(crate) dashboard: DashboardFlag,
    /// JSON on stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Finetune {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) model: ModelArg,
    #[command(flatten)]
    pub(crate) text: TextFlags,
    /// A RoPE as for `eval ppl`; default: what config.json says.
    #[arg(long, value_name = "R")]
    pub(crate) rope: Vec<String>,
    /// Tokens of a window; default: the window of the checkpoint.
    #[arg(long, value_name = "N")]
    pub(crate) context: Option<usize>,
    /// Optimizer steps.
    #[arg(long, value_name = "N")]
    pub(crate) steps: Option<usize>,
    /// Trains low-rank adapters and leaves the weights alone.
    #[arg(long)]
    pub(crate) lora: bool,
    /// Run folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Seed of every random choice.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Continues the run in the run folder.
    #[arg(long)]
    pub(crate) resume: bool,
    #[command(flatten)]
    pub(crate) dashboard: DashboardFlag,
    /// JSON on stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

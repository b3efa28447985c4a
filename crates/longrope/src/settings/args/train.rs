//! Flags of the verbs that train.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::common::{Common, DashboardFlag, ModelArg, TextFlags, rope_name};

#[derive(Debug, ClapArgs)]
pub(crate) struct Pretrain {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Text to use instead of the source code of this program's dependencies: files or folders of plain text, JSON
    /// lines or Parquet, or `hf:OWNER/NAME`; repeatable.
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub(crate) text: Vec<PathBuf>,
    /// Run folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Seed of all random choices; default: 42.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Resume the training in the run folder.
    #[arg(long)]
    pub(crate) resume: bool,
    #[command(flatten)]
    pub(crate) dashboard: DashboardFlag,
    /// Print JSON on stdout.
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
    /// RoPE, as for `eval ppl`; default: the one in config.json.
    #[arg(long, value_name = "R", value_parser = rope_name())]
    pub(crate) rope: Vec<String>,
    /// Window length, in tokens; default: the context of the factors of --rope, else the original context.
    #[arg(long, value_name = "N")]
    pub(crate) context: Option<usize>,
    /// Optimizer steps; default: 400.
    #[arg(long, value_name = "N")]
    pub(crate) steps: Option<usize>,
    /// Train low-rank adapters instead of the weights.
    #[arg(long)]
    pub(crate) lora: bool,
    /// Run folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Seed of all random choices; default: 42.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Resume the training in the run folder.
    #[arg(long)]
    pub(crate) resume: bool,
    #[command(flatten)]
    pub(crate) dashboard: DashboardFlag,
    /// Print JSON on stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

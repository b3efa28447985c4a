//! Flags of the verbs that search, and of recipes.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::common::{Common, DashboardFlag, ModelArg, TextFlags};

#[derive(Debug, ClapArgs)]
pub(crate) struct Search {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) model: ModelArg,
    #[command(flatten)]
    pub(crate) text: TextFlags,
    /// Context wanted, tokens.
    #[arg(long, value_name = "N")]
    pub(crate) target: Option<usize>,
    /// Run folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Which search: paper, official, v2 or fast.
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// Factors to start from as well, or to search ratios on top of: a rope.json, a factor CSV, or a published name.
    #[arg(long, value_name = "R")]
    pub(crate) init: Option<PathBuf>,
    /// What is searched for: factors, or ratios to those of --init.
    #[arg(long, value_name = "STAGE")]
    pub(crate) stage: Option<String>,
    /// What is minimized: perplexity, needle or combined.
    #[arg(long, value_name = "OBJECTIVE")]
    pub(crate) objective: Option<String>,
    /// Samples every candidate is scored on.
    #[arg(long, value_name = "N")]
    pub(crate) samples: Option<usize>,
    /// Seed of every random choice.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Continues the search in the run folder.
    #[arg(long)]
    pub(crate) resume: bool,
    #[command(flatten)]
    pub(crate) dashboard: DashboardFlag,
    /// JSON on stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Recover {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) model: ModelArg,
    /// The extended model's RoPE: a rope.json, or a published name.
    #[arg(long, value_name = "R")]
    pub(crate) rope: Option<String>,
    #[command(flatten)]
    pub(crate) text: TextFlags,
    /// Contexts to recover, tokens, separated by commas.
    #[arg(long, value_name = "N,..", value_delimiter = ',')]
    pub(crate) contexts: Vec<usize>,
    /// Run folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Which search: paper, official, v2 or fast.
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// Samples every candidate is scored on.
    #[arg(long, value_name = "N")]
    pub(crate) samples: Option<usize>,
    /// Seed of every random choice.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Continues the searches in the run folder.
    #[arg(long)]
    pub(crate) resume: bool,
    #[command(flatten)]
    pub(crate) dashboard: DashboardFlag,
    /// JSON on stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Compare {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) model: ModelArg,
    #[command(flatten)]
    pub(crate) text: TextFlags,
    /// Contexts, tokens, separated by commas.
    #[arg(long, value_name = "N,..", value_delimiter = ',')]
    pub(crate) contexts: Vec<usize>,
    /// A further RoPE to compare with the methods; repeatable.
    #[arg(long, value_name = "R", num_args = 1..)]
    pub(crate) rope: Vec<String>,
    /// Windows per document.
    #[arg(long, value_name = "N")]
    pub(crate) windows: Option<usize>,
    /// JSON on stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Extend {
    /// The recipe (TOML): configuration keys for all stages, then the stages.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    #[command(flatten)]
    pub(crate) model: ModelArg,
    /// Sets a key for all stages that do not set it themselves; repeatable.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Where to compute; repeatable.
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Vec<String>,
    /// Run folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Continues: finished stages are skipped, the one that was stopped goes on.
    #[arg(long)]
    pub(crate) resume: bool,
    /// Checks the recipe and shows what would run.
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) dashboard: DashboardFlag,
}

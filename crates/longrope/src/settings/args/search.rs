//! Flags of the verbs that search, and of recipes.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::common::{Common, DashboardFlag, ModelArg, TextFlags, rope_name};

#[derive(Debug, ClapArgs)]
pub(crate) struct Search {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) model: ModelArg,
    #[command(flatten)]
    pub(crate) text: TextFlags,
    /// Context to extend to, in tokens.
    #[arg(long, value_name = "N")]
    pub(crate) target: Option<usize>,
    /// Run folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Search profile: paper (default), official, v2 or fast.
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// Factors to add to the seeds, or to search ratios on top of: a rope.json, a factor CSV or a published name.
    #[arg(long, value_name = "R")]
    pub(crate) init: Option<PathBuf>,
    /// What to search: factors (default), or ratios to the factors of --init.
    #[arg(long, value_name = "STAGE")]
    pub(crate) stage: Option<String>,
    /// What to minimize: perplexity, needle (default of profile v2), combined, or auto (default): combined if the model
    /// finds passkeys within its own window, else perplexity.
    #[arg(long, value_name = "OBJECTIVE")]
    pub(crate) objective: Option<String>,
    /// Text samples that every candidate is scored on; default: 5.
    #[arg(long, value_name = "N")]
    pub(crate) samples: Option<usize>,
    /// Seed of all random choices; default: 42.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Resume the search in the run folder.
    #[arg(long)]
    pub(crate) resume: bool,
    #[command(flatten)]
    pub(crate) dashboard: DashboardFlag,
    /// Print JSON on stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Recover {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) model: ModelArg,
    /// RoPE of the extended model: a rope.json or config.json with factor sets, or a published name.
    #[arg(long, value_name = "R", value_parser = rope_name())]
    pub(crate) rope: Option<String>,
    #[command(flatten)]
    pub(crate) text: TextFlags,
    /// Contexts to recover, in tokens, separated by commas.
    #[arg(long, value_name = "N,..", value_delimiter = ',')]
    pub(crate) contexts: Vec<usize>,
    /// Run folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Search profile: paper (default), official, v2 or fast.
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// Text samples that every candidate is scored on; default: 5.
    #[arg(long, value_name = "N")]
    pub(crate) samples: Option<usize>,
    /// Seed of all random choices; default: 42.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Resume the recovery in the run folder.
    #[arg(long)]
    pub(crate) resume: bool,
    #[command(flatten)]
    pub(crate) dashboard: DashboardFlag,
    /// Print JSON on stdout.
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
    /// Context lengths in tokens, separated by commas.
    #[arg(long, value_name = "N,..", value_delimiter = ',')]
    pub(crate) contexts: Vec<usize>,
    /// RoPE to compare with the methods, as for `eval ppl`; repeatable.
    #[arg(long, value_name = "R", num_args = 1.., value_parser = rope_name())]
    pub(crate) rope: Vec<String>,
    /// RoPE that differences are taken to, by its name in the table; default: the first.
    #[arg(long, value_name = "R", value_parser = rope_name())]
    pub(crate) reference: Option<String>,
    /// Windows per document, evenly spaced; default: 8.
    #[arg(long, value_name = "N")]
    pub(crate) windows: Option<usize>,
    /// Score the same text at every context: spread windows of N tokens, and divide them for shorter contexts.
    #[arg(long, value_name = "N")]
    pub(crate) within: Option<usize>,
    /// Run folder for the results.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Print JSON on stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Extend {
    /// Recipe (TOML): configuration keys for all stages, then the stages.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    #[command(flatten)]
    pub(crate) model: ModelArg,
    /// Set a configuration key for all stages that do not set it themselves; repeatable.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Device to compute on, as for `search`; repeatable.
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Vec<String>,
    /// Run folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Skip finished stages and resume the interrupted one, with the MODEL and --set of the run.
    #[arg(long)]
    pub(crate) resume: bool,
    /// Check the recipe and print its stages without running them.
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) dashboard: DashboardFlag,
}

//! Flags of the other verbs.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};

use super::common::{Common, ModelArg};

#[derive(Debug, ClapArgs)]
pub(crate) struct Demo {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Folder for everything the demo writes.
    #[arg(long, value_name = "DIR", default_value = "runs/demo")]
    pub(crate) out: PathBuf,
    /// Text to use instead of sources of our dependencies; repeatable.
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub(crate) text: Vec<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Inspect {
    #[command(flatten)]
    pub(crate) model: ModelArg,
    /// JSON on stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Doctor {
    #[command(flatten)]
    pub(crate) model: ModelArg,
    /// JSON on stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Plan {
    #[command(flatten)]
    pub(crate) model: ModelArg,
    /// Tokens of a window.
    #[arg(long, value_name = "N")]
    pub(crate) context: usize,
    /// What is to be done; default: all.
    #[arg(long, value_enum, value_name = "MODE")]
    pub(crate) mode: Option<PlanMode>,
    /// Where it is to be done, and what the time is estimated on: flex, cuda:0 and so on.
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Option<String>,
    /// Memory there is, GiB; default: that of this machine, of a GPU unknown.
    #[arg(long, value_name = "GiB")]
    pub(crate) memory: Option<f64>,
    /// JSON on stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What is planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlanMode {
    /// Perplexity of one window.
    Eval,
    /// A search of the default size.
    Search,
    /// A step of training low-rank adapters.
    Lora,
    /// A step of training all weights.
    Full,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Generate {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) model: ModelArg,
    /// A RoPE as for `eval ppl`; default: what config.json says.
    #[arg(long, value_name = "R")]
    pub(crate) rope: Vec<String>,
    /// Text to continue; repeatable.
    #[arg(long, value_name = "TEXT")]
    pub(crate) prompt: Vec<String>,
    /// File to continue; repeatable.
    #[arg(long, value_name = "FILE")]
    pub(crate) prompt_file: Vec<PathBuf>,
    /// Most tokens to add.
    #[arg(long, value_name = "N")]
    pub(crate) max_new_tokens: Option<usize>,
    /// 0 takes the most likely token every time, 1 draws from the model's distribution.
    #[arg(long, value_name = "T")]
    pub(crate) temperature: Option<f64>,
    /// Draws from this many of the most likely tokens.
    #[arg(long, value_name = "N")]
    pub(crate) top_k: Option<usize>,
    /// Draws from the most likely tokens that together have this probability.
    #[arg(long, value_name = "P")]
    pub(crate) top_p: Option<f64>,
    /// Seed of every random choice.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// JSON on stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Export {
    #[command(flatten)]
    pub(crate) model: ModelArg,
    /// A rope.json, factor CSV, HF config.json, or the name of a method.
    #[arg(long, value_name = "R")]
    pub(crate) rope: String,
    /// Folder to write.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Format.
    #[arg(long, value_enum, default_value = "hf")]
    pub(crate) format: Format,
    /// Window the exported model claims; default: what the RoPE was made for.
    #[arg(long, value_name = "N")]
    pub(crate) target: Option<usize>,
    /// Type of the weights, rounded to nearest; a weight beyond its range is an error.
    #[arg(long, value_enum, value_name = "TYPE", default_value = "keep")]
    pub(crate) dtype: WeightType,
    /// Splits the weights into files of at most this size, as in 500MB or 2GiB; without it the files
    /// stay as they are, or hold 5GB if --dtype changes them.
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_shard_size: Option<String>,
    /// Replaces an existing folder.
    #[arg(long)]
    pub(crate) force: bool,
}

/// Formats of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A Hugging Face folder.
    Hf,
}

/// Types of exported weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum WeightType {
    /// As they are stored.
    Keep,
    /// 32 bits.
    F32,
    /// 16 bits, up to 65504.
    F16,
    /// 16 bits, the range of f32.
    Bf16,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Report {
    /// Run folder.
    pub(crate) run: PathBuf,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Worker {
    /// Where to listen. Whoever can connect there can compute on this machine: there are no passwords.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:3000")]
    pub(crate) listen: String,
    /// A device to lend; repeatable, all of one kind.
    #[arg(long, value_name = "DEVICE", default_value = "flex")]
    pub(crate) device: Vec<String>,
}

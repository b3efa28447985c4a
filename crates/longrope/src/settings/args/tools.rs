//! Flags of the other verbs.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use longrope_rope::Runtime;

use super::common::{Common, ModelArg, TextFlags, rope_name};

#[derive(Debug, ClapArgs)]
pub(crate) struct CompareRuns {
    /// Run folder of `eval --out` or `compare --out`, or a file of results in it.
    #[arg(value_name = "A")]
    pub(crate) a: PathBuf,
    /// The run that is compared with A.
    #[arg(value_name = "B")]
    pub(crate) b: PathBuf,
    /// Print JSON on stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Completions {
    /// The shell.
    #[arg(value_enum, value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Man {
    /// Folder to write the pages of the program and of all verbs to; without it, the page of the program is printed.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Demo {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Folder for all output of the demo.
    #[arg(long, value_name = "DIR", default_value = "runs/demo")]
    pub(crate) out: PathBuf,
    /// Text to use instead of the source code of this program's dependencies; repeatable.
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub(crate) text: Vec<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Inspect {
    #[command(flatten)]
    pub(crate) model: ModelArg,
    /// Print JSON on stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Doctor {
    #[command(flatten)]
    pub(crate) model: ModelArg,
    /// Print JSON on stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Plan {
    #[command(flatten)]
    pub(crate) model: ModelArg,
    /// Window length, in tokens.
    #[arg(long, value_name = "N")]
    pub(crate) context: usize,
    /// What to plan; default: all.
    #[arg(long, value_enum, value_name = "MODE")]
    pub(crate) mode: Option<PlanMode>,
    /// Device to plan for; its speed is measured to estimate the time; default: flex.
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Option<String>,
    /// Available memory in GiB; default: the memory of this machine; unknown for a GPU.
    #[arg(long, value_name = "GiB")]
    pub(crate) memory: Option<f64>,
    /// Also show the longest windows that GPUs of 24 to 141 GB can train, 1 to 16 of them.
    #[arg(long)]
    pub(crate) gpus: bool,
    /// Print JSON on stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What to plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlanMode {
    /// Measure the perplexity of one window.
    Eval,
    /// Run a search of the default size.
    Search,
    /// Train low-rank adapters for one step.
    Lora,
    /// Train all weights for one step.
    Full,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Generate {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) model: ModelArg,
    /// RoPE, as for `eval ppl`; default: the one in config.json.
    #[arg(long, value_name = "R", value_parser = rope_name())]
    pub(crate) rope: Vec<String>,
    /// Prompt to continue; repeatable.
    #[arg(long, value_name = "TEXT")]
    pub(crate) prompt: Vec<String>,
    /// File with a prompt to continue; repeatable.
    #[arg(long, value_name = "FILE")]
    pub(crate) prompt_file: Vec<PathBuf>,
    /// Maximum number of tokens to add; default: 64.
    #[arg(long, value_name = "N")]
    pub(crate) max_new_tokens: Option<usize>,
    /// Sampling temperature; 0 (default) always takes the most likely token.
    #[arg(long, value_name = "T")]
    pub(crate) temperature: Option<f64>,
    /// Draw from this number of most likely tokens.
    #[arg(long, value_name = "N")]
    pub(crate) top_k: Option<usize>,
    /// Draw from the most likely tokens that together have this probability.
    #[arg(long, value_name = "P")]
    pub(crate) top_p: Option<f64>,
    /// Seed of all random choices; default: 42.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Print JSON on stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Export {
    #[command(flatten)]
    pub(crate) model: ModelArg,
    /// RoPE, as for `eval ppl`, but not selfextend; default: that of the run, if MODEL is the folder of one.
    #[arg(long, value_name = "R", value_parser = rope_name())]
    pub(crate) rope: Option<String>,
    /// Folder to write, or the file if the format is gguf.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Format of the checkpoint; default: gguf for llama.cpp, else hf.
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
    /// Runtime that the checkpoint is for. If it cannot take the RoPE, the closest one that it can is fitted and chosen by
    /// loss on --text.
    #[arg(long = "for", value_enum, value_name = "RUNTIME")]
    pub(crate) runtime: Option<RuntimeName>,
    /// Write the factors for the target at every length, so that nothing changes when a generation grows beyond the
    /// original context.
    #[arg(long)]
    pub(crate) single_set: bool,
    /// Write the trained adapters of a run as a PEFT folder, with the RoPE that the base model needs.
    #[arg(
        long,
        conflicts_with_all = ["rope", "format", "runtime", "single_set", "target", "dtype", "max_shard_size", "sets"]
    )]
    pub(crate) adapter: bool,
    #[command(flatten)]
    pub(crate) measured: MeasuredExport,
    /// Context that the exported model claims, in tokens; default: the context of the RoPE.
    #[arg(long, value_name = "N")]
    pub(crate) target: Option<usize>,
    /// Type of the weights, rounded to nearest; a weight beyond the range of the type is an error.
    #[arg(long, value_enum, value_name = "TYPE", default_value = "keep")]
    pub(crate) dtype: WeightType,
    /// Maximum size of a weight file, for example 500MB or 2GiB; default: files stay as they are, or 5GB if --dtype
    /// changes the weights.
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_shard_size: Option<String>,
    /// Replace an existing export, export weights that are NaN or infinite, and start the measurement of --for even if
    /// it needs more memory than there is.
    #[arg(long)]
    pub(crate) force: bool,
    /// Factor sets in a GGUF file; default: both.
    #[arg(long, value_enum, value_name = "SETS")]
    pub(crate) sets: Option<FactorSets>,
}

/// What the RoPEs of an export are measured on.
#[derive(Debug, ClapArgs)]
pub(crate) struct MeasuredExport {
    #[command(flatten)]
    pub(crate) text: TextFlags,
    /// Set a configuration key of the measurement, for example `data.text-field=body`; repeatable.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Samples of text that RoPEs are chosen on; default: 5.
    #[arg(long, value_name = "N")]
    pub(crate) samples: Option<usize>,
    /// Tokens of a sample; default: the context of the exported model.
    #[arg(long, value_name = "N")]
    pub(crate) context: Option<usize>,
    /// Seed of all random choices; default: 42.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Device to compute on; repeatable; default: flex.
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Vec<String>,
}

/// Runtimes that an export can be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RuntimeName {
    /// Hugging Face transformers 5.
    Transformers,
    /// Hugging Face transformers before 5.
    #[value(name = "transformers-4")]
    Transformers4,
    /// vLLM.
    Vllm,
    /// SGLang.
    Sglang,
    /// llama.cpp.
    #[value(name = "llama.cpp")]
    LlamaCpp,
    /// mlx-lm.
    MlxLm,
    /// exllamav3.
    Exllamav3,
    /// mistral.rs.
    #[value(name = "mistral.rs")]
    MistralRs,
    /// candle.
    Candle,
    /// ONNX Runtime GenAI.
    OnnxruntimeGenai,
}

impl From<RuntimeName> for Runtime {
    fn from(name: RuntimeName) -> Self {
        match name {
            RuntimeName::Transformers => Self::Transformers5,
            RuntimeName::Transformers4 => Self::Transformers4,
            RuntimeName::Vllm => Self::Vllm,
            RuntimeName::Sglang => Self::Sglang,
            RuntimeName::LlamaCpp => Self::LlamaCpp,
            RuntimeName::MlxLm => Self::MlxLm,
            RuntimeName::Exllamav3 => Self::Exllamav3,
            RuntimeName::MistralRs => Self::MistralRs,
            RuntimeName::Candle => Self::Candle,
            RuntimeName::OnnxruntimeGenai => Self::OnnxruntimeGenai,
        }
    }
}

/// Factor sets of a GGUF file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FactorSets {
    /// Short and long factors; llama.cpp chooses by the context that it is started with.
    Both,
    /// The long factors, at every length.
    Long,
    /// The short factors, at every length.
    Short,
}

/// Formats of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A Hugging Face folder.
    Hf,
    /// A file for llama.cpp and the programs that use it.
    Gguf,
}

/// Types of exported weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum WeightType {
    /// Keep the stored types.
    Keep,
    /// 32 bits.
    F32,
    /// 16 bits, up to 65504.
    F16,
    /// 16 bits, with the range of f32.
    Bf16,
    /// 8 bits in blocks of 32 with a scale each, in a GGUF file.
    #[value(name = "q8_0")]
    Q8_0,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Report {
    /// Run folder.
    pub(crate) run: PathBuf,
    /// Write the curves in metrics.jsonl as CSV instead of the page; `-` for stdout.
    #[arg(long, value_name = "FILE")]
    pub(crate) csv: Option<PathBuf>,
    #[arg(
        long,
        value_name = "DIR",
        help = "Write the curves in metrics.jsonl as event files for TensorBoard instead of the page"
    )]
    pub(crate) tensorboard: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Worker {
    /// Address to listen on. There is no password: whoever can connect can compute on this machine.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:3000")]
    pub(crate) listen: String,
    /// Device to lend; repeatable, all of one kind.
    #[arg(long, value_name = "DEVICE", default_value = "flex")]
    pub(crate) device: Vec<String>,
}

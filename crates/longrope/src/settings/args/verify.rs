//! Flags of `verify`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};

use super::common::{Common, ModelArg, TextFlags};

#[derive(Debug, ClapArgs)]
pub(crate) struct Verify {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) model: ModelArg,
    /// The program to compare with. It has to be installed.
    #[arg(long, value_enum, value_name = "RUNTIME")]
    pub(crate) with: Runtime,
    /// Python interpreter that has the program; default: `python3`.
    #[arg(long, value_name = "PATH")]
    pub(crate) python: Option<PathBuf>,
    /// File or folder of a libllama to load in place of the one that came with llama-cpp-python.
    #[arg(long, value_name = "PATH")]
    pub(crate) library: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) text: TextFlags,
    /// Lengths of the sequences, in tokens; default: one within the original context and one beyond it.
    #[arg(long, value_name = "N", num_args = 1.., value_delimiter = ',')]
    pub(crate) length: Vec<usize>,
    /// Largest difference of the loss of a token; a tenth of it for the mean; default: by the types of the weights.
    #[arg(long, value_name = "NATS")]
    pub(crate) tolerance: Option<f64>,
    /// Print the Python script that runs the program, and do nothing else.
    #[arg(long)]
    pub(crate) print_script: bool,
    /// Print JSON on stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Programs that losses are compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Runtime {
    /// Hugging Face transformers, on a folder.
    Transformers,
    /// llama.cpp through llama-cpp-python, on a GGUF file.
    #[value(name = "llama.cpp")]
    LlamaCpp,
    /// vLLM, on a folder.
    Vllm,
}

//! The command line. Flags set configuration keys; the configuration checks their values.

mod common;
mod eval;
mod layer;
mod search;
mod tools;
mod train;

use clap::{Parser, Subcommand};

pub(crate) use common::{Common, contexts};
pub(crate) use eval::{Bench, Eval, Needle, Passkey, Ppl, Ruler};
pub(crate) use layer::FlagLayer;
pub(crate) use search::{Compare, Extend, Recover, Search};
pub(crate) use tools::{
    Demo, Doctor, Export, Format, Generate, Inspect, Plan, PlanMode, Report, WeightType, Worker,
};
pub(crate) use train::{Finetune, Pretrain};

/// Extends the context window of RoPE language models by LongRoPE.
#[derive(Debug, Parser)]
#[command(name = "longrope", version, about, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// More log lines on stderr; twice for still more.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, display_order = 100)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The whole story on the bundled tiny model, in minutes.
    Demo(Demo),
    /// What a checkpoint is: its windows, RoPE and size.
    Inspect(Inspect),
    /// What other programs make of a checkpoint's RoPE, and how to run it there.
    Doctor(Doctor),
    /// Trains a tokenizer and a small model from scratch.
    Pretrain(Pretrain),
    /// Searches rescale factors for a longer context.
    Search(Search),
    /// Searches factors for short contexts of an extended model.
    Recover(Recover),
    /// A perplexity table of RoPE methods by context.
    Compare(Compare),
    /// Measures a model at given contexts.
    #[command(subcommand)]
    Eval(Eval),
    /// Lends this machine's devices to searches on other machines.
    Worker(Worker),
    /// Trains a model under a rescaled RoPE.
    Finetune(Finetune),
    /// Runs the stages of a recipe: search, train, search again, recover, evaluate, export.
    Extend(Extend),
    /// Memory and time of evaluation, search and training, before you start.
    Plan(Plan),
    /// One HTML page about a run folder.
    Report(Report),
    /// Continues a prompt.
    Generate(Generate),
    /// Writes the checkpoint with another RoPE, ready for other programs.
    Export(Export),
}

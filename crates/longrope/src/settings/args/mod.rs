//! The command line. Flags set configuration keys; the configuration checks their values.

mod common;
mod eval;
mod layer;
mod search;
mod tools;
mod train;
mod verify;

use clap::{Parser, Subcommand};

pub(crate) use common::Common;
pub(crate) use eval::{Bench, Eval, Gain, Needle, Passkey, Ppl, ResultFormat, Ruler};
pub(crate) use layer::FlagLayer;
pub(crate) use search::{Compare, Extend, Recover, Search};
pub(crate) use tools::{
    CompareRuns, Completions, Demo, Doctor, Export, FactorSets, Format, Generate, Inspect, Man,
    Plan, PlanMode, Report, RuntimeName, WeightType, Worker,
};
pub(crate) use train::{Finetune, Pretrain};
pub(crate) use verify::{Runtime, Verify};

/// Extend the context window of RoPE language models with LongRoPE.
#[derive(Debug, Parser)]
#[command(name = "longrope", version, about, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Print more log lines on stderr; -vv prints still more.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, display_order = 100)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the main steps on the bundled tiny model, in minutes.
    Demo(Demo),
    /// Show the sizes, contexts, RoPE and fingerprint of a checkpoint.
    Inspect(Inspect),
    /// Show how other programs read a checkpoint's RoPE, and how to run it there.
    Doctor(Doctor),
    /// Train a tokenizer and a small model from scratch.
    Pretrain(Pretrain),
    /// Search rescale factors for a longer context.
    Search(Search),
    /// Search factor sets for the short contexts of an extended model.
    Recover(Recover),
    /// Print perplexity by RoPE method and context.
    Compare(Compare),
    /// Compare the results of two runs on the same windows and trials.
    CompareRuns(CompareRuns),
    /// Measure a model at given contexts.
    #[command(subcommand)]
    Eval(Eval),
    /// Lend this machine's devices to other machines.
    Worker(Worker),
    /// Train all weights or low-rank adapters under a rescaled RoPE.
    Finetune(Finetune),
    /// Run a recipe of searches, trainings and measurements, stage by stage.
    Extend(Extend),
    /// Estimate the memory and time of evaluation, search and training.
    Plan(Plan),
    /// Write an HTML page about a run folder.
    Report(Report),
    /// Continue prompts.
    Generate(Generate),
    /// Write the checkpoint with another RoPE, for other programs.
    Export(Export),
    /// Check that another program computes the same losses from a checkpoint.
    Verify(Verify),
    /// Print the completions of a shell.
    Completions(Completions),
    /// Print the manual page, or write those of all verbs.
    Man(Man),
}

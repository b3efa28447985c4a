//! One file or folder per verb.

mod compare;
mod compare_runs;
mod completions;
mod demo;
mod doctor;
mod eval;
mod export;
mod extend;
mod finetune;
mod generate;
mod growing_text;
mod inspect;
mod man;
mod named_inputs;
mod not_finite;
mod other_rope;
mod plan;
mod pretrain;
mod recover;
mod report;
mod search;
mod searching;
mod verify;
mod worker;

use anyhow::Result;

use crate::settings::args::{Args, Command};

/// Runs the verb of the command line.
pub(crate) fn run(args: Args) -> Result<()> {
    match args.command {
        Command::Demo(args) => demo::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Pretrain(args) => pretrain::run(&args),
        Command::Search(args) => search::run(&args),
        Command::Worker(args) => worker::run(&args),
        Command::Recover(args) => recover::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::CompareRuns(args) => compare_runs::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Extend(args) => extend::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Finetune(args) => finetune::run(&args),
        Command::Generate(args) => generate::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    }
}

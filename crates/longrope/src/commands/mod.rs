//! One file per verb.

mod bench;
mod compare;
mod compare_runs;
mod completions;
mod demo;
mod doctor;
mod effective;
mod effective_rule;
mod eval;
mod eval_folder;
mod export;
mod export_adapter;
mod export_choice;
mod export_for;
mod export_gguf;
mod export_notes;
mod export_source;
mod extend;
mod finetune;
mod gain;
mod generate;
mod inspect;
mod lm_eval;
mod man;
mod needle;
mod not_finite;
mod passkey;
mod perplexities;
mod plan;
mod plan_gpus;
mod pretrain;
mod recipe_check;
mod recover;
mod reference;
mod report;
mod ruler;
mod search;
mod searching;
mod subject;
mod task_run;
mod verify;
mod worker;

use anyhow::Result;

use crate::settings::args::{Args, Command, Eval};

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
        Command::Eval(Eval::Ppl(args)) => eval::run(&args),
        Command::Eval(Eval::Passkey(args)) => passkey::run(&args),
        Command::Eval(Eval::Needle(args)) => needle::run(&args),
        Command::Eval(Eval::Gain(args)) => gain::run(&args),
        Command::Extend(args) => extend::run(&args),
        Command::Eval(Eval::Bench(args)) => bench::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Finetune(args) => finetune::run(&args),
        Command::Eval(Eval::Ruler(args)) => ruler::run(&args),
        Command::Generate(args) => generate::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    }
}

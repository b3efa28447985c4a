//! `longrope eval`, one file per verb.

pub(super) mod bench;
mod effective;
pub(super) mod effective_rule;
mod finished;
pub(super) mod folder;
mod gain;
pub(super) mod job;
mod keep;
mod lm_eval;
pub(super) mod needle;
pub(super) mod passkey;
pub(super) mod perplexities;
pub(super) mod ppl;
pub(super) mod reference;
pub(super) mod ruler;
mod subject;
pub(super) mod task_run;

use anyhow::Result;

use crate::settings::args::Eval;

/// Runs the verb after `eval`.
pub(super) fn run(args: &Eval) -> Result<()> {
    match args {
        Eval::Ppl(args) => ppl::run(args),
        Eval::Passkey(args) => passkey::run(args),
        Eval::Needle(args) => needle::run(args),
        Eval::Gain(args) => gain::run(args),
        Eval::Bench(args) => bench::run(args),
        Eval::Ruler(args) => ruler::run(args),
    }
}

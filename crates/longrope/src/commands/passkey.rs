//! `longrope eval passkey`

use anyhow::Result;
use longrope_data::Tokenizer;
use longrope_eval::{Passkey, Scorer, TaskResult};

use crate::commands::task_run;
use crate::settings::args;
use crate::settings::args::FlagLayer;
use crate::settings::layers;
use crate::show::{output, task_table};
use crate::signals::Interrupt;
use crate::{input, scoring};

pub(crate) fn run(args: &args::Passkey) -> Result<()> {
    let flags = FlagLayer::default()
        .task(&args.task)
        .number("passkey.trials", args.trials)
        .list("passkey.depths", args.depths.iter().copied())
        .table();
    let config = layers::load(&args.task.common, flags)?;
    let keep = task_run::keep(&config, "passkey", args.task.resume)?;
    let target = scoring::longest_context(&config)?;
    let interrupt = Interrupt::listen()?;
    let decoder = input::load_model(&config)?;
    let tokenizer = Tokenizer::from_model_dir(input::model_folder(&config)?)?;
    let ropes = scoring::named_ropes(&scoring::rope_names(&config), &decoder, target)?;
    let jobs = task_run::jobs(&config, &ropes, |context| {
        let task = Passkey::new(&tokenizer, &config.passkey, context, config.seed)?;
        Ok(Box::new(task))
    })?;
    let results = task_run::run(&config, &jobs, &mut Scorer::new(&decoder), &interrupt, keep)?;
    task_run::write_report(&config, "passkey", &results)?;
    if args.task.json {
        return output::json(&longrope_eval::EvalReport::new(results));
    }
    output::line(task_table::by_context(&results))?;
    output::line(protocol_line(&results))
}

/// What the numbers of the table were measured on.
fn protocol_line(results: &[TaskResult]) -> String {
    let Some(first) = results.first() else {
        return String::new();
    };
    let depths = match first.settings["depths"].as_array() {
        Some(depths) => format!("{} depths", depths.len()),
        None => "random depths".to_owned(),
    };
    format!(
        "keys of five digits found, {} trials per context at {depths}, {}, seed {}; intervals of 95% (Wilson)",
        first.n, first.protocol, first.seed
    )
}

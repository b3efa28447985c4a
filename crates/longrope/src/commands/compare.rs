//! `longrope compare`

use anyhow::Result;
use longrope_eval::EvalReport;

use crate::models::Models;
use crate::settings::args::{Compare, FlagLayer, contexts};
use crate::settings::layers;
use crate::show::output;
use crate::signals::Interrupt;
use crate::{input, scoring};

pub(crate) fn run(args: &Compare) -> Result<()> {
    let flags = FlagLayer::default()
        .path("model", args.model.as_ref())
        .text(&args.text)
        .list("contexts", contexts(&args.contexts))
        .list("rope", args.rope.iter().cloned())
        .number("eval.windows", args.windows)
        .table();
    let config = layers::load(&args.common, flags)?;
    let target = scoring::longest_context(&config)?;
    let interrupt = Interrupt::listen()?;
    let models = Models::load(&config)?;
    let decoder = models.decoder();
    let names: Vec<String> = config
        .compare
        .methods
        .iter()
        .chain(&config.rope)
        .cloned()
        .collect();
    let ropes = scoring::named_ropes(&names, decoder, target)?;
    let documents = input::load_documents(&config, decoder.config())?;
    let results = scoring::measure(
        &config,
        &models,
        &documents,
        &ropes,
        &interrupt,
        |_, _, _| Ok(()),
    )?;
    if args.json {
        return output::json(&EvalReport::new(results));
    }
    output::line(scoring::perplexity_table(&results))?;
    output::line(scoring::protocol_line(&results))
}

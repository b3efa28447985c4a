//! `longrope eval ppl`

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use longrope_data::{StagedFile, text_fingerprint};
use longrope_eval::{PplProtocol, PplResult, ScoredWindow, add_window_differences};
use longrope_extend::{PplCell, RunMode};
use serde::Serialize;

use super::folder::{EvalFolder, Evaluated};
use super::perplexities::{check, check_given, check_measured, measure, planned_on, takes_stride};
use crate::failure::Hint;
use crate::input::memory::Work;
use crate::input::ropes_and_contexts::{named_ropes, rope_names};
use crate::settings::args::{FlagLayer, Ppl};
use crate::settings::config::Config;
use crate::show::{difference, output, perplexity_table};
use crate::terminal::signals;
use crate::{input, next_steps};

pub(crate) fn run(args: &Ppl) -> Result<()> {
    let flags = FlagLayer::default()
        .model(&args.model)
        .text(&args.text)
        .counts("contexts", &args.contexts)
        .list("rope", args.rope.iter().cloned())
        .set("eval.reference", args.reference.clone())
        .count("eval.windows", args.windows)
        .count("eval.stride", args.stride)
        .count("eval.within", args.within)
        .set("eval.protocol", args.protocol.clone())
        .path("out", args.out.as_ref())
        .table();
    let config = input::configuration_of_results(&args.common, flags)?;
    check_settings(args, config.eval.protocol)?;
    if args.per_token.as_deref() == Some(Path::new("-")) {
        return Err(
            anyhow!("`--per-token` is `-`, expected the name of a file").context(Hint(
                "give a file name; a file with that name is ./-".to_owned(),
            )),
        );
    }
    let done = ppl(&config, args.per_token.as_deref(), RunMode::New)?;
    if args.json {
        return output::json(&done.report());
    }
    show(&done)?;
    next_steps::after_measurement(&config).show();
    Ok(())
}

/// Measures the perplexity of the configured RoPEs at the configured contexts. Writes one line per scored token to the
/// file `per_token`.
pub(crate) fn ppl(
    config: &Config,
    per_token: Option<&Path>,
    mode: RunMode,
) -> Result<Evaluated<PplResult>> {
    let target = check_given(config)?;
    let names = rope_names(config);
    let reference = check_measured(config, &input::model_config(config)?, &names)?;
    let interrupt = signals::listen()?;
    let models = input::load_models(config, Work::Measure { context: target })?;
    let decoder = models.decoder();
    let ropes = named_ropes(&names, decoder, target)?;
    let documents = input::load_documents(config, decoder.config())?;
    check(config, &models, &documents, &ropes)?;
    let text = text_fingerprint(&documents);
    let planned = planned_on(config, &models, &documents, &ropes)?;
    let folder = EvalFolder::open(config, "ppl", mode, Some(text), &planned)?
        .with_angles(config.eval.angles);
    let mut per_token = per_token.map(PerToken::create).transpose()?;
    let each = |cell: &PplCell, window: &ScoredWindow| match &mut per_token {
        Some(file) => file.write(&cell.rope, cell.context, window),
        None => Ok(()),
    };
    let mut results = measure(config, &models, &documents, &ropes, &interrupt, each)?;
    if let Some(file) = per_token {
        file.finish()?;
    }
    if let Some(reference) = reference {
        add_window_differences(&mut results, &reference);
    }
    folder.write(results)
}

/// Prints the results as a table.
pub(crate) fn show(done: &Evaluated<PplResult>) -> Result<()> {
    let results = &done.results;
    output::line(table(results))?;
    output::line(perplexity_table::protocol_line(results))?;
    match difference::perplexity_line(results) {
        Some(line) => output::line(line),
        None => Ok(()),
    }
}

/// Refuses flags that do not apply to the protocol.
fn check_settings(args: &Ppl, protocol: PplProtocol) -> Result<()> {
    let takes_windows = protocol == PplProtocol::Longrope;
    let flag = if args.windows.is_some() && !takes_windows {
        "--windows"
    } else if args.stride.is_some() && !takes_stride(protocol) {
        "--stride"
    } else {
        return Ok(());
    };
    Err(anyhow!("`{flag}` does not apply to protocol `{protocol}`")
        .context(Hint(format!("leave out {flag}, or leave out --protocol"))))
}

/// One row per RoPE and context, with all measurements.
fn table(results: &[PplResult]) -> String {
    let has_differences = results.iter().any(|result| result.difference.is_some());
    let mut header = vec!["rope", "context", "perplexity", "nats/token", "± stderr"];
    header.extend(has_differences.then_some("difference"));
    header.extend(["windows", "tokens", "time"]);
    let header: Vec<String> = header.into_iter().map(str::to_owned).collect();
    let rows: Vec<Vec<String>> = results
        .iter()
        .map(|r| {
            let mut row = vec![
                r.rope.clone(),
                output::grouped(r.context),
                output::perplexity(r.reported_ppl()),
                format!("{:.5}", r.reported_nats()),
                r.stderr_nats
                    .map_or_else(|| "-".to_owned(), |e| format!("{e:.4}")),
            ];
            row.extend(has_differences.then(|| difference::nats(r.difference.as_ref())));
            row.extend([
                output::grouped(r.n_windows),
                output::grouped(r.n_tokens),
                output::duration(r.elapsed_secs),
            ]);
            row
        })
        .collect();
    output::table(&header, &rows)
}

/// `--per-token`: one JSON line per scored token. The file gets its name only when it is complete.
struct PerToken<'a> {
    path: &'a Path,
    file: std::io::BufWriter<StagedFile>,
}

#[derive(Serialize)]
struct TokenLine<'a> {
    rope: &'a str,
    context: usize,
    /// Index of the document.
    document: usize,
    /// File of the document.
    source: &'a str,
    window: usize,
    window_start: usize,
    /// Index in the window, which is the position for RoPE.
    position: usize,
    token: u32,
    nll_nats: f32,
}

impl<'a> PerToken<'a> {
    fn create(path: &'a Path) -> Result<Self> {
        let file = StagedFile::new(path)?;
        Ok(Self {
            path,
            file: std::io::BufWriter::new(file),
        })
    }

    fn write(&mut self, rope: &str, context: usize, scored: &ScoredWindow) -> Result<()> {
        let tokens = scored.window.tokens();
        let from = scored.window.score_from;
        for (i, nll_nats) in scored.losses.iter().enumerate() {
            let line = TokenLine {
                rope,
                context,
                document: scored.window.doc_idx,
                source: &scored.window.source,
                window: scored.window_idx,
                window_start: scored.window.start,
                position: from + i,
                token: tokens[from + i],
                nll_nats: *nll_nats,
            };
            let mut line = serde_json::to_string(&line)?;
            line.push('\n');
            let written = self.file.write_all(line.as_bytes());
            written.with_context(|| self.doing())?;
        }
        Ok(())
    }

    fn doing(&self) -> String {
        format!("writing `{}`", self.path.display())
    }

    fn finish(self) -> Result<()> {
        let doing = self.doing();
        let file = self
            .file
            .into_inner()
            .map_err(std::io::IntoInnerError::into_error);
        file.and_then(StagedFile::publish).context(doing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nats_are_those_of_the_perplexity_beside_them() {
        let result = PplResult {
            rope: "none".to_owned(),
            context: 512,
            nll_nats: 0.5,
            ppl: 0.5_f64.exp(),
            ppl_window_mean: 3.0,
            protocol: PplProtocol::Truncate,
            ..PplResult::default()
        };
        let shown = table(&[result]);
        assert!(
            shown.contains("3.000") && shown.contains("1.09861"),
            "{shown}"
        );
        assert!(!shown.contains("0.50000"), "{shown}");
    }
}

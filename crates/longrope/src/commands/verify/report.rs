//! What `verify` shows.

use anyhow::{Result, anyhow};
use longrope_model::ModelConfig;
use serde::Serialize;

use super::cause;
use super::comparison::{Comparison, Tolerance};
use super::sequences::factors_at;
use crate::failure::Hint;
use crate::settings::args::Runtime;
use crate::show::output;

/// The output of `--json`.
#[derive(Serialize)]
pub(super) struct Report {
    pub(super) format: &'static str,
    pub(super) version: u32,
    /// As it was given.
    pub(super) model: String,
    pub(super) runtime: TheirRuntime,
    /// Where the tokens come from.
    pub(super) text: String,
    pub(super) tolerance: Tolerance,
    pub(super) passes: bool,
    pub(super) sequences: Vec<Sequence>,
    /// The sides of the border that were not checked, and why.
    pub(super) not_checked: Vec<String>,
    /// What the other program did, if it departs and a usual fault explains its losses.
    pub(super) cause: Option<String>,
    pub(super) launch: Vec<Launch>,
}

/// The other program.
#[derive(Serialize)]
pub(super) struct TheirRuntime {
    pub(super) name: &'static str,
    /// Its version, and those of what it needs.
    pub(super) versions: String,
    /// How it was run.
    pub(super) command: String,
}

/// One sequence.
#[derive(Serialize)]
pub(super) struct Sequence {
    /// Its length.
    pub(super) tokens: usize,
    /// The context that the other program was started with, in tokens.
    pub(super) context: usize,
    /// The name of our factors at this context.
    pub(super) factors: String,
    #[serde(flatten)]
    pub(super) comparison: Comparison,
}

/// A command line that serves the model.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Launch {
    /// Context in tokens.
    context: usize,
    factors: String,
    command: String,
}

impl Launch {
    /// The command line for the claimed context. For a program that chooses the factors when it starts, also the one for the
    /// factors within the original context, if those are others.
    pub(super) fn all(runtime: Runtime, name: &str, model: &ModelConfig) -> Vec<Self> {
        let of = |context: usize| Self {
            context,
            factors: factors_at(&model.rope, runtime.context_made(context)),
            command: runtime.launch(name, context),
        };
        let mut found = vec![of(model.max_context)];
        if runtime.chooses_at_start() {
            let within = runtime.largest_context(model.rope.original_context);
            let short = of(within);
            if within > 0 && short.factors != found[0].factors {
                found.push(short);
            }
        }
        found
    }
}

impl Report {
    /// The report as text.
    pub(super) fn text(&self) -> String {
        let header = [
            "sequence",
            "tokens",
            "context",
            "factors",
            "longrope",
            self.runtime.name,
            "largest difference",
            "of the mean",
            "",
        ];
        let rows: Vec<Vec<String>> = self
            .sequences
            .iter()
            .enumerate()
            .map(|(i, it)| {
                let numbers = &it.comparison;
                vec![
                    (i + 1).to_string(),
                    output::grouped(it.tokens),
                    output::grouped(it.context),
                    it.factors.clone(),
                    format!("{:.6}", numbers.ours),
                    format!("{:.6}", numbers.theirs),
                    format!("{:.1e}", numbers.largest_difference),
                    format!("{:+.1e}", numbers.mean_difference),
                    if numbers.passes { "same" } else { "departs" }.to_owned(),
                ]
            })
            .collect();
        let mut lines = vec![
            format!("{}, {}", self.runtime.versions, self.text),
            output::table(&header.map(str::to_owned), &rows),
        ];
        for what in &self.not_checked {
            lines.push(format!("not checked: {what}"));
        }
        if self.passes {
            lines.push(format!(
                "pass: no loss differs by more than {} nats, no mean by more than {} ({})",
                output::significant(self.tolerance.token_nats),
                output::significant(self.tolerance.mean_nats),
                self.tolerance.because
            ));
        }
        for launch in &self.launch {
            lines.push(format!(
                "serve ({} factors): {}",
                launch.factors, launch.command
            ));
        }
        lines.join("\n")
    }

    /// The error for the first sequence that departs. `name` is the model as a word for a shell.
    ///
    /// # Errors
    /// If one does.
    pub(super) fn verdict(&self, name: &str) -> Result<()> {
        let Some(index) = self.sequences.iter().position(|it| !it.comparison.passes) else {
            return Ok(());
        };
        let sequence = &self.sequences[index];
        let departs: Vec<bool> = self
            .sequences
            .iter()
            .map(|it| !it.comparison.passes)
            .collect();
        let hint = match &self.cause {
            Some(cause) if self.runtime.name == "llama.cpp" => {
                format!("{cause}; `longrope inspect {name}` shows the RoPE in the file")
            }
            Some(cause) => {
                format!("{cause}; `longrope doctor {name}` shows which RoPE each program takes")
            }
            None => cause::unexplained(name, self.runtime.name, &departs),
        };
        Err(anyhow!(
            "{} departs from longrope in sequence {} ({} tokens, {} factors): {}",
            self.runtime.name,
            index + 1,
            sequence.tokens,
            sequence.factors,
            self.where_it_departs(&sequence.comparison)
        )
        .context(Hint(hint)))
    }

    fn where_it_departs(&self, it: &Comparison) -> String {
        let token = output::significant(self.tolerance.token_nats);
        let largest = it.largest;
        let most = format!(
            "the largest difference is {:.6} nats, at position {}; the mean differs by {:+.6}",
            it.largest_difference, largest.position, it.mean_difference
        );
        let because = &self.tolerance.because;
        match it.first_beyond {
            Some(first) => format!(
                "position {} is the first of {} beyond {token} nats ({because}): {:.6} there, {:.6} here; {most}",
                first.position, it.n_beyond, first.theirs, first.ours
            ),
            None => format!(
                "no token is beyond {token} nats, but the mean is beyond {} ({because}); {most}",
                output::significant(self.tolerance.mean_nats)
            ),
        }
    }
}

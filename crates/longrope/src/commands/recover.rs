//! `longrope recover`

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use longrope_data::TokenDocument;
use longrope_rope::{AttentionScale, Provenance, RopeArtifact, RopeScaling, RopeSpec};
use longrope_search::{SearchConfig, SearchProblem, TargetRope};
use serde::Serialize;

use crate::calibration::Calibration;
use crate::hint::Hint;
use crate::input::rope_arg::RopeArg;
use crate::models::Models;
use crate::retrieval;
use crate::run_dir::{RunDir, write_atomically};
use crate::search_run::SearchResult;
use crate::search_task::{SearchTask, explain_interruption};
use crate::settings;
use crate::settings::args;
use crate::settings::args::FlagLayer;
use crate::settings::config::Config;
use crate::settings::layers;
use crate::show::output;
use crate::signals::Interrupt;
use crate::workers::{Workers, explain};
use crate::{input, scoring};

/// What was gained at a context.
#[derive(Debug, Serialize)]
struct Recovered {
    context: usize,
    /// Mean loss of the RoPE as it was, nats per token.
    before_nats: f64,
    /// Mean loss of the factors found.
    after_nats: f64,
    evaluations: usize,
    /// Whether they are in the result: factors that are no better are not.
    kept: bool,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Recovery {
    format: &'static str,
    version: u32,
    contexts: Vec<Recovered>,
}

pub(crate) fn run(args: &args::Recover) -> Result<()> {
    let config = configuration(args)?;
    let out = settings::required(config.out.as_ref(), "--out")?;
    let interrupt = Interrupt::listen()?;
    let models = Models::load(&config)?;
    let decoder = models.decoder();
    let longest = scoring::longest_context(&config)?;
    let name = settings::required(config.rope.first(), "--rope")?;
    let mut known =
        RopeArg::parse(name, decoder.config(), longest).and_then(|rope| rope.spec(longest))?;
    if !matches!(known.scaling, RopeScaling::LongRope { .. }) {
        return Err(
            anyhow!("RoPE `{name}` has no factor sets to recover contexts of")
                .context(Hint("name the rope.json of a search".to_owned())),
        );
    }
    let documents = input::load_documents(&config, decoder.config())?;
    let mut contexts = config.contexts.clone();
    contexts.sort_unstable();
    contexts.dedup();
    if longest > known.max_context() {
        return Err(anyhow!(
            "the RoPE is made for {} tokens, there is nothing to recover at {longest}",
            known.max_context()
        )
        .context(Hint("to extend it, search ratios on top of it".to_owned())));
    }
    if !args.resume {
        write_atomically(&out.join("config.toml"), &config.to_toml()?)?;
    }
    let mut recovered = Vec::new();
    for context in contexts {
        let task = Task {
            config: &config,
            models: &models,
            documents: &documents,
            known: &known,
            context,
        };
        let (spec, gain) = task
            .run(out, args.resume, &interrupt)
            .with_context(|| format!("recovering {context} tokens"))
            .map_err(|error| explain_interruption(error, "recover", out))?;
        known = spec;
        recovered.push(gain);
    }
    let provenance = Provenance {
        tool_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        seed: Some(config.seed),
        profile: Some(format!("{}, recovered", config.search.run.profile.name())),
        target_context: Some(known.max_context()),
        ..Provenance::default()
    };
    let path = out.join("rope.json");
    let artifact = RopeArtifact::from_spec(&known, provenance);
    write_atomically(&path, &artifact.to_json_pretty())?;
    if args.json {
        return output::json(&Recovery {
            format: "longrope-recovery",
            version: 1,
            contexts: recovered,
        });
    }
    output::line(table(&recovered))?;
    output::line(format!("all factor sets in {}", path.display()))
}

fn configuration(args: &args::Recover) -> Result<Config> {
    let flags = FlagLayer::default()
        .path("model", args.model.as_ref())
        .text(&args.text)
        .list("rope", args.rope.iter().cloned())
        .list("contexts", args::contexts(&args.contexts))
        .path("out", args.out.as_ref())
        .number("seed", args.seed)
        .set("search.profile", args.profile.clone())
        .number("search.samples", args.samples)
        .table();
    let config = layers::load_resumable(&args.common, flags, args.out.as_ref(), args.resume)?;
    let out = settings::required(config.out.as_ref(), "--out")?;
    if !args.resume && out.join("config.toml").exists() {
        return Err(
            anyhow!("`{}` already holds a run", out.display()).context(Hint(
                "continue it with --resume, or choose another --out".to_owned(),
            )),
        );
    }
    Ok(config)
}

/// The search for one context.
struct Task<'a> {
    config: &'a Config,
    models: &'a Models,
    documents: &'a [TokenDocument],
    known: &'a RopeSpec,
    context: usize,
}

impl Task<'_> {
    /// The RoPE with another set for the context, if that is better.
    fn run(self, out: &Path, resume: bool, interrupt: &Interrupt) -> Result<(RopeSpec, Recovered)> {
        let Self {
            config,
            models,
            documents,
            known,
            context,
        } = self;
        let decoder = models.decoder();
        let rope = TargetRope::beside(known, context);
        // The window of the model, which is not that of `known` for some published factors.
        let original_context = decoder.config().rope.original_context;
        let problem = SearchProblem {
            original_context,
            target_context: context.max(original_context),
            ..rope.problem()
        };
        let evolution = SearchConfig {
            max_factor_ratio: config.recover.max_factor_ratio,
            max_factor_extra: 0.0,
            ..config.search.evolution.clone()
        };
        // What serves the context now is a start, as near as the bound allows.
        let mut init = Vec::new();
        if let (Some(set), RopeScaling::LongRope { attention, .. }) =
            (known.factor_set(context), &known.scaling)
        {
            let space = evolution.space(&problem)?;
            let own = set.attention.unwrap_or(*attention);
            // The policy may be one that the search does not try; then the factors serve under another.
            for policy in [own, AttentionScale::None {}, AttentionScale::Su {}] {
                let near = space.nearest(set.factors.as_slice(), set.start_tokens, policy)?;
                if space.contains(&near) {
                    init.push(near);
                    break;
                }
            }
        }
        let folder = out.join(format!("context-{context}"));
        let run = RunDir::resume(&folder);
        let result = folder.join("search/result.json");
        let calibration = Calibration::new(config, decoder.config(), documents, context)?;
        let before = text_loss(models, known, calibration, interrupt)?;
        let found: SearchResult = if resume && result.is_file() {
            serde_json::from_str(&fs_err::read_to_string(&result)?)?
        } else {
            SearchTask {
                config,
                evolution,
                models,
                documents,
                problem,
                rope,
                init,
                out: &folder,
                resume: resume && run.is_ok(),
                tui: false,
            }
            .run(interrupt)?
        };
        let kept = found.searched.nll_nats < before;
        let spec = if kept {
            let text = fs_err::read_to_string(folder.join("rope.json"))?;
            RopeArtifact::from_json(&text)?.spec()
        } else {
            known.clone()
        };
        let gain = Recovered {
            context,
            before_nats: before,
            after_nats: found.searched.nll_nats,
            evaluations: found.evaluations,
            kept,
        };
        Ok((spec, gain))
    }
}

/// Mean loss on the text of a calibration, nats per token.
fn text_loss(
    models: &Models,
    spec: &RopeSpec,
    calibration: Calibration,
    interrupt: &Interrupt,
) -> Result<f64> {
    let text_only = Calibration {
        needles: Vec::new(),
        passkeys: Vec::new(),
        ..calibration
    };
    let mut workers = Workers::start(models)?;
    let ropes = [("before".to_owned(), spec.clone())];
    let losses = retrieval::measure(&mut workers, &text_only, &ropes, interrupt, &mut |_| {});
    let losses = losses.map_err(explain)?;
    let loss = losses.first().context("nothing was measured")?;
    Ok(loss.nll_nats)
}

fn table(recovered: &[Recovered]) -> String {
    let header = ["context", "before", "after", "gain (nats)", "evaluations"].map(str::to_owned);
    let row = |it: &Recovered| {
        vec![
            output::grouped(it.context),
            output::perplexity(it.before_nats.exp()),
            output::perplexity(it.after_nats.exp()),
            format!(
                "{:+.4}{}",
                it.before_nats - it.after_nats,
                if it.kept { "" } else { ", not kept" }
            ),
            output::grouped(it.evaluations),
        ]
    };
    output::table(&header, &recovered.iter().map(row).collect::<Vec<_>>())
}

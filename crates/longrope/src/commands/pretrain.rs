//! `longrope pretrain`

use std::path::Path;

use anyhow::{Result, anyhow};
use longrope_data::write_atomically;
use longrope_trainer::Screen;
use serde_json::json;

use crate::hint::Hint;
use crate::settings;
use crate::settings::args;
use crate::settings::args::FlagLayer;
use crate::settings::config::Config;
use crate::show::output;
use crate::terminal::CtrlCInDashboard;
use crate::{input, pretrain};

pub(crate) fn run(args: &args::Pretrain) -> Result<()> {
    let config = configuration(args)?;
    config.pretrain.validate()?;
    let out = settings::required(config.out.as_ref(), "--out")?;
    prepare(out, args.resume)?;
    write_atomically(&out.join("config.toml"), config.to_toml()?.as_bytes())?;
    let _ctrl_c = CtrlCInDashboard::watch();
    let screen = if args.dashboard.is_on(args.json) {
        Screen::Dashboard
    } else {
        Screen::Nothing
    };
    let outcome = pretrain::run(&config, out, screen)?;
    let measured = outcome.measured;
    if args.json {
        return output::json(&json!({
            "model": outcome.model,
            "steps": outcome.n_steps,
            "text_tokens": outcome.n_text_tokens,
            "held_out_nll_nats": measured.nll_nats,
            "passkeys": measured.passkeys,
        }));
    }
    let mut facts = vec![
        ("model", outcome.model.display().to_string()),
        ("steps", output::grouped(outcome.n_steps)),
        ("tokens of text", output::grouped(outcome.n_text_tokens)),
    ];
    if measured.nll_nats.is_finite() {
        facts.push((
            "held-out perplexity",
            output::perplexity(measured.nll_nats.exp()),
        ));
    }
    if let Some(share) = measured.passkeys {
        facts.push(("passkeys found", format!("{:.0}%", 100.0 * share)));
    }
    output::line(output::facts(&facts))
}

/// Reads the configuration; for a resumed run, from its run folder.
fn configuration(args: &args::Pretrain) -> Result<Config> {
    let paths = args.text.iter().map(|path| path.display().to_string());
    let flags = FlagLayer::default()
        .list("text", paths)
        .path("out", args.out.as_ref())
        .number("seed", args.seed)
        .table();
    input::configuration_of_run(&args.common, flags, args.out.as_ref(), args.resume)
}

/// Creates the run folder, or checks that there is a run to resume.
fn prepare(out: &Path, resume: bool) -> Result<()> {
    let is_there = out.join("corpus.json").is_file() || out.join("start").exists();
    if is_there && !resume {
        return Err(
            anyhow!("`{}` already holds a pretraining run", out.display()).context(Hint(
                "continue with --resume, or choose another --out".to_owned(),
            )),
        );
    }
    if !is_there && resume {
        return Err(
            anyhow!("`{}` holds no pretraining run to resume", out.display()).context(Hint(
                "check --out, or start a new run without --resume".to_owned(),
            )),
        );
    }
    fs_err::create_dir_all(out)?;
    Ok(())
}

//! `longrope demo`: the whole story on the bundled model.

use std::path::Path;

use anyhow::{Context, Result};
use longrope_data::{Document, TokenCache, TokenDocument, Tokenizer, tokenize_documents};
use longrope_eval::PplResult;
use longrope_model::{Checkpoint, ExportOptions, export_hf};
use longrope_rope::RopeArtifact;
use longrope_search::Search;

use crate::args::{self, FlagLayer};
use crate::calibration::Calibration;
use crate::config::Config;
use crate::interrupt::Interrupt;
use crate::models::Models;
use crate::plot::{self, Series};
use crate::run_dir::RunDir;
use crate::search_run::{SearchSetting, problem, result_table, run_search};
use crate::target_rope::TargetRope;
use crate::{demo_text, input, layers, output, progress, scoring};

/// The bundled checkpoint, file by file.
const BUNDLED: [(&str, &[u8]); 5] = [
    (
        "config.json",
        include_bytes!("../../../../assets/tiny-llama-256/config.json"),
    ),
    (
        "generation_config.json",
        include_bytes!("../../../../assets/tiny-llama-256/generation_config.json"),
    ),
    (
        "model.safetensors",
        include_bytes!("../../../../assets/tiny-llama-256/model.safetensors"),
    ),
    (
        "tokenizer.json",
        include_bytes!("../../../../assets/tiny-llama-256/tokenizer.json"),
    ),
    (
        "tokenizer_config.json",
        include_bytes!("../../../../assets/tiny-llama-256/tokenizer_config.json"),
    ),
];

/// 1, 2, 4 and 8 times the window.
const CONTEXTS: [usize; 4] = [256, 512, 1024, 2048];
const TARGET: usize = 2048;

/// A search that takes a minute or two instead of twenty.
const SHORT_SEARCH: &str = "
[eval]
windows = 3
[search]
samples = 2
passkey-trials = 5
population = 32
parents = 12
mutations = 8
crossovers = 8
generations = 16
";

pub(crate) fn run(args: &args::Demo) -> Result<()> {
    let config = configuration(args)?;
    let interrupt = Interrupt::listen()?;
    let started = std::time::Instant::now();

    let model = args.out.join("model");
    unpack(&model)?;
    let models = Models::load(&config)?;
    let decoder = models.decoder();
    heading("1. The model")?;
    output::line(format!(
        "A LLaMA of {} parameters that was trained on windows of {} tokens; in {}.",
        output::grouped(decoder.config().n_parameters()),
        decoder.config().max_context,
        model.display()
    ))?;
    let (calibration, test) = documents(&config, &model)?;

    heading("2. What known methods make of longer windows")?;
    let methods = scoring::named_ropes(&config.compare.methods, decoder, TARGET)?;
    let mut results =
        scoring::measure(&config, &models, &test, &methods, &interrupt, |_, _, _| {
            Ok(())
        })?;
    output::line(scoring::perplexity_table(&results))?;
    output::line(scoring::protocol_line(&results))?;

    heading(&format!(
        "3. A short search for {TARGET} tokens, {}x",
        TARGET / CONTEXTS[0]
    ))?;
    let run = RunDir::recreate(&args.out.join("search"))?;
    run.write("config.toml", &config.to_toml()?)?;
    search(&config, &models, &model, &calibration, &run, &interrupt)?;

    heading("4. The searched factors on text the search has not seen")?;
    let rope = run.path("rope.json");
    let searched = scoring::named_ropes(&[rope.display().to_string()], decoder, TARGET)?;
    let own = scoring::measure(&config, &models, &test, &searched, &interrupt, |_, _, _| {
        Ok(())
    })?;
    results.extend(own.into_iter().map(|result| PplResult {
        rope: "searched".to_owned(),
        ..result
    }));
    output::line(scoring::perplexity_table(&results))?;
    let plot = args.out.join("perplexity.svg");
    crate::run_dir::write_atomically(&plot, &perplexity_plot(&results)?)?;

    heading("5. A checkpoint for other programs")?;
    let exported = args.out.join("exported");
    let spec = RopeArtifact::from_json(&fs_err::read_to_string(&rope)?)?.spec();
    let options = ExportOptions {
        overwrite: true,
        ..ExportOptions::new(TARGET)
    };
    export_hf(&model, &exported, &spec, options)?;
    output::line(format!(
        "{} loads in transformers with AutoModelForCausalLM.from_pretrained.",
        exported.display()
    ))?;
    closing(args, &run, started.elapsed().as_secs_f64())
}

/// The demo's own settings under those of the user.
fn configuration(args: &args::Demo) -> Result<Config> {
    let mut table: toml::Table = SHORT_SEARCH.parse().context("the demo's own settings")?;
    let flags = FlagLayer::default()
        .path("model", Some(&args.out.join("model")))
        .list("contexts", args::contexts(&CONTEXTS))
        .number("search.target", Some(TARGET))
        .list(
            "text",
            args.text.iter().map(|path| path.display().to_string()),
        )
        .table();
    layers::merge(&mut table, flags);
    layers::load_over(table, &args.common)
}

/// Writes the bundled checkpoint, unless it is there already.
fn unpack(folder: &Path) -> Result<()> {
    fs_err::create_dir_all(folder)?;
    for (name, content) in BUNDLED {
        let path = folder.join(name);
        let there = fs_err::metadata(&path).is_ok_and(|file| file.len() == content.len() as u64);
        if !there {
            crate::run_dir::write_bytes_atomically(&path, content)?;
        }
    }
    Ok(())
}

/// Documents to search on and documents to report on: those of the user, every other one, or the
/// documentation of our dependencies.
fn documents(config: &Config, model: &Path) -> Result<(Vec<TokenDocument>, Vec<TokenDocument>)> {
    if !config.text.is_empty() {
        let documents = input::tokenize(config, model, &config.text)?;
        output::line(format!(
            "Text: {} document(s) of yours; the first half of each to search on, the second to report on.",
            documents.len()
        ))?;
        return Ok(documents.into_iter().map(halve).unzip());
    }
    let text = demo_text::collect()?;
    let tokenizer = Tokenizer::from_model_dir(model)?;
    let spinner = progress::spinner("tokenizing");
    let tokenize = |texts: Vec<String>| {
        let documents = texts.into_iter().enumerate().map(|(i, text)| {
            Ok(Document {
                source: format!("documentation {i}"),
                text,
            })
        });
        tokenize_documents(&tokenizer, documents, &TokenCache::disabled(), true)
    };
    let (calibration, test) = (tokenize(text.calibration)?, tokenize(text.test)?);
    spinner.finish_and_clear();
    let tokens = |documents: &[TokenDocument]| {
        output::grouped(documents.iter().map(|document| document.tokens.len()).sum())
    };
    output::line(format!(
        "Text: the documentation of {} libraries this program is built from, as cargo unpacked them\n\
         ({} tokens to search on, {} to report on). The model learned novels, so expect high numbers.",
        calibration.len() + test.len(),
        tokens(&calibration),
        tokens(&test)
    ))?;
    Ok((calibration, test))
}

/// The two halves of a document.
fn halve(document: TokenDocument) -> (TokenDocument, TokenDocument) {
    let TokenDocument { source, mut tokens } = document;
    let second = tokens.split_off(tokens.len() / 2);
    (
        TokenDocument {
            source: source.clone(),
            tokens,
        },
        TokenDocument {
            source,
            tokens: second,
        },
    )
}

fn search(
    config: &Config,
    models: &Models,
    model: &Path,
    documents: &[TokenDocument],
    run: &RunDir,
    interrupt: &Interrupt,
) -> Result<()> {
    let decoder = models.decoder();
    let calibration = Calibration::new(config, decoder.config(), documents, TARGET)?;
    let rope = TargetRope::factors(&decoder.config().rope, TARGET);
    let search = Search::new(
        problem(decoder, TARGET),
        config.search.evolution.clone(),
        config.seed,
    )?;
    let setting = SearchSetting {
        run,
        models,
        calibration: &calibration,
        rope: &rope,
        profile: config.search.run.profile.name(),
        objective: config.search.run.objective,
        model_fingerprint: Checkpoint::open(model)?.fingerprint()?,
        text_fingerprint: longrope_data::text_fingerprint(documents),
        tui: false,
    };
    let result = run_search(&setting, search, interrupt)?;
    output::line(result_table(&result))?;
    output::line(format!(
        "on {} samples, {} evaluations in {}; start tokens {}, attention scale {:.4}",
        calibration.samples.len(),
        output::grouped(result.evaluations),
        output::duration(result.elapsed_secs),
        result.start_tokens,
        result.attention_scale
    ))
}

/// Perplexity by context, one line per RoPE.
fn perplexity_plot(results: &[PplResult]) -> Result<String> {
    let mut series: Vec<Series> = Vec::new();
    for result in results {
        let point = (result.context as f64, result.ppl);
        match series.iter_mut().find(|line| line.name == result.rope) {
            Some(line) => line.points.push(point),
            None => series.push(Series {
                name: &result.rope,
                points: vec![point],
                emphasized: result.rope == "searched",
            }),
        }
    }
    plot::perplexity_by_context("Perplexity on unseen text", &series)
}

fn heading(text: &str) -> Result<()> {
    output::line(format!("\n{text}\n{}", "-".repeat(text.chars().count())))
}

fn closing(args: &args::Demo, run: &RunDir, elapsed_secs: f64) -> Result<()> {
    heading("What next")?;
    output::line(format!(
        "Done in {}. Plots: {}, {}, {}.\n\
         The search was cut short: on a checkpoint and text of yours, run\n\n  \
         longrope compare --model MODEL --text BOOK.txt --contexts 8192,16384\n  \
         longrope search  --model MODEL --text BOOK.txt --target 16384 --out runs/first\n  \
         longrope export  --model MODEL --rope runs/first/rope.json --out extended\n",
        output::duration(elapsed_secs),
        args.out.join("perplexity.svg").display(),
        run.path("factors.svg").display(),
        run.path("history.svg").display(),
    ))
}

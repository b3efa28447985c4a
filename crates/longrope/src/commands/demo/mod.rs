//! `longrope demo`: the main steps on the bundled model.

mod bundled;
mod measured;
mod plots;
mod text;

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use longrope_data::{Bos, TokenDocument, Tokenizer, WindowProtocol, plan_windows};
use longrope_eval::{Passkey, PplResult, Scorer, TaskResult};
use longrope_extend::{
    AdaptConfig, HeldOutShare, Interrupt, Models, RunFolder, RunKind, RunMode, RunSettings,
    SearchInputs, SearchTask, Watch,
};
use longrope_model::{ExportOptions, export_hf, is_replaceable};
use longrope_rope::RopeSpec;
use longrope_search::TargetRope;
use toml::Table;

use self::measured::Measured;
use self::plots::write_plots;
use self::text::Texts;
use super::eval::perplexities::measure;
use super::eval::{job, task_run};
use super::searching;
use crate::failure::Hint;
use crate::input;
use crate::input::memory::Work;
use crate::input::ropes_and_contexts::named_ropes;
use crate::settings::args::{self, FlagLayer};
use crate::settings::config::Config;
use crate::settings::layers;
use crate::settings::path_text::to_text;
use crate::show::{output, perplexity_table, search_table, task_table};
use crate::terminal::signals;

/// 1, 2, 4 and 8 times the original context.
const CONTEXTS: [usize; 4] = [256, 512, 1024, 2048];
const TARGET: usize = 2048;

/// Settings for a search of one or two minutes instead of twenty.
const SETTINGS: &str = r#"
[eval]
windows = 16
[passkey]
trials = 20
[search]
profile = "fast"
objective = "combined"
needle-weight = 0.4
samples = 2
passkey-trials = 10
population = 24
seeds = ["pi", "ntk", "yarn", "none"]
parents = 10
mutations = 8
crossovers = 8
generations = 6
[search-needle]
style = "passkey"
filler = "sentences"
digits = 5
samples = 8
"#;

/// Keys of what the demo brings itself, each with what to do instead.
const OWN: [(&str, &str); 6] = [
    ("model", OTHER_VERBS),
    ("tokens", "give text with --text"),
    ("out", "give the folder with --out"),
    ("rope", OTHER_VERBS),
    ("contexts", OTHER_VERBS),
    ("search.target", OTHER_VERBS),
];
const OTHER_VERBS: &str =
    "leave it out; `longrope search`, `longrope compare` and `longrope eval` take any";

pub(crate) fn run(args: &args::Demo) -> Result<()> {
    let config = configuration(args)?;
    let interrupt = signals::listen()?;
    let started = Instant::now();

    let folder = args.out.join("model");
    let exported = args.out.join("exported");
    input::model::check_devices(&config)?;
    check_folder(&args.out)?;
    if exported.exists() && !is_replaceable(&exported) {
        return Err(longrope_model::Error::OutputExists { path: exported }.into());
    }
    let texts = read_texts(&config)?;
    let settings = RunSettings::default();
    let run = RunFolder::open(&args.out, RunKind::Demo, RunMode::Part, &settings)?;
    bundled::unpack(&folder)?;
    let story = Story {
        models: input::load_models(&config, Work::Measure { context: TARGET })?,
        config: &config,
        folder: &folder,
        interrupt: &interrupt,
    };
    story.model(&texts.line)?;
    let mut measured = story.known_methods(&texts.report)?;

    heading(&format!(
        "4. A short search for {TARGET} tokens ({}x), scored on text and on passkeys",
        TARGET / CONTEXTS[0]
    ))?;
    let folder_of_search = args.out.join("search");
    // The search of an earlier demo.
    if folder_of_search.is_dir() {
        fs_err::remove_dir_all(&folder_of_search)?;
    }
    let spec = story.search(&texts.search, &folder_of_search)?;

    let rope = folder_of_search.join("rope.json");
    story.searched_factors(&texts.report, &rope, &mut measured)?;
    write_plots(&args.out, &measured)?;

    heading("6. A checkpoint for other programs")?;
    let options = ExportOptions {
        overwrite: true,
        ..ExportOptions::new(TARGET)
    };
    export_hf(&folder, &exported, &spec, options)?;
    output::line(format!(
        "To load it in transformers: AutoModelForCausalLM.from_pretrained(\"{}\")",
        exported.display()
    ))?;
    closing(args, &run, started.elapsed().as_secs_f64())
}

/// Checks the folder of the demo, which may hold an earlier demo, but nothing else that the demo would replace.
fn check_folder(out: &Path) -> Result<()> {
    if RunFolder::holds(out, RunKind::Demo)? {
        return Ok(());
    }
    if let Some(name) = ["model", "search", "exported"]
        .into_iter()
        .find(|name| out.join(name).exists())
    {
        return Err(anyhow!(
            "`{}` exists, and is not of an earlier demo",
            out.join(name).display()
        )
        .context(Hint("choose another --out".to_owned())));
    }
    Ok(RunFolder::check(out, RunKind::Demo, RunMode::New)?)
}

/// Reads the texts before anything is written, and checks that they are long enough.
fn read_texts(config: &Config) -> Result<Texts> {
    let folder = tempfile::tempdir().context("making a temporary folder")?;
    bundled::unpack_tokenizer(folder.path())?;
    let texts = text::read(config, folder.path())?;
    for documents in [&texts.search, &texts.report] {
        plan_windows(documents, TARGET, WindowProtocol::spread(1), Bos::Document).with_context(
            || format!("placing windows of {TARGET} tokens in each half of the text"),
        )?;
    }
    Ok(texts)
}

/// The demo's settings, overridden by those of the user.
fn configuration(args: &args::Demo) -> Result<Config> {
    check_given(&layers::given(&args.common)?)?;
    let mut table: Table = SETTINGS.parse().context("the demo's own settings")?;
    let own = FlagLayer::default()
        .path("model", Some(&args.out.join("model")))
        .counts("contexts", &CONTEXTS)
        .count("search.target", Some(TARGET))
        .table();
    layers::merge(&mut table, own);
    let flags = FlagLayer::default().paths("text", &args.text).table();
    input::configuration_over(table, &args.common, flags)
}

/// Refuses what the demo brings itself: another model would be measured by the tokenizer of the bundled one.
fn check_given(given: &Table) -> Result<()> {
    let is_set = |key: &str| match key.split_once('.') {
        Some((section, key)) => given
            .get(section)
            .is_some_and(|section| section.get(key).is_some()),
        None => given.contains_key(key),
    };
    let found = OWN.into_iter().find(|(key, _)| is_set(key));
    let Some((key, hint)) = found else {
        return Ok(());
    };
    Err(
        anyhow!("`{key}` is set by --config or --set, but the demo has its own")
            .context(Hint(hint.to_owned())),
    )
}

/// Shared inputs of all steps.
struct Story<'a> {
    models: Models,
    config: &'a Config,
    folder: &'a Path,
    interrupt: &'a Interrupt,
}

impl Story<'_> {
    /// Says what the model and the texts are.
    fn model(&self, texts: &str) -> Result<()> {
        heading("1. The model")?;
        let model = self.models.decoder().config();
        output::line(format!(
            "A LLaMA of {} parameters, trained on windows of {} tokens, in {}.",
            output::grouped(model.n_parameters()),
            model.max_context,
            self.folder.display()
        ))?;
        output::line(texts)
    }

    /// Measures known methods and shows the results.
    fn known_methods(&self, text: &[TokenDocument]) -> Result<Measured> {
        heading("2. Perplexity of known methods at 1, 2, 4 and 8 times the original context")?;
        let perplexities = self.perplexities(text, &self.config.compare.methods)?;
        output::line(perplexity_table::perplexity_table(&perplexities))?;
        output::line(perplexity_table::protocol_line(&perplexities))?;

        heading("3. Retrieval of passkeys: five digits hidden in filler text")?;
        let passkeys = self.passkeys(&["none".to_owned(), "yarn".to_owned()])?;
        output::line(task_table::by_context(&passkeys))?;
        Ok(Measured {
            perplexities,
            passkeys,
        })
    }

    /// Measures the searched factors and shows the results beside those of known methods.
    fn searched_factors(
        &self,
        text: &[TokenDocument],
        rope: &Path,
        measured: &mut Measured,
    ) -> Result<()> {
        heading("5. The searched factors on other text and other passkeys")?;
        let searched = [to_text(rope)];
        measured.add_perplexities(self.perplexities(text, &searched)?);
        output::line(perplexity_table::perplexity_table(&measured.perplexities))?;
        measured.add_passkeys(self.passkeys(&searched)?);
        let passkeys = task_table::by_context(&measured.passkeys);
        output::line(format!("\n{passkeys}"))
    }

    /// Measures the perplexity of RoPEs at every context.
    fn perplexities(&self, text: &[TokenDocument], ropes: &[String]) -> Result<Vec<PplResult>> {
        let ropes = named_ropes(ropes, self.models.decoder(), TARGET)?;
        measure(
            self.config,
            &self.models,
            text,
            &ropes,
            self.interrupt,
            |_, _| Ok(()),
        )
    }

    /// Measures passkey retrieval at every context.
    fn passkeys(&self, ropes: &[String]) -> Result<Vec<TaskResult>> {
        let decoder = self.models.decoder();
        let tokenizer = Tokenizer::from_model_dir(self.folder)?;
        let ropes = named_ropes(ropes, decoder, TARGET)?;
        let config = self.config;
        let jobs = job::jobs(config, &ropes, |context| {
            let task = Passkey::new(&tokenizer, &config.passkey, context, config.seed)?;
            Ok(Box::new(task))
        })?;
        task_run::run_unsaved(&jobs, &mut Scorer::new(decoder), self.interrupt)
    }

    /// Searches factors, prints the result, and returns the winner with all its factor sets.
    fn search(&self, documents: &[TokenDocument], out: &Path) -> Result<RopeSpec> {
        let (config, decoder) = (self.config, self.models.decoder());
        let target = TargetRope::factors(&decoder.config().rope, TARGET);
        let tokenizer = Tokenizer::from_model_dir(self.folder)?;
        let inputs = SearchInputs {
            sample_context: None,
            // The demo measures on other text in its next step.
            held_out: HeldOutShare::NOTHING,
            ..searching::inputs(config, &self.models, documents, Some(&tokenizer))?
        };
        let search = |methods_first, watch: Watch<'_>| {
            let task = SearchTask {
                inputs,
                problem: target.problem(),
                target,
                init: Vec::new(),
                out,
                mode: RunMode::New,
                methods_first,
                chooses_objective: false,
                adapt: AdaptConfig::default(),
            };
            task.run(self.interrupt, watch)
        };
        let outcome = searching::shown(config, false, self.interrupt, search)?;
        let result = &outcome.result;
        output::line(search_table::result_table(result))?;
        if let Some(line) = search_table::gain_line(result) {
            output::line(line)?;
        }
        output::line(format!(
            "on {}, {} in {}; start tokens {}, attention scale {:.4}",
            output::counted(outcome.n_samples, "sample"),
            output::counted(result.evaluations, "evaluation"),
            output::duration(result.elapsed_secs),
            result.start_tokens,
            result.attention_scale
        ))?;
        Ok(outcome.spec)
    }
}

fn heading(text: &str) -> Result<()> {
    output::line(format!("\n{text}\n{}", "-".repeat(text.chars().count())))
}

fn closing(args: &args::Demo, run: &RunFolder, elapsed_secs: f64) -> Result<()> {
    heading("Next steps")?;
    output::line(format!(
        "Done in {}. Plots: {}, {}, {}, {}.\n\
         This was a short search without training. With your own checkpoint and text:\n\n  \
         longrope plan    MODEL --context 16384\n  \
         longrope compare --model MODEL --text BOOK.txt --contexts 8192,16384\n  \
         longrope search  --model MODEL --text BOOK.txt --target 16384 --out runs/factors\n  \
         longrope finetune --model MODEL --text BOOKS --rope runs/factors/rope.json --context 16384 --out runs/trained\n  \
         longrope export  --model runs/trained/model --rope runs/factors/rope.json --out extended\n\n\
         To run all stages with one recipe, up to 512 times the original context: longrope extend --config configs/tiny-512x.toml",
        output::duration(elapsed_secs),
        args.out.join("perplexity.svg").display(),
        args.out.join("passkeys.svg").display(),
        run.path("search/factors.svg").display(),
        run.path("search/history.svg").display(),
    ))
}

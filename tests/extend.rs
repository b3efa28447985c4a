//! `longrope extend`: stages run in order and are skipped once done.

use std::path::Path;

use toml::{Table, Value};

use crate::support::{Workplace, repository};

const RECIPE: &str = r#"
model = "m"
tokens = "tokens.json"
out = "run"

[search]
samples = 1
population = 5
parents = 2
mutations = 2
crossovers = 2
generations = 2

[train]
batch = 2
steps = 4
warmup-steps = 1
learning-rate = 1e-3
save-every = 2

[[stage]]
name = "find"
verb = "search"
search = { target = 64 }

[[stage]]
name = "train"
verb = "finetune"
train = { context = 64 }

[[stage]]
name = "measure"
verb = "ppl"
contexts = [32, 64]
eval = { windows = 2 }

[[stage]]
verb = "export"
"#;

#[test]
fn stages_run_in_order_and_only_once() {
    let here = Workplace::with_model();
    here.write("recipe.toml", RECIPE);
    let ran = here.run("extend --config recipe.toml");
    let on_training_text = "stage `measure` measures on text that stage `train` trains on";
    assert!(ran.stderr.contains(on_training_text), "{}", ran.stderr);
    let shown = ran.worked();
    for words in [
        "stage 1 of 4: find, search",
        "stage 4 of 4: export, export",
        "01-find",
    ] {
        assert!(shown.contains(words), "{words} in {shown}");
    }
    let exported = here.read_json("run/04-export/checkpoint/config.json");
    assert_eq!(exported["max_position_embeddings"], 64);
    let measured = here.read_json("run/03-measure/eval/ppl.json");
    assert_eq!(measured["results"].as_array().unwrap().len(), 2);
    here.run("report run/03-measure").worked();
    here.run("report run").worked();
    let page = here.read("run/report.html");
    for part in [
        "How far does this recipe",
        "01-find",
        "Rescale factors",
        "Loss by step",
        "03-measure",
    ] {
        assert!(page.contains(part), "{part}");
    }
    let stages = &here.read_json("run/report.json")["stages"];
    assert_eq!(stages.as_array().unwrap().len(), 3);
    here.run("extend --config recipe.toml")
        .refused_with("already holds a run of a recipe");
    // One stage is removed; the others are not run again.
    fs_err::remove_dir_all(here.path("run/03-measure")).unwrap();
    let resumed = here.run("extend --config recipe.toml --resume");
    assert_eq!(resumed.stderr.matches("other settings").count(), 0);
    let shown = resumed.worked();
    assert!(
        shown.contains("stage 3 of 4") && !shown.contains("stage 2 of 4"),
        "{shown}"
    );
    // What is done under other settings is kept, but not silently.
    let changed = RECIPE.replace("target = 64", "target = 64, mutation-prob = 0.5");
    here.write("recipe.toml", changed);
    let resumed = here.run("extend --config recipe.toml --resume");
    assert_eq!(resumed.stderr.matches("other settings").count(), 1);
    assert!(resumed.stderr.contains("stage `find`"));
    assert!(!resumed.stderr.contains(on_training_text), "it is done");
    resumed.worked();
    // A report has the settings that a stage ran with.
    here.run("report run").worked();
    let report = here.read_json("run/report.json");
    let search = &report["stages"][0]["settings"]["search"];
    assert_ne!(search["mutation-prob"], 0.5);
    assert_eq!(report["settings"].get("search"), None);
    let page = here.read("run/report.html");
    assert!(page.contains("search.target") && !page.contains("<td>stage 1"));
}

/// Every verb that needs a tokenizer, or factors to begin with.
const MEASUREMENTS: &str = r#"
model = "t"
text = ["text.md"]
out = "run"

[search]
samples = 1
population = 6
parents = 2
mutations = 1
crossovers = 1
generations = 1
passkey-trials = 0

[[stage]]
name = "find"
verb = "search"
search = { target = 320 }

[[stage]]
name = "short"
verb = "recover"
contexts = [128]

[[stage]]
name = "keys"
verb = "passkey"
contexts = [128]
passkey = { trials = 1 }

[[stage]]
name = "table"
verb = "compare"
contexts = [128]
eval = { windows = 1 }
compare = { methods = ["none", "yarn"] }
"#;

#[test]
fn stages_measure_what_earlier_ones_found() {
    let here = Workplace::with_tokenizer();
    let text = fs_err::read_to_string(repository().join("CONTRIBUTING.md")).unwrap();
    here.write("text.md", text);
    here.write("recipe.toml", MEASUREMENTS);
    let shown = here.run("extend --config recipe.toml").worked();
    assert!(shown.contains("yarn"), "{shown}");
    let sets = &here.read_json("run/02-short/rope.json")["scaling"]["sets"];
    assert!(sets.as_array().unwrap().len() >= 2, "{sets}");
    let keys = here.read_json("run/03-keys/eval/passkey.json");
    assert_eq!(keys["results"][0]["rope"], "run/02-short/rope.json");
    // A stage that was stopped before it saved anything begins anew.
    fs_err::remove_file(here.path("run/03-keys/done.json")).unwrap();
    fs_err::remove_dir_all(here.path("run/03-keys/eval")).unwrap();
    here.run("extend --config recipe.toml --resume").worked();
    assert!(here.path("run/03-keys/eval/passkey.json").is_file());
}

#[test]
fn every_bundled_recipe_is_valid() {
    let folder = repository().join("configs");
    let mut n_recipes = 0;
    for entry in fs_err::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let is_recipe = path.extension().is_some_and(|it| it == "toml")
            && fs_err::read_to_string(&path).unwrap().contains("[[stage]]");
        if is_recipe {
            let line = format!("extend --dry-run --config {}", path.display());
            let here = Workplace::with_model();
            let recipe: Table = fs_err::read_to_string(&path).unwrap().parse().unwrap();
            make_inputs(&here, &Value::Table(recipe));
            let outcome = here.run(&line);
            // No stage sets a key that its operators do not read.
            let unread = "with operators `";
            assert!(!outcome.stderr.contains(unread), "{}", outcome.stderr);
            let on_training_text = outcome.stderr.contains("measures on text");
            assert!(!on_training_text, "{}", outcome.stderr);
            outcome.worked();
            n_recipes += 1;
        }
    }
    assert!(n_recipes >= 5, "{n_recipes}");
}

/// Puts a model and texts where a recipe looks for them.
fn make_inputs(here: &Workplace, recipe: &Value) {
    match recipe {
        Value::Table(table) => {
            for (key, value) in table {
                match (key.as_str(), value) {
                    ("model", Value::String(name)) => {
                        fs_err::create_dir_all(here.path(name)).unwrap();
                        let own = repository().join(name).join("config.json");
                        let config = if own.is_file() {
                            fs_err::read_to_string(own).unwrap()
                        } else {
                            here.read("m/config.json")
                        };
                        here.write(&format!("{name}/config.json"), config);
                    }
                    ("text" | "eval-text", Value::Array(names)) => {
                        for name in names.iter().filter_map(Value::as_str) {
                            fs_err::create_dir_all(here.path(name)).unwrap();
                        }
                    }
                    // Factors that come with the recipe.
                    ("rope", Value::Array(names)) => {
                        for name in names.iter().filter_map(Value::as_str) {
                            if Path::new(name).extension().is_some_and(|it| it == "json") {
                                fs_err::create_dir_all(here.path("configs")).unwrap();
                                fs_err::copy(repository().join(name), here.path(name)).unwrap();
                            }
                        }
                    }
                    (_, value) => make_inputs(here, value),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| make_inputs(here, value)),
        _ => {}
    }
}

#[test]
fn a_recipe_without_stages_is_refused() {
    let here = Workplace::new();
    here.write("recipe.toml", "seed = 1\n");
    here.run("extend --config recipe.toml")
        .refused_with("has no stages");
}

/// The verbs that measure and show, each once.
const SHOWN: &str = r#"
model = "t"
out = "run"
contexts = [256]
rope = ["none", "yarn"]

[[stage]]
name = "before"
verb = "passkey"
passkey = { trials = 2 }

[[stage]]
verb = "needle"
needle = { trials = 1, depths = [0.5] }

[[stage]]
verb = "ruler"
contexts = [512]
ruler = { tasks = ["fwe"], samples = 1 }

[[stage]]
verb = "bench"
bench = { name = "arc-easy", data = ["arc.jsonl"], shots = 0 }

[[stage]]
verb = "generate"
rope = ["yarn"]
generate = { prompts = ["fn main"], max-new-tokens = 3 }

[[stage]]
verb = "report"
"#;

#[test]
fn stages_measure_generate_and_report() {
    let here = Workplace::with_tokenizer();
    let question = r#"{"id":"1","question":"What is 1?","choices":{"text":["one","two"],"label":["A","B"]},"answerKey":"A"}"#;
    here.write("arc.jsonl", question);
    here.write("recipe.toml", SHOWN);
    let ran = here.run("extend --config recipe.toml");
    let progress = ran.stderr.clone();
    let shown = ran.worked();
    for words in [
        "eval needle",
        "eval ruler",
        "eval bench",
        "generate",
        "report",
    ] {
        assert!(shown.contains(words), "{words} in {shown}");
    }
    // Only the recipe says what is next, not its stages.
    assert_eq!(progress.matches("next:").count(), 1, "{progress}");
    assert!(progress.contains("longrope report run"), "{progress}");
    for (file, pointer) in [
        ("01-before/eval/passkey.json", "/results/0/task"),
        ("02-needle/eval/needle.json", "/results/0/task"),
        ("03-ruler/eval/ruler.json", "/results/0/task"),
        ("04-bench/eval/bench-arc-easy.json", "/results/0/task"),
        ("05-generate/generate.json", "/results/0/text"),
    ] {
        let json = here.read_json(&format!("run/{file}"));
        assert!(json.pointer(pointer).is_some(), "{file}: {json}");
    }
    let page = here.read("run/report.html");
    assert!(page.contains("01-before") && page.contains("Passkeys found"));
    // What a stage lacks is said before any stage runs.
    for (from, to, message) in [
        ("name = \"arc-easy\", ", "", "`bench.name` is missing"),
        (
            "prompts = [\"fn main\"], ",
            "",
            "`generate.prompts` is missing",
        ),
    ] {
        here.write("recipe.toml", SHOWN.replace(from, to));
        here.run("extend --config recipe.toml --out other")
            .refused_with(message);
    }
    assert!(!here.path("other").exists());
}

#[test]
fn settings_of_a_training_are_checked_before_anything_runs() {
    let here = Workplace::with_model();
    let recipe = |stages: &str| {
        format!(
            "model = \"m\"\nout = \"run\"\ntokens = \"tokens.json\"\n\n[train]\ncontext = 32\nsteps = 1\nwarmup-steps = 0\n\n{stages}"
        )
    };
    let search = "[[stage]]\nname = \"find\"\nverb = \"search\"\nsearch = { target = 64 }\n\n";
    let train = |settings: &str| format!("[[stage]]\nverb = \"finetune\"\n{settings}\n");
    let skipped = |targets: &str| {
        format!("train = {{ positions = \"skipped\", skipped = {{ targets = {targets} }} }}")
    };
    let yarn = "rope = [\"yarn@128\"]\n";
    let measure =
        |settings: &str| format!("[[stage]]\nverb = \"ppl\"\ncontexts = [64]\n{settings}\n");
    for (stages, expected) in [
        (
            train(&format!("{yarn}{}", skipped("[512]"))),
            "`train.skipped.targets` is 512, but RoPE `yarn@128` is for up to 128",
        ),
        (
            format!("{search}{}", train(&skipped("[128]"))),
            "needs a RoPE for 128 tokens, but stage `find` searches one for 64",
        ),
        (
            format!(
                "{search}{}",
                train("train = { distill = { short = 1.0, layers = [77] } }")
            ),
            "`train.distill.layers` is [77]",
        ),
        (
            train("rope = [\"selfextend@4,8\"]"),
            "RoPE `selfextend@4,8` cannot be trained",
        ),
        (
            "[[stage]]\nverb = \"export\"\nrope = [\"selfextend@4,8\"]\n".to_owned(),
            "RoPE `selfextend@4,8` cannot be exported",
        ),
        (
            "[[stage]]\nverb = \"export\"\nrope = [\"yarn\"]\n".to_owned(),
            "hint: name the context to extend to, for example rope = [\"yarn@128\"]",
        ),
        // Its own RoPE counts, not that of the search before it.
        (
            format!("{search}[[stage]]\nverb = \"export\"\nrope = [\"yarn\"]\n"),
            "hint: name the context to extend to, for example rope = [\"yarn@128\"]",
        ),
        (measure("rope = [\"nowhere.json\"]"), "`nowhere.json`"),
        (
            measure("rope = [\"none\", \"yarn\"]\neval = { reference = \"pi\" }"),
            "the reference `pi` is not measured",
        ),
        (
            "[[stage]]\nverb = \"ruler\"\ncontexts = [64]\nruler = { tasks = [\"niah_9\"] }\n"
                .to_owned(),
            "niah_9",
        ),
        (
            "[[stage]]\nverb = \"search\"\nsearch = { target = 8 }\n".to_owned(),
            "8",
        ),
        (
            "[[stage]]\nverb = \"search\"\nsearch = { target = 64, population = 3, parents = 2 }\n"
                .to_owned(),
            "the number of seeds",
        ),
    ] {
        here.write("recipe.toml", recipe(&stages));
        for dry_run in ["--dry-run", ""] {
            let message = here
                .run(&format!("extend --config recipe.toml {dry_run}"))
                .refused();
            assert!(message.contains(expected), "{expected}: {message}");
            assert!(!here.path("run").exists());
        }
    }
    let longer = format!(
        "{search}{}",
        train(&format!("{yarn}train = {{ context = 128 }}"))
    );
    here.write("recipe.toml", recipe(&longer));
    here.run("extend --config recipe.toml --dry-run").worked();
}

#[test]
fn a_training_after_a_recovery_needs_the_target_of_the_search_before_it() {
    let here = Workplace::with_model();
    // A recovery reads no target, but has that of the keys for all stages.
    let recipe = |found: u32, trained: u32| {
        format!(
            "model = \"m\"\nout = \"run\"\ntokens = \"tokens.json\"\n\n[search]\ntarget = 64\n\n\
             [[stage]]\nname = \"find\"\nverb = \"search\"\nsearch = {{ target = {found} }}\n\n\
             [[stage]]\nname = \"short\"\nverb = \"recover\"\ncontexts = [32]\n\n\
             [[stage]]\nverb = \"finetune\"\ntrain = {{ context = {trained} }}\n"
        )
    };
    here.write("recipe.toml", recipe(128, 128));
    here.run("extend --config recipe.toml --dry-run").worked();
    here.write("recipe.toml", recipe(128, 256));
    here.run("extend --config recipe.toml --dry-run")
        .refused_with("needs a RoPE for 256 tokens, but stage `find` searches one for 128");
}

#[test]
fn devices_of_all_stages_are_checked_before_anything_runs() {
    let here = Workplace::with_model();
    here.write("recipe.toml", RECIPE);
    let trained_on = |device: &str| {
        let keys = format!("train = {{ context = 64 }}\ndevice = \"{device}\"");
        RECIPE.replace("train = { context = 64 }", &keys)
    };
    here.write("second.toml", trained_on("tpu"));
    for line in [
        "extend --config recipe.toml --device tpu",
        "extend --config second.toml",
    ] {
        for dry_run in ["--dry-run", ""] {
            here.run(&format!("{line} {dry_run}"))
                .refused_with("device `tpu` is unknown");
            assert!(!here.path("run").exists(), "{line} {dry_run}");
        }
    }
    if cfg!(feature = "rocm") {
        return;
    }
    here.write("elsewhere.toml", trained_on("rocm:0"));
    here.run("extend --config elsewhere.toml")
        .refused_with("this program was built without device `rocm`");
    assert!(!here.path("run").exists());
    // The recipe may be for another machine.
    let dry = here.run("extend --config elsewhere.toml --dry-run");
    let words = "stage `train` is for device `rocm:0`: the recipe can be checked here, but not run";
    assert!(dry.stderr.contains(words), "{}", dry.stderr);
    dry.worked();
}

#[test]
fn a_demo_on_a_device_that_is_not_there_leaves_nothing() {
    let here = Workplace::new();
    for device in ["tpu", "flex+"] {
        here.run(&format!("demo --out d --device {device}"))
            .refused_with("device `");
        assert!(!here.path("d").exists(), "{device}");
    }
}

#[test]
fn settings_of_a_measurement_are_checked_before_anything_runs() {
    let here = Workplace::with_model();
    for (stage, expected) in [
        (
            "verb = \"needle\"\nneedle = { kind = \"ordinal\", needles = 2, depths = [0.5] }",
            "none: needles are spread evenly",
        ),
        (
            "verb = \"needle\"\nneedle = { kind = \"association\", needles = 1 }",
            "a number from 2 to 16",
        ),
        ("verb = \"needle\"\nneedle = { trials = 0 }", "1 or more"),
        (
            "verb = \"passkey\"\npasskey = { depths = [3.0] }",
            "numbers from 0 to 1",
        ),
        ("verb = \"passkey\"\npasskey = { trials = 0 }", "1 or more"),
        ("verb = \"ruler\"\nruler = { samples = 0 }", "1 or more"),
        (
            "verb = \"ruler\"\nruler = { tasks = [\"niah_single_2\"] }",
            "a text to hide needles in",
        ),
        (
            "verb = \"ruler\"\nruler = { tasks = [\"qa_1\"] }",
            "SQuAD's questions",
        ),
        (
            "verb = \"ppl\"\neval = { within = 100 }",
            "`eval.within` is 100, but 64 does not divide it",
        ),
        (
            "verb = \"search\"\nsearch = { target = 64, objective = \"needle\" }\nsearch-needle = { digits = 20 }",
            "1 to 9",
        ),
    ] {
        let recipe = format!(
            "model = \"m\"\nout = \"run\"\ntokens = \"tokens.json\"\ncontexts = [64]\n\n[[stage]]\n{stage}\n"
        );
        here.write("recipe.toml", recipe);
        for dry_run in ["--dry-run", ""] {
            let message = here
                .run(&format!("extend --config recipe.toml {dry_run}"))
                .refused();
            assert!(message.contains(expected), "{expected}: {message}");
            assert!(!here.path("run").exists(), "{stage}");
        }
    }
}

#[test]
fn hints_about_settings_of_a_stage_name_keys() {
    let here = Workplace::with_model();
    let keys = "model = \"m\"\nout = \"run\"\ncontexts = [64]\n\n[[stage]]\n";
    for (stage, hint) in [
        (
            "verb = \"passkey\"\npasskey = { trials = 0 }",
            "give another value as `passkey.trials`",
        ),
        (
            "verb = \"needle\"\nneedle = { depths = [2] }",
            "give another value as `needle.depths`",
        ),
        (
            "verb = \"ruler\"\nruler = { tasks = [\"qa_1\"] }",
            "give `text`, `ruler.squad` or `ruler.hotpotqa`, or choose other `ruler.tasks`",
        ),
    ] {
        here.write("recipe.toml", format!("{keys}{stage}\n"));
        let message = here.fails("extend --config recipe.toml");
        let hint = format!("hint: {hint}");
        assert!(message.contains(&hint), "{hint}: {message}");
        assert!(!message.contains("--"), "{message}");
    }
}

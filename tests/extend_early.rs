//! What is wrong with a later stage of a recipe is said before the first one runs, by its keys.

use crate::support::Workplace;

/// A recipe of a measurement that works and of more stages. Keys for all stages come first.
fn recipe(keys: &str, stages: &str) -> String {
    format!(
        "model = \"m\"\nout = \"run\"\n{keys}\n\n[[stage]]\nname = \"first\"\nverb = \"ppl\"\ntokens = \"tokens.json\"\n\
         contexts = [32]\nrope = [\"none\"]\n\n{stages}\n"
    )
}

/// A stage of a verb.
fn later(verb: &str, keys: &str) -> String {
    format!("[[stage]]\nname = \"later\"\nverb = \"{verb}\"\n{keys}\n")
}

/// What is said of a recipe, in a dry run as in a run. No stage runs.
fn refused(here: &Workplace, recipe: &str) -> String {
    here.write("recipe.toml", recipe);
    let dry = here.fails("extend --config recipe.toml --dry-run");
    let message = here.fails("extend --config recipe.toml");
    assert_eq!(dry, message);
    assert!(!here.path("run").exists(), "{message}");
    message
}

/// Checks that stages are refused with a message and a hint, neither of which has flags.
fn are_refused(here: &Workplace, keys: &str, cases: &[(String, &str, &str)]) {
    for (stages, words, hint) in cases {
        let message = refused(here, &recipe(keys, stages));
        let (causes, hints) = message.split_once("hint: ").unwrap();
        assert!(causes.contains("stage `later`"), "{message}");
        assert!(causes.contains(words), "{words}: {message}");
        assert!(hints.contains(hint), "{hint}: {message}");
        assert!(!message.contains("--"), "{message}");
    }
}

#[test]
fn what_a_later_stage_lacks_is_said_by_its_keys() {
    let here = Workplace::with_model();
    let cases = [
        (
            later("ppl", "contexts = [32]"),
            "`text` is missing",
            "give files or folders as `text`, or token ids as `tokens`",
        ),
        (
            later("compare", "contexts = [32]\ntext = []"),
            "`text` is missing",
            "as `text`",
        ),
        (
            later("finetune", "train = { steps = 1, warmup-steps = 0 }"),
            "nothing to train on",
            "give text as `text`, or token ids as `tokens`",
        ),
        (
            later("search", "tokens = \"tokens.json\""),
            "`search.target` is missing",
            "in the stage",
        ),
        (
            later("recover", "tokens = \"tokens.json\"\ncontexts = [16]"),
            "`rope` is missing",
            "in the stage",
        ),
        (
            later("generate", ""),
            "`generate.prompts` is missing",
            "as `generate.prompts` or `generate.prompt-files`",
        ),
        (
            later("ppl", "tokens = \"tokens.json\""),
            "`contexts` is missing",
            "contexts = [256, 512, 1024]",
        ),
    ];
    are_refused(&here, "", &cases);
}

#[test]
fn windows_and_contexts_of_later_stages_are_checked() {
    let here = Workplace::with_model();
    here.write("held.txt", "Once upon a time.");
    let cases = [
        (
            later("ppl", "contexts = [32, 64]\neval = { stride = 48 }"),
            "stride is 48 tokens, expected 1 to 32",
            "`eval.stride`",
        ),
        (
            later("ppl", "contexts = [64]\neval = { within = 32 }"),
            "does not fit within 32 tokens",
            "`eval.within`",
        ),
        (
            later("compare", "contexts = [1]"),
            "context is 1 tokens",
            "at least two",
        ),
        (
            later(
                "finetune",
                "train = { context = 1, steps = 1, warmup-steps = 0 }",
            ),
            "`train.context`",
            "at least two",
        ),
        (
            later(
                "finetune",
                "contexts = [1]\ntrain = { eval-text = [\"held.txt\"], steps = 1, warmup-steps = 0 }",
            ),
            "placing windows of 1 tokens",
            "at least two",
        ),
        (
            later(
                "finetune",
                "train = { eval-text = [\"held.txt\"], eval-windows = 0, steps = 1, warmup-steps = 0 }",
            ),
            "`train.eval-windows` is 0",
            "[train]",
        ),
        (
            later(
                "finetune",
                "train = { data = { text = 0.0 }, steps = 1, warmup-steps = 0 }",
            ),
            "",
            "at least one share of train.data above 0",
        ),
        (
            later("recover", "contexts = [1]\nrope = [\"yarn\"]"),
            "windows of `contexts`",
            "at least two",
        ),
        (
            later("compare", "contexts = [32]\ncompare = { methods = [] }"),
            "there is nothing to compare",
            "`compare.methods`",
        ),
        (
            later("search", "search = { target = 64, sample-context = 32 }"),
            "`search.sample-context` is 32",
            "without this key",
        ),
        (
            format!(
                "[[stage]]\nverb = \"search\"\nsearch = {{ target = 64 }}\n\n{}",
                later(
                    "recover",
                    "contexts = [64]\nsearch = { population = 3, parents = 3 }"
                )
            ),
            "`population` is 3, expected at least 5",
            "[search]",
        ),
        // The factors are not there yet.
        (
            format!(
                "[[stage]]\nverb = \"search\"\nsearch = {{ target = 64 }}\n\n{}",
                later("recover", "contexts = [16, 128]")
            ),
            "the RoPE is for up to 64 tokens, so there is nothing to recover at 128",
            "search.stage = \"ratios\"",
        ),
    ];
    are_refused(&here, "tokens = \"tokens.json\"", &cases);
}

#[test]
fn texts_that_are_longer_than_the_contexts_of_a_stage_are_found() {
    let here = Workplace::with_tokenizer();
    let stage =
        |verb: &str, keys: &str| format!("model = \"t\"\nout = \"run\"\n\n{}", later(verb, keys));
    for (verb, keys, words) in [
        (
            "passkey",
            "contexts = [32, 64]",
            "`passkey` does not fit into 64 tokens",
        ),
        (
            "needle",
            "contexts = [16]",
            "`needle` does not fit into 16 tokens",
        ),
        (
            "ruler",
            "contexts = [64]\nruler = { tasks = [\"vt\"] }",
            "`ruler/vt` does not fit into 64 tokens",
        ),
        ("ruler", "contexts = [8, 16]", "does not fit into 16 tokens"),
    ] {
        let message = refused(&here, &stage(verb, keys));
        assert!(message.contains(words), "{words}: {message}");
        assert!(
            message.contains("hint: give longer `contexts`"),
            "{message}"
        );
    }
    // The tokenizer of a model that is trained first is known.
    let train = "[[stage]]\nverb = \"finetune\"\nrope = [\"none\"]\ntext = [\"sources:rayon\"]\n\
                 train = { context = 32, steps = 1, warmup-steps = 0 }\n\n";
    let after = later("passkey", "contexts = [32]\nrope = [\"none\"]");
    let message = refused(
        &here,
        &format!("model = \"t\"\nout = \"run\"\n\n{train}{after}"),
    );
    assert!(
        message.contains("`passkey` does not fit into 32 tokens"),
        "{message}"
    );
    // One of them is long enough.
    here.write("recipe.toml", stage("passkey", "contexts = [64, 256]"));
    here.run("extend --config recipe.toml --dry-run").worked();
}

#[test]
fn ropes_of_later_stages_are_counted_and_the_reference_is_one_of_them() {
    let here = Workplace::with_model();
    let ropes = "rope = [\"none\", \"yarn\"]";
    let taken = |taker: &str| format!("`rope` names 2 RoPEs, {taker} takes one");
    let takers = [
        ("finetune", "a training"),
        ("recover", "a recovery"),
        ("generate", "a generation"),
        ("export", "an export"),
    ];
    for (verb, taker) in takers {
        let keys = "contexts = [16]\ngenerate = { prompts = [\"a\"] }";
        let stage = later(verb, &format!("{keys}\n{ropes}"));
        let words = taken(taker);
        let hint = "set one `rope` in the stage, for example rope = [\"none\"]";
        let cases = [(stage, words.as_str(), hint)];
        are_refused(&here, "tokens = \"tokens.json\"", &cases);
    }
    // Also of a model that is not there yet.
    let train = "[[stage]]\nverb = \"finetune\"\nrope = [\"none\"]\ntrain = { context = 32, steps = 1, warmup-steps = 0 }\n\n";
    for verb in ["ppl", "compare"] {
        let keys = "contexts = [32]\nrope = [\"none\"]\neval = { reference = \"mine\" }";
        let cases = [(
            format!("{train}{}", later(verb, keys)),
            "the reference `mine` is not measured",
            "as `eval.reference`, or add mine to `rope`",
        )];
        are_refused(&here, "tokens = \"tokens.json\"", &cases);
    }
}

#[test]
fn texts_and_types_that_no_stage_can_have_are_found() {
    let here = Workplace::with_model();
    let cases = [
        (
            later(
                "ppl",
                "contexts = [32]\ntext = [\"sources:nobody-wrote-this\"]",
            ),
            "there are no sources for `nobody-wrote-this`",
            "the name of a crate",
        ),
        (
            later(
                "ppl",
                "contexts = [32]\ntokens = \"tokens.json\"\ndevice = \"ndarray\"\nprecision = \"bf16\"",
            ),
            "device `ndarray` does not have `bf16`, which `precision` asks for",
            "set `precision` to f32",
        ),
        (
            later(
                "finetune",
                "tokens = \"tokens.json\"\ndevice = \"ndarray\"\ntrain = { precision = \"bf16\" }",
            ),
            "which `train.precision` asks for",
            "set `train.precision` to f32",
        ),
        (
            later("passkey", "contexts = [32]\ndevice = [\"flex\", \"flex\"]"),
            "2 devices are given",
            "give one `device`",
        ),
    ];
    are_refused(&here, "", &cases);
}

/// A training of a second.
const TRAIN: &str = "model = \"m\"\ntokens = \"tokens.json\"\nout = \"run\"\n\n[train]\ncontext = 32\nbatch = 2\nsteps = 2\n\
                     warmup-steps = 1\nlearning-rate = 1e-3\n\n[[stage]]\nname = \"train\"\nverb = \"finetune\"\n";

#[test]
fn a_precision_that_a_training_of_a_recipe_does_not_use_is_named() {
    let here = Workplace::with_model();
    let of_recipe = format!("precision = \"bf16\"\n{TRAIN}");
    let of_stage = format!("{TRAIN}precision = \"bf16\"\n");
    let with_type = |recipe: &str, name: &str| {
        let keys = format!("batch = 2\nprecision = \"{name}\"");
        recipe.replace("batch = 2", &keys)
    };
    for (recipe, is_told) in [
        (of_recipe.clone(), true),
        (of_stage.clone(), true),
        // It is for measurements, and the type of the training is given.
        (with_type(&of_recipe, "f32"), false),
        (with_type(&of_stage, "f32"), true),
        (with_type(&of_stage, "bf16"), false),
        (TRAIN.to_owned(), false),
    ] {
        here.write("recipe.toml", &recipe);
        let outcome = here.run("extend --config recipe.toml --dry-run");
        let words = "stage `train`: `precision` is bf16, which has no effect on a training: this one is in f32";
        let told = outcome.stderr.contains(words);
        assert_eq!(told, is_told, "{recipe}\n{}", outcome.stderr);
        outcome.worked();
    }
}

#[test]
fn all_changes_of_a_stopped_stage_are_said_at_once_with_one_hint() {
    let here = Workplace::with_model();
    here.write("recipe.toml", TRAIN);
    here.run("extend --config recipe.toml").worked();
    // As if it had been killed before its end.
    fs_err::remove_file(here.path("run/01-train/done.json")).unwrap();
    here.tokens("other.json", 500);
    let changed = TRAIN
        .replace("tokens.json", "other.json")
        .replace("steps = 2", "steps = 3");
    here.write("recipe.toml", format!("seed = 7\n{changed}"));
    for dry_run in ["--dry-run", ""] {
        let message = here.fails(&format!("extend --config recipe.toml --resume {dry_run}"));
        for words in [
            "other settings: `seed` was 42 and is 7, `train.steps` was 2 and is 3, `tokens` was tokens.json and is other.json",
            "hint: restore the old values in the recipe, and the text that the stage was begun with, which its config.toml \
             names, or remove `run/01-train`, and --resume runs",
        ] {
            assert!(message.contains(words), "{words} in {message}");
        }
        assert_eq!(message.matches("hint: ").count(), 1, "{message}");
    }
}

#[test]
fn names_in_messages_stay_as_they_are() {
    let here = Workplace::with_model();
    for (keys, shown) in [
        ("rope = [\"--rope  é\"]", "RoPE `--rope  é` is neither"),
        ("rope = [\"--rope=é\"]", "RoPE `--rope=é` is neither"),
        ("rope = [\"--rope\"]", "RoPE `--rope` is neither"),
        ("text = [\"--text\u{a0}é\"]", "folder: `--text\u{a0}é`"),
        ("text = [\"(--rope 3).txt\"]", "folder: `(--rope 3).txt`"),
    ] {
        let stage = later("ppl", &format!("contexts = [32]\n{keys}"));
        let tokens = if keys.starts_with("rope") {
            "tokens = \"tokens.json\""
        } else {
            ""
        };
        let message = refused(&here, &recipe(tokens, &stage));
        assert!(message.contains(shown), "{shown}: {message}");
    }
}

#[test]
fn stages_that_are_done_or_read_no_text_may_name_unknown_sources() {
    let here = Workplace::with_model();
    let unknown = "text = [\"sources:nobody-wrote-this\"]";
    let export = later("export", &format!("rope = [\"pi@64\"]\n{unknown}"));
    here.write("recipe.toml", recipe("", &export));
    here.run("extend --config recipe.toml --dry-run").worked();
    here.run("extend --config recipe.toml").worked();
    // The measurement is done.
    let done = recipe("", &export).replace("tokens = \"tokens.json\"", unknown);
    here.write("recipe.toml", done);
    here.run("extend --config recipe.toml --resume").worked();
}

#[test]
fn the_first_rope_of_a_recipe_is_taken_where_one_is_used() {
    let here = Workplace::with_model();
    let keys = "rope = [\"pi@64\", \"yarn@64\"]";
    here.write("recipe.toml", recipe(keys, &later("export", "")));
    let outcome = here.run("extend --config recipe.toml");
    let words = "stage `later` takes `pi@64`, the first `rope` of the recipe";
    assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
    outcome.worked();
}

#[test]
fn a_dry_run_compares_the_settings_of_a_measurement_that_was_stopped() {
    let here = Workplace::with_tokenizer();
    let recipe = |trials: usize| {
        let keys =
            format!("contexts = [256]\nrope = [\"none\"]\npasskey = {{ trials = {trials} }}");
        format!(
            "model = \"t\"\nout = \"run\"\n\n{}",
            later("passkey", &keys)
        )
    };
    here.write("recipe.toml", recipe(1));
    here.run("extend --config recipe.toml").worked();
    // As if it had been killed before its end.
    fs_err::remove_file(here.path("run/01-later/done.json")).unwrap();
    here.write("run/01-later/eval/passkey.state.json", "{}");
    here.write("recipe.toml", recipe(2));
    let message = here.fails("extend --config recipe.toml --dry-run");
    assert!(
        message.contains("other settings: `passkey.trials` was 1 and is 2"),
        "{message}"
    );
    assert!(
        message.contains("hint: restore the old values"),
        "{message}"
    );
}

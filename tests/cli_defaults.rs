//! Defaults that give way to what the user says, and settings that contradict each other.

use serde_json::{Value, json};

use crate::support::{TINY_SEARCH, Workplace};

#[test]
fn defaults_that_contradict_a_flag_are_clamped_and_told() {
    let here = Workplace::with_model();
    let outcome = here.run("finetune m --tokens tokens.json --steps 2 --out tuned");
    assert!(
        outcome
            .stderr
            .contains("`train.warmup-steps` is 2 instead of"),
        "{}",
        outcome.stderr
    );
    outcome.worked();
    let line = "search m --tokens tokens.json --target 64 --samples 1 --out run \
                --set search.population=4 --set search.generations=0";
    let outcome = here.run(line);
    assert!(
        outcome.stderr.contains("`search.parents` is 4 instead of"),
        "{}",
        outcome.stderr
    );
    outcome.worked();
    assert!(here.read("run/config.toml").contains("parents = 4"));
    here.fails("finetune m --tokens tokens.json --steps 2 --set train.warmup-steps=9 --out y");
}

#[test]
fn training_is_at_the_context_of_its_rope() {
    let here = Workplace::with_model();
    let set =
        json!({"max_context": 48, "start_tokens": 0, "factors": [1, 1, 1, 1, 1.5, 1.5, 1.5, 1.5]});
    let rope = json!({
        "format": "longrope-rope", "version": 1, "rotary_dim": 16, "theta": 10000.0, "original_context": 32,
        "scaling": {"type": "long-rope", "sets": [set], "attention": {"type": "su"}},
    });
    here.write("rope.json", rope.to_string());
    let train =
        "finetune m --tokens tokens.json --steps 1 --set train.warmup-steps=0 --json --rope";
    let tokens = |line: &str| -> Value {
        let json: Value = serde_json::from_str(&here.run(line).worked()).unwrap();
        json["n_tokens"].clone()
    };
    let by_default = tokens(&format!("{train} rope.json --out a"));
    let given = tokens(&format!("{train} rope.json --context 48 --out b"));
    let shorter = tokens(&format!("{train} rope.json --context 40 --out c"));
    assert_eq!(by_default, given);
    assert!(shorter.as_u64() < given.as_u64(), "{shorter} {given}");
    let message = here.fails(&format!("{train} rope.json --context 64 --out d"));
    assert!(message.contains("is for up to 48 tokens"), "{message}");
    // Longer windows count, also if the others are as long as the RoPE is for.
    let long = "--set train.long={context=64,share=0.5}";
    let message = here.fails(&format!("{train} rope.json {long} --out d"));
    let expected = "`train.long.context` is 64, but RoPE `rope.json` is for up to 48 tokens";
    assert!(message.contains(expected), "{message}");
    let message = here.fails(&format!("{train} yarn --out d"));
    assert!(message.contains("`--context` is missing"), "{message}");
    assert!(!here.path("d").exists());
    here.run(&format!("{train} yarn --context 64 --out e"))
        .worked();
    here.run(&format!("{train} none --out f")).worked();
}

#[test]
fn there_is_nothing_to_extend_at_the_window() {
    let here = Workplace::with_model();
    let message = here.fails(&format!("{TINY_SEARCH} --target 32 --out run"));
    assert!(message.contains("there is nothing to extend"), "{message}");
    let message =
        here.fails("recover m --tokens tokens.json --rope ../rope.json --contexts 0 --out run");
    assert!(message.contains("hint: "), "{message}");
    assert!(!here.path("run").exists());
}

#[test]
fn a_plan_needs_only_the_name_of_a_device() {
    let here = Workplace::with_model();
    let line = "plan m --context 64 --memory 80 --device cuda:0";
    let text = here.run(line).worked();
    assert!(text.contains("yes"), "{text}");
    let json: Value = serde_json::from_str(&here.run(&format!("{line} --json")).worked()).unwrap();
    assert_eq!(json["device"], "cuda:0");
    assert_eq!(json["plans"][0]["fits"], true);
}

#[test]
fn tasks_and_contexts_that_do_not_fit_are_skipped() {
    let here = Workplace::with_tokenizer();
    let line = "eval ruler t --contexts 512 --samples 1";
    let outcome = here.run(line);
    assert!(
        outcome.stderr.contains("skipped: `ruler/"),
        "{}",
        outcome.stderr
    );
    let told = outcome.stderr.clone();
    let text = outcome.worked();
    assert!(text.contains("of 13 tasks"), "{text}");
    let name = told.split("`ruler/").nth(1).unwrap();
    let name = name.split('`').next().unwrap();
    let message = here.fails(&format!("{line} --tasks {name}"));
    assert!(
        message.contains("does not fit into 512 tokens"),
        "{message}"
    );

    let outcome = here.run("eval passkey t --contexts 64,256 --trials 1 --json");
    assert!(
        outcome.stderr.contains("skipped: `passkey`"),
        "{}",
        outcome.stderr
    );
    let json: Value = serde_json::from_str(&outcome.worked()).unwrap();
    assert_eq!(json["results"].as_array().unwrap().len(), 1);
    here.fails("eval passkey t --contexts 64,65 --trials 1");
    here.fails("eval needle t --contexts 16 --trials 1");
}

#[test]
fn stop_tokens_of_the_generation_config_end_a_text() {
    let here = Workplace::with_tokenizer();
    let line = "generate t --prompt fn --json --max-new-tokens 8";
    let tokens = |json: &Value| json["results"][0]["tokens"].as_array().unwrap().clone();
    let whole: Value = serde_json::from_str(&here.run(line).worked()).unwrap();
    let stop = tokens(&whole)[2].clone();
    here.write(
        "t/generation_config.json",
        json!({"eos_token_id": stop}).to_string(),
    );
    let stopped: Value = serde_json::from_str(&here.run(line).worked()).unwrap();
    assert!(tokens(&stopped).len() <= 3, "{stopped}");
    assert_eq!(stopped["results"][0]["end"], "stop-token");
    let all: Value = serde_json::from_str(
        &here
            .run(&format!("{line} --set generate.ignore-eos=true"))
            .worked(),
    )
    .unwrap();
    assert_eq!(tokens(&all).len(), 8);
    here.write(
        "t/generation_config.json",
        json!({"eos_token_id": "2"}).to_string(),
    );
    assert!(here.fails(line).contains("eos_token_id"));
}

const RECIPE: &str = r#"
tokens = "tokens.json"
[[stage]]
verb = "search"
search = { target = 64, population = 8, parents = 4, generations = 0, samples = 1 }
[[stage]]
verb = "compare"
contexts = [32]
compare = { methods = ["none", "pi"] }
"#;

#[test]
fn a_default_that_gives_way_is_said_once_per_recipe() {
    let here = Workplace::with_model();
    let stage = RECIPE.split("[[stage]]\n").nth(1).unwrap();
    let second = format!("[[stage]]\nname = \"again\"\n{stage}");
    let recipe = (RECIPE.to_owned() + &second).replace("population = 8", "population = 4");
    here.write("recipe.toml", recipe);
    let outcome = here.run("extend m --config recipe.toml --out run --dry-run");
    let said = outcome.stderr.matches("`search.seeds` is without").count();
    assert_eq!(said, 1, "{}", outcome.stderr);
}

#[test]
fn a_dry_run_finds_what_a_recipe_lacks() {
    let here = Workplace::with_model();
    here.write("recipe.toml", RECIPE);
    let dry = "extend --config recipe.toml --out run --dry-run";
    here.run(&format!("{dry} m")).worked();
    for (from, to, words) in [
        ("parents = 4", "parents = 9", "`parents` is 9"),
        ("population = 8", "population = 0", "`population` is 0"),
        ("population = 8", "population = 1000000000", "population"),
        ("contexts = [32]", "", "`contexts` is missing"),
        ("target = 64, ", "", "`search.target` is missing"),
    ] {
        here.write("recipe.toml", RECIPE.replace(from, to));
        let message = here.fails(&format!("{dry} m"));
        assert!(message.contains(words), "{message}");
    }
    here.write("recipe.toml", RECIPE);
    assert!(
        here.fails(&format!("{dry} nowhere"))
            .contains("`nowhere` does not exist")
    );
    assert!(here.fails(dry).contains("the model is missing"));
    assert!(!here.path("run").exists());
}

#[test]
fn a_stage_that_compares_keeps_its_table() {
    let here = Workplace::with_model();
    here.write("recipe.toml", RECIPE);
    here.run("extend m --config recipe.toml --out run").worked();
    let json = here.read_json("run/02-compare/eval/compare.json");
    assert_eq!(json["format"], "longrope-eval");
    assert!(json["results"].as_array().unwrap().len() >= 2, "{json}");
}

#[test]
fn copying_fits_into_short_windows() {
    let here = Workplace::new();
    here.rust_text();
    here.write(
        "pretrain.toml",
        "[pretrain]\nmodel = { layers = 1, hidden = 32, heads = 2, kv-heads = 1, intermediate = 32, vocab = 300, window = 48 }\n\
         phases = [{ name = \"a\", steps = 3, batch = 1, window = 48, learning-rate = 1e-3, shares = { copying = 1 } }]\n",
    );
    here.run("pretrain --config pretrain.toml --text text.txt --out run")
        .worked();
}

#[test]
fn token_ids_that_a_stage_does_not_read_are_named() {
    let here = Workplace::with_model();
    let recipe = |verb: &str| {
        format!(
            "model = \"m\"\ntokens = \"tokens.json\"\nout = \"run\"\ncontexts = [64]\nrope = [\"none\"]\n\n\
             [[stage]]\nname = \"one\"\nverb = \"{verb}\"\n"
        )
    };
    for verb in ["needle", "ruler", "ppl"] {
        here.write("recipe.toml", recipe(verb));
        let ran = here.run("extend --config recipe.toml --dry-run");
        let named = ran.stderr.contains("`tokens` is not read by stage `one`");
        assert_eq!(named, verb != "ppl", "{}", ran.stderr);
        ran.worked();
    }
}

#[test]
fn a_dry_run_finds_the_files_and_ropes_that_no_stage_has() {
    let here = Workplace::with_model();
    let recipe = |stage: &str| {
        format!("model = \"m\"\ntokens = \"tokens.json\"\nout = \"run\"\n\n[[stage]]\n{stage}\n")
    };
    let arc = "verb = \"bench\"\nbench = { name = \"arc-easy\", data = [\"tokens.json\"]";
    let generate = "verb = \"generate\"\ngenerate = { prompts = [\"a\"] }";
    let no_rope = "RoPE `nope` is neither a method";
    let train = "verb = \"finetune\"\ntrain = { context = 32, steps = 1, warmup-steps = 0 }";
    for (stage, words) in [
        (
            "verb = \"bench\"\nbench = { name = \"arc-esy\" }".to_owned(),
            "unknown benchmark `arc-esy`",
        ),
        (arc.replace("tokens", "nowhere") + " }", "nowhere.json"),
        (format!("{arc}, fewshot = [\"none.json\"] }}"), "none.json"),
        (format!("{arc} }}\nrope = [\"nope\"]"), no_rope),
        (
            format!("{arc} }}\nrope = [\"yarn\"]"),
            "`contexts` is missing",
        ),
        (format!("{generate}\nrope = [\"nope\"]"), no_rope),
        (
            format!("{generate}\nrope = [\"pi\", \"yarn\"]"),
            "names 2 RoPEs",
        ),
        (
            generate.replace("prompts", "prompt-files"),
            "no such file or folder",
        ),
        (
            "verb = \"ruler\"\ncontexts = [64]\nruler = { squad = \"squad.json\" }".to_owned(),
            "squad.json",
        ),
        (
            "verb = \"recover\"\ncontexts = [64]".to_owned(),
            "`rope` is missing",
        ),
        (
            "verb = \"recover\"\ncontexts = [64]\nrope = [\"yarn\"]".to_owned(),
            "RoPE `yarn` has no factor sets",
        ),
        (
            "verb = \"search\"\nsearch = { target = 64, stage = \"ratios\" }".to_owned(),
            "`search.init` is missing",
        ),
        (
            "verb = \"search\"\nsearch = { target = 64, init = \"nope\" }".to_owned(),
            no_rope,
        ),
        (
            "verb = \"search\"\nsearch = { target = 64, init = \"tokens.json\" }".to_owned(),
            "reading `search.init`",
        ),
        (
            format!("{train}\n[[stage]]\nverb = \"ppl\"\ncontexts = [32]\nrope = [\"nope\"]"),
            no_rope,
        ),
    ] {
        here.write("recipe.toml", recipe(&stage));
        let message = here.fails("extend --config recipe.toml --dry-run");
        assert!(message.contains(words), "{stage}\n{message}");
    }
    for stage in [format!("{arc}, shots = 0 }}"), generate.to_owned()] {
        here.write("recipe.toml", recipe(&stage));
        here.run("extend --config recipe.toml --dry-run").worked();
    }
}

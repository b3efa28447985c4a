//! The objective of a search that is left to choose it.

use serde_json::Value;

use crate::support::{TINY_SEARCH, Workplace};

/// A search of seconds on the bundled model `t`, with one passkey as its needle.
const SEARCH: &str = "search --model t --text held.txt --samples 1 --target 264 --set search.population=4 \
    --set search-needle.style=passkey --set search-needle.filler=sentences --set search-needle.digits=5 \
    --set search-needle.samples=1 --set search.parents=2 --set search.mutations=1 --set search.crossovers=1 --set search.generations=0 \
    --set search.seeds=[\"none\"] --set search.attention={type=\"fixed\",policy={type=\"none\"}} \
    --set search.passkey-trials=1 --dashboard off --json";

fn workplace() -> Workplace {
    let here = Workplace::with_tokenizer();
    here.rust_text();
    here
}

/// Stdout as JSON, and stderr.
fn search(here: &Workplace, line: &str) -> (Value, String) {
    let mut outcome = here.run(line);
    let stderr = std::mem::take(&mut outcome.stderr);
    (serde_json::from_str(&outcome.worked()).unwrap(), stderr)
}

/// What a kill before the result leaves: a state without result.
fn unfinish(here: &Workplace, run: &str) {
    for name in ["search/result.json", "rope.json"] {
        fs_err::remove_file(here.path(run).join(name)).unwrap();
    }
}

#[test]
fn a_model_that_finds_passkeys_is_searched_for_text_and_passkeys() {
    let here = workplace();
    let (found, stderr) = search(&here, &format!("{SEARCH} --out run"));
    let choice = &found["objective_choice"];
    assert_eq!(choice["objective"], "combined");
    assert!(choice["passkeys_in_window"].as_f64().unwrap() > 0.5);
    // The verdict tries the same passkeys.
    assert_eq!(
        choice["passkeys_in_window"],
        found["verdict"]["passkeys_in_window"]
    );
    let reason = choice["reason"].as_str().unwrap();
    assert!(
        reason.ends_with("of 5 passkeys within its own window of 256 tokens"),
        "{reason}"
    );
    assert!(
        stderr.contains("objective: combined, text and passkeys, because the model finds"),
        "{stderr}"
    );
    assert!(found["searched"]["answer_nats"].as_f64().unwrap() > 0.0);
    assert_eq!(found["needle_weight"], 0.5);
    let inputs = here.read_json("run/search/inputs.json");
    assert_eq!(&inputs["objective_choice"], choice);
    assert_eq!(here.read_json("run/search/result.json"), found);

    unfinish(&here, "run");
    let (resumed, stderr) = search(&here, "search --resume --json --out run");
    assert_eq!(resumed["searched"], found["searched"]);
    assert_eq!(&resumed["objective_choice"], choice);
    assert!(stderr.contains("objective: combined"), "{stderr}");
}

#[test]
fn a_model_that_finds_no_passkeys_is_searched_for_text() {
    let here = workplace();
    here.edit_config("t", |config| {
        config["rope_theta"] = 2.0.into();
        config["rope_parameters"]["rope_theta"] = 2.0.into();
    });
    let (found, stderr) = search(&here, &format!("{SEARCH} --out run"));
    assert_eq!(found["objective_choice"]["objective"], "perplexity");
    assert_eq!(found["objective_choice"]["passkeys_in_window"], 0.0);
    assert_eq!(found["objective"], "mean loss per token");
    assert!(
        stderr.contains("objective: perplexity, because the model finds 0 of 5 passkeys"),
        "{stderr}"
    );
    let (found, _) = search(
        &here,
        &format!("{SEARCH} --set search.passkey-trials=0 --out none"),
    );
    assert_eq!(
        found["objective_choice"]["reason"],
        "`search.passkey-trials` is 0"
    );
    let here = Workplace::with_model();
    let line = format!("{TINY_SEARCH} --set search.generations=0 --target 64 --json --out run");
    let (found, _) = search(&here, &line);
    let reason = &found["objective_choice"]["reason"];
    assert_eq!(reason, "there is no tokenizer for passkeys");
}

#[test]
fn an_objective_that_is_given_is_not_chosen_and_is_kept() {
    let here = workplace();
    let (found, stderr) = search(&here, &format!("{SEARCH} --objective perplexity --out run"));
    assert_eq!(found.get("objective_choice"), None);
    assert_eq!(found["searched"].get("answer_nats"), None);
    assert!(!stderr.contains("objective:"), "{stderr}");
    unfinish(&here, "run");
    // As from a version that did not choose: the settings now say nothing, and the folder says what was minimized.
    let (resumed, _) = search(
        &here,
        &format!("{SEARCH} --out run --resume --set search.objective=auto"),
    );
    assert_eq!(resumed["searched"], found["searched"]);
    unfinish(&here, "run");
    here.run(&format!("{SEARCH} --out run --resume --objective combined"))
        .refused_with("other");
}

#[test]
fn a_plan_and_a_dry_run_say_that_the_objective_will_be_tried() {
    let here = Workplace::with_model();
    let words = "combined if the model finds passkeys within its own window, else perplexity";
    let plan = here.run("plan m --context 64").worked();
    assert!(plan.contains(words), "{plan}");
    let recipe = "tokens = \"tokens.json\"\n[[stage]]\nname = \"find\"\nverb = \"search\"\n[stage.search]\ntarget = 64\n";
    here.write("recipe.toml", recipe);
    let dry = "extend m --config recipe.toml --out run --dry-run";
    let shown = here.run(dry).worked();
    assert!(shown.contains("objective of `find`: tried"), "{shown}");
    here.write(
        "recipe.toml",
        format!("{recipe}objective = \"perplexity\"\n"),
    );
    let shown = here.run(dry).worked();
    assert!(!shown.contains("objective"), "{shown}");
}

//! Searches of a model whose RoPE is scaled already.

use serde_json::Value;

use crate::support::{TINY_SEARCH, Workplace, number};

const SHORT: &str = "--set search.generations=1 --target 128 --json";

/// A folder with the model `m`, which has short and long factors. Its window is 32.
fn workplace() -> Workplace {
    let here = Workplace::new();
    here.fixture("families/phi3-longrope", "m");
    here.tokens("tokens.json", 600);
    here
}

fn json(here: &Workplace, line: &str) -> Value {
    serde_json::from_str(&here.run(line).worked()).unwrap()
}

fn methods(baselines: &Value) -> Vec<&str> {
    let baselines = baselines.as_array().unwrap().iter();
    baselines.filter_map(|it| it["method"].as_str()).collect()
}

#[test]
fn a_search_starts_from_the_rope_that_the_model_has_and_is_compared_with_it() {
    let here = workplace();
    let found = json(&here, &format!("{TINY_SEARCH} {SHORT} --out run"));
    let all = ["none", "pi", "ntk", "dynamic-ntk", "yarn", "checkpoint"];
    assert_eq!(methods(&found["baselines"]), all);
    assert_eq!(methods(&found["verdict"]["baselines"]), all);
    // Its factors lie on the grid, and its attention scale is that of a policy.
    let state = here.read_json("run/search/state.json");
    let init = state["seeds"].as_array().unwrap().last().unwrap();
    assert_eq!(init["name"], "init-0");
    let own = number(&found, "/baselines/5/nll_nats");
    assert!((number(init, "/score") - own).abs() < 1e-6, "{init} {own}");
    assert!(number(&found, "/best_nats") <= own + 1e-6);
}

#[test]
fn within_the_window_a_searched_rope_does_what_the_model_did() {
    let here = workplace();
    json(&here, &format!("{TINY_SEARCH} {SHORT} --out run"));
    let line =
        "eval ppl m --tokens tokens.json --contexts 16,32 --rope checkpoint run/rope.json --json";
    let measured = json(&here, line);
    let of = |result: usize| number(&measured, &format!("/results/{result}/nll_nats"));
    for context in [0, 1] {
        let (own, searched) = (of(context), of(context + 2));
        assert!((own - searched).abs() < 1e-6, "{own} {searched}");
    }
    let sets = &here.read_json("run/rope.json")["scaling"]["sets"];
    assert_eq!(sets[0]["max_context"], 32);
    let config = here.read_json("m/config.json");
    assert_eq!(sets[0]["factors"], config["rope_scaling"]["short_factor"]);
}

#[test]
fn a_search_that_took_the_model_for_plain_goes_on_so() {
    let here = workplace();
    json(&here, &format!("{TINY_SEARCH} {SHORT} --out old"));
    // What earlier versions did not write, and what a kill at the end leaves out.
    let mut inputs = here.read_json("old/search/inputs.json");
    let fingerprint = inputs.as_object_mut().unwrap().remove("own_rope");
    assert!(fingerprint.is_some_and(|found| found.is_string()));
    here.write("old/search/inputs.json", inputs.to_string());
    fs_err::remove_file(here.path("old/search/result.json")).unwrap();
    let outcome = here.run("search --resume --json --out old");
    let warning =
        "an earlier version has begun this search and took the RoPE of the model for plain";
    assert!(outcome.stderr.contains(warning), "{}", outcome.stderr);
    let found: Value = serde_json::from_str(&outcome.worked()).unwrap();
    let plain = ["none", "pi", "ntk", "dynamic-ntk", "yarn"];
    assert_eq!(methods(&found["baselines"]), plain);
    let short = &here.read_json("old/rope.json")["scaling"]["sets"][0];
    assert_eq!(short["factors"], Value::from(vec![1.0; 6]));
}

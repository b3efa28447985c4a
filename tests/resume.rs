//! A search that is stopped and resumed gives the same results as an uninterrupted one.

use std::process::Child;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Workplace, two_sets};

/// A search long enough to be stopped in the middle, with racing, which ends candidates early.
pub(crate) const SEARCH: &str = "search --model m --tokens tokens.json --target 128 --samples 2 \
    --set search.population=8 --set search.parents=4 --set search.mutations=4 \
    --set search.crossovers=4 --set search.generations=24 --set search.racing-strictness=1";

/// Result files that do not depend on time.
const RESULTS: [&str; 5] = [
    "rope.json",
    "metrics.jsonl",
    "search/state.json",
    "factors.svg",
    "history.svg",
];

/// Starts a search in `out` and waits until it has finished this many generations.
pub(crate) fn start(here: &Workplace, line: &str, out: &str, n_generations: usize) -> Child {
    let mut search = here.start(&format!("{line} --out {out}"));
    let state = here.path(out).join("search/state.json");
    let started = Instant::now();
    loop {
        assert!(started.elapsed() < Duration::from_mins(1), "no progress");
        assert!(search.try_wait().unwrap().is_none(), "it is over already");
        // The file appears whole or not at all.
        if let Ok(text) = fs_err::read_to_string(&state) {
            let state: Value = serde_json::from_str(&text).unwrap();
            if state["history"].as_array().unwrap().len() >= n_generations {
                return search;
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub(crate) fn assert_same(here: &Workplace, one: &str, other: &str) {
    for name in RESULTS {
        let (one, other) = (format!("{one}/{name}"), format!("{other}/{name}"));
        assert!(here.read(&one) == here.read(&other), "{one} and {other}");
    }
}

#[test]
fn a_killed_search_resumes_to_the_same_bytes() {
    let here = Workplace::with_model();
    here.run(&format!("{SEARCH} --out whole")).worked();
    for n_generations in [0, 1, 9] {
        let out = format!("killed-{n_generations}");
        let mut search = start(&here, SEARCH, &out, n_generations);
        search.kill().unwrap();
        search.wait().unwrap();
        assert!(
            !here.path(&out).join("rope.json").exists(),
            "killed too late"
        );
        here.run(&format!("search --resume --out {out}")).worked();
        assert_same(&here, "whole", &out);
    }
}

#[cfg(unix)]
#[test]
fn an_interrupted_search_saves_and_prints_how_to_continue() {
    let here = Workplace::with_model();
    here.run(&format!("{SEARCH} --out whole")).worked();
    let search = start(&here, SEARCH, "stopped", 2);
    let asked = std::process::Command::new("kill")
        .args(["-INT", &search.id().to_string()])
        .status()
        .unwrap();
    assert!(asked.success());
    let output = search.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let shown = String::from_utf8(output.stderr).unwrap();
    // One line per generation, with a time in it.
    let (progress, rest): (Vec<&str>, Vec<&str>) = shown
        .lines()
        .partition(|line| line.starts_with("generation "));
    assert!(progress.len() >= 2, "{shown}");
    insta::assert_snapshot!(rest.join("\n"), @r"
    objective: perplexity, because there is no tokenizer for passkeys; for the other one, --objective combined
    error: interrupted
    hint: the state is saved; continue with: longrope search --resume --out stopped
    ");
    here.run("search --resume --out stopped").worked();
    assert_same(&here, "whole", "stopped");
}

#[test]
fn two_workers_give_the_same_bytes_as_one() {
    let here = Workplace::with_model();
    here.run(&format!("{SEARCH} --out one")).worked();
    let two = format!("{SEARCH} --device flex --device flex");
    here.run(&format!("{two} --out two")).worked();
    assert_same(&here, "one", "two");
    // A run killed with two workers resumes with two, as in its config.toml, or with one.
    for device in ["", "--device flex"] {
        let out = format!("killed{}", device.len());
        let mut search = start(&here, &two, &out, 5);
        search.kill().unwrap();
        search.wait().unwrap();
        here.run(&format!("search --resume --out {out} {device}"))
            .worked();
        assert_same(&here, "one", &out);
    }
}

#[test]
fn a_finished_search_can_be_resumed_too() {
    let here = Workplace::with_model();
    let line = SEARCH.replace("generations=24", "generations=2");
    here.run(&format!("{line} --out run")).worked();
    let before = RESULTS.map(|name| here.read(&format!("run/{name}")));
    here.run(&format!("{line} --out run --resume")).worked();
    assert_eq!(
        RESULTS.map(|name| here.read(&format!("run/{name}"))),
        before
    );
}

#[test]
fn a_resumed_search_keeps_its_start_and_its_profile() {
    let here = Workplace::with_model();
    let line = SEARCH.replace("generations=24", "generations=0");
    for (name, last) in [("known.json", 2.0), ("other.json", 3.0)] {
        here.write(name, two_sets([1.0, last], 0, &json!({"type": "none"})));
    }
    here.run(&format!("{line} --init known.json --out run"))
        .worked();
    here.run(&format!("{line} --out without")).worked();
    let factors = here.read("run/rope.json");
    for (line, words) in [
        (
            "run --init other.json",
            "`search.init` was known.json and is other.json",
        ),
        (
            "without --init known.json",
            "`search.init` was none and is known.json",
        ),
        (
            "run --profile fast",
            "`search.profile` was paper and is fast",
        ),
    ] {
        let refused = here.run(&format!("search --resume --out {line}"));
        assert_eq!(refused.code, Some(1), "{}", refused.stderr);
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
    }
    here.run("search --resume --out run").worked();
    assert_eq!(here.read("run/rope.json"), factors);
    // A search of an earlier version has noted neither.
    let mut record = here.read_json("run/run.json");
    let fixed = record["fixed"].as_object_mut().unwrap();
    for name in ["search.init", "search.profile"] {
        assert!(fixed.remove(name).is_some(), "{name}");
    }
    here.write("run/run.json", record.to_string());
    here.run("search --resume --out run").worked();
}

#[test]
fn a_search_without_its_state_is_not_begun_anew() {
    let here = Workplace::with_model();
    let line = SEARCH.replace("generations=24", "generations=1");
    here.run(&format!("{line} --out run")).worked();
    let history = here.read("run/metrics.jsonl");
    let remove = |name: &str| fs_err::remove_file(here.path(name)).unwrap();
    remove("run/search/state.json");
    for (trace, words) in [
        ("run/search/result.json", "is the result of a search"),
        ("run/rope.json", "is the factors that a search has found"),
        ("run/metrics.jsonl", "has 2 generations"),
    ] {
        let message = here.fails("search --resume --out run");
        let expected =
            "`run/search/state.json` is missing, but the search in this folder had a state:";
        assert!(message.contains(expected), "{message}");
        let found = format!("`{trace}` {words}");
        assert!(message.contains(&found), "{message}");
        assert!(message.contains("put search/state.json back"), "{message}");
        assert_eq!(here.read("run/metrics.jsonl"), history);
        // As the hint says, one after the other.
        remove(trace);
    }
    here.run("search --resume --out run").worked();
    assert_eq!(here.read("run/metrics.jsonl"), history);
}

#[test]
fn a_search_that_was_killed_after_its_last_generation_leaves_nothing() {
    let here = Workplace::with_model();
    let line = SEARCH.replace("generations=24", "generations=0");
    here.run(&format!("{line} --out run")).worked();
    // Its state was saved, and its scores not yet removed.
    fs_err::remove_file(here.path("run/search/result.json")).unwrap();
    for format in ["scores", "methods"] {
        let header = json!({"format": format!("longrope-search-{format}"), "version": 1});
        here.write(
            &format!("run/search/{format}.jsonl"),
            header.to_string() + "\n",
        );
    }
    let time = json!({"format": "longrope-time", "version": 1, "elapsed_secs": 5000.0});
    here.write("run/search/time.json", time.to_string());
    let shown = here.run("search --resume --json --out run").worked();
    let result: Value = serde_json::from_str(&shown).unwrap();
    assert!(result["elapsed_secs"].as_f64().unwrap() > 5000.0, "{shown}");
    let mut left: Vec<String> = fs_err::read_dir(here.path("run/search"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["inputs.json", "result.json", "state.json"]);
}

#[test]
fn equal_seeds_give_equal_searches_and_other_seeds_do_not() {
    let here = Workplace::with_model();
    let line = SEARCH.replace("generations=24", "generations=2");
    for (out, seed) in [("a", 3), ("b", 3), ("c", 4)] {
        here.run(&format!("{line} --seed {seed} --out {out}"))
            .worked();
    }
    assert_same(&here, "a", "b");
    assert_ne!(here.read("a/metrics.jsonl"), here.read("c/metrics.jsonl"));
}

#[test]
fn a_run_is_resumed_in_the_folder_that_its_configuration_names() {
    let here = Workplace::with_model();
    here.write("search.toml", "out = \"run\"");
    let line = SEARCH.replace("generations=24", "generations=1");
    here.run(&format!("{line} --config search.toml")).worked();
    here.run(&format!("{line} --config search.toml --resume"))
        .worked();
    here.run("search --resume --set out=run").worked();
    here.run("search --resume")
        .refused_with("`--out` is missing");
}

//! A search that is stopped, in whatever way, ends as if it had not been.

use std::process::Child;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::Workplace;

/// Long enough that every stop below comes in the middle; with races, which stop in the middle too.
pub(crate) const SEARCH: &str = "search --model m --tokens tokens.json --target 128 --samples 2 \
    --set search.population=8 --set search.parents=4 --set search.mutations=4 \
    --set search.crossovers=4 --set search.generations=24 --set search.racing-strictness=1";

/// Files that say nothing about time.
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
fn an_interrupted_search_saves_and_says_how_to_go_on() {
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
    insta::assert_snapshot!(String::from_utf8(output.stderr).unwrap(), @r"
    error: interrupted
    hint: everything is saved; continue with: longrope search --resume --out stopped
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
    // Killed on two, it goes on with two, as its config.toml says, or with one.
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
fn the_same_seed_gives_the_same_search_and_another_one_another() {
    let here = Workplace::with_model();
    let line = SEARCH.replace("generations=24", "generations=2");
    for (out, seed) in [("a", 3), ("b", 3), ("c", 4)] {
        here.run(&format!("{line} --seed {seed} --out {out}"))
            .worked();
    }
    assert_same(&here, "a", "b");
    assert_ne!(here.read("a/metrics.jsonl"), here.read("c/metrics.jsonl"));
}

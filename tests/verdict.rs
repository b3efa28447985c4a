//! The verdict after a search: its winner on text that it did not see.

use serde_json::Value;

use crate::resume;
use crate::support::{TINY_SEARCH, Workplace};

const SHORT: &str = "--set search.generations=1 --target 128 --json";

fn json(here: &Workplace, line: &str) -> Value {
    serde_json::from_str(&here.run(line).worked()).unwrap()
}

#[test]
fn the_winner_is_judged_on_text_that_the_search_did_not_see() {
    let here = Workplace::with_model();
    let found = json(&here, &format!("{TINY_SEARCH} {SHORT} --out run"));
    let verdict = &found["verdict"];
    // 600 tokens: two windows of 128, the end of the text.
    assert_eq!(verdict["context"], 128);
    assert_eq!(verdict["held_out"]["n_tokens"], 256);
    assert_eq!(verdict["held_out"]["n_windows"], 2);
    let baselines = verdict["baselines"].as_array().unwrap();
    let names: Vec<&str> = baselines
        .iter()
        .filter_map(|b| b["method"].as_str())
        .collect();
    assert_eq!(names, ["none", "pi", "ntk", "dynamic-ntk", "yarn"]);
    assert_eq!(baselines[0]["difference"]["n"], 2);
    let lines = verdict["lines"].as_array().unwrap();
    let first = lines[0].as_str().unwrap();
    assert!(
        first.starts_with("on 2 windows of 128 tokens that the search did not see: "),
        "{first}"
    );
    // Checkpoints of the fixtures have no tokenizer, so there are no passkeys.
    assert_eq!(lines.len(), 1);
    let inputs = here.read_json("run/search/inputs.json");
    assert_eq!(
        inputs["held_out_fingerprint"],
        verdict["held_out"]["text_fingerprint"]
    );

    let all: Vec<u32> = serde_json::from_str(&here.read("tokens.json")).unwrap();
    here.write("end.json", Value::from(all[344..].to_vec()).to_string());
    let line = "eval ppl m --tokens end.json --contexts 128 --rope none run/rope.json --json";
    let measured = json(&here, line);
    for (result, loss) in [(0, &baselines[0]), (1, &verdict["searched"])] {
        let [eval, judged] =
            [&measured["results"][result], loss].map(|v| v["nll_nats"].as_f64().unwrap());
        assert!((eval - judged).abs() < 1e-6, "{eval} {judged}");
    }
    let shown = here
        .run(&format!(
            "{TINY_SEARCH} --set search.generations=1 --target 128 --out shown"
        ))
        .worked();
    assert_eq!(shown.lines().last(), Some(first), "{shown}");
}

#[test]
fn a_search_without_a_terminal_has_a_line_per_generation() {
    let here = Workplace::with_model();
    let outcome = here.run(&format!(
        "{TINY_SEARCH} --set search.generations=2 --target 128 --out run"
    ));
    let lines: Vec<&str> = outcome
        .stderr
        .lines()
        .filter(|line| line.starts_with("generation "))
        .collect();
    assert_eq!(lines.len(), 3, "{}", outcome.stderr);
    for (index, line) in lines.iter().enumerate() {
        assert!(
            line.starts_with(&format!("generation {index}/2: best text loss")),
            "{line}"
        );
    }
    let stdout = outcome.worked();
    assert!(!stdout.contains("generation "), "{stdout}");
}

#[test]
fn nothing_is_held_out_if_it_is_turned_off_or_the_text_is_short() {
    let here = Workplace::with_model();
    let line = format!("{TINY_SEARCH} {SHORT}");
    let off = json(&here, &format!("{line} --set search.held-out=0 --out off"));
    assert_eq!(off.get("verdict"), None);
    here.tokens("short.json", 280);
    let line = line.replace("tokens.json", "short.json");
    let outcome = here.run(&format!("{line} --out short"));
    assert!(
        outcome.stderr.contains("too short to hold any out"),
        "{}",
        outcome.stderr
    );
    let short: Value = serde_json::from_str(&outcome.worked()).unwrap();
    assert_eq!(short.get("verdict"), None);
    here.run(&format!("{line} --set search.held-out=2 --out x"))
        .refused_with("expected \"auto\" or a number from 0 to below 1");
}

#[test]
fn text_that_is_there_twice_is_not_unseen() {
    let here = Workplace::with_model();
    let line = format!("{TINY_SEARCH} {SHORT}");
    let once = json(&here, &format!("{line} --out once"));
    let all: Vec<u32> = serde_json::from_str(&here.read("tokens.json")).unwrap();
    let write = |documents: &[&[u32]]| {
        here.write("more.json", serde_json::json!(documents).to_string());
    };
    let line = line.replace("tokens.json", "more.json");
    // What is held out of a document is held out of its copy.
    write(&[&all, &all]);
    let twice = json(&here, &format!("{line} --out twice"));
    assert_eq!(twice["verdict"]["held_out"], once["verdict"]["held_out"]);
    // The last document is a part of the first.
    write(&[&all, &all[300..]]);
    let outcome = here.run(&format!("{line} --out part"));
    assert!(
        outcome
            .stderr
            .contains("the text that would be held out is also in the rest of the text"),
        "{}",
        outcome.stderr
    );
    let part: Value = serde_json::from_str(&outcome.worked()).unwrap();
    assert_eq!(part.get("verdict"), None);
}

#[test]
fn passkeys_are_fresh_and_tried_within_the_window_first() {
    let here = Workplace::with_tokenizer();
    here.rust_text();
    let line = "search --model t --text held.txt --samples 1 --target 264 --set search.population=6 \
        --set search.parents=2 --set search.mutations=1 --set search.crossovers=1 --set search.generations=0 \
        --set search.seeds=[\"none\"] --set search.attention={type=\"fixed\",policy={type=\"none\"}} \
        --set search.passkey-trials=2 --json --out run";
    let found = json(&here, line);
    let verdict = &found["verdict"];
    assert!(verdict["passkeys_in_window"].as_f64().unwrap() > 0.5);
    assert_eq!(
        verdict["searched"]["passkeys_found"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let last = verdict["lines"].as_array().unwrap().last().unwrap();
    assert!(
        last.as_str().unwrap().contains("of 2 passkeys"),
        "{verdict}"
    );
}

#[test]
fn a_search_killed_during_its_verdict_resumes_to_the_same() {
    let here = Workplace::with_model();
    let whole = json(&here, &format!("{} --json --out whole", resume::SEARCH));
    here.run(&format!("{} --out killed", resume::SEARCH))
        .worked();
    // What a kill during the verdict leaves: factors and a state, but no result.
    fs_err::remove_file(here.path("killed/search/result.json")).unwrap();
    let resumed = json(&here, "search --resume --json --out killed");
    assert_eq!(resumed["verdict"], whole["verdict"]);
    resume::assert_same(&here, "whole", "killed");
}

#[test]
fn what_a_verdict_has_measured_is_kept_when_it_is_killed() {
    let here = Workplace::with_model();
    let whole = json(&here, &format!("{} --json --out whole", resume::SEARCH));
    here.run(&format!("{} --out killed", resume::SEARCH))
        .worked();
    fs_err::remove_file(here.path("killed/search/result.json")).unwrap();
    // As if the winner had been measured to another loss: nothing else would show that it is not measured again.
    let mut winner = whole["verdict"]["searched"].clone();
    winner["nll_nats"] = 1.5.into();
    let header = r#"{"format":"longrope-search-methods","version":1}"#;
    let line = serde_json::json!({"samples": "held-out", "n_passkeys": 0, "loss": winner});
    here.write("killed/search/methods.jsonl", format!("{header}\n{line}\n"));
    let resumed = json(&here, "search --resume --json --out killed");
    assert_eq!(resumed["verdict"]["searched"]["nll_nats"], 1.5);
    assert_eq!(resumed["searched"], whole["searched"]);
    assert!(!here.path("killed/search/methods.jsonl").exists());
}

#[test]
fn a_search_that_is_over_is_not_measured_again() {
    let here = Workplace::with_model();
    here.run(&format!("{} --out run", resume::SEARCH)).worked();
    // Its time is that of the process that measured.
    let before = here.read("run/search/result.json");
    here.run("search --resume --out run").worked();
    assert_eq!(here.read("run/search/result.json"), before);
}

#[test]
fn searches_begun_before_there_were_verdicts_resume_on_all_their_text() {
    let here = Workplace::with_model();
    let line =
        format!("{TINY_SEARCH} --set search.generations=3 --target 128 --set search.held-out=0");
    let old = format!("{line} --set search.seeds=[\"pi\",\"ntk\",\"yarn\",\"none\"] --out");
    here.run(&format!("{old} whole")).worked();
    let mut search = resume::start(&here, &old.replace(" --out", ""), "cut", 1);
    search.kill().unwrap();
    search.wait().unwrap();
    // Settings of an older version have no such keys.
    let settings = here.read("cut/config.toml");
    let kept: Vec<&str> = settings
        .lines()
        .filter(|line| !line.starts_with("held-out"))
        .collect();
    here.write("cut/config.toml", kept.join("\n"));
    here.run("search --resume --out cut").worked();
    assert_eq!(here.read("cut/rope.json"), here.read("whole/rope.json"));
    assert_eq!(
        here.read_json("cut/search/result.json").get("verdict"),
        None
    );
}

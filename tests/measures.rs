//! Context gain, effective lengths, and needles that are found by meaning or order.

use serde_json::Value;

use crate::support::{Workplace, number};

/// A folder with the tiny model and two documents.
fn workplace() -> Workplace {
    let here = Workplace::with_tokenizer();
    fs_err::create_dir(here.path("texts")).unwrap();
    for (name, step) in [("a", 7), ("b", 11)] {
        let lines: Vec<String> = (0..700)
            .map(|i| format!("fn {name}_{i}() -> u32 {{ {} }}\n", i * step % 997))
            .collect();
        here.write(&format!("texts/{name}.txt"), lines.concat());
    }
    here
}

fn interval(result: &Value) -> [f64; 2] {
    [number(result, "/interval/0"), number(result, "/interval/1")]
}

/// What a command line prints as JSON. On flex: the model is large for the other backend.
fn json(here: &Workplace, line: &str) -> Value {
    serde_json::from_str(&here.run(line).worked()).unwrap()
}

#[test]
fn a_gain_has_an_interval_over_its_windows() {
    let here = workplace();
    let line = "eval gain --model t --text texts --rope yarn none --contexts 256,512 --windows 3";
    let report = json(&here, &format!("{line} --out run --json"));
    assert_eq!(
        here.read_json("run/eval/gain.json")["results"],
        report["results"]
    );
    let results = report["results"].as_array().unwrap();
    // The original window is skipped: there is nothing before it.
    let cells: Vec<(&str, u64)> = results
        .iter()
        .map(|it| {
            (
                it["rope"].as_str().unwrap(),
                it["context"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(cells, [("yarn", 512), ("none", 512)]);
    for result in results {
        assert_eq!(
            (&result["n"], &result["settings"]["tail"]),
            (&6.into(), &128.into())
        );
        let [low, high] = interval(result);
        let gain = number(result, "/value");
        assert!(low < gain && gain < high);
        let [near, full] = [0, 1].map(|i| number(result, &format!("/other_metrics/{i}/value")));
        assert!((gain - (near - full)).abs() < 1e-9);
    }
    here.run("report run").worked();
    let page = here.read("run/report.html");
    assert!(page.contains("Context gain by context") || page.contains("Context gain</h2>"));
    let gain = number(&results[0], "/value");
    assert!(
        page.contains(&format!("<td>{gain:.4}</td>")),
        "nats, no share: {page}"
    );
    // The loss in the window alone does not depend on the RoPE for the whole context.
    let near = |i: usize| number(&results[i], "/other_metrics/0/value");
    assert!((near(0) - near(1)).abs() < 1e-6);
    assert!(
        number(&results[1], "/value") < 0.0,
        "without scaling, far text does harm"
    );
    let one = "eval gain --model t --text texts --rope yarn --contexts 512 --windows";
    let table = here.run(&format!("{one} 1")).worked();
    assert!(
        table.contains("nats per token of the last 128 tokens"),
        "{table}"
    );
}

#[test]
fn far_text_of_another_document_gains_nothing_over_that_of_a_third() {
    let here = workplace();
    let line = "eval gain --model t --text texts --rope yarn --contexts 512 --windows 4 --json";
    let control = json(&here, &format!("{line} --far other --against other"));
    let [low, high] = interval(&control["results"][0]);
    assert!(low < 0.0 && 0.0 < high, "[{low}, {high}]");
    let names = control["results"][0]["other_metrics"].as_array().unwrap();
    assert_eq!(names[0]["metric"], "other_nats");
    // Both texts have as many tokens: the losses differ less than those of a window with and without far text.
    let of_content = json(&here, &format!("{line} --against other"));
    let value = |report: &Value, pointer: &str| number(&report["results"][0], pointer);
    let full = value(&of_content, "/other_metrics/1/value");
    let other = value(&of_content, "/other_metrics/0/value");
    assert!((value(&of_content, "/value") - (other - full)).abs() < 1e-9);
}

#[test]
fn a_gain_needs_text_before_the_window() {
    let here = workplace();
    let message = here.fails("eval gain --model t --text texts/a.txt --contexts 256");
    assert!(
        message.contains("no text beyond the original window of 256"),
        "{message}"
    );
    let line = "eval gain --model t --text texts/a.txt --contexts 512 --far other";
    let message = here.fails(line);
    assert!(message.contains("at least two documents"), "{message}");
    let message = here.fails("eval gain --model t --text texts --contexts 512 --tail 129");
    assert!(
        message.contains("`tail` is 129 for an original window of 256 tokens"),
        "{message}"
    );
    here.write("short.txt", "A short text.");
    let message = here.fails("eval gain --model t --text short.txt --contexts 512");
    assert!(
        message.starts_with("error: no document fills a context of 512 tokens"),
        "{message}"
    );
    let message = here.fails("eval gain --model t --text texts --contexts 512 --far near");
    assert!(message.contains("near"), "{message}");
}

#[test]
fn the_effective_length_is_compared_with_the_original_window() {
    let here = Workplace::with_tokenizer();
    let line = "eval passkey --model t --rope none pi --contexts 280,512 --trials 4";
    let report = here.compute_json(&format!("{line} --out run --json"));
    assert_eq!(
        here.read_json("run/eval/passkey.json"),
        report_with_source(&here, &report)
    );
    let contexts: Vec<u64> = report["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| result["context"].as_u64().unwrap())
        .collect();
    assert_eq!(
        contexts,
        [256, 280, 512, 256, 280, 512],
        "the window is measured as well"
    );
    let [none, pi] = [0, 1].map(|i| &report["effective_lengths"][i]);
    assert_eq!(none["original_score"], 1.0);
    assert!(none["effective_context"].as_u64().unwrap() >= 256);
    let effective = pi["effective_context"].as_u64().unwrap();
    assert!((256..512).contains(&effective), "{pi}");
    assert_eq!(pi["unable"], false);
    here.run("report run").worked();
    let page = here.read("run/report.html");
    let (_, section) = page.split_once("Effective length</h3>").unwrap();
    assert!(section.contains(&format!("<td>{effective}</td>")), "{page}");
    assert!(
        section.contains("keeps 85% of the score at the original window"),
        "{page}"
    );
    let saved = &here.read_json("run/report.json")["evaluations"][0]["effective_lengths"];
    assert_eq!(saved, &report["effective_lengths"]);
    let table = here.compute(&format!("{line} --threshold 0.5"));
    assert!(table.contains("has a score of 50% or more"), "{table}");
    let message = here.fails(&format!("{line} --threshold 85"));
    assert!(message.contains("`eval.threshold` is 85"), "{message}");
}

/// A printed report as it is in a run folder, which also says what was measured.
fn report_with_source(here: &Workplace, printed: &Value) -> Value {
    let mut printed = printed.clone();
    printed["source"] = here.read_json("run/eval/passkey.json")["source"].clone();
    printed
}

#[test]
fn a_rope_that_fails_in_the_window_is_named() {
    let here = Workplace::with_model();
    here.checkpoint("../bench/checkpoint", "b");
    // Random weights.
    let table = here.compute("eval passkey --model b --rope yarn --contexts 512 --trials 2");
    let expected =
        "passkey: under RoPE `yarn` the model scores 0% at its original window of 256 tokens too";
    assert!(table.contains(expected), "{table}");
    // Of two RoPEs, one may fail where the other does not.
    let here = Workplace::with_tokenizer();
    let line = "eval passkey --model t --contexts 256,512 --rope drope selfextend --trials 3";
    let table = here.compute(line);
    assert!(table.contains("under RoPE `drope` the model"), "{table}");
    assert!(!table.contains("under RoPE `selfextend`"), "{table}");
    assert!(!table.contains("at any length"), "{table}");
}

#[test]
fn needles_of_other_kinds_have_two_scores() {
    let here = Workplace::with_tokenizer();
    for kind in ["association", "ordinal"] {
        let line = format!(
            "eval needle --model t --kind {kind} --rope yarn --contexts 500 --trials 1 --out run"
        );
        let report = here.compute_json(&format!("{line} --json"));
        let result = &report["results"][0];
        assert_eq!(result["task"], format!("needle-{kind}"));
        assert_eq!(result["settings"]["candidates"], 4);
        assert_eq!(
            (&result["metric"], &result["other_metrics"][0]["metric"]),
            (&"choice".into(), &"exact".into())
        );
        assert!(result["interval"].is_array());
        let trial = &result["trials"][0];
        assert_eq!(trial["candidates"].as_array().unwrap().len(), 4);
        assert_eq!(trial["candidates"][0], trial["expected"]);
        assert!(here.path(&format!("run/eval/needle-{kind}.svg")).is_file());
        let table = here.compute(&line);
        assert!(table.contains("yarn exact"), "{table}");
    }
    let message = here.fails("eval needle --model t --kind riddle --contexts 500");
    assert!(message.contains("riddle"), "{message}");
    let line = "eval needle --model t --kind ordinal --contexts 500 --answer x";
    assert!(here.fails(line).contains("texts of its own"));
    let line = "eval needle --model t --kind ordinal --contexts 500 --needles 1";
    assert!(here.fails(line).contains("a number from 2 to 16"));
}

#[test]
fn scores_of_ruler_have_intervals() {
    let here = Workplace::with_tokenizer();
    let line = "eval ruler --model t --contexts 512 --samples 2 --tasks fwe";
    let table = here.compute(line);
    assert!(
        table.contains('[') && table.contains("else Student's t)"),
        "{table}"
    );
}

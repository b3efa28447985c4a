//! `longrope plan` and `longrope report`

use crate::support::{TINY_SEARCH, Workplace};

#[test]
fn a_plan_shows_what_fits_and_suggests_changes() {
    let here = Workplace::with_model();
    let json = serde_json::from_str::<serde_json::Value>(
        &here.run("plan m --context 64 --json --memory 1").worked(),
    )
    .unwrap();
    let plans = json["plans"].as_array().unwrap();
    let modes: Vec<&str> = plans
        .iter()
        .map(|plan| plan["mode"].as_str().unwrap())
        .collect();
    assert_eq!(modes, ["eval", "search", "lora", "full"]);
    assert!(plans.iter().all(|plan| plan["fits"] == true), "{json}");
    let text = here
        .run("plan m --context 100000000 --mode eval --memory 1")
        .worked();
    assert!(text.contains("does not fit"), "{text}");
    assert!(text.contains("a context of up to"), "{text}");
    assert!(text.contains(" on flex at "), "{text}");
    let message = here.fails("plan m --context 64 --device tpu");
    assert!(message.contains("device `tpu` is unknown"), "{message}");
}

#[test]
fn a_report_is_one_self_contained_page() {
    let here = Workplace::with_model();
    let search = format!("{TINY_SEARCH} --set search.generations=2 --target 64 --out run");
    here.compute(&search);
    let line = "eval ppl --model m --tokens tokens.json --contexts 32,64 --rope none run/rope.json";
    let results = here.compute(&format!("{line} --json"));
    here.write("run/ppl.json", results);
    here.run("report run").worked();
    let page = here.read("run/report.html");
    for part in [
        "<!DOCTYPE html>",
        "viewport",
        "Perplexity by context",
        "Rescale factors",
        "Loss of the search",
        "Provenance",
    ] {
        assert!(page.contains(part), "{part}");
    }
    // Nothing is fetched: the only address is the XML namespace of SVG.
    let addresses = page.matches("http").count();
    assert_eq!(
        addresses,
        page.matches("http://www.w3.org/2000/svg").count()
    );
    assert!(!page.contains("<script"));
    let json = here.read_json("run/report.json");
    assert_eq!(json["format"], "longrope-report");
    assert_eq!(json["perplexities"].as_array().unwrap().len(), 4);
    // A second report does not read the first one as results.
    here.run("report run").worked();
    assert_eq!(here.read_json("run/report.json"), json);
}

#[test]
fn a_folder_without_results_is_refused() {
    let here = Workplace::with_model();
    let message = here.fails("report m");
    assert!(message.contains("holds no results to report"), "{message}");
    assert!(here.fails("report nowhere").contains("is not a folder"));
}

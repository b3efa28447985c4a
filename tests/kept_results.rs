//! Results of evaluations in a run folder are replaced only by the same measurement.

use serde_json::json;

use crate::support::{Workplace, two_sets};

const PPL: &str = "eval ppl m --tokens tokens.json --windows 2 --out run";

#[test]
fn results_that_a_measurement_does_not_have_are_kept() {
    let here = Workplace::with_model();
    here.run(&format!("{PPL} --contexts 64,128 --rope yarn"))
        .worked();
    let before = here.read("run/eval/ppl.json");
    let words = "holds results that this measurement does not have: ppl at";
    here.run(&format!("{PPL} --contexts 32 --rope pi"))
        .refused_with(&format!("{words} 64 under yarn and 1 more"));
    here.run(&format!("{PPL} --contexts 64 --rope yarn"))
        .refused_with(&format!("{words} 128 under yarn; it is not replaced"));
    let line = format!("{PPL} --contexts 64,128 --rope yarn");
    here.run(&format!("{line} --set precision=bf16"))
        .refused_with("holds results that were computed in `f32`");
    assert_eq!(here.read("run/eval/ppl.json"), before);
    // The same set again, and a larger one.
    here.run(&line.replace("--windows 2", "--windows 3"))
        .worked();
    here.run(&format!("{PPL} --contexts 32,64,128 --rope pi yarn"))
        .worked();
    let results = &here.read_json("run/eval/ppl.json")["results"];
    assert_eq!(results.as_array().unwrap().len(), 6);
    // A comparison has a file of its own.
    here.run("compare m --tokens tokens.json --windows 2 --contexts 64 --out run")
        .worked();
}

#[test]
fn a_file_of_factors_that_was_written_again_is_another_rope() {
    let here = Workplace::with_model();
    let rope = |last| two_sets([1.0, last], 0, &json!({"type": "none"}));
    here.write("rope.json", rope(4.0));
    let line = format!("{PPL} --contexts 64 --rope rope.json");
    here.run(&line).worked();
    here.write("rope.json", rope(3.0));
    here.run(&line)
        .refused_with("ppl at 64 under rope.json with other factors");
    here.write("rope.json", rope(4.0));
    here.run(&line).worked();
}

#[test]
fn results_of_tasks_are_kept_too() {
    let here = Workplace::with_tokenizer();
    let line = "eval passkey t --contexts 128 --trials 1 --out run --rope";
    here.run(&format!("{line} none yarn")).worked();
    here.run(&format!("{line} none"))
        .refused_with("does not have: passkey at 128 under yarn");
    here.run(&format!("{line} yarn none")).worked();
    assert!(!here.path("run/eval/passkey.state.json").exists());
}

#[test]
fn what_is_named_twice_is_measured_once() {
    let here = Workplace::with_model();
    let cells = |here: &Workplace, line: &str| {
        let report: serde_json::Value =
            serde_json::from_str(&here.run(&format!("{line} --json")).worked()).unwrap();
        let results = report["results"].as_array().unwrap().iter();
        let cell = |result: &serde_json::Value| {
            let rope = result["rope"].as_str().unwrap().to_owned();
            (rope, result["context"].as_u64().unwrap())
        };
        results.map(cell).collect::<Vec<_>>()
    };
    let owned = |cells: &[(&str, u64)]| -> Vec<(String, u64)> {
        let cells = cells.iter();
        cells.map(|(rope, at)| ((*rope).to_owned(), *at)).collect()
    };
    let line =
        "eval ppl m --tokens tokens.json --windows 1 --contexts 64,32,64 --rope yarn none yarn";
    let expected = [("yarn", 64), ("yarn", 32), ("none", 64), ("none", 32)];
    assert_eq!(cells(&here, line), owned(&expected));
    let line = "compare m --tokens tokens.json --windows 1 --contexts 64 --rope yarn yarn@128";
    let found = cells(&here, line);
    let n_yarn = found.iter().filter(|(rope, _)| rope == "yarn").count();
    assert_eq!(n_yarn, 1, "{found:?}");
    assert_eq!(found.last(), Some(&("yarn@128".to_owned(), 64)));
    let here = Workplace::with_tokenizer();
    let line = "eval passkey t --trials 1 --contexts 128,128 --rope none none";
    assert_eq!(cells(&here, line), owned(&[("none", 128)]));
}

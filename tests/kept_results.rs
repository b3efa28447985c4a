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
    let more = format!("{PPL} --contexts 32,64,128 --rope pi yarn");
    here.run(&more)
        .refused_with("`eval.windows` was 3 in all and is 2 in all (ppl at 64 under yarn)");
    here.run(&more.replace("--windows 2", "--windows 3"))
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

/// Runs a measurement, then others in the same folder, each refused with some words; its results stay as they are.
fn keeps(here: &Workplace, line: &str, file: &str, others: &[(&str, &str)]) {
    here.run(line).worked();
    let before = here.read(file);
    for (flags, words) in others {
        let words = format!("holds results that were measured with other settings: {words}");
        here.run(&format!("{line} {flags}")).refused_with(&words);
        assert_eq!(here.read(file), before, "{flags}");
    }
}

#[test]
fn results_are_not_replaced_by_those_of_other_settings() {
    let here = Workplace::with_tokenizer();
    for (name, step) in [("a", 7), ("b", 11)] {
        let lines: Vec<String> = (0..300)
            .map(|i| format!("fn {name}_{i}() -> u32 {{ {} }}\n", i * step % 997))
            .collect();
        here.write(&format!("{name}.txt"), lines.concat());
    }
    keeps(
        &here,
        "eval gain t --text a.txt b.txt --contexts 512 --rope yarn --out run",
        "run/eval/gain.json",
        &[
            ("--against other", "`gain.against` was window and is other"),
            ("--far other", "`gain.far` was own and is other"),
            ("--tail 64", "`gain.tail` was 128 and is 64"),
            ("--windows 1", "`eval.windows` was 8 and is 1"),
        ],
    );
    keeps(
        &here,
        "eval needle t --contexts 256 --rope none --out run",
        "run/eval/needle.json",
        &[
            ("--needles 2", "`needle.needles` was 1 and is 2"),
            (
                "--depths 0.5",
                "`needle.depths` was [0.0,0.25,0.5,0.75,1.0] and is [0.5]",
            ),
            ("--trials 1", "`needle.trials` was 5 and is 1"),
            ("--seed 5", "`seed` was 42 and is 5"),
            (
                "--set needle.protocol=generated",
                "`needle.protocol` was teacher-forced and is generated",
            ),
        ],
    );
    let line = "eval passkey t --contexts 128 --rope none --out run";
    keeps(
        &here,
        &format!("{line} --trials 3"),
        "run/eval/passkey.json",
        &[(
            "--seed 9",
            "`seed` was 42 and is 9 (passkey at 128 under none)",
        )],
    );
    here.run(&format!("{line} --trials 1"))
        .refused_with("`passkey.trials` was 3 and is 1");
    // The same trials, and more.
    here.run(&format!("{line} --trials 3")).worked();
    here.run(&format!("{line} --trials 4")).worked();
    let result = &here.read_json("run/eval/passkey.json")["results"][0];
    assert_eq!(result["n"], 4);
}

#[test]
fn perplexities_are_not_replaced_by_those_of_other_windows() {
    let here = Workplace::with_model();
    keeps(
        &here,
        "eval ppl m --tokens tokens.json --contexts 64 --rope yarn --out run",
        "run/eval/ppl.json",
        &[
            ("--windows 1", "`eval.windows` was 8 in all and is 1 in all"),
            (
                "--windows 1 --within 128",
                "`eval.within` was none and is 128",
            ),
            ("--stride 32", "`eval.stride` was 64 and is 32"),
            (
                "--set eval.angles=compat-f32",
                "`eval.angles` was f64 and is compat-f32",
            ),
        ],
    );
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

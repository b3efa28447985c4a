//! `longrope eval bench` and the protocols of `longrope eval ppl`.

use serde_json::Value;

use crate::support::{Workplace, repository};

/// A folder with the checkpoint `b` and the data sets of the fixtures.
fn workplace() -> Workplace {
    let here = Workplace::with_model();
    here.checkpoint("../bench/checkpoint", "b");
    here.checkpoint("../bench/data", "data");
    here
}

fn expected() -> Value {
    let path = repository().join("tests/fixtures/bench/expected.json");
    serde_json::from_str(&fs_err::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn a_benchmark_has_the_score_of_the_harness() {
    let here = workplace();
    let line = "eval bench --model b --bench mmlu --data data/mmlu-test.parquet \
        --fewshot data/mmlu-dev.jsonl --json";
    let found = &here.compute_json(line)["results"][0];
    let golden = &expected()["benches"]["mmlu"];
    for (found, golden) in [("value", "values"), ("stderr", "stderrs")].map(|(x, y)| {
        let number = |value: &Value| value.as_f64().unwrap();
        (number(&found[x]), number(&golden[y][0]))
    }) {
        assert!((found - golden).abs() < 1e-9, "{found} is not {golden}");
    }
    assert_eq!(
        (found["n"].clone(), found["seed"].clone()),
        (40.into(), 1234.into())
    );
    assert_eq!(found["other_metrics"][0]["metric"], "acc_subject_mean");
}

#[test]
fn missing_benchmark_inputs_are_named() {
    let here = workplace();
    let message = here.fails("eval bench --model b --bench arc --data data/arc-test.jsonl");
    assert!(message.contains("unknown benchmark `arc`"), "{message}");
    // With the hub, the questions would be fetched.
    if !cfg!(feature = "hub") {
        let message = here.fails("eval bench --model b --bench arc-easy");
        assert!(message.contains("there are no questions"), "{message}");
    }
    let message = here.fails("eval bench --model b --bench arc-easy --data data/arc-test.jsonl");
    assert!(message.contains("25 shots need 25 examples"), "{message}");
    let line = "eval bench --model b --bench hellaswag --data data/arc-test.jsonl --shots 0";
    let message = here.fails(line);
    assert!(message.contains("column `ctx_b` is missing"), "{message}");
}

#[test]
fn protocols_choose_their_windows() {
    let here = Workplace::with_model();
    let measured = |protocol: &str| {
        let line = format!(
            "eval ppl --model m --tokens tokens.json --contexts 32 --json --protocol {protocol}"
        );
        here.compute_json(&line)["results"][0].clone()
    };
    let windows = |result: &Value| (result["n_windows"].clone(), result["n_tokens"].clone());
    assert_eq!(windows(&measured("truncate")), (1.into(), 31.into()));
    // 18 chunks of 32, of which positions 17 to 31 are scored.
    assert_eq!(windows(&measured("llama.cpp")), (18.into(), 270.into()));
    let line =
        "eval ppl --model m --tokens tokens.json --contexts 32 --protocol llama.cpp --stride 8";
    let message = here.fails(line);
    assert!(message.contains("`--stride` does not apply"), "{message}");
    // The same from a file or --set, and what is only not read.
    let line = "eval ppl --model m --tokens tokens.json --contexts 32 --protocol llama.cpp";
    here.run(&format!("{line} --set eval.stride=8"))
        .refused_with("`eval.stride` does not apply to protocol `llama.cpp`");
    let warned = here.run(&format!("{line} --set eval.windows=4"));
    let words = "`eval.windows` has no effect with protocol `llama.cpp`";
    assert!(warned.stderr.contains(words), "{}", warned.stderr);
    warned.worked();
    here.run(&format!("{line} --per-token -"))
        .refused_with("expected the name of a file");
    assert!(!here.path("-").exists());
}

#[test]
fn a_context_below_the_stride_of_yarn_scores_a_part_of_the_text() {
    let here = Workplace::with_model();
    let line = "eval ppl --model m --tokens tokens.json --contexts 32 --protocol yarn";
    let part = here.run(line);
    assert!(
        part.stderr.contains("scores 31 of every 256 tokens"),
        "{}",
        part.stderr
    );
    part.worked();
    let whole = here.run(&format!("{line} --stride 31"));
    assert!(!whole.stderr.contains("of every"), "{}", whole.stderr);
    whole.worked();
}

#[test]
fn long_benchmarks_have_the_scores_of_the_harness() {
    let here = workplace();
    for (bench, file) in [
        ("longbench2", "longbench2.json"),
        ("babilong-qa5", "babilong.jsonl"),
    ] {
        let line = format!("eval bench --model b --bench {bench} --data data/{file}");
        let found = &here.compute_json(&format!("{line} --json"))["results"][0];
        let golden = &expected()["benches"][bench];
        for (found, golden) in [("value", "values"), ("stderr", "stderrs")].map(|(x, y)| {
            let number = |value: &Value| value.as_f64().unwrap();
            (number(&found[x]), number(&golden[y][0]))
        }) {
            assert!(
                (found - golden).abs() < 1e-9,
                "{bench}: {found} is not {golden}"
            );
        }
        assert_eq!(found["metric"], "acc");
        let table = here.compute(&line);
        assert!(
            table.contains("longer than the context, so that their beginnings are cut off"),
            "{table}"
        );
    }
    let message = here.fails(
        "eval bench --model b --bench babilong-qa5 --data data/babilong.jsonl --contexts 16",
    );
    assert!(
        message.contains("`babilong-qa5` does not fit into 16 tokens"),
        "{message}"
    );
}

/// The one file of a folder whose name begins like this.
fn one_file(here: &Workplace, folder: &str, beginning: &str) -> String {
    let entries = fs_err::read_dir(here.path(folder)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let found: Vec<String> = names.filter(|name| name.starts_with(beginning)).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    format!("{folder}/{}", found[0])
}

#[test]
fn results_are_also_written_as_the_harness_writes_them() {
    let here = workplace();
    let line = "eval bench --model b --bench mmlu --data data/mmlu-test.parquet \
        --fewshot data/mmlu-dev.jsonl --limit 4 --format lm-eval";
    let message = here.fails(line);
    assert!(
        message.contains("`--format lm-eval` needs `--out`"),
        "{message}"
    );
    let ours = here.compute_json(&format!("{line} --out run --json"));
    let ours = &ours["results"][0];
    let folder = "run/eval/lm-eval/b--checkpoint--256";
    let results = here.read_json(&one_file(&here, folder, "results_"));
    assert_eq!(results["groups"]["mmlu"]["acc,none"], ours["value"]);
    assert_eq!(
        results["results"]["mmlu"]["acc_stderr,none"],
        ours["stderr"]
    );
    let tasks = [
        "mmlu_anatomy",
        "mmlu_moral_disputes",
        "mmlu_high_school_us_history",
    ];
    assert_eq!(
        results["group_subtasks"]["mmlu"],
        Value::from(tasks.to_vec())
    );
    for key in [
        "configs",
        "versions",
        "n-shot",
        "higher_is_better",
        "n-samples",
        "task_hashes",
    ] {
        let names: Vec<&String> = results[key].as_object().unwrap().keys().collect();
        assert_eq!(names, tasks, "{key}");
    }
    assert_eq!(results["n-shot"]["mmlu_anatomy"], 5);
    let counts = &results["n-samples"]["mmlu_moral_disputes"];
    assert_eq!(
        (&counts["original"], &counts["effective"]),
        (&16.into(), &4.into())
    );
    assert_eq!(results["config"]["model_args"]["max_length"], 256);

    let samples = here.read_json_lines(&one_file(&here, folder, "samples_mmlu_moral_disputes_"));
    assert_eq!(samples.len(), 4);
    let golden = &expected()["benches"]["mmlu"]["examples"];
    for (i, sample) in samples.iter().enumerate() {
        // The subject is the second of the file, after 12 questions.
        let golden = &golden[12 + i];
        assert_eq!(sample["doc_id"], i);
        assert_eq!(sample["prompt_hash"], golden["prompt_sha256"]);
        assert_eq!(sample["acc"], golden["scores"][0]);
        assert_eq!(sample["arguments"]["gen_args_3"]["arg_1"], " D");
        assert_eq!(sample["target"], sample["doc"]["answer"].to_string());
        let response: f64 = sample["filtered_resps"][2][0]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!((response - golden["log_likelihoods"][2].as_f64().unwrap()).abs() < 1e-4);
        assert_eq!(sample["resps"][2][0], sample["filtered_resps"][2]);
    }
}

#[test]
fn a_benchmark_with_subjects_is_resumed_with_its_limit_only() {
    let here = workplace();
    let line = |limit: usize| {
        format!(
            "eval bench --model b --bench mmlu --data data/mmlu-test.parquet --shots 0 \
             --limit {limit} --out run"
        )
    };
    let found = here.compute_json(&format!("{} --json", line(1)));
    let subjects = &found["results"][0]["other_metrics"][0];
    assert_eq!(subjects["metric"], "acc_subject_mean");
    assert_eq!(subjects["stderr"], Value::Null, "one question per subject");
    let message = here.fails(&format!("{} --resume", line(2)));
    assert!(message.contains("other settings"), "{message}");
    let again = here.compute_json(&format!("{} --resume --json", line(1)));
    assert_eq!(again["results"][0]["value"], found["results"][0]["value"]);
}

#[test]
fn questions_among_their_own_examples_are_named() {
    let here = workplace();
    let test = here.read("data/arc-test.jsonl");
    let few: Vec<&str> = test.lines().take(3).collect();
    here.write("few.jsonl", few.join("\n"));
    let line = "eval bench --model b --bench arc-easy --data few.jsonl --shots";
    let told = here.run(&format!("{line} 3 --fewshot few.jsonl"));
    assert!(
        told.stderr
            .contains("the examples before 3 of 3 questions hold the question itself"),
        "{}",
        told.stderr
    );
    told.worked();
    let others = here.run(&format!("{line} 3 --fewshot data/arc-train.parquet"));
    assert!(!others.stderr.contains("itself"), "{}", others.stderr);
    others.worked();
}

#[test]
fn examples_are_drawn_with_the_seed_of_any_layer() {
    let here = workplace();
    here.write("seed.toml", "seed = 7");
    let line = "eval bench --model b --bench arc-easy --data data/arc-test.jsonl --limit 2 --shots 1 \
        --fewshot data/arc-train.parquet --json";
    for (flags, seed) in [
        ("", 1234),
        ("--config seed.toml", 7),
        ("--set seed=8", 8),
        ("--config seed.toml --seed 9", 9),
    ] {
        let found = here.compute_json(&format!("{line} {flags}"));
        assert_eq!(found["results"][0]["seed"], seed, "{flags}");
    }
}

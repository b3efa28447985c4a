//! Files of runs that were changed, cut or removed: nothing of that passes in silence.

use serde_json::Value;

use crate::support::{TINY_SEARCH, Workplace};

/// A training of seconds, saved at every second step.
const FINETUNE: &str = "finetune --model m --tokens tokens.json --rope yarn --context 64 --steps 6 --out run \
    --dashboard off --set train.batch=1 --set train.learning-rate=1e-3 --set train.warmup-steps=1 \
    --set train.save-every=2 --set train.eval-windows=0";
const RESUME: &str = "finetune --resume --out run --dashboard off";

const EVAL: &str =
    "eval ppl --model m --tokens tokens.json --contexts 32 --windows 2 --out run --rope none yarn";

/// The message of a command that is refused, with the warnings before it.
fn message_of(here: &Workplace, line: &str) -> String {
    let outcome = here.run(line);
    assert_eq!(outcome.code, Some(1), "{line}\n{}", outcome.stderr);
    assert!(outcome.stderr.contains("\nhint: "), "{}", outcome.stderr);
    outcome.stderr
}

/// Flips a bit of the last byte of a file.
fn flip(here: &Workplace, name: &str) {
    let mut bytes = fs_err::read(here.path(name)).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs_err::write(here.path(name), bytes).unwrap();
}

#[test]
fn a_flipped_byte_in_the_weights_of_a_state_is_noticed() {
    let here = Workplace::with_model();
    for (flags, weights) in [
        ("", "model/model.safetensors"),
        (" --lora", "adapter/adapter_model.safetensors"),
    ] {
        here.run(&format!("{FINETUNE}{flags}")).worked();
        let whole = fs_err::read(here.path("run/model/model.safetensors")).unwrap();
        for file in [weights, "optimizer.safetensors"] {
            flip(&here, &format!("run/step-000006/{file}"));
            let resumed = here.run(RESUME);
            assert!(resumed.stderr.contains(file), "{}", resumed.stderr);
            assert!(
                resumed.stderr.contains("has changed since it was saved"),
                "{}",
                resumed.stderr
            );
            resumed.worked();
            let again = fs_err::read(here.path("run/model/model.safetensors")).unwrap();
            assert!(again == whole, "{file}");
        }
        for state in ["step-000004", "step-000006"] {
            flip(&here, &format!("run/{state}/{weights}"));
        }
        let message = message_of(&here, RESUME);
        assert!(message.contains("has changed since"), "{message}");
        assert!(message.contains("step-000006"), "{message}");
        fs_err::remove_dir_all(here.path("run")).unwrap();
    }
}

#[test]
fn a_finished_training_that_is_resumed_keeps_what_is_in_its_model() {
    let here = Workplace::with_model();
    for flags in ["", " --lora"] {
        here.run(&format!("{FINETUNE}{flags}")).worked();
        let weights = || fs_err::read(here.path("run/model/model.safetensors")).unwrap();
        let trained = weights();
        here.write("run/model/notes.txt", "mine");
        here.edit_config("run/model", |config| config["my_key"] = 1.into());
        fs_err::remove_file(here.path("run/model/trainer_state.json")).unwrap();
        here.run(RESUME).worked();
        assert_eq!(here.read("run/model/notes.txt"), "mine");
        assert_eq!(here.read_json("run/model/config.json")["my_key"], 1);
        assert!(here.path("run/model/trainer_state.json").is_file());
        // A damaged model is made again.
        here.write("run/model/model.safetensors", &trained[..100]);
        here.run(RESUME).worked();
        assert!(weights() == trained, "{flags}");
        assert_eq!(here.read("run/model/notes.txt"), "mine");
        assert!(
            here.read_json("run/model/config.json")
                .get("my_key")
                .is_none()
        );
        fs_err::remove_dir_all(here.path("run")).unwrap();
    }
}

#[test]
fn damaged_settings_are_taken_from_their_copy() {
    let here = Workplace::with_model();
    here.run(FINETUNE).worked();
    for damaged in [&b""[..], b"\0\0\0\0", b"\xff"] {
        here.write("run/config.toml", damaged);
        let resumed = here.run(RESUME);
        assert!(
            resumed
                .stderr
                .contains("the settings are taken from the copy in `run.json`"),
            "{}",
            resumed.stderr
        );
        resumed.worked();
    }
    // A key that somebody has written is not passed over.
    here.write("run/config.toml", "sead = 7");
    let message = message_of(&here, RESUME);
    assert!(message.contains("did you mean `seed`?"), "{message}");
}

#[test]
fn states_without_checksums_are_resumed() {
    let here = Workplace::with_model();
    here.run(FINETUNE).worked();
    let mut state = here.read_json("run/step-000006/state.json");
    let sums = state.as_object_mut().unwrap().remove("sha256");
    assert_eq!(sums.unwrap().as_object().unwrap().len(), 2);
    here.write("run/step-000006/state.json", state.to_string());
    let resumed = here.run(RESUME);
    assert_eq!(
        resumed.stderr.matches("WARN").count(),
        0,
        "{}",
        resumed.stderr
    );
    resumed.worked();
}

#[test]
fn numbers_that_no_run_has_are_errors_that_name_file_and_key() {
    let here = Workplace::with_model();
    here.run(FINETUNE).worked();
    fs_err::remove_dir_all(here.path("run/step-000004")).unwrap();
    let file = "run/step-000006/state.json";
    let state = here.read_json(file);
    for key in ["n_steps", "optimizer_steps"] {
        let mut damaged = state.clone();
        damaged[key] = u64::MAX.into();
        here.write(file, damaged.to_string());
        let message = message_of(&here, RESUME);
        assert!(message.contains(file), "{message}");
        assert!(message.contains(key), "{message}");
    }
    let mut damaged = state.clone();
    damaged["data"]["turns"] = Value::from(vec![u64::MAX]);
    here.write(file, damaged.to_string());
    here.fails(RESUME);

    here.run(&format!(
        "{TINY_SEARCH} --target 64 --set search.generations=1 --out search"
    ))
    .worked();
    let file = "search/search/state.json";
    let state = here.read_json(file);
    for (pointer, key) in [
        ("/n_samples", "n_samples"),
        ("/history/0/evaluations", "evaluations"),
        ("/history/1/memo_hits", "memo_hits"),
        ("/memo/0/n_samples", "n_samples"),
    ] {
        let mut damaged = state.clone();
        *damaged.pointer_mut(pointer).unwrap() = u64::MAX.into();
        here.write(file, damaged.to_string());
        let message = here.fails("search --resume --out search");
        assert!(message.contains(file), "{message}");
        assert!(message.contains(key), "{message}");
    }
}

#[test]
fn the_inputs_of_a_search_are_not_to_be_removed() {
    let here = Workplace::with_model();
    here.run(&format!(
        "{TINY_SEARCH} --target 64 --set search.generations=0 --out search"
    ))
    .worked();
    for damaged in [&b"{"[..], &b"\xff"[..]] {
        here.write("search/search/inputs.json", damaged);
        let message = message_of(&here, "search --resume --out search");
        assert!(message.contains("search/inputs.json"), "{message}");
        let hint = "restore it from a copy, or start again with another --out";
        assert!(message.contains(hint), "{message}");
        assert!(!message.contains("remove"), "{message}");
    }
}

#[test]
fn scores_outside_0_to_1_are_errors() {
    let here = Workplace::with_tokenizer();
    let line = "eval passkey --model t --contexts 128 --rope none --trials 3 --out run";
    here.run(line).worked();
    let results = here.read_json("run/eval/passkey.json");
    // The state as it was before the last trial.
    let mut begun = here.start(&line.replace("--trials 3", "--trials 400"));
    let state = here.path("run/eval/passkey.state.json");
    while !fs_err::read_to_string(&state).is_ok_and(|text| text.contains("\"scores\"")) {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    begun.kill().unwrap();
    begun.wait().unwrap();
    let saved: Value = serde_json::from_str(&fs_err::read_to_string(&state).unwrap()).unwrap();
    for score in [7.0, -0.5, 1.0001] {
        let mut damaged = saved.clone();
        damaged["jobs"][0]["trials"][0]["scores"][0] = score.into();
        fs_err::write(&state, damaged.to_string()).unwrap();
        let message = here.fails(&format!("{line} --resume").replace("--trials 3", "--trials 400"));
        assert!(message.contains("passkey.state.json"), "{message}");
        assert!(message.contains("`scores`"), "{message}");
        assert!(message.contains("from 0 to 1"), "{message}");
    }
    assert_eq!(here.read_json("run/eval/passkey.json"), results);
}

#[test]
fn metrics_that_were_removed_or_cut_are_named_on_resume() {
    let here = Workplace::with_model();
    here.run(FINETUNE).worked();
    let path = here.path("run/metrics.jsonl");
    let text = here.read("run/metrics.jsonl");
    let half: Vec<&str> = text.lines().take(4).collect();
    for (content, missing) in [(None, 6), (Some(half.join("\n")), 3)] {
        match content {
            None => fs_err::remove_file(&path).unwrap(),
            Some(content) => fs_err::write(&path, content).unwrap(),
        }
        let resumed = here.run(RESUME);
        let words = format!("`run/metrics.jsonl` lacks {missing} of the 6 steps");
        assert!(resumed.stderr.contains(&words), "{}", resumed.stderr);
        resumed.worked();
    }
}

#[test]
fn a_report_names_the_files_that_it_leaves_out() {
    let here = Workplace::with_model();
    here.run(&format!(
        "{TINY_SEARCH} --target 64 --set search.generations=2 --out run"
    ))
    .worked();
    here.run(EVAL).worked();
    let undamaged = here.run("report run");
    assert!(!undamaged.stderr.contains("WARN"), "{}", undamaged.stderr);
    assert!(!here.read("run/report.html").contains("Left out"));

    let eval = here.read("run/eval/ppl.json");
    let metrics = here.read("run/metrics.jsonl");
    let cut = |text: &str| text[..text.len() / 2].to_owned();
    let mut with_null: Value = serde_json::from_str(&eval).unwrap();
    with_null["results"][0]["ppl"] = Value::Null;
    let lines: Vec<&str> = metrics.lines().collect();
    let binary = format!("{}\nnot JSON\n{}\n", lines[0], lines[1]);
    let result = here.read("run/search/result.json");
    for (file, content, reason) in [
        ("run/eval/ppl.json", cut(&eval), "EOF"),
        ("run/eval/ppl.json", String::new(), "EOF"),
        (
            "run/eval/ppl.json",
            with_null.to_string(),
            "result 1: `ppl` is `null`, expected a number",
        ),
        (
            "run/eval/ppl.json",
            eval.replace("\"version\":1", "\"version\":9"),
            "`version` is 9, expected 1",
        ),
        ("run/search/result.json", cut(&result), "EOF"),
        ("run/rope.json", "{}".to_owned(), "format"),
        ("run/metrics.jsonl", cut(&metrics), "it is cut off"),
        ("run/metrics.jsonl", binary, "line 2"),
        (
            "run/metrics.jsonl",
            metrics.replacen("\"format\"", "\"from\"", 1),
            "line 1: it is no line of a search or of a training",
        ),
    ] {
        let before = here.read(file);
        here.write(file, content);
        let report = here.run("report run");
        let warning: Vec<&str> = report
            .stderr
            .lines()
            .filter(|line| line.contains("left out of the report"))
            .collect();
        assert_eq!(warning.len(), 1, "{file} {reason}: {}", report.stderr);
        assert!(warning[0].contains(file), "{}", report.stderr);
        assert!(warning[0].contains(reason), "{}", report.stderr);
        report.worked();
        let page = here.read("run/report.html");
        assert!(page.contains("Left out"), "{file}");
        assert!(page.contains(&format!("<code>{file}</code>")), "{file}");
        let problems = &here.read_json("run/report.json")["problems"];
        assert_eq!(problems[0]["file"], file, "{problems}");
        here.write(file, before);
    }
    // The other result of the file is still there.
    here.write("run/eval/ppl.json", with_null.to_string());
    here.run("report run").worked();
    assert_eq!(
        here.read_json("run/report.json")["evaluations"][0]["perplexities"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn a_folder_of_damaged_results_only_is_refused_with_their_names() {
    let here = Workplace::with_model();
    here.run(EVAL).worked();
    here.write("run/eval/ppl.json", "{");
    let message = here.run("report run");
    assert_eq!(message.code, Some(1));
    assert!(
        message.stderr.contains("run/eval/ppl.json"),
        "{}",
        message.stderr
    );
    assert!(
        message.stderr.contains("holds no results"),
        "{}",
        message.stderr
    );
}

#[test]
fn old_nulls_of_a_training_are_named_in_its_report() {
    let here = Workplace::with_model();
    here.run(FINETUNE).worked();
    let mut lines = here.read_json_lines("run/metrics.jsonl");
    lines[2]["loss"] = Value::Null;
    lines[4]["grad_norm"] = Value::Null;
    let text: Vec<String> = lines.iter().map(Value::to_string).collect();
    here.write("run/metrics.jsonl", text.join("\n") + "\n");
    let report = here.run("report run");
    let expected = "line 3: `loss` is `null`, expected a number; and 1 more line";
    assert!(report.stderr.contains(expected), "{}", report.stderr);
    report.worked();
}

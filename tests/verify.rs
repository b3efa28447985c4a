//! `verify`, with shell scripts in the place of Python.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::support::{Workplace, number, two_sets};

/// A RoPE with a short and a long set.
fn rope(short: f64, long: f64) -> String {
    two_sets([short, long], 0, &json!({"type": "su"}))
}

/// A folder with `x`, an export with two sets, and its first 32 and 64 tokens.
fn exported() -> Workplace {
    let here = Workplace::with_model();
    here.write("rope.json", rope(1.25, 4.0));
    here.run("export m --rope rope.json --out x").worked();
    let ids = here.read_json("tokens.json");
    for n in [32, 64] {
        let first = &ids.as_array().unwrap()[..n];
        here.write(&format!("first{n}.json"), json!(first).to_string());
    }
    here
}

/// Our losses of the first `n` tokens, as `eval ppl` writes them.
fn losses(here: &Workplace, model: &str, rope: &str, n: usize) -> Vec<f64> {
    let line = format!(
        "eval ppl {model} --tokens first{n}.json --contexts {n} --windows 1 --rope {rope} --per-token losses.jsonl"
    );
    here.run(&line).worked();
    let lines = here.read_json_lines("losses.jsonl");
    lines.iter().map(|it| number(it, "/nll_nats")).collect()
}

/// An interpreter that runs a shell script.
fn interpreter(here: &Workplace, name: &str, script: &str) {
    here.write(name, format!("#!/bin/sh\n{script}\n"));
    let executable = std::fs::Permissions::from_mode(0o755);
    fs_err::set_permissions(here.path(name), executable).unwrap();
}

/// An interpreter that gives these losses, each with the context they were computed in.
fn answers(here: &Workplace, sequences: &[(usize, Vec<f64>)]) {
    let sequences: Vec<Value> = sequences
        .iter()
        .map(|(context, nats)| json!({"context": context, "nats": nats}))
        .collect();
    let answer = json!({"runtime": "fake 1.0", "sequences": sequences});
    here.write("answer.json", answer.to_string());
    interpreter(here, "fake", "cp \"$2\" request.json; cat answer.json");
}

const VERIFY: &str = "verify x --with transformers --python ./fake --tokens tokens.json";

#[test]
fn the_same_losses_pass() {
    let here = exported();
    let ours = [32, 64].map(|n| (n, losses(&here, "x", "checkpoint", n)));
    answers(&here, &ours);
    let shown = here.run(VERIFY).worked();
    for words in [
        "fake 1.0",
        "short",
        "long",
        "pass: ",
        "transformers serve x",
    ] {
        assert!(shown.contains(words), "`{words}` in {shown}");
    }
    let request = here.read_json("request.json");
    assert!(
        request["model"].as_str().unwrap().ends_with("/x"),
        "{request}"
    );
    let first = &request["sequences"][0];
    assert_eq!(first["tokens"], here.read_json("first32.json"));
    let json = here.run(&format!("{VERIFY} --json"));
    assert_eq!(json.stderr, "");
    let json: Value = serde_json::from_str(&json.worked()).unwrap();
    assert_eq!(json["passes"], true);
    assert_eq!(json["not_checked"], json!([]));
    assert_eq!(json["sequences"][1]["factors"], "long");
    assert_eq!(json["launch"][0]["command"], "transformers serve x");
    assert!(number(&json, "/sequences/0/largest_difference") < 1e-5);
}

#[test]
fn an_altered_loss_is_named_by_its_position() {
    let here = exported();
    let mut ours = [32, 64].map(|n| (n, losses(&here, "x", "checkpoint", n)));
    ours[1].1[9] += 0.5;
    answers(&here, &ours);
    let outcome = here.run(VERIFY);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stdout.contains("departs"), "{}", outcome.stdout);
    let message = outcome.stderr;
    for words in [
        "departs from longrope in sequence 2 (64 tokens, long factors)",
        "position 10 is the first of 1 beyond 0.001 nats",
        "hint: ",
    ] {
        assert!(message.contains(words), "`{words}` in {message}");
    }
    // A wider tolerance is the user's choice.
    here.run(&format!("{VERIFY} --tolerance 0.6")).worked();
}

#[test]
fn factors_that_were_altered_after_the_export_are_found() {
    let here = exported();
    here.edit_config("x", |config| {
        for section in ["rope_scaling", "rope_parameters"] {
            let path = format!("/{section}/long_factor/1");
            if let Some(factor) = config.pointer_mut(&path) {
                *factor = json!(1.05 * factor.as_f64().unwrap());
            }
        }
    });
    // The other program computes what the config says now, and so does `eval`.
    let theirs = [32, 64].map(|n| (n, losses(&here, "x", "checkpoint", n)));
    answers(&here, &theirs);
    let outcome = here.run(VERIFY);
    assert_eq!(outcome.code, Some(1));
    let message = outcome.stderr;
    for words in [
        "in sequence 2 (64 tokens, long factors): position ",
        "altered after the export: the factor of pair 1 is 1.0500 times the exported one",
    ] {
        assert!(message.contains(words), "`{words}` in {message}");
    }
}

#[test]
fn a_program_that_takes_one_set_is_recognized() {
    let here = exported();
    // The attention scale is that of the longest context in both.
    here.write("short.json", rope(1.25, 1.25));
    let theirs = [
        (32, losses(&here, "x", "checkpoint", 32)),
        (64, losses(&here, "m", "short.json", 64)),
    ];
    answers(&here, &theirs);
    let outcome = here.run(VERIFY);
    assert_eq!(outcome.code, Some(1));
    let words = "hint: transformers took the short factors in place of the long ones";
    assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
}

#[test]
fn a_failing_interpreter_is_an_error() {
    let here = exported();
    let few = "echo '{\"runtime\": \"r\", \"sequences\": [{\"context\": 32, \"nats\": [1]}]}'";
    let nan =
        "echo '{\"runtime\": \"r\", \"sequences\": [{\"context\": 32, \"nats\": [null, 1, 1]}]}'";
    for (script, expected) in [
        (
            "echo loading; echo '<html>'",
            vec!["found `<html>`", "--print-script"],
        ),
        ("true", vec!["found nothing"]),
        (
            "echo first >&2; echo 'ValueError: no such head' >&2; exit 3",
            vec![
                "./fake transformers.py",
                "exit status: 3",
                "ValueError: no such head",
            ],
        ),
        (
            "echo \"ModuleNotFoundError: No module named 'torch'\" >&2; exit 1",
            vec![
                "hint: Python has no module `torch`",
                "-m pip install torch transformers",
            ],
        ),
        ("kill -9 $$", vec!["signal: 9", "printed nothing"]),
        (few, vec!["gave 1 losses, expected 3"]),
        (nan, vec!["position 1 is NaN or infinite"]),
    ] {
        interpreter(&here, "fake", script);
        let message = here.fails(&format!("{VERIFY} --length 4"));
        for words in expected {
            assert!(message.contains(words), "`{words}` in {message}");
        }
    }
    interpreter(&here, "fake", few);
    here.run(VERIFY)
        .refused_with("answered for 1 sequences, expected 2");
    here.run("verify x --with transformers --python ./nowhere")
        .refused_with("pip install torch transformers");
    here.write("plain", "not executable");
    here.run("verify x --with transformers --python ./plain")
        .refused_with("give the file of an interpreter");
}

#[test]
fn what_a_program_does_not_load_is_refused() {
    let here = exported();
    here.run("verify x --with llama.cpp")
        .refused_with("--format gguf --out model.gguf");
    here.run("export m --rope rope.json --format gguf --out x.gguf")
        .worked();
    here.run("verify x.gguf --with transformers")
        .refused_with("expected a Hugging Face folder");
    here.run("verify x --with transformers --library .")
        .refused_with("--library is for --with llama.cpp");
    here.run("verify y.gguf --with llama.cpp")
        .refused_with("y.gguf");
    for tolerance in ["0", "-1", "nan"] {
        here.run(&format!("{VERIFY} --tolerance {tolerance}"))
            .refused_with("expected a number of nats above 0");
    }
    here.run(&format!("{VERIFY} --length 1"))
        .refused_with("--length");
    here.run(&format!("{VERIFY} --length 32 700"))
        .refused_with("the text has 600 tokens, expected 700");
}

#[test]
fn llama_cpp_is_given_contexts_that_choose_the_factors() {
    let here = exported();
    here.run("export m --rope rope.json --format gguf --dtype f32 --out x.gguf")
        .worked();
    answers(&here, &[(256, losses(&here, "x.gguf", "checkpoint", 64))]);
    interpreter(
        &here,
        "fake",
        "cp \"$2\" request.json; echo \"$LLAMA_CPP_LIB_PATH\" > library; cat answer.json",
    );
    here.write("libllama.so", "");
    let line =
        "verify x.gguf --with llama.cpp --python ./fake --tokens tokens.json --library libllama.so";
    let shown = here.run(line).worked();
    for words in [
        "not checked: the side within the original context: it is 32 tokens, and llama.cpp rounds its context up to 256",
        "serve (long factors): llama-server -m x.gguf -c 128",
        "pass: ",
    ] {
        assert!(shown.contains(words), "`{words}` in {shown}");
    }
    let json: Value = serde_json::from_str(&here.run(&format!("{line} --json")).worked()).unwrap();
    let not_checked = json["not_checked"].as_array().unwrap();
    assert_eq!(not_checked.len(), 1);
    let text = not_checked[0].as_str().unwrap();
    assert!(
        text.starts_with("the side within the original context: "),
        "{text}"
    );
    let request = here.read_json("request.json");
    assert_eq!(request["sequences"].as_array().unwrap().len(), 1);
    assert_eq!(request["sequences"][0]["context"], 256);
    let folder = fs_err::canonicalize(here.path(".")).unwrap();
    assert_eq!(here.read("library").trim(), folder.to_str().unwrap());
    // 32 tokens in a context of 256 get the long factors there, and here.
    let short = losses(&here, "x.gguf", "checkpoint", 32);
    answers(&here, &[(256, short)]);
    let outcome = here.run(&format!("{line} --length 32"));
    assert_eq!(outcome.code, Some(1));
    let words = "llama.cpp took the short factors in place of the long ones";
    assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
}

#[test]
fn vllm_is_run_once_for_each_context() {
    let here = exported();
    interpreter(
        &here,
        "fake",
        "cat \"$2\" >> requests; echo >> requests; echo 'ValueError: enough' >&2; exit 1",
    );
    let line = "verify x --with vllm --python ./fake --tokens tokens.json";
    here.run(line).refused_with("ValueError: enough");
    let requests = here.read_json_lines("requests");
    assert_eq!(requests.len(), 1);
    let sequences = requests[0]["sequences"].as_array().unwrap();
    assert_eq!(sequences.len(), 1);
    assert_eq!(sequences[0]["context"], 32);
    assert_eq!(sequences[0]["tokens"].as_array().unwrap().len(), 31);
}

#[test]
fn every_script_can_be_printed() {
    let here = Workplace::new();
    for (runtime, words) in [
        ("transformers", "AutoModelForCausalLM"),
        ("llama.cpp", "llama_decode"),
        ("vllm", "prompt_logprobs"),
    ] {
        let script = here
            .run(&format!("verify --with {runtime} --print-script"))
            .worked();
        assert!(script.starts_with("\"\"\"Losses of tokens") && script.contains(words));
        assert!(!script.contains("trust_remote_code=True"));
    }
}

#[test]
fn ctrl_c_ends_the_interpreter_too() {
    let here = exported();
    interpreter(
        &here,
        "fake",
        "echo $$ > pid.part; mv pid.part pid; exec sleep 600",
    );
    let child = here.start(VERIFY);
    let mut waited = 0;
    while !here.path("pid").is_file() {
        assert!(waited < 1200, "the interpreter was not started");
        std::thread::sleep(std::time::Duration::from_millis(50));
        waited += 1;
    }
    let signal = |what: &str, pid: &str| {
        let status = std::process::Command::new("kill")
            .args([what, pid])
            .stderr(std::process::Stdio::null())
            .status();
        status.unwrap().success()
    };
    assert!(signal("-INT", &child.id().to_string()));
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(!signal("-0", here.read("pid").trim()), "it still runs");
}

//! `longrope generate`

use insta::assert_snapshot;

use crate::support::Workplace;

const PASSKEY: &str = "The pass key is 48213. Remember it. 48213 is the pass key. What is the pass \
                       key? The pass key is";

#[test]
fn the_streamed_text_is_the_text_of_the_report() {
    let here = Workplace::with_tokenizer();
    here.write("prompt.txt", PASSKEY);
    let run = "generate --model t --prompt-file prompt.txt --max-new-tokens 6";
    let report = here.compute_json(&format!("{run} --json"));
    assert_eq!(report["format"], "longrope-generation");
    assert_eq!(report["version"], 1);
    let result = &report["results"][0];
    assert_eq!(result["text"], " 48213");
    assert_eq!(result["end"], "length");
    assert_eq!(here.compute(run), " 48213\n");
}

#[test]
fn streamed_weights_and_either_factor_choice_give_the_same_inside_the_window() {
    let here = Workplace::with_tokenizer();
    here.write("prompt.txt", PASSKEY);
    let run = "generate --model t --prompt-file prompt.txt --max-new-tokens 6";
    let expected = here.compute(run);
    for set in ["weights=streamed", "generate.factors=length"] {
        assert_eq!(
            here.compute(&format!("{run} --set {set}")),
            expected,
            "{set}"
        );
    }
}

#[test]
fn several_prompts_are_separated_and_sampling_is_reproducible() {
    let here = Workplace::with_tokenizer();
    let run = "generate --model t --prompt Once --prompt She --max-new-tokens 8 --temperature 0.9 \
               --top-k 20 --top-p 0.95 --seed 3";
    let first = here.compute(run);
    assert_eq!(first, here.compute(run));
    assert!(
        first.starts_with("--- prompt 1\n") && first.contains("--- prompt 2\n"),
        "{first}"
    );
    assert_ne!(first, here.compute(&run.replace("--seed 3", "--seed 4")));
}

#[test]
fn sampling_settings_without_a_temperature_are_said_to_have_no_effect() {
    let here = Workplace::with_tokenizer();
    let run = "generate --model t --prompt Once --max-new-tokens 1 --top-k 5 --top-p 0.5";
    let outcome = here.run(run);
    for key in ["top-k", "top-p"] {
        let words = format!("`generate.{key}` has no effect at temperature 0");
        assert!(outcome.stderr.contains(&words), "{}", outcome.stderr);
    }
    outcome.worked();
    let warm = here.run(&format!("{run} --temperature 0.5"));
    assert!(!warm.stderr.contains("no effect"), "{}", warm.stderr);
    warm.worked();
}

/// Ctrl-C, as soon as the process listens for it and, after a moment, reads its prompt.
#[cfg(target_os = "linux")]
fn interrupt_while_it_reads(process: &std::process::Child) {
    use std::time::{Duration, Instant};
    let status = format!("/proc/{}/status", process.id());
    let listens = || {
        let text = fs_err::read_to_string(&status).unwrap();
        let caught = text.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = u64::from_str_radix(caught.unwrap().trim(), 16).unwrap();
        // SIGINT is signal 2.
        caught & 0b10 != 0
    };
    let started = Instant::now();
    while !listens() {
        assert!(started.elapsed() < Duration::from_mins(1), "no listener");
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_secs(1));
    let asked = std::process::Command::new("kill")
        .args(["-INT", &process.id().to_string()])
        .status();
    assert!(asked.unwrap().success());
}

#[cfg(target_os = "linux")]
#[test]
fn an_interrupted_prompt_ends_before_its_first_token() {
    let here = Workplace::with_tokenizer();
    // Many pieces of a prompt: more than any machine reads within a second.
    let lines: Vec<String> = (0..6000)
        .map(|i| format!("fn number_{i}() -> u32 {{ {i} }}\n"))
        .collect();
    here.write("long.txt", lines.concat());
    let process = here
        .command("generate --model t --prompt-file long.txt --max-new-tokens 4 --json")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    interrupt_while_it_reads(&process);
    let output = process.wait_with_output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{message}");
    assert!(message.contains("error: interrupted"), "{message}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["results"][0]["end"], "interrupted");
    assert_eq!(report["results"][0]["tokens"], serde_json::json!([]));
}

#[cfg(target_os = "linux")]
#[test]
fn an_interrupted_stage_leaves_no_continuation() {
    let here = Workplace::with_tokenizer();
    here.write(
        "recipe.toml",
        "model = \"t\"\nout = \"run\"\n[[stage]]\nverb = \"generate\"\n\
         generate = { prompts = [\"fn main\"], max-new-tokens = 1000000, ignore-eos = true }\n",
    );
    let process = here.start("extend --config recipe.toml");
    interrupt_while_it_reads(&process);
    let output = process.wait_with_output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{message}");
    let hint = "hint: what is done is saved; continue with: longrope extend --resume";
    assert!(message.contains(hint), "{message}");
    assert!(here.path("run/01-generate").is_dir());
    assert!(!here.path("run/01-generate/generate.json").exists());
}

#[test]
fn wrong_input_is_refused() {
    let here = Workplace::with_tokenizer();
    assert_snapshot!(here.fails("generate --model t"), @r"
    error: `--prompt` is missing
    hint: give a prompt with --prompt or --prompt-file
    ");
    assert_snapshot!(here.fails("generate --model t --prompt a --temperature=-1"), @r"
    error: `generate.temperature` is -1, expected 0 or a positive number
    hint: temperature 0 always takes the most likely token
    ");
    assert_snapshot!(here.fails("generate --model t --prompt-file nowhere.txt"), @r"
    error: reading prompt `nowhere.txt`
      caused by: no such file or folder: `nowhere.txt`
    hint: check the path; relative paths are relative to the working directory
    ");
}

//! Messages that say what is wrong with the right file, and one hint that helps.

use std::process::Stdio;

use crate::support::{TINY_SEARCH, Workplace};

const FINETUNE: &str = "finetune --model t --text text.txt --rope yarn --context 64 --steps 2 --out run \
    --dashboard off --set train.batch=1 --set train.eval-windows=0 --set train.warmup-steps=1";

/// The lines of a message that are hints.
fn hints(message: &str) -> Vec<&str> {
    let lines = message.lines();
    lines
        .filter_map(|line| line.strip_prefix("hint: "))
        .collect()
}

#[test]
fn a_run_whose_text_has_changed_asks_for_the_text() {
    let here = Workplace::with_tokenizer();
    here.rust_text();
    here.run(FINETUNE).worked();
    here.write(
        "text.txt",
        here.read("text.txt").replace("number", "rebmun"),
    );
    let message = here.fails("finetune --resume --out run --dashboard off");
    assert!(message.contains("`text` is another one"), "{message}");
    assert_eq!(hints(&message).len(), 1, "{message}");
    assert!(
        hints(&message)[0].starts_with("restore the text"),
        "{message}"
    );
    // Other flags are another matter.
    here.rust_text();
    let message = here.fails("finetune --resume --out run --dashboard off --seed 7");
    assert!(
        hints(&message)[0].starts_with("resume without these flags"),
        "{message}"
    );
}

#[test]
fn a_json_file_that_is_no_rope_is_called_that() {
    let here = Workplace::with_model();
    for text in ["{}", r#"{"factors": [1, 2]}"#] {
        here.write("rope.json", text);
        let message =
            here.fails("eval ppl --model m --tokens tokens.json --contexts 32 --rope rope.json");
        assert!(message.contains("rope.json"), "{message}");
        assert!(!message.contains("the model config"), "{message}");
        assert_eq!(hints(&message).len(), 1, "{message}");
    }
}

#[test]
fn errors_of_generation_config_name_that_file() {
    let here = Workplace::with_tokenizer();
    for text in [
        "{",
        "[]",
        r#"{"eos_token_id": "2"}"#,
        r#"{"eos_token_id": [-1]}"#,
    ] {
        here.write("t/generation_config.json", text);
        let message = here.fails("generate --model t --prompt fn --max-new-tokens 1");
        assert!(message.contains("t/generation_config.json"), "{message}");
        assert!(!message.contains("model config"), "{message}");
        let hint = hints(&message);
        assert_eq!(hint.len(), 1, "{message}");
        assert!(hint[0].contains("the generation_config.json"), "{message}");
    }
}

#[test]
fn damaged_weights_are_called_what_they_are() {
    let here = Workplace::with_model();
    let path = here.path("m/model.safetensors");
    let whole = fs_err::read(&path).unwrap();
    let edited = |from: &[u8], to: &[u8]| {
        let at = whole
            .windows(from.len())
            .position(|bytes| bytes == from)
            .unwrap();
        let mut bytes = whole.clone();
        bytes[at..at + to.len()].copy_from_slice(to);
        bytes
    };
    for (bytes, words) in [
        ([&whole[..], b"more"].concat(), "something was added"),
        (whole[..whole.len() - 4].to_vec(), "probably truncated"),
        (whole[..4].to_vec(), "probably truncated"),
        (edited(b"\"F32\"", b"\"I32\""), "other types"),
        (
            edited(b"\"dtype\"", b"\"dtipe\""),
            "damaged, or of another kind",
        ),
    ] {
        fs_err::write(&path, bytes).unwrap();
        let message = here.fails("eval ppl --model m --tokens tokens.json --contexts 32");
        let hint = hints(&message);
        assert_eq!(hint.len(), 1, "{message}");
        assert!(
            hint[0].contains(words) || message.contains("do not fit"),
            "{words}: {message}"
        );
        assert!(
            words.contains("truncated") || !message.contains("truncated"),
            "{message}"
        );
    }
}

/// Runs a command that may write files of a few KiB only.
#[cfg(target_os = "linux")]
fn with_small_files(here: &Workplace, n_blocks: usize, line: &str) -> String {
    let program = here.command("").get_program().to_owned();
    let script = format!("trap '' XFSZ; ulimit -f {n_blocks}; exec \"$0\" {line}");
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &script]).arg(program);
    let base = here.command("");
    command
        .current_dir(base.get_current_dir().unwrap())
        .env("NO_COLOR", "1")
        .stdin(Stdio::null());
    let output = command.output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    message
}

#[cfg(target_os = "linux")]
#[test]
fn files_that_may_not_grow_have_one_hint() {
    let here = Workplace::with_tokenizer();
    here.rust_text();
    let eval =
        "eval ppl --model t --text text.txt --contexts 64 --windows 4 --per-token losses.jsonl";
    let message = with_small_files(&here, 4, eval);
    assert!(message.contains("losses.jsonl"), "{message}");
    assert_eq!(hints(&message).len(), 1, "{message}");
    assert!(
        hints(&message)[0].starts_with("files may not be so large here"),
        "{message}"
    );
    let message = with_small_files(&here, 200, FINETUNE);
    assert_eq!(hints(&message).len(), 1, "{message}");
    assert!(
        hints(&message)[0].starts_with("free some space"),
        "{message}"
    );
}

#[test]
fn damaged_compressed_text_has_one_hint() {
    let here = Workplace::with_tokenizer();
    for (name, bytes) in [
        ("a.txt.gz", &b"\x1f\x8b\x08\0\0\0\0\0\0\x03damaged"[..]),
        ("b.txt.gz", b"plain text"),
        ("c.txt.zst", b"\x28\xb5\x2f\xfddamaged"),
        ("d.txt.zst", b"plain text"),
    ] {
        here.write(name, bytes);
        let message = here.fails(&format!("eval ppl --model t --contexts 64 --text {name}"));
        let hint = hints(&message);
        assert_eq!(hint.len(), 1, "{name}: {message}");
        let is_right = ["compression", "cut off"]
            .iter()
            .any(|words| hint[0].contains(words));
        assert!(is_right, "{name}: {message}");
    }
}

#[test]
fn a_binary_file_is_no_text_to_be_converted() {
    let here = Workplace::with_tokenizer();
    here.write("a.txt", b"\x01\x02\0\xfe\xff\0\x80data");
    let message = here.fails("eval ppl --model t --contexts 64 --text a.txt");
    assert!(!message.contains("decompression"), "{message}");
    assert!(!message.contains("iconv"), "{message}");
    // In a folder, giving the folder is what was done.
    fs_err::create_dir(here.path("texts")).unwrap();
    fs_err::rename(here.path("a.txt"), here.path("texts/a.txt")).unwrap();
    let message = here.fails("eval ppl --model t --contexts 64 --text texts");
    assert!(message.contains("remove it or rename it"), "{message}");
    here.write("latin.txt", b"Gr\xf6\xdfe und mehr Text");
    let message = here.fails("eval ppl --model t --contexts 64 --text latin.txt");
    assert!(!message.contains("decompression"), "{message}");
    assert!(message.contains("iconv"), "{message}");
}

#[test]
fn text_from_a_pipe_has_a_name() {
    let here = Workplace::with_tokenizer();
    for line in [
        "generate --model t --prompt-file -",
        "eval ppl --model t --contexts 64 --text -",
    ] {
        let message = here.fails(line);
        assert!(message.contains("/dev/stdin"), "{message}");
    }
    here.write("packed", b"\x1f\x8b\x08\0\0\0\0\0");
    let mut command = here.command("eval ppl --model t --contexts 64 --text /dev/stdin");
    command.stdin(
        fs_err::File::open(here.path("packed"))
            .unwrap()
            .into_parts()
            .0,
    );
    let output = command.output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("zcat FILE | longrope"), "{message}");
}

#[test]
fn a_recipe_for_another_verb_is_called_that() {
    let here = Workplace::with_model();
    here.write("r.toml", "model = \"m\"\n[[stage]]\nverb = \"search\"\n");
    let message = here.fails("search --config r.toml --out run");
    let hint = "this is a recipe, which runs several verbs: longrope extend --config r.toml";
    assert_eq!(hints(&message), [hint], "{message}");
}

#[test]
fn missing_weights_come_before_missing_memory() {
    let here = Workplace::with_model();
    fs_err::create_dir(here.path("bare")).unwrap();
    here.write("bare/config.json", r#"{"model_type": "llama"}"#);
    for line in [
        "eval ppl --model bare --tokens tokens.json --contexts 100000",
        "finetune --model bare --tokens tokens.json --out run",
        "search --model bare --tokens tokens.json --target 1000000 --out run",
    ] {
        let message = here.fails(line);
        assert!(!message.contains("memory"), "{line}: {message}");
        assert!(message.contains("the weights are not"), "{line}: {message}");
    }
}

#[test]
fn wrong_settings_come_before_missing_weights() {
    let here = Workplace::with_model();
    fs_err::create_dir(here.path("bare")).unwrap();
    here.write("bare/config.json", r#"{"model_type": "llama"}"#);
    let ppl = "eval ppl --model bare --tokens tokens.json";
    for (line, words) in [
        (
            format!("{ppl} --contexts 32 --stride 64"),
            "stride is 64 tokens, expected 1 to 32",
        ),
        (format!("{ppl} --contexts 1"), "context is 1 tokens"),
        (
            "eval ppl --model bare --contexts 32".to_owned(),
            "`--text` is missing",
        ),
        (
            "compare --model bare --contexts 32 --text nowhere.txt".to_owned(),
            "no such file or folder: `nowhere.txt`",
        ),
        (
            "compare --model bare --contexts 32 --text sources:nobody-wrote-this".to_owned(),
            "there are no sources for `nobody-wrote-this`",
        ),
        (
            "eval gain --model bare --contexts 300".to_owned(),
            "`--text` is missing",
        ),
        (
            "eval ruler --model bare --contexts 64 --tasks niah_single_2".to_owned(),
            "a text to hide needles in",
        ),
        (
            "search --model bare --target 5000 --out run".to_owned(),
            "`--text` is missing",
        ),
        (
            "finetune --model bare --out run".to_owned(),
            "nothing to train on",
        ),
    ] {
        let message = here.fails(&line);
        assert!(message.contains(words), "{line}: {message}");
        assert!(!message.contains("weights"), "{line}: {message}");
    }
}

#[test]
fn doctor_says_what_is_wrong_with_a_file() {
    let here = Workplace::new();
    here.write("config.json", "{\"model_type\": ");
    for path in [".", "config.json"] {
        let message = here.fails(&format!("doctor {path}"));
        assert!(message.contains("is not valid JSON"), "{message}");
        assert_eq!(hints(&message).len(), 1, "{message}");
        assert!(!message.contains("give a checkpoint folder"), "{message}");
    }
    let message = here.fails("doctor nowhere");
    assert!(message.contains("give a checkpoint folder"), "{message}");
}

#[test]
fn hints_are_about_the_flag_that_is_wrong() {
    let here = Workplace::with_tokenizer();
    let generate = "generate --model t --prompt fn --max-new-tokens 1";
    for (flags, words) in [
        ("--top-p 2", "--top-p 0.9"),
        ("--top-p 0", "--top-p 0.9"),
        ("--set generate.top-k=0", "number"),
        ("--set generate.temperature=-1", "temperature 0 always"),
    ] {
        let message = here.run(&format!("{generate} {flags}"));
        assert_eq!(message.code, Some(1), "{flags}: {}", message.stderr);
        assert!(
            message.stderr.contains(words),
            "{flags}: {}",
            message.stderr
        );
    }
    for memory in ["1e300", "inf", "NaN", "0"] {
        let message = here.fails(&format!("plan t --context 64 --memory {memory}"));
        assert!(message.contains("`--memory` is"), "{message}");
    }
    let plan = here.run("plan t --context 64 --memory 1e9").worked();
    assert!(!plan.contains("inf"), "{plan}");
}

#[test]
fn of_two_exports_into_one_folder_one_is_refused() {
    let here = Workplace::with_model();
    for round in 0..4 {
        let line = format!("export --model m --rope yarn --target 128 --out x{round}");
        let both = [here.start(&line), here.start(&line)];
        let outputs = both.map(|process| process.wait_with_output().unwrap());
        let codes = outputs.each_ref().map(|output| output.status.code());
        let n_worked = codes.iter().filter(|code| **code == Some(0)).count();
        for output in outputs
            .iter()
            .filter(|output| output.status.code() != Some(0))
        {
            let message = String::from_utf8_lossy(&output.stderr);
            assert!(message.contains("exists already"), "{message}");
        }
        assert_eq!(n_worked, 1, "{codes:?}");
        assert_eq!(here.inspection(&format!("x{round}"))["max_context"], 128);
    }
}

#[test]
fn an_empty_search_state_is_damaged() {
    let here = Workplace::with_model();
    here.run(&format!(
        "{TINY_SEARCH} --target 64 --set search.generations=1 --out run"
    ))
    .worked();
    here.write("run/search/state.json", "");
    let message = here.fails("search --resume --out run");
    assert!(message.contains("run/search/state.json"), "{message}");
    assert_eq!(hints(&message).len(), 1, "{message}");
    assert!(hints(&message)[0].contains("without --resume"), "{message}");
}

#[test]
fn one_is_singular() {
    let here = Workplace::with_tokenizer();
    here.rust_text();
    here.checkpoint("llama-gqa-tied", "m");
    here.tokens("tokens.json", 600);
    let one_step = FINETUNE.replace("--steps 2", "--steps 1");
    for (line, expected) in [
        (
            "eval ppl --model m --tokens tokens.json --contexts 32 --windows 1",
            " 1 window per context",
        ),
        (
            "eval passkey --model t --contexts 128 --trials 1",
            " 1 trial per context",
        ),
        (
            "eval needle --model t --contexts 256 --trials 1 --depths 0.5",
            " 1 trial per cell, 1 needle per text",
        ),
        (one_step.as_str(), "1 step, "),
    ] {
        let outcome = here.run(line);
        let (stdout, stderr) = (outcome.stdout.clone(), outcome.stderr.clone());
        outcome.worked();
        assert!(stdout.contains(expected), "{line}: {stdout}");
        for wrong in ["1 windows", "1 trials", "1 steps", "1 keys", " 1 tokens"] {
            assert!(!stdout.contains(wrong), "{line}: {stdout}");
            assert!(!stderr.contains(wrong), "{line}: {stderr}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_line_break_in_a_path_breaks_no_table_and_no_message() {
    let here = Workplace::with_model();
    here.run("export --model m --rope yarn --target 64 --out x")
        .worked();
    let name = "odd\nname\tof\u{1b}[31m.json";
    fs_err::copy(here.path("x/rope.json"), here.path(name)).unwrap();
    let run = |line: &str, last: &str| {
        let output = here.command(line).arg(last).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr))
    };
    let eval = "eval ppl --model m --tokens tokens.json --contexts 32 --windows 1 --rope";
    let (stdout, stderr) = run(eval, name);
    assert_eq!(stdout.lines().count(), 3, "{stdout}{stderr}");
    assert!(
        stdout.contains("odd\\nname\\tof\\u{1b}[31m.json"),
        "{stdout}"
    );
    let (_, stderr) = run("report", "no\nsuch\nfolder");
    assert_eq!(stderr.lines().count(), 2, "{stderr}");
    assert!(
        stderr.contains("`no\\nsuch\\nfolder` does not exist"),
        "{stderr}"
    );
    let (_, stderr) = run("eval ppl --model m --contexts 32 --tokens", "no\nfile");
    assert!(stderr.contains("`no\\nfile`"), "{stderr}");
}

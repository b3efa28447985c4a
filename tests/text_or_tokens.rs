//! Text and token ids exclude each other: of two layers of a configuration, the later one counts.

use serde_json::Value;

use crate::support::Workplace;

const PPL: &str = "eval ppl --model t --contexts 64 --windows 2 --json";

fn workplace() -> Workplace {
    let here = Workplace::with_tokenizer();
    here.rust_text();
    here.tokens("tokens.json", 600);
    here.write("tokens.toml", "tokens = \"tokens.json\"");
    here.write("text.toml", "text = [\"text.txt\"]");
    here
}

/// What was measured, and the loss.
fn measured(here: &Workplace, flags: &str) -> (Value, Value) {
    let json = here.run(&format!("{PPL} {flags}")).worked();
    let json: Value = serde_json::from_str(&json).unwrap();
    let texts = json["source"]["texts"].clone();
    (texts, json["results"][0]["nll_nats"].clone())
}

#[test]
fn a_later_layer_replaces_the_other_key() {
    let here = workplace();
    let text = measured(&here, "--text text.txt");
    let tokens = measured(&here, "--tokens tokens.json");
    assert_eq!(text.0, serde_json::json!(["text.txt"]));
    assert_ne!(text.1, tokens.1);
    for (flags, expected) in [
        ("--config tokens.toml --text text.txt", &text),
        ("--config tokens.toml --set text=[\"text.txt\"]", &text),
        ("--set tokens=tokens.json --text text.txt", &text),
        ("--config text.toml --tokens tokens.json", &tokens),
        ("--config text.toml --set tokens=tokens.json", &tokens),
    ] {
        assert_eq!(measured(&here, flags), *expected, "{flags}");
    }
}

#[test]
fn both_in_one_layer_are_refused() {
    let here = workplace();
    here.write(
        "both.toml",
        "text = [\"text.txt\"]\ntokens = \"tokens.json\"",
    );
    for (flags, place) in [
        ("--config both.toml", "configuration file `both.toml`"),
        (
            "--set tokens=tokens.json --set text=[\"text.txt\"]",
            "`--set`",
        ),
    ] {
        let message = here.fails(&format!("{PPL} {flags}"));
        let expected = format!("{place}: `text` and `tokens` are both set, expected one of them");
        assert!(message.contains(&expected), "{message}");
    }
    let flags = here.run(&format!("{PPL} --text text.txt --tokens tokens.json"));
    assert_eq!(flags.code, Some(1), "{}", flags.stderr);
}

#[test]
fn a_run_that_was_begun_with_both_resumes_with_its_tokens() {
    let here = workplace();
    let line = "finetune --model t --context 64 --steps 2 --dashboard off --set train.warmup-steps=1 \
        --set train.save-every=1 --tokens tokens.json --out run";
    here.run(line).worked();
    for name in ["run/model", "run/step-000002"] {
        fs_err::remove_dir_all(here.path(name)).unwrap();
    }
    let saved = here.read("run/config.toml");
    assert!(saved.contains("text = []"), "{saved}");
    here.write(
        "run/config.toml",
        saved.replacen("text = []", "text = [\"text.txt\"]", 1),
    );
    here.run("finetune --resume --out run --dashboard off")
        .worked();
    here.run("finetune --resume --out run --dashboard off --text text.txt")
        .refused_with("`text` is another one");
}

#[test]
fn line_ends_of_windows_are_warned_of_once_per_file() {
    let here = Workplace::with_tokenizer();
    here.rust_text();
    let text = here.read("text.txt").replace('\n', "\r\n");
    here.write("text.txt", &text);
    let line = serde_json::json!({ "text": text }).to_string();
    here.write("more.jsonl", format!("{line}\n{line}\n"));
    let eval = "eval ppl --model t --contexts 64 --windows 1 --text";
    for (file, way) in [
        ("text.txt", "sed -i 's/\\r$//' text.txt"),
        ("more.jsonl", "write the file again with LF only"),
    ] {
        let outcome = here.run(&format!("{eval} {file}"));
        let n_warnings = outcome.stderr.matches("end in CR LF").count();
        assert_eq!(n_warnings, 1, "{}", outcome.stderr);
        assert!(outcome.stderr.contains(way), "{}", outcome.stderr);
        outcome.worked();
    }
}

#[test]
fn token_ids_that_a_verb_does_not_read_are_refused() {
    let here = workplace();
    for (line, verb) in [
        ("eval needle --model t --contexts 256", "eval needle"),
        (
            "eval ruler --model t --contexts 256 --tasks fwe",
            "eval ruler",
        ),
        ("pretrain --out x", "pretrain"),
    ] {
        let expected = format!("`tokens` is `tokens.json`, which `{verb}` does not read");
        here.run(&format!("{line} --config tokens.toml"))
            .refused_with(&expected);
    }
    assert!(!here.path("x").exists());
}

#[test]
fn the_demo_keeps_its_model_and_reads_the_text_of_its_flag() {
    let here = workplace();
    here.write("model.toml", "model = \"t\"");
    for (flags, key) in [
        ("--config model.toml", "model"),
        ("--set tokens=tokens.json", "tokens"),
        ("--set out=x", "out"),
        ("--set rope=[\"yarn\"]", "rope"),
        ("--set contexts=[256]", "contexts"),
        ("--set search.target=512", "search.target"),
    ] {
        here.run(&format!("demo {flags} --out d"))
            .refused_with(&format!(
                "`{key}` is set by --config or --set, but the demo has its own"
            ));
    }
    here.run("demo --text nowhere.txt --config text.toml --out d")
        .refused_with("nowhere.txt");
    assert!(!here.path("d").exists());
}

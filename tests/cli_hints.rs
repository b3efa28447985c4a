//! Every wrong command line is answered with exit code 1 and a hint.

use serde_json::json;

use crate::support::{TINY_SEARCH, Workplace};

/// A folder with models, texts and damaged files of many kinds.
fn messy_place() -> Workplace {
    let here = Workplace::with_tokenizer();
    here.checkpoint("llama-gqa-tied", "m");
    here.tokens("tokens.json", 600);
    here.rust_text();
    here.write("empty.txt", " \n");
    here.write("latin1.txt", b"caf\xe9");
    here.write("data.parquet", b"PAR1\x15\x04\x15\x10");
    here.write("columns.txt", b"PAR1\x15\x04\x15\x10");
    here.parquet("other.parquet", "body", &["a"]);
    here.write("book.pdf", "%PDF-1.7\n");
    here.write("book.epub", b"PK\x03\x04\x14\0");
    here.write("packed.txt", b"\x1f\x8b\x08\0\0\0\0\0");
    here.write("utf16.txt", b"\xff\xfea\0b\0");
    here.write("plain.gz", "not compressed");
    here.write("bad.jsonl", "{\"text\": 1}\n");
    here.write("cut.jsonl", "{\"text\": \"a\n");
    here.write("list.jsonl", "[1]\n");
    here.write("other.jsonl", "{\"body\": \"a\"}\n");
    here.write("cut.json", "[1, 2");
    here.write("words.json", "[\"a\"]");
    here.write("none.json", "[]");
    here.write("object.json", "{\"a\": 1}");
    here.write("empty.csv", "");
    here.write("words.csv", "one\ntwo\n");
    here.write("rows.csv", "1,2\n1\n");
    here.write("cut-rope.json", "{\"format\": \"longrope-rope\"");
    here.write("kind-rope.json", "{\"format\": \"other\", \"version\": 1}");
    here.write(
        "new-rope.json",
        "{\"format\": \"longrope-rope\", \"version\": 99}",
    );
    let sets =
        json!([{"max_context": 64, "start_tokens": 0, "factors": [0.0, 1, 1, 1, 1, 1, 1, 1]}]);
    let rope = json!({
        "format": "longrope-rope", "version": 1, "rotary_dim": 16, "theta": 10000.0, "original_context": 32,
        "scaling": {"type": "long-rope", "sets": sets, "attention": {"type": "su"}},
    });
    here.write("zero-rope.json", rope.to_string());
    here.write("bad.toml", "seed = = 1\n");
    here.write("big.toml", "seed = 18446744073709551615\n");
    here.write("no-stage.toml", "seed = 1\n");
    here.write("no-verb.toml", "[[stage]]\nname = \"a\"\n");
    here.write("number.toml", "[[stage]]\nverb = 3\n");
    fs_err::create_dir(here.path("no-text")).unwrap();
    fs_err::create_dir(here.path("damaged")).unwrap();
    here.write("damaged/rope.json", "{");
    fs_err::create_dir(here.path("no-tokenizer")).unwrap();
    here
}

const PPL: &str = "eval ppl t --contexts 64";
const IDS: &str = "eval ppl m --contexts 32 --tokens";
const ROPE: &str = "eval ppl m --contexts 32 --tokens tokens.json --rope";

/// Wrong command lines; a line that begins with `#` is a heading.
const WRONG: &str = r#"
# The command line itself.
frobnicate
eval
eval pppl m
inspect
inspect m m
inspect m --model m
doctor
plan m
plan m --context
plan m --context many
plan m --context -5
plan m --context 0
plan m --context 18446744073709551616
plan m --context 64 --memory nan
plan m --context 64 --memory -1
plan m --context 64 --mode everything
plan m --context 64 --device gpu
plan m --context 64 --device cuda:first
generate t --prompt a --temperature -1
generate t --prompt a --temperature hot
generate t --prompt a --top-k 0
generate t --prompt a --top-p 2
generate t
generate m --prompt a
generate t --prompt-file nowhere.txt
generate t --prompt-file latin1.txt
generate t --prompt-file no-text
generate t --prompt a --rope none pi
generate t --prompt a --rope none --rope pi
search --profil fast
worker --device tpu
# Models.
inspect nowhere
inspect no-text
doctor no-text
doctor cut.json
export m --rope zzz --out x
export m --rope cut-rope.json --out x
eval ppl --text text.txt t --contexts 64
# Texts and token files.
{PPL} --text nowhere.txt
{PPL} --text empty.txt
{PPL} --text latin1.txt
{PPL} --text data.parquet
{PPL} --text columns.txt
{PPL} --text other.parquet
{PPL} --text hf:
{PPL} --text hf:o/n
{PPL} --text hf:o/n/../x
{PPL} --text book.pdf
{PPL} --text book.epub
{PPL} --text packed.txt
{PPL} --text utf16.txt
{PPL} --text plain.gz
{PPL} --text bad.jsonl
{PPL} --text cut.jsonl
{PPL} --text list.jsonl
{PPL} --text other.jsonl
{PPL} --text no-text
{PPL} --text sources:no-such-crate
{IDS} nowhere.json
{IDS} cut.json
{IDS} words.json
{IDS} none.json
{IDS} object.json
{IDS} text.txt
eval ppl m --contexts 32 --text text.txt
# RoPEs.
{ROPE} zzz
{ROPE} yarn@0
{ROPE} cut-rope.json
{ROPE} kind-rope.json
{ROPE} new-rope.json
{ROPE} zero-rope.json
{ROPE} object.json
{ROPE} cut.json
{ROPE} empty.csv
{ROPE} words.csv
{ROPE} rows.csv
{ROPE} no-text
{ROPE} llama2-128k
# Settings.
{IDS} tokens.json --config bad.toml
{IDS} tokens.json --config big.toml
{IDS} tokens.json --config no-text
{IDS} tokens.json --set seed=-1
{IDS} tokens.json --set eval.windows=many
{IDS} tokens.json --set eval.windws=1
{IDS} tokens.json --protocol perplexity
{IDS} tokens.json --set eval.bos=window --set device=[]
{SEARCH} --target 32 --out x
{SEARCH} --target 128 --out x --objective needle
{SEARCH} --target 128 --out x --set search.needle-weight=2 --objective combined
{SEARCH} --target 128 --out x --set search.mutation-prob=2
{SEARCH} --target 128 --out x --stage ratios
{SEARCH} --target 128 --out x --init none
recover m --tokens tokens.json --rope yarn --contexts 32 --out x
recover m --tokens tokens.json --contexts 32 --out x
finetune m --tokens tokens.json --out x --rope none pi
finetune m --tokens tokens.json --out x --rope yarn
finetune m --tokens tokens.json --out x --set train.batch=0
finetune m --tokens tokens.json --out x --set train.learning-rate=-1
finetune m --tokens tokens.json --out x --lora --set train.lora.target-modules=["zzz"]
finetune m --tokens tokens.json --out x --set weights=streamed
finetune m --out x
pretrain --out x
extend --config nowhere.toml
extend --config no-stage.toml --out x
extend --config no-verb.toml --out x
extend --config number.toml --out x
report nowhere
report no-text
report damaged
eval passkey t --contexts 16
eval passkey t --contexts 256 --depths 2
eval passkey t --contexts 256 --trials 0
eval passkey t --contexts 256 --resume
eval passkey m --contexts 256
eval needle t --contexts 256 --needles 99
eval needle t --contexts 256 --prompt nothing
eval needle t --contexts 256 --needle nothing
eval ruler t --contexts 512 --tasks zzz
eval ruler t --contexts 512 --tasks qa_1
eval ruler t --contexts 512 --squad cut.json
eval bench t
eval bench t --bench zzz
eval bench t --bench arc-easy --data cut.json
eval bench t --bench arc-easy --data data.parquet
eval bench t --bench arc-easy --data object.json
eval bench t --bench arc-easy --seed 4294967296
"#;

#[test]
fn every_error_of_the_user_has_a_hint() {
    let here = messy_place();
    let known = [
        ("{PPL}", PPL),
        ("{IDS}", IDS),
        ("{ROPE}", ROPE),
        ("{SEARCH}", TINY_SEARCH),
    ];
    let lines: Vec<String> = WRONG
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            known.iter().fold(line.to_owned(), |line, (name, words)| {
                line.replace(name, words)
            })
        })
        .collect();
    assert!(lines.len() >= 60);
    let mut without = Vec::new();
    for line in &lines {
        let outcome = here.run(line);
        let mut hints = outcome
            .stderr
            .lines()
            .filter(|line| line.starts_with("hint: "));
        let is_own = hints.clone().all(|hint| !hint.contains("with -v says"));
        let is_answered = outcome.code == Some(1) && hints.next().is_some() && is_own;
        if !is_answered {
            without.push(format!("{line}: {:?}\n{}", outcome.code, outcome.stderr));
        }
    }
    assert!(without.is_empty(), "{}", without.join("\n"));
}

#[test]
fn a_negative_number_is_answered_as_a_number() {
    let here = Workplace::with_model();
    let message = here.fails("plan m --context -5");
    assert!(message.contains("invalid value '-5'"), "{message}");
    assert!(!message.contains("-- -5"), "{message}");
}

#[test]
fn hints_name_the_verb_that_was_given() {
    let here = Workplace::with_model();
    for (line, hint) in [
        (
            "plan m --context",
            "`longrope plan --help` says what `--context <N>` takes",
        ),
        (
            "eval ppl m --contexts 32 --windows",
            "`longrope eval ppl --help` says what `--windows <N>` takes",
        ),
        ("-v plan m --context", "`longrope plan --help` says"),
        (
            "export m --rope yarn --dtype zzz --out x",
            "choose one of the possible values",
        ),
    ] {
        here.run(line).refused_with(&format!("hint: {hint}"));
    }
}

#[test]
fn a_model_that_a_flag_has_taken_is_named() {
    let here = Workplace::with_tokenizer();
    here.rust_text();
    let message = here.fails("eval ppl --contexts 64 --text text.txt t");
    assert!(
        message.contains("`t` after `--text` is a model"),
        "{message}"
    );
    assert!(message.contains("--model t"), "{message}");
}

#[test]
fn kinds_of_files_are_named_with_a_way_to_text() {
    let here = messy_place();
    for (file, kind, way) in [
        ("columns.txt", "a Parquet file", "ends in .parquet"),
        ("data.parquet", "as a Parquet file", "damaged or cut off"),
        ("other.parquet", "found `body`", "data.text-field"),
        ("book.pdf", "a PDF document", "pdftotext"),
        ("book.epub", "a ZIP archive", "unpack"),
        ("packed.txt", "compressed with gzip", "ends in .gz"),
        ("utf16.txt", "text in UTF-16", "iconv -f UTF-16"),
    ] {
        let message = here.fails(&format!("{PPL} --text {file}"));
        assert!(message.contains(kind) && message.contains(way), "{message}");
    }
}

#[test]
fn verbs_without_token_ids_do_not_propose_them() {
    let here = Workplace::with_model();
    for line in ["generate m --prompt a", "eval passkey m --contexts 256"] {
        let message = here.fails(line);
        assert!(!message.contains("--tokens"), "{message}");
        assert!(message.contains("tokenizer.json"), "{message}");
    }
}

#[test]
fn control_characters_of_files_do_not_reach_the_terminal() {
    let here = Workplace::with_model();
    here.edit_config("m", |config| {
        config["model_type"] = json!("ma\u{1b}[2Jmba\u{7}");
    });
    for line in ["inspect m", "doctor m"] {
        let message = here.fails(line);
        assert!(
            !message.contains('\u{1b}') && !message.contains('\u{7}'),
            "{message:?}"
        );
        assert!(
            message.contains("\\u{1b}[2J") || message.contains("\\u001b"),
            "{message}"
        );
    }
    here.checkpoint("llama-gqa-tied", "a\u{1b}[31mb");
    let text = here.run("inspect a\u{1b}[31mb").worked();
    assert!(!text.contains('\u{1b}'), "{text:?}");
    let json = here.run("inspect a\u{1b}[31mb --json").worked();
    assert!(json.contains("a\\u001b[31mb"), "{json}");
}

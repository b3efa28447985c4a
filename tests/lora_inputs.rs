//! Damaged tokenizers, texts and token files: refused with a hint, and never a panic, a hang or a full memory.

use std::io::Write;

use serde_json::{Value, json};

use crate::support::Workplace;

const PPL: &str = "eval ppl --model t --contexts 16";

/// A checkpoint whose tokenizer was changed.
fn with_tokenizer(edit: impl FnOnce(&mut Value)) -> Workplace {
    let here = Workplace::with_tokenizer();
    let mut tokenizer = here.read_json("t/tokenizer.json");
    edit(&mut tokenizer);
    here.write("t/tokenizer.json", tokenizer.to_string());
    here.rust_text();
    here
}

fn normalizer(value: Value) -> impl FnOnce(&mut Value) {
    move |tokenizer| tokenizer["normalizer"] = value
}

#[test]
fn tokenizers_that_make_the_library_panic_are_named() {
    let replace = |pattern: Value| {
        normalizer(json!({ "type": "Replace", "pattern": pattern, "content": "" }))
    };
    let cases: Vec<(&str, Workplace)> = vec![
        (
            "prepend",
            with_tokenizer(normalizer(json!({ "type": "Prepend", "prepend": "" }))),
        ),
        (
            "charsmap",
            with_tokenizer(normalizer(
                json!({ "type": "Precompiled", "precompiled_charsmap": "AAAA" }),
            )),
        ),
        (
            "charsmap of ones",
            with_tokenizer(normalizer(
                json!({ "type": "Precompiled", "precompiled_charsmap": "/////w==" }),
            )),
        ),
        (
            "empty pattern",
            with_tokenizer(replace(json!({ "String": "" }))),
        ),
        (
            "empty expression",
            with_tokenizer(replace(json!({ "Regex": "" }))),
        ),
        (
            "template",
            with_tokenizer(|tokenizer| {
                tokenizer["post_processor"]["single"][0] =
                    json!({ "SpecialToken": { "id": "<none>", "type_id": 0 } });
            }),
        ),
        (
            "no special tokens",
            with_tokenizer(|tokenizer| {
                tokenizer["post_processor"]["special_tokens"] = json!({});
            }),
        ),
        (
            "no vocabulary",
            with_tokenizer(|tokenizer| {
                tokenizer["model"]["vocab"] = json!({});
            }),
        ),
        (
            "pieces of length 0",
            with_tokenizer(|tokenizer| {
                tokenizer["pre_tokenizer"] = json!({ "type": "FixedLength", "length": 0 });
            }),
        ),
    ];
    for (name, here) in cases {
        for line in [
            format!("{PPL} --text text.txt"),
            "generate t --prompt hello --set generate.max-new-tokens=2".to_owned(),
        ] {
            let outcome = here.run(&line);
            assert!(
                !outcome.stderr.contains("panicked at"),
                "{name}: {}",
                outcome.stderr
            );
            // Some libraries' versions accept some of these.
            if outcome.code != Some(0) {
                let message = outcome.refused();
                assert!(message.contains("t/tokenizer.json"), "{name}: {message}");
            }
        }
    }
}

#[test]
fn files_beside_the_tokenizer_are_checked() {
    for (file, key, value) in [
        ("tokenizer_config.json", "bos_token", json!(0)),
        ("tokenizer_config.json", "add_bos_token", json!("yes")),
        ("special_tokens_map.json", "eos_token", json!(["</s>"])),
    ] {
        let here = Workplace::with_tokenizer();
        here.rust_text();
        here.write(&format!("t/{file}"), json!({ key: value }).to_string());
        let message = here.fails(&format!("{PPL} --text text.txt"));
        assert!(message.contains(file) && message.contains(key), "{message}");
    }
    let here = Workplace::with_tokenizer();
    here.rust_text();
    let config = json!({ "bos_token": { "content": "<s>" }, "eos_token": null });
    here.write("t/tokenizer_config.json", config.to_string());
    here.run(&format!("{PPL} --text text.txt")).worked();
}

#[test]
fn texts_that_cannot_be_read_are_refused() {
    let here = Workplace::with_tokenizer();
    here.write("empty.txt", "");
    here.write("blank.txt", " \r\n\t\n");
    here.write("latin1.txt", b"caf\xe9 au lait");
    here.write("bytes.jsonl", b"{\"text\": \"a\xff\"}\n");
    here.write("null.jsonl", "{\"text\": null}\n");
    here.write("number.jsonl", "{\"text\": 7}\n");
    here.write("list.jsonl", "[\"text\"]\n");
    here.write("other.jsonl", "{\"body\": \"text\"}\n");
    here.write("cut.jsonl", "{\"text\": \"a");
    here.write("none.jsonl", "\n\n");
    here.write("plain.txt.gz", "not compressed");
    here.write("plain.txt.zst", "not compressed");
    fs_err::create_dir(here.path("folder")).unwrap();
    for (file, words) in [
        ("empty.txt", "holds no text"),
        ("blank.txt", "holds no text"),
        ("latin1.txt", "at byte 3"),
        ("bytes.jsonl", "at byte 11"),
        ("number.jsonl", "line 1: field `text` is a number"),
        ("list.jsonl", "line 1: found an array"),
        ("other.jsonl", "line 1: no field `text`"),
        ("cut.jsonl", "line 1: found"),
        ("none.jsonl", "holds no text"),
        ("plain.txt.gz", "cannot read"),
        ("plain.txt.zst", "cannot read"),
        ("folder", "holds no text"),
        ("nowhere.txt", "no such file"),
    ] {
        let message = here.fails(&format!("{PPL} --text {file}"));
        assert!(
            message.contains(words) && message.contains(file),
            "{message}"
        );
    }
    let nothing = here.run(&format!("{PPL} --text null.jsonl"));
    assert_eq!(nothing.code, Some(1), "{}", nothing.stderr);
    for words in ["1 of the 1 lines of `null.jsonl` is null", "holds no text"] {
        assert!(nothing.stderr.contains(words), "{}", nothing.stderr);
    }
}

#[test]
fn unusual_characters_are_text() {
    let here = Workplace::with_tokenizer();
    let line = "a\0b \u{1f98a} e\u{301} <s></s>\r\n";
    here.write("odd.txt", format!("\u{feff}{}", line.repeat(60)));
    here.run(&format!("{PPL} --text odd.txt")).worked();
    here.write("specials.txt", "<s></s>".repeat(60));
    here.run(&format!("{PPL} --text specials.txt")).worked();
    here.write("zeros.txt", "\0".repeat(400));
    here.run(&format!("{PPL} --text zeros.txt")).worked();
}

#[test]
fn token_files_of_other_forms_are_refused() {
    let here = Workplace::with_model();
    fs_err::create_dir(here.path("folder.json")).unwrap();
    for (content, words) in [
        ("[1, 2, 97]", "token 2 is 97"),
        ("[1, -1]", "token 1 is -1"),
        ("[1, 2.0]", "token 1 is 2.0"),
        ("[1e300]", "token 0 is 1e"),
        ("[18446744073709551616]", "token 0 is 1.8"),
        ("[1, \"2\"]", "token 1 is a string"),
        ("[1, null]", "token 1 is null"),
        ("[[[1]]]", "token 0 is an array"),
        ("[[1], 2]", "documents and bare token ids"),
        ("[1, [2]]", "token 1 is an array"),
        ("[]", "no token ids"),
        ("[[1, 2], []]", "no token ids"),
        ("{}", "an object without `tokens`"),
        ("{\"tokens\": null}", "found null"),
        ("{\"tokens\": {\"tokens\": [1]}}", "found an object"),
        ("7", "found a number"),
        ("", "is not JSON"),
        ("[1, 2", "is not JSON"),
        ("\0\0", "is not JSON"),
    ] {
        here.write("odd.json", content);
        let message = here.fails("eval ppl --model m --contexts 16 --tokens odd.json");
        assert!(
            message.contains(words) && message.contains("odd.json"),
            "{content}: {message}"
        );
    }
    here.write("odd.json", "[".repeat(100_000));
    here.run("eval ppl --model m --contexts 16 --tokens odd.json")
        .refused_with("is not JSON");
    here.run("eval ppl --model m --contexts 16 --tokens folder.json")
        .refused_with("is a folder");
    let tokens = here.read("tokens.json");
    here.write("marked.json", format!("\u{feff}{{\"tokens\": [{tokens}]}}"));
    here.run("eval ppl --model m --contexts 16 --tokens marked.json")
        .worked();
}

#[test]
fn a_line_without_end_is_refused_before_it_fills_the_memory() {
    let here = Workplace::with_tokenizer();
    let file = fs_err::File::create(here.path("bomb.jsonl.gz")).unwrap();
    let mut writer = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    writer
        .write_all(b"{\"text\": \"fine\"}\n{\"text\": \"")
        .unwrap();
    let zeros = vec![b'0'; 1 << 20];
    for _ in 0..300 {
        writer.write_all(&zeros).unwrap();
    }
    writer.finish().unwrap();
    here.run(&format!("{PPL} --text bomb.jsonl.gz"))
        .refused_with("`bomb.jsonl.gz`, line 2: more than 256 MiB");
}

#[cfg(unix)]
#[test]
fn devices_and_named_pipes_are_refused_and_piped_text_is_read() {
    let here = Workplace::with_tokenizer();
    here.rust_text();
    let made = std::process::Command::new("mkfifo")
        .arg(here.path("pipe.txt"))
        .status();
    assert!(made.unwrap().success());
    for (path, words) in [
        ("pipe.txt", "is a named pipe"),
        ("/dev/zero", "is a device"),
        ("/dev/null", "is a device"),
    ] {
        for line in [
            format!("{PPL} --text {path}"),
            format!("{PPL} --tokens {path}"),
            format!("generate t --prompt-file {path}"),
        ] {
            here.run(&line).refused_with(words);
        }
    }
    let piped = assert_cmd::Command::from(here.command(&format!("{PPL} --text /dev/stdin --json")))
        .write_stdin(here.read("text.txt"))
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&piped.stderr);
    assert_eq!(piped.status.code(), Some(0), "{error}");
    let read: Value = serde_json::from_slice(&piped.stdout).unwrap();
    let named = here.run(&format!("{PPL} --text text.txt --json")).worked();
    let named: Value = serde_json::from_str(&named).unwrap();
    assert_eq!(read["results"][0]["ppl"], named["results"][0]["ppl"]);
}

#[test]
fn llama_cpp_replaces_a_token_only_where_the_tokenizer_adds_one() {
    let measured = |edit: &dyn Fn(&Workplace)| {
        let here = Workplace::with_tokenizer();
        here.rust_text();
        edit(&here);
        let line = "eval ppl --model t --text text.txt --contexts 64 --protocol llama.cpp --json";
        let report = here.run(line).worked();
        let report: Value = serde_json::from_str(&report).unwrap();
        let result = report["results"][0].clone();
        (
            result["bos"].as_str().unwrap().to_owned(),
            result["ppl"].as_f64().unwrap(),
        )
    };
    let config = |here: &Workplace, add: Value| {
        let mut config = here.read_json("t/tokenizer_config.json");
        config["add_bos_token"] = add;
        here.write("t/tokenizer_config.json", config.to_string());
    };
    let byte_level = |here: &Workplace| {
        let mut tokenizer = here.read_json("t/tokenizer.json");
        tokenizer["post_processor"] = json!({
            "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true
        });
        here.write("t/tokenizer.json", tokenizer.to_string());
    };
    let template = measured(&|_| {});
    assert_eq!(template.0, "replaced");
    let without = measured(&|here| byte_level(here));
    assert_eq!(without.0, "none");
    assert!(
        (without.1 - template.1).abs() > 1e-6,
        "{without:?} {template:?}"
    );
    assert_eq!(measured(&|here| config(here, json!(false))), without);
    let asked_for = measured(&|here| {
        byte_level(here);
        config(here, json!(true));
    });
    assert_eq!(asked_for, template, "the same windows as with a template");
}

//! GGUF files: what is written, read back, refused.

use serde_json::{Value, json};

use crate::support::{Workplace, number, two_sets};

/// A RoPE with a short and a long set.
fn rope(start_tokens: usize) -> String {
    two_sets([1.25, 4.0], start_tokens, &json!({"type": "su"}))
}

/// The losses of a model within its original context and beyond it.
fn losses(here: &Workplace, model: &str, rope: &str) -> [f64; 2] {
    let line = format!(
        "eval ppl {model} --tokens tokens.json --contexts 32,128 --windows 2 --rope {rope} --json"
    );
    let results = here.compute_json(&line);
    [0, 1].map(|i| number(&results, &format!("/results/{i}/nll_nats")))
}

fn assert_close(found: [f64; 2], expected: [f64; 2], tolerance: f64, what: &str) {
    for (found, expected) in found.into_iter().zip(expected) {
        let difference = (found - expected).abs();
        assert!(
            difference < tolerance,
            "{what}: {found} instead of {expected}"
        );
    }
}

#[test]
fn a_gguf_file_has_the_losses_of_its_model() {
    let here = Workplace::with_model();
    here.write("rope.json", rope(0));
    let expected = losses(&here, "m", "rope.json");
    let plain = losses(&here, "m", "none");
    assert!((expected[1] - plain[1]).abs() > 1e-3, "the factors matter");
    let export = "export m --rope rope.json --format gguf";
    for (dtype, tolerance) in [
        ("f32", 1e-5),
        ("keep", 1e-5),
        ("bf16", 0.02),
        ("q8_0", 0.01),
    ] {
        let out = format!("{dtype}.gguf");
        here.run(&format!("{export} --dtype {dtype} --out {out}"))
            .worked();
        let found = losses(&here, &out, "checkpoint");
        assert_close(found, expected, tolerance, dtype);
    }
}

#[test]
fn one_set_serves_all_lengths_on_request() {
    let here = Workplace::with_model();
    here.write("rope.json", rope(0));
    let both = losses(&here, "m", "rope.json");
    let export = "export m --rope rope.json --format gguf --dtype f32";
    here.run(&format!("{export} --sets long --out long.gguf"))
        .worked();
    let long = losses(&here, "long.gguf", "checkpoint");
    assert!((long[1] - both[1]).abs() < 1e-5 && (long[0] - both[0]).abs() > 1e-4);
    here.run(&format!("{export} --sets short --out short.gguf"))
        .worked();
    let inspection = here.inspection("short.gguf");
    assert_eq!(inspection["max_context"], 32);
    let section = &inspection["rope"]["scaling"]["sets"];
    assert_eq!(section[0]["factors"], section[1]["factors"]);
}

#[test]
fn the_context_that_is_shown_is_that_of_the_file() {
    let here = Workplace::with_model();
    // The short set serves texts beyond the original context of 32 tokens.
    here.write(
        "rope.json",
        rope(0).replace("\"max_context\":32", "\"max_context\":64"),
    );
    let exported = here
        .run("export m --rope rope.json --format gguf --sets short --out short.gguf")
        .worked();
    let context = here.inspection("short.gguf")["max_context"].clone();
    let shown = format!("wrote short.gguf: {context} tokens");
    assert!(exported.contains(&shown), "{exported}");
}

#[test]
fn families_are_read_back_as_they_were() {
    for (family, rope) in [
        ("granite", "checkpoint"),
        ("minicpm", "checkpoint"),
        ("seed_oss", "checkpoint"),
        ("internlm3", "yarn"),
        ("qwen3", "yarn"),
        ("olmo2", "pi"),
    ] {
        let here = Workplace::of_family(family);
        // The same context, whatever the config says.
        let target = if rope == "checkpoint" {
            ""
        } else {
            "--target 512"
        };
        here.run(&format!("export m --rope {rope} {target} --out hf"))
            .worked();
        let line =
            format!("export m --rope {rope} {target} --format gguf --dtype f32 --out x.gguf");
        here.run(&line).worked();
        let expected = losses(&here, "hf", "checkpoint");
        let found = losses(&here, "x.gguf", "checkpoint");
        assert_close(found, expected, 1e-4, family);
    }
}

#[test]
fn the_tokenizer_is_read_back() {
    let here = Workplace::with_tokenizer();
    here.rust_text();
    here.run("export t --rope yarn --target 1024 --format gguf --out t.gguf")
        .worked();
    let line = |model: &str, rope: &str| {
        let flags = "--text text.txt --contexts 512 --windows 2 --json";
        here.compute_json(&format!("eval ppl {model} {flags} --rope {rope}"))
    };
    let (found, expected) = (line("t.gguf", "checkpoint"), line("t", "yarn@1024"));
    let nats = |results: &Value| number(results, "/results/0/nll_nats");
    assert!((nats(&found) - nats(&expected)).abs() < 1e-4);
}

#[test]
fn what_is_lost_is_said() {
    let here = Workplace::with_model();
    here.write("rope.json", rope(4));
    let outcome = here.run("export m --rope rope.json --format gguf --out x.gguf");
    assert!(
        outcome
            .stderr
            .contains("cannot leave the first 4 positions unscaled"),
        "{}",
        outcome.stderr
    );
    assert!(outcome.stderr.contains("has no tokenizer.json"));
    outcome.worked();
}

#[test]
fn settings_of_generation_that_cannot_be_read_are_no_obstacle() {
    let here = Workplace::with_model();
    for (i, text) in ["{", "[]", r#"{"eos_token_id": -1}"#].iter().enumerate() {
        here.write("m/generation_config.json", text);
        let outcome = here.run(&format!(
            "export m --rope checkpoint --format gguf --out x{i}.gguf"
        ));
        let words = "only the tokens that config.json names end a text";
        assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
        outcome.worked();
    }
}

#[test]
fn the_name_of_a_file_is_not_taken_for_a_folder() {
    let here = Workplace::with_model();
    let export = "export m --rope ntk --target 128 --out x.gguf";
    let message = here.fails(export);
    assert!(message.contains("add --format gguf"), "{message}");
    assert!(!here.path("x.gguf").exists());
    here.run(&format!("{export} --format hf")).worked();
    assert!(here.path("x.gguf/config.json").is_file());
}

#[test]
fn files_are_replaced_only_if_they_are_gguf() {
    let here = Workplace::with_model();
    let export = "export m --rope ntk --target 128 --format gguf";
    here.run(&format!("{export} --out x.gguf")).worked();
    here.run(&format!("{export} --out x.gguf"))
        .refused_with("exists already");
    here.run(&format!("{export} --out x.gguf --force")).worked();
    here.write("notes.gguf", "precious");
    here.run(&format!("{export} --out notes.gguf --force"))
        .refused_with("is not replaced");
    assert_eq!(here.read("notes.gguf"), "precious");
    here.run(&format!("{export} --out x"))
        .refused_with("ends in .gguf");
}

#[test]
fn flags_of_the_other_format_are_refused() {
    let here = Workplace::with_model();
    let export = "export m --rope ntk --target 128";
    here.run(&format!("{export} --sets long --out x"))
        .refused_with("--sets is for --format gguf");
    here.run(&format!("{export} --dtype q8_0 --out x"))
        .refused_with("q8_0 is for --format gguf");
    here.run(&format!(
        "{export} --format gguf --max-shard-size 1GB --out x.gguf"
    ))
    .refused_with("--max-shard-size is for --format hf");
}

#[test]
fn models_that_llama_cpp_does_not_compute_are_refused() {
    let here = Workplace::of_family("gemma2");
    here.run("export m --rope ntk --target 512 --format gguf --out x.gguf")
        .refused_with("cannot be written as GGUF");
    let here = Workplace::of_family("qwen3");
    here.run("export m --rope llama3 --target 512 --format gguf --out x.gguf")
        .refused_with("reads no rescale factors for its architecture `qwen3`");
    assert!(!here.path("x.gguf").exists());
}

#[test]
fn damaged_gguf_files_are_refused() {
    let here = Workplace::with_model();
    here.run("export m --rope ntk --target 128 --format gguf --out x.gguf")
        .worked();
    let bytes = fs_err::read(here.path("x.gguf")).unwrap();
    here.write("cut.gguf", &bytes[..bytes.len() / 2]);
    here.write("text.gguf", "this is text");
    for verb in ["inspect", "doctor"] {
        here.run(&format!("{verb} cut.gguf"))
            .refused_with("is truncated");
        here.run(&format!("{verb} text.gguf"))
            .refused_with("is not a GGUF file");
    }
}

/// The line with the hint of a refusal.
fn hint_of(message: &str) -> &str {
    let hint = message.lines().find(|line| line.starts_with("hint: "));
    hint.unwrap_or("no hint")
}

#[test]
fn gguf_files_that_are_missing_empty_or_unnamed_are_called_that() {
    let here = Workplace::with_model();
    here.run("export m --rope ntk --target 128 --format gguf --out x.gguf")
        .worked();
    fs_err::rename(here.path("x.gguf"), here.path("unnamed")).unwrap();
    let message = here.fails("inspect x.gguf");
    assert!(!message.contains("is not a folder"), "{message}");
    assert!(hint_of(&message).contains("check the path"), "{message}");
    here.write("x.gguf", "");
    here.run("inspect x.gguf").refused_with("is empty");
    let message = here.fails("inspect unnamed");
    assert!(hint_of(&message).contains("ends in .gguf"), "{message}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_cache_that_cannot_be_written_is_named() {
    let here = Workplace::with_model();
    here.run("export m --rope ntk --target 128 --format gguf --out x.gguf")
        .worked();
    for variables in [
        [("XDG_CACHE_HOME", ""), ("HOME", "/proc")],
        [("XDG_CACHE_HOME", ""), ("HOME", "")],
    ] {
        let message = here.run_with("inspect x.gguf", &variables).refused();
        let hint = hint_of(&message);
        assert!(hint.contains("XDG_CACHE_HOME"), "{message}");
        assert_eq!(message.matches("hint: ").count(), 1, "{message}");
    }
}

#[test]
fn a_doctor_looks_into_gguf_files() {
    let here = Workplace::with_model();
    here.write("rope.json", rope(0));
    here.run("export m --rope rope.json --format gguf --out x.gguf")
        .worked();
    let report = here.run("doctor x.gguf --json").worked();
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["model"], "x.gguf");
}

#[test]
fn a_file_is_not_replaced_by_its_own_export() {
    let here = Workplace::with_model();
    here.write("rope.json", rope(0));
    here.run("export m --rope rope.json --format gguf --dtype q8_0 --out a.gguf")
        .worked();
    let before = fs_err::read(here.path("a.gguf")).unwrap();
    here.run("export a.gguf --rope yarn --target 64 --format gguf --force --out ./a.gguf")
        .refused_with("`./a.gguf` is not replaced: it is the model");
    assert_eq!(fs_err::read(here.path("a.gguf")).unwrap(), before);
}

#[test]
fn recipes_and_runs_name_the_file_and_not_what_was_unpacked() {
    let here = Workplace::with_model();
    here.write("rope.json", rope(0));
    here.run("export m --rope rope.json --format gguf --out a.gguf")
        .worked();
    here.write(
        "recipe.toml",
        "model = \"a.gguf\"\nout = \"run\"\ntokens = \"tokens.json\"\n\n\
         [[stage]]\nverb = \"search\"\nsearch = { target = 256, samples = 1, population = 4, parents = 2, mutations = 1, crossovers = 1, generations = 1 }\n\n\
         [[stage]]\nverb = \"export\"\n",
    );
    here.run("extend --config recipe.toml --dry-run").worked();
    here.run("extend --config recipe.toml").worked();
    let settings = fs_err::read_to_string(here.path("run/01-search/config.toml")).unwrap();
    assert!(settings.contains("model = \"a.gguf\""), "{settings}");
    let result = here.read_json("run/01-search/search/result.json");
    assert_eq!(result["source"]["model"], "a.gguf");
    here.run(
        "finetune a.gguf --tokens tokens.json --context 32 --steps 1 --out trained --dashboard off \
         --set train.eval-windows=0 --set train.warmup-steps=0",
    )
    .worked();
    let header = here.read_json_lines("trained/metrics.jsonl").swap_remove(0);
    assert_eq!(header["source"]["model"], "a.gguf");
    fs_err::remove_dir_all(here.path("cache")).unwrap();
    here.run("export run/01-search --out again").worked();
    let exported = |folder: &str| fs_err::read(here.path(folder).join("config.json")).unwrap();
    assert_eq!(exported("again"), exported("run/02-export/checkpoint"));
}

#[test]
fn a_file_that_changes_has_one_copy_in_the_cache() {
    let here = Workplace::with_model();
    here.run("export m --rope ntk --target 128 --format gguf --out x.gguf")
        .worked();
    let names = || {
        let entries = fs_err::read_dir(here.path("cache/longrope/gguf")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name());
        names.collect::<Vec<_>>()
    };
    here.run("inspect x.gguf").worked();
    let before = names();
    // As of a process that was killed while it unpacked.
    for name in ["lock", "new/model.safetensors"] {
        let path = here.path("cache/longrope/gguf/.unpacking-1").join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, "").unwrap();
    }
    here.run("inspect x.gguf").worked();
    assert_eq!(names(), before);
    // The same content, written later.
    let bytes = fs_err::read(here.path("x.gguf")).unwrap();
    here.write("x.gguf", bytes);
    here.run("inspect x.gguf").worked();
    assert_eq!(names().len(), 1);
    assert_ne!(names(), before);
}

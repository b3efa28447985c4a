//! What a folder without a readable model holds instead, and what to do about it.

use safetensors::SafeTensors;
use serde_json::json;

use crate::support::Workplace;

const INSPECT: &str = "inspect m";

/// The hint of the refusal to inspect `m`, after some files were put into it.
fn hint(files: &[(&str, &str)]) -> String {
    let here = Workplace::new();
    fs_err::create_dir(here.path("m")).unwrap();
    for (name, text) in files {
        let path = here.path("m").join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }
    hint_of(&here.fails(INSPECT))
}

fn hint_of(message: &str) -> String {
    let hint = message.lines().find_map(|line| line.strip_prefix("hint: "));
    hint.unwrap().to_owned()
}

#[test]
fn a_saved_state_of_adapters_is_called_that() {
    let here = Workplace::new();
    let state = here.path("my run/step-000002");
    fs_err::create_dir_all(state.join("adapter")).unwrap();
    for file in ["state.json", "optimizer.safetensors"] {
        fs_err::write(state.join(file), "{}").unwrap();
    }
    let hint = || {
        let mut command = here.command("inspect");
        let output = command.arg("my run/step-000002").output().unwrap();
        hint_of(&String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(
        hint(),
        "this is a saved state of a training, which holds only adapters: end the training with \
         `longrope finetune --resume --out 'my run'`, and give the folder `model` that it writes"
    );
    let model = here.path("my run/model");
    fs_err::create_dir(&model).unwrap();
    for file in ["config.json", "model.safetensors"] {
        fs_err::write(model.join(file), "{}").unwrap();
    }
    assert_eq!(
        hint(),
        "this is a saved state of a training, which holds only adapters: give the trained model, \
         `my run/model`; `longrope export 'my run' --adapter` writes the adapters"
    );
}

#[test]
fn hints_are_made_from_what_is_in_the_folder() {
    let config = (
        "config.json",
        include_str!("fixtures/models/llama-gqa-tied/config.json"),
    );
    let adapter = r#"{"peft_type": "LORA", "base_model_name_or_path": "o/base"}"#;
    for (files, words) in [
        (vec![], "the folder is empty"),
        (
            vec![("notes.txt", "")],
            "give the folder that holds config.json",
        ),
        (vec![config], "download the safetensors files too"),
        (vec![config, ("pytorch_model.bin", "")], "PyTorch files"),
        (
            vec![config, ("pytorch_model.bin.index.json", "{}")],
            "PyTorch files",
        ),
        (vec![config, ("tf_model.h5", "")], "save_pretrained"),
        (
            vec![config, ("model-00001-of-00002.safetensors", "")],
            "model.safetensors.index.json",
        ),
        (
            vec![config, ("model.fp16.safetensors", "")],
            "rename it to model.safetensors",
        ),
        (vec![("model.safetensors", "")], "config.json is not"),
        (
            vec![
                ("adapter_config.json", adapter),
                ("adapter_model.safetensors", ""),
            ],
            "the base model `o/base`",
        ),
        (
            vec![("adapter_config.json", "{"), config],
            "low-rank adapters",
        ),
        (vec![("m.Q4_K_M.gguf", "")], "GGUF"),
        (
            vec![("consolidated.00.pth", ""), ("params.json", "{}")],
            "format of their authors",
        ),
        (
            vec![("consolidated.safetensors", ""), ("params.json", "{}")],
            "format of their authors",
        ),
        (
            vec![
                ("sub/config.json", "{}"),
                ("sub/model.safetensors", ""),
                ("notes.txt", ""),
            ],
            "the model is in `m/sub`",
        ),
        (
            vec![
                ("snapshots/01/config.json", "{}"),
                ("snapshots/01/model.safetensors", ""),
            ],
            "`m/snapshots/01`",
        ),
    ] {
        let hint = hint(&files);
        assert!(hint.contains(words), "{files:?}: {hint}");
    }
}

#[test]
fn files_in_the_place_of_a_folder_are_looked_at() {
    let here = Workplace::with_model();
    for (name, words) in [
        ("a.gguf", "GGUF"),
        ("a.bin", "PyTorch"),
        ("a.tar.gz", "unpack"),
        ("a.txt", "give the folder"),
    ] {
        here.write(name, "");
        let hint = hint_of(&here.fails(&format!("inspect {name}")));
        assert!(hint.contains(words), "{name}: {hint}");
    }
    for file in ["m/config.json", "m/model.safetensors"] {
        let hint = hint_of(&here.fails(&format!("inspect {file}")));
        assert!(hint.contains("`m`"), "{hint}");
    }
    let hint = hint_of(&here.fails("inspect meta-llama/Llama-2-7b-hf"));
    assert!(hint.contains("hf:meta-llama/Llama-2-7b-hf"), "{hint}");
    // These are no names of the hub.
    fs_err::create_dir(here.path("mine")).unwrap();
    for name in ["models/Llama-2-7b-hf", "runs/a", "mine/Llama-2-7b-hf"] {
        let message = here.fails(&format!("inspect {name}"));
        assert!(message.contains("does not exist"), "{message}");
        assert!(!message.contains("hf:"), "{message}");
    }
}

#[test]
fn the_folder_of_a_search_is_neither_a_model_nor_a_rope() {
    let here = Workplace::with_model();
    fs_err::create_dir_all(here.path("runs/a/search")).unwrap();
    here.write("runs/a/rope.json", "{}");
    here.write("runs/a/run.json", "{}");
    here.write("runs/a/config.toml", "model = \"m\"\n");
    for line in [
        "inspect runs/a",
        "doctor runs/a",
        "plan runs/a --context 64",
        "eval ppl runs/a --tokens tokens.json --contexts 32",
        "export m --rope runs/a --out x",
        "eval ppl m --tokens tokens.json --contexts 32 --rope runs/a",
    ] {
        assert_eq!(
            hint_of(&here.fails(line)),
            "`runs/a` is the folder of a search: its factors are `runs/a/rope.json`, for --rope; its model is `m`",
            "{line}"
        );
    }
}

#[test]
fn quantized_weights_are_named() {
    let here = Workplace::with_model();
    for method in ["fp8", "bitsandbytes", "gptq", "awq", "compressed-tensors"] {
        here.edit_config("m", |config| {
            config["quantization_config"] = json!({"quant_method": method});
            config["intermediate_size"] = 96.into();
        });
        let hint = hint_of(&here.fails(INSPECT));
        assert!(
            hint.contains("quantized") && hint.contains(method),
            "{hint}"
        );
    }
    fs_err::remove_file(here.path("m/model.safetensors")).unwrap();
    let hint = hint_of(&here.fails(INSPECT));
    assert!(hint.contains("quantized"), "{hint}");
}

#[test]
fn packed_weights_are_to_be_converted() {
    let here = Workplace::with_model();
    let whole = fs_err::read(here.path("m/model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&whole).unwrap();
    let packed = "model.layers.0.mlp.down_proj.weight";
    let parts = tensors.iter().flat_map(|(name, view)| {
        let ends: &[&str] = if name == packed {
            &["_blocks", "_scales"]
        } else {
            &[""]
        };
        ends.iter()
            .map(move |end| (format!("{name}{end}"), view.clone()))
    });
    safetensors::serialize_to_file(parts, None, &here.path("m/model.safetensors")).unwrap();
    let message = here.fails(INSPECT);
    assert!(
        message.contains(&format!("`{packed}` is stored as MXFP4")),
        "{message}"
    );
    assert!(hint_of(&message).contains("dequantize=True"), "{message}");
}

#[test]
fn stacked_experts_are_to_be_saved_again() {
    let here = Workplace::of_family("mixtral");
    let whole = fs_err::read(here.path("m/model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&whole).unwrap();
    // The names that transformers has for them in memory.
    let views = tensors.iter().map(|(name, view)| {
        let name = name.replace(
            "block_sparse_moe.experts.0.w1.weight",
            "mlp.experts.gate_up_proj",
        );
        (
            name.replace(
                "block_sparse_moe.experts.0.w2.weight",
                "mlp.experts.down_proj",
            ),
            view,
        )
    });
    safetensors::serialize_to_file(views, None, &here.path("m/model.safetensors")).unwrap();
    let hint = hint_of(&here.fails(INSPECT));
    assert!(hint.contains("the experts are stacked"), "{hint}");
}

#[test]
fn tensor_names_of_another_wrapper_are_explained() {
    let here = Workplace::with_model();
    let whole = fs_err::read(here.path("m/model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&whole).unwrap();
    let renamed = |rename: &dyn Fn(&str) -> String| {
        let views = tensors.iter().map(|(name, view)| (rename(name), view));
        safetensors::serialize_to_file(views, None, &here.path("m/model.safetensors")).unwrap();
        hint_of(&here.fails(INSPECT))
    };
    let hint = renamed(&|name| format!("_orig_mod.{name}"));
    assert!(hint.contains("`_orig_mod.`"), "{hint}");
    let hint = renamed(&|name| name.replacen("model.", "", 1));
    assert!(hint.contains("AutoModelForCausalLM"), "{hint}");
    here.edit_config("m", |config| config["tie_word_embeddings"] = false.into());
    let hint = renamed(&str::to_owned);
    assert!(hint.contains("tie_word_embeddings"), "{hint}");
}

#[test]
fn a_pointer_of_git_lfs_is_named() {
    let here = Workplace::with_model();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n";
    here.write("m/model.safetensors", pointer);
    let hint = hint_of(&here.fails(INSPECT));
    assert!(hint.contains("git lfs pull"), "{hint}");
}

#[test]
fn a_damaged_index_has_a_hint() {
    let here = Workplace::new();
    here.checkpoint("llama-sharded-bf16", "m");
    for index in [
        "",
        "{",
        "[]",
        "{}",
        r#"{"weight_map": 3}"#,
        r#"{"weight_map": {}}"#,
        r#"{"weight_map": {"a": null}}"#,
        r#"{"weight_map": {"a": "../a.safetensors"}}"#,
        r#"{"weight_map": {"a": "/etc/passwd"}}"#,
        r#"{"weight_map": {"a": "missing.safetensors"}}"#,
    ] {
        here.write("m/model.safetensors.index.json", index);
        let message = here.fails(INSPECT);
        assert!(
            !message.contains("config.json that was published"),
            "{message}"
        );
        here.fails("export --model m --rope yarn --target 128 --out x");
        assert!(!here.path("x").exists());
    }
}

#[test]
fn headers_that_lie_are_refused() {
    let here = Workplace::with_model();
    let file = |header: &str, n_bytes: usize| {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.resize(bytes.len() + n_bytes, 0);
        bytes
    };
    let entry = |dtype: &str, shape: &str, from: u64, to: u64| {
        format!(r#"{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{from},{to}]}}"#)
    };
    let a = entry("F32", "[2]", 0, 8);
    let huge = "[4294967296,4294967296]";
    for header in [
        String::new(),
        "[]".to_owned(),
        "{".to_owned(),
        r#"{"a":3}"#.to_owned(),
        format!(r#"{{"a":{a},"a":{a}}}"#),
        format!(r#"{{"a":{a},"b":{}}}"#, entry("F32", "[2]", 4, 12)),
        format!(r#"{{"a":{a},"b":{}}}"#, entry("F32", "[2]", 16, 24)),
        format!(r#"{{"a":{}}}"#, entry("F32", "[2]", 8, 0)),
        format!(r#"{{"a":{}}}"#, entry("F32", "[3]", 0, 8)),
        format!(r#"{{"a":{}}}"#, entry("F32", huge, 0, 8)),
        format!(r#"{{"a":{}}}"#, entry("F32", "[-1]", 0, 8)),
        format!(r#"{{"a":{}}}"#, entry("Q4", "[2]", 0, 8)),
        format!(
            r#"{{"a":{}}}"#,
            entry("U8", "[9223372036854775807]", 0, 9_223_372_036_854_775_807)
        ),
    ] {
        here.write("m/model.safetensors", file(&header, 8));
        here.run(INSPECT)
            .refused_with("is not a readable safetensors file");
    }
    for length in [u64::MAX, 1 << 63, 1 << 40, 17] {
        here.write(
            "m/model.safetensors",
            [length.to_le_bytes(), [0; 8]].concat(),
        );
        here.run(INSPECT)
            .refused_with("is not a readable safetensors file");
    }
    // Readable, but of types and shapes that no model has.
    for (dtype, n_bytes) in [
        ("I64", 8),
        ("BOOL", 1),
        ("F8_E4M3", 1),
        ("U8", 1),
        ("C64", 8),
    ] {
        let header = format!(
            r#"{{"model.norm.weight":{}}}"#,
            entry(dtype, "[32]", 0, 32 * n_bytes)
        );
        let n_bytes = usize::try_from(32 * n_bytes).unwrap();
        here.write("m/model.safetensors", file(&header, n_bytes));
        here.run(INSPECT).refused_with("do not fit");
    }
    let header = format!(
        r#"{{"model.norm.weight":{}}}"#,
        entry("F32", "[0,32]", 0, 0)
    );
    here.write("m/model.safetensors", file(&header, 0));
    here.run(INSPECT).refused_with("do not fit");
    here.write("m/model.safetensors", file("{}", 0));
    here.run(INSPECT).refused_with("do not fit");
}

//! `longrope doctor` on kinds of checkpoints.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::Workplace;

/// The config of the published Phi-3-mini-128k, with heads of 8.
fn phi3() -> Value {
    json!({
        "model_type": "phi3", "hidden_size": 32, "num_attention_heads": 4,
        "max_position_embeddings": 131_072, "original_max_position_embeddings": 4096,
        "rope_theta": 10000.0,
        "rope_scaling": {
            "type": "longrope",
            "short_factor": [1.05, 1.1, 1.5, 2.0],
            "long_factor": [1.08, 4.0, 30.0, 64.8],
        },
    })
}

/// A LLaMA with longrope, as written by transformers 5.
fn llama() -> Value {
    json!({
        "model_type": "llama", "hidden_size": 32, "num_attention_heads": 4,
        "max_position_embeddings": 131_072,
        "rope_parameters": {
            "rope_type": "longrope", "rope_theta": 500_000.0, "original_max_position_embeddings": 8192,
            "short_factor": [1.0, 1.0, 1.0, 1.0],
            "long_factor": [1.0, 4.0, 21.8, 26.05],
            "attention_factor": 1.0,
        },
    })
}

/// YaRN as recommended by the model cards of Qwen2.5, with `max_position_embeddings` unchanged.
fn yarn() -> Value {
    json!({
        "model_type": "qwen2", "hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 4,
        "max_position_embeddings": 32768, "rope_theta": 1_000_000.0,
        "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768},
    })
}

/// A LLaMA saved by transformers 5, with YaRN added in the older spelling.
fn contradiction() -> Value {
    json!({
        "model_type": "llama", "hidden_size": 32, "num_attention_heads": 4,
        "max_position_embeddings": 4096,
        "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 1024},
        "rope_parameters": {"rope_type": "default", "rope_theta": 500_000.0},
    })
}

/// The output up to the sources, which are the same for all.
fn diagnose(config: &Value) -> String {
    let here = Workplace::new();
    here.write("config.json", config.to_string());
    before_sources(&here.run("doctor config.json").worked())
}

fn before_sources(output: &str) -> String {
    let (diagnosis, _) = output.split_once("\n\nRead in these sources").unwrap();
    diagnosis.to_owned()
}

#[test]
fn phi3_as_published() {
    assert_snapshot!(diagnose(&phi3()), @r"
    phi3 with longrope RoPE, original context 4096, claimed context 131072

    What each runtime computes
      transformers 4, transformers 5
        factors short 1.05..2, long 1.08..64.8; attention scale 1.1902
        chosen per forward above 4096, cache recomputed; default context no limit
      vLLM
        factors short 1.05..2, long 1.08..64.8; attention scale 1.1902
        chosen at load, max_model_len above 4096; default context 4096
      SGLang
        factors short 1.05..2, long 1.08..64.8; attention scale 1.1902
        chosen per forward above 4097, cache kept; default context 131072
      llama.cpp
        factors short 1.05..2, long 1.08..64.8; attention scale 1.1902
        chosen at load, n_ctx above 4096; default context 131072
      mlx-lm
        factors long 1.08..64.8; attention scale 1.1902
        always the long ones; default context no limit
      exllamav3
        factors short 1.05..2, long 1.08..64.8; attention scale 1.1902
        chosen at load, length asked for above 4096; default context no limit
      mistral.rs
        factors short 1.05..2, long 1.08..64.8; attention scale 1.1902
        chosen per forward above 4096, cache kept; default context 131072
      candle
        factors short 0.9524..0.5, long 0.9259..0.0154; attention scale 1
        chosen per token from position 4096; default context 131072
      ONNX Runtime GenAI
        factors short 1.05..2, long 1.08..64.8; attention scale 1.1902
        chosen per forward above 4096, cache recomputed; default context 131072
      longrope
        factors short 1.05..2, long 1.08..64.8; attention scale 1.1902
        chosen per sequence above 4096; default context no limit

    Disagreements
      transformers 4, transformers 5, ONNX Runtime GenAI: chooses by the largest
          position of each forward pass, over the whole batch, and recomputes the
          cache when a generation crosses the border; prefill in chunks mixes both
          sets in one cache, and one long row changes the short rows of its batch
      vLLM: chooses once at load: a server with max_model_len above 4096 uses the
          long factors for every request; no cache is ever mixed, but short requests
          lose quality on a server for long ones
      vLLM: serves 4096 tokens by default, but the config claims 131072; longer
          requests are refused, and the long factors stay unused
      SGLang, mistral.rs: chooses by the largest position of each forward pass, over
          the whole batch, and keeps the cache when a generation crosses the border;
          a generation across the border and prefill in chunks mix both sets in one
          cache, which ruins the text
      llama.cpp: chooses once by the allocated context (131072 tokens by default)
          and above 4096 uses the long factors for all texts; short texts lose
          quality in a large context
      mlx-lm: always uses the long factors and never the short ones; no cache is
          ever mixed, but short texts lose quality
      exllamav3: chooses once at load by `override_dynamic_seq_len`, else by the
          claimed context 131072: above 4096 all texts get the long factors; no
          cache is ever mixed, but short texts lose quality beside long ones
      candle: multiplies frequencies by the factors, where all others divide by
          them; wrong angles wherever a factor is not 1
      candle: has no attention scale; attention is softer than in training
      candle: chooses the factors of each token by its position, in a table of the
          model's number type; a long text mixes both sets in one sequence, and a
          bf16 table is too coarse for far positions

    What to do
      transformers 4, transformers 5, ONNX Runtime GenAI: prefill in one pass, and
          do not batch texts of up to 4096 tokens with longer ones
      SGLang, mistral.rs: keep prompt and new tokens together within 4096, or begin
          with a prompt above it; prefill in one pass, and do not batch texts of up
          to 4096 tokens with longer ones
      vLLM: `--max-model-len 131072` for long requests, `--max-model-len 4096` on a
          server for short ones
      llama.cpp: `-c N` with N above 4096 for long texts, `-c 4096` or less for
          short ones
      exllamav3: call `config.override_dynamic_seq_len(4096)` before loading for
          short texts; else all get the long factors
      candle: run this checkpoint elsewhere
    ");
}

#[test]
fn llama_in_the_new_spelling() {
    assert_snapshot!(diagnose(&llama()), @r"
    llama with longrope RoPE, original context 8192, claimed context 131072

    What each runtime computes
      transformers 4, mlx-lm
        factors 1 (plain RoPE); attention scale 1; theta 10000
        for all lengths; default context no limit
      transformers 5
        factors short 1, long 1..26.05; attention scale 1
        chosen per forward above 8192, cache kept; default context no limit
      vLLM
        factors short 1, long 1..26.05; attention scale 1.1435
        chosen at load, max_model_len above 8192; default context 131072
      SGLang
        factors short 1, long 1..26.05; attention scale 1.1435
        chosen per forward above 8193, cache kept; default context 131072
      llama.cpp, ONNX Runtime GenAI
        factors 1 (plain RoPE); attention scale 1
        for all lengths; default context 131072
      exllamav3
        factors long 1..26.05; attention scale 1.1435
        always the long ones; default context no limit
      mistral.rs
        does not load
      candle
        factors 1 (plain RoPE); attention scale 1; theta 10000
        for all lengths; default context 131072
      longrope
        factors short 1, long 1..26.05; attention scale 1
        chosen per sequence above 8192; default context no limit

    Disagreements
      transformers 4, mlx-lm, candle: does not read `rope_parameters` and computes
          plain RoPE with theta 10000; the model was not trained for these angles
      transformers 5, SGLang: chooses by the largest position of each forward pass,
          over the whole batch, and keeps the cache when a generation crosses the
          border; a generation across the border and prefill in chunks mix both sets
          in one cache, which ruins the text
      vLLM, SGLang: reads `short_mscale` and `long_mscale`, not `attention_factor`
          or `factor` of longrope, and uses 1.1435; attention is sharper or softer
          than in training
      vLLM: chooses once at load: a server with max_model_len above 8192 uses the
          long factors for every request; no cache is ever mixed, but short requests
          lose quality on a server for long ones
      llama.cpp: its converter writes the name of the type but no factors for
          `llama` models: plain RoPE, attention scale 1; the extension is silently
          lost
      exllamav3: always uses the long factors, because the claimed context is above
          the original one; no cache is ever mixed, but short texts lose quality
      exllamav3: computes the attention scale from max / original and uses 1.1435;
          `attention_factor`, `factor`, `short_mscale` and `long_mscale` have no
          effect
      mistral.rs: it finds no `rope_theta` at the top level; the checkpoint does not
          load
      ONNX Runtime GenAI: its builder knows only llama3 for `llama` models and drops
          this longrope scaling: plain RoPE; the extension is silently lost

    What to do
      config.json: write `rope_theta` and `rope_scaling` beside `rope_parameters`
          for transformers 4, mlx-lm; `longrope export` writes both spellings
      config.json: write `original_max_position_embeddings` 8192 at the top level,
          where most runtimes look
      config.json: repeat `attention_factor` as `short_mscale` and `long_mscale`,
          which vLLM, SGLang and ONNX Runtime GenAI read
      transformers 5, SGLang: keep prompt and new tokens together within 8192, or
          begin with a prompt above it; prefill in one pass, and do not batch texts
          of up to 8192 tokens with longer ones
      vLLM: `--max-model-len 131072` for long requests, `--max-model-len 8192` on a
          server for short ones
      llama.cpp: use no GGUF of the stock converter; one with
          `llama.rope.scaling.type` longrope and the tensors
          `rope_factors_short.weight` and `rope_factors_long.weight` loads
      mistral.rs, candle, ONNX Runtime GenAI: run this checkpoint elsewhere
    ");
}

#[test]
fn yarn_that_keeps_the_window() {
    assert_snapshot!(diagnose(&yarn()), @r#"
    qwen2 with yarn RoPE, original context 32768, claimed context 32768

    What each runtime computes
      transformers 4, transformers 5, mlx-lm, longrope
        factors 1..4; attention scale 1.1386
        for all lengths; default context no limit
      vLLM, SGLang, llama.cpp
        factors 1..4; attention scale 1.1386
        for all lengths; default context 32768
      exllamav3
        factors 1; attention scale 1
        for all lengths; default context no limit
      mistral.rs, candle
        factors 1 (plain RoPE); attention scale 1
        for all lengths; default context 32768
      ONNX Runtime GenAI
        does not load

    Disagreements
      exllamav3: replaces `factor` of YaRN by max / original = 1; the context grows
          by another factor than the config says
      mistral.rs: has no scaling for `qwen2` models and computes plain RoPE with the
          theta of the top level; the extension is silently lost
      candle: has no scaling for `qwen2` models and computes plain RoPE; the
          extension is silently lost
      ONNX Runtime GenAI: its builder divides by `beta_fast`, which `rope_scaling`
          lacks (ZeroDivisionError); the checkpoint does not load

    What to do
      config.json: write `max_position_embeddings` 131072 (original × factor):
          exllamav3 computes its factor from it, and vLLM, SGLang and llama.cpp take
          their context from it
      config.json: write `beta_fast` 32 and `beta_slow` 1, the defaults of all
          others: the builder of ONNX Runtime GenAI divides by them
      vLLM: `--hf-overrides '{"max_position_embeddings": 131072}'` for long
          requests; above the claimed 32768 it refuses `--max-model-len`
      SGLang: `--context-length 131072` with
          `SGLANG_ALLOW_OVERWRITE_LONGER_CONTEXT_LEN=1` for long requests
      llama.cpp: `-c N` with N up to 131072; the default is 32768
      mistral.rs, candle: run this checkpoint elsewhere
    "#);
}

#[test]
fn contradictions_are_explained() {
    assert_snapshot!(diagnose(&contradiction()), @r"
    llama with yarn RoPE, original context 1024, claimed context 4096

    What each runtime computes
      transformers 4, transformers 5, mlx-lm, longrope
        factors 1..4; attention scale 1.1386
        for all lengths; default context no limit
      vLLM, SGLang
        factors 1..4; attention scale 1.1386
        for all lengths; default context 4096
      llama.cpp
        factors 1 (plain RoPE); attention scale 1; theta 500000
        for all lengths; default context 4096
      exllamav3
        factors 1..4; attention scale 1.1386; theta 500000
        for all lengths; default context no limit
      mistral.rs, candle
        does not load
      ONNX Runtime GenAI
        factors 1 (plain RoPE); attention scale 1
        for all lengths; default context 4096

    Contradictions in the config
      `rope_scaling.rope_theta` (10000) is used and not `rope_parameters.rope_theta`
          (500000), as in transformers 5.24; `rope_scaling.rope_type` (yarn) is used
          and not `rope_parameters.rope_type` (default), as in transformers 5.24
        transformers 4, transformers 5, vLLM, SGLang, mlx-lm, longrope: factors up
            to 4, theta 10000, attention scale 1.1386
        llama.cpp: plain RoPE, theta 500000
        exllamav3: factors up to 4, theta 500000, attention scale 1.1386
        mistral.rs, candle: does not load
        ONNX Runtime GenAI: plain RoPE, theta 10000

    Disagreements
      llama.cpp: takes `rope_parameters`, where transformers 5 takes the other
          section; the two sections contradict each other; keep one
      exllamav3: takes theta 500000: of the top level, else of `rope_parameters`;
          the model was not trained for these angles
      mistral.rs: it finds no `rope_theta` at the top level; the checkpoint does not
          load
      candle: `rope_scaling` of a LLaMA must be llama3 with `rope_type` and its four
          numbers; the checkpoint does not load
      ONNX Runtime GenAI: its builder knows only llama3 for `llama` models and drops
          this yarn scaling: plain RoPE; the extension is silently lost

    What to do
      config.json: keep one of `rope_scaling` and `rope_parameters`, or make them
          equal
      mistral.rs, candle, ONNX Runtime GenAI: run this checkpoint elsewhere
    ");
}

#[test]
fn a_plain_model_is_the_same_in_all_runtimes_that_load_it() {
    let here = Workplace::with_model();
    assert_snapshot!(before_sources(&here.run("doctor m").worked()), @r"
    llama with plain RoPE, original context 32, claimed context 32

    What each runtime computes
      transformers 4, transformers 5, mlx-lm, exllamav3, longrope
        factors 1 (plain RoPE); attention scale 1
        for all lengths; default context no limit
      vLLM, SGLang, llama.cpp, candle, ONNX Runtime GenAI
        factors 1 (plain RoPE); attention scale 1
        for all lengths; default context 32
      mistral.rs
        does not load

    Disagreements
      mistral.rs: it finds no `rope_theta` at the top level; the checkpoint does not
          load

    What to do
      config.json: write `rope_theta` and `rope_scaling` beside `rope_parameters`
          for mistral.rs; `longrope export` writes both spellings
    ");
}

#[test]
fn sources_have_versions_and_everything_fits_80_columns() {
    for config in [phi3(), llama(), yarn(), contradiction()] {
        let here = Workplace::new();
        here.write("config.json", config.to_string());
        let output = here.run("doctor config.json").worked();
        let (_, sources) = output.split_once("Read in these sources").unwrap();
        for version in [
            "transformers 4.57.6",
            "transformers 5.24.0",
            "vllm 0.33.0",
            "mlx-lm 0.32.2",
        ] {
            assert!(sources.contains(version), "{sources}");
        }
        let widest = output.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(80), "{output}");
    }
}

#[test]
fn a_folder_and_its_config_give_the_same_diagnosis() {
    let here = Workplace::with_model();
    let folder = here.run("doctor m").worked();
    assert_eq!(here.run("doctor m/config.json").worked(), folder);
}

#[test]
fn a_config_is_refused_as_by_other_verbs() {
    for (family, key, value) in [
        ("gemma2", "layer_types", json!(["full_attention"])),
        ("olmo2", "hidden_act", json!("xielu")),
        (
            "ministral3",
            "rope_parameters",
            json!({"rope_type": "yarn", "factor": 4.0, "rope_theta": 1e4,
            "original_max_position_embeddings": 32}),
        ),
        ("gpt_oss", "swiglu_limit", json!(0)),
        ("mixtral", "sliding_window", json!(-1)),
    ] {
        let here = Workplace::of_family(family);
        here.edit_config("m", |config| config[key] = value);
        let cause = |line: &str| {
            let message = here.fails(line);
            let causes = message.lines().filter(|line| !line.starts_with("error: "));
            causes.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(cause("doctor m"), cause("inspect m"), "{family}");
    }
}

#[test]
fn what_is_not_known_is_not_said_to_be_equal() {
    let here = Workplace::of_family("arcee");
    let output = here.run("doctor m").worked();
    assert!(
        output.contains("all runtimes whose rules are known compute the same"),
        "{output}"
    );
    assert!(!output.contains("\n  nothing\n"), "{output}");
    let here = Workplace::of_family("minicpm");
    let output = here.run("doctor m").worked();
    assert!(
        output.contains("the rules of no other runtime were read"),
        "{output}"
    );
}

#[test]
fn errors_name_what_cannot_be_diagnosed() {
    let here = Workplace::new();
    let mut config = yarn();
    config["model_type"] = "gemma".into();
    here.write("config.json", config.to_string());
    assert_snapshot!(here.fails("doctor config.json"), @r#"
    error: diagnosing `config.json`
      caused by: `config.json` has `model_type` = "gemma", supported: llama, mistral, phi3, qwen2, qwen3, smollm3, granite, minicpm, ministral3, olmo2, olmo3, seed_oss, ernie4_5, gemma2, gemma3_text, glm4, cohere2, exaone4, hunyuan_v1_dense, phi, stablelm, starcoder2, arcee, internlm3, mixtral, qwen2_moe, qwen3_moe, phimoe, gpt_oss
    hint: this kind of model is not supported
    "#);
    here.fails("doctor nowhere");
    here.write("config.json", "{");
    here.fails("doctor config.json");
}

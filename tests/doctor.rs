//! `longrope doctor` on three kinds of checkpoints.

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
        "model_type": "qwen2", "hidden_size": 32, "num_attention_heads": 4,
        "max_position_embeddings": 32768, "rope_theta": 1_000_000.0,
        "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768},
    })
}

fn diagnose(config: &Value) -> String {
    let here = Workplace::new();
    here.write("config.json", config.to_string());
    here.run("doctor config.json").worked()
}

#[test]
fn phi3_as_published() {
    assert_snapshot!(diagnose(&phi3()), @r"
    phi3 with long-rope RoPE, original context 4096, claimed context 131072

     runtime         factors                                 attention scale  switch                                    default max
     transformers 4  short 1.05..2, long 1.08..64.8          1.1902           per forward above 4096, cache recomputed  no limit
     transformers 5  short 1.05..2, long 1.08..64.8          1.1902           per forward above 4096, cache recomputed  no limit
     vLLM            short 1.05..2, long 1.08..64.8          1.1902           at load, max_model_len above 4096         4096
     llama.cpp       short 1.05..2, long 1.08..64.8          1.1902           at load, n_ctx above 4096                 131072
     candle          short 0.9524..0.5, long 0.9259..0.0154  1.0000           per token from position 4096              131072
     longrope        short 1.05..2, long 1.08..64.8          1.1902           per sequence above 4096                   no limit

    Disagreements
      transformers 4, transformers 5: chooses by the largest position of each forward pass, over the whole batch, and recomputes the cache when a generation crosses the border; prefill in chunks mixes both sets in one cache, and one long row changes the short rows of its batch
      vLLM: chooses once at load: a server with max_model_len above 4096 uses the long factors for every request; no cache is ever mixed, but short requests lose quality on a server for long ones
      vLLM: serves 4096 tokens by default, but the config claims 131072; longer requests are refused, and the long factors stay unused
      llama.cpp: chooses once by the allocated context (131072 tokens by default) and above 4096 uses the long factors for all texts; short texts lose quality in a large context
      candle: multiplies frequencies by the factors, where all others divide by them; wrong angles wherever a factor is not 1
      candle: has no attention scale; attention is softer than in training
      candle: chooses the factors of each token by its position, in a table of the model's number type; a long text mixes both sets in one sequence, and a bf16 table is too coarse for far positions

    What to do
      transformers 4, transformers 5: prefill in one pass, and do not batch texts of up to 4096 tokens with longer ones
      vLLM: `--max-model-len 131072` for long requests, `--max-model-len 4096` on a server for short ones
      llama.cpp: `-c N` with N above 4096 for long texts, `-c 4096` or less for short ones
      candle: run this checkpoint elsewhere
    ");
}

#[test]
fn llama_in_the_new_spelling() {
    assert_snapshot!(diagnose(&llama()), @r"
    llama with long-rope RoPE, original context 8192, claimed context 131072

     runtime         factors                 attention scale  switch                              default max
     transformers 4  plain 1                 1.0000           never                               no limit
     transformers 5  short 1, long 1..26.05  1.0000           per forward above 8192, cache kept  no limit
     vLLM            short 1, long 1..26.05  1.1435           at load, max_model_len above 8192   131072
     llama.cpp       plain 1                 1.0000           never                               131072
     candle          plain 1                 1.0000           never                               131072
     longrope        short 1, long 1..26.05  1.0000           per sequence above 8192             no limit

    Disagreements
      transformers 4, candle: does not know `rope_parameters` and computes plain RoPE with theta 10000; the model was not trained for these angles
      transformers 5: chooses by the largest position of each forward pass, over the whole batch, and keeps the cache when a generation crosses the border (only Phi-3 models recompute it); a generation across the border and prefill in chunks mix both sets in one cache, which ruins the text
      vLLM: ignores `attention_factor` and `factor` of longrope and uses 1.1435 (it reads `short_mscale` and `long_mscale` instead); attention is sharpened differently than in training
      vLLM: chooses once at load: a server with max_model_len above 8192 uses the long factors for every request; no cache is ever mixed, but short requests lose quality on a server for long ones
      llama.cpp: its converter writes the name of the type but no factors for `llama` models: plain RoPE, attention scale 1; the extension is silently lost

    What to do
      config.json: write `rope_theta` and `rope_scaling` beside `rope_parameters` for transformers 4; `longrope export` writes both spellings
      config.json: write `original_max_position_embeddings` 8192 at the top level, where every runtime looks
      config.json: repeat `attention_factor` as `short_mscale` and `long_mscale`, which vLLM reads
      transformers 5: keep prompt and new tokens together within 8192, or begin with a prompt above it; prefill in one pass, and do not batch texts of up to 8192 tokens with longer ones
      vLLM: `--max-model-len 131072` for long requests, `--max-model-len 8192` on a server for short ones
      llama.cpp: use no GGUF of the stock converter; one with `llama.rope.scaling.type` longrope and the tensors `rope_factors_short.weight` and `rope_factors_long.weight` loads
      candle: run this checkpoint elsewhere
    ");
}

#[test]
fn yarn_that_keeps_the_window() {
    assert_snapshot!(diagnose(&yarn()), @r"
    qwen2 with yarn RoPE, original context 32768, claimed context 32768

     runtime         factors   attention scale  switch  default max
     transformers 4  all 1..4  1.1386           never   no limit
     transformers 5  all 1..4  1.1386           never   no limit
     vLLM            all 1..4  1.1386           never   131072
     llama.cpp       all 1..4  1.1386           never   32768
     candle          plain 1   1.0000           never   32768
     longrope        all 1..4  1.1386           never   no limit

    Disagreements
      vLLM: serves 131072 tokens by default, multiplying by `factor`; the config claims 32768; check which of the two the model was made for
      candle: has no scaling for `qwen2` models and computes plain RoPE; the extension is silently lost

    What to do
      transformers 4: some 4.x releases replace `factor` by max / original, here 1; compare a loss with version 5 before trusting one
      vLLM: `--max-model-len N` with N up to original × factor = 131072; the config claims 32768
      llama.cpp: `-c N` with N up to 131072; the default is 32768
      candle: run this checkpoint elsewhere
    ");
}

#[test]
fn a_plain_model_is_the_same_in_all_runtimes() {
    let here = Workplace::with_model();
    assert_snapshot!(here.run("doctor m").worked(), @r"
    llama with none RoPE, original context 32, claimed context 32

     runtime         factors  attention scale  switch  default max
     transformers 4  plain 1  1.0000           never   no limit
     transformers 5  plain 1  1.0000           never   no limit
     vLLM            plain 1  1.0000           never   32
     llama.cpp       plain 1  1.0000           never   32
     candle          plain 1  1.0000           never   32
     longrope        plain 1  1.0000           never   no limit

    Disagreements
      none: all runtimes compute the same RoPE

    What to do
      config.json: write `rope_theta` and `rope_scaling` beside `rope_parameters` for transformers 4 and candle; `longrope export` writes both spellings
    ");
}

#[test]
fn a_folder_and_its_config_give_the_same_diagnosis() {
    let here = Workplace::with_model();
    let folder = here.run("doctor m").worked();
    assert_eq!(here.run("doctor m/config.json").worked(), folder);
}

#[test]
fn errors_name_what_cannot_be_diagnosed() {
    let here = Workplace::new();
    let mut config = yarn();
    config["model_type"] = "gemma".into();
    here.write("config.json", config.to_string());
    assert_snapshot!(here.fails("doctor config.json"), @r#"
    error: diagnosing `config.json`
      caused by: `model_type` of the model config is "gemma", expected one of `llama`, `mistral`, `phi3`, `qwen2`
    hint: doctor knows the rules of the runtimes for these model types only
    "#);
    here.fails("doctor nowhere");
    here.write("config.json", "{");
    here.fails("doctor config.json");
}

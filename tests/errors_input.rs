//! Error messages about models, text and RoPEs: what, where, found, expected, and a hint.

use insta::assert_snapshot;
use serde_json::json;

use crate::support::{TINY_SEARCH, Workplace};

const PPL: &str = "eval ppl --contexts 32 --tokens tokens.json";

// Models.

#[test]
fn no_such_model() {
    let here = Workplace::with_model();
    let message = here.fails(&format!("{PPL} --model nowhere"));
    assert_snapshot!(message, @r"
    error: loading model `nowhere`
      caused by: model `nowhere` does not exist
    hint: give the folder that holds config.json, tokenizer.json and the safetensors files
    ");
}

#[test]
fn a_file_instead_of_a_model() {
    let here = Workplace::with_model();
    let message = here.fails("inspect tokens.json");
    assert_snapshot!(message, @r"
    error: inspecting `tokens.json`
      caused by: model `tokens.json` is not a folder
    hint: give the folder that holds config.json, tokenizer.json and the safetensors files
    ");
}

#[test]
fn a_model_without_config() {
    let here = Workplace::with_model();
    fs_err::remove_file(here.path("m/config.json")).unwrap();
    let message = here.fails("inspect m");
    assert_snapshot!(message, @r"
    error: inspecting `m`
      caused by: model folder `m` has no `config.json`
    hint: the weights are there, but config.json is not: download it too, next to them
    ");
}

#[test]
fn a_model_without_weights() {
    let here = Workplace::with_model();
    fs_err::remove_file(here.path("m/model.safetensors")).unwrap();
    let message = here.fails(&format!("{PPL} --model m"));
    assert_snapshot!(message, @r"
    error: loading model `m`
      caused by: model folder `m` has no `model.safetensors`
    hint: config.json is there, but the weights are not: download the safetensors files too, next to it
    ");
}

#[test]
fn truncated_weights() {
    let here = Workplace::with_model();
    let whole = fs_err::read(here.path("m/model.safetensors")).unwrap();
    here.write("m/model.safetensors", &whole[..whole.len() - 100]);
    let message = here.fails(&format!("{PPL} --model m"));
    assert_snapshot!(message, @r"
    error: loading model `m`
      caused by: `m/model.safetensors` is not a readable safetensors file: it has 100996 bytes, but its header describes 101096
    hint: the file is probably truncated: copy or download it again
    ");
}

#[test]
fn a_missing_shard() {
    let here = Workplace::with_model();
    here.checkpoint("llama-sharded-bf16", "s");
    fs_err::remove_file(here.path("s/model-00003-of-00004.safetensors")).unwrap();
    let message = here.fails(&format!("{PPL} --model s"));
    assert_snapshot!(message, @r"
    error: loading model `s`
      caused by: shard `model-00003-of-00004.safetensors` of `s` is missing; it holds 5 tensors such as `model.layers.1.mlp.gate_proj.weight`
    hint: download the missing shard again, next to the others
    ");
}

#[test]
fn tensors_of_another_shape() {
    let here = Workplace::with_model();
    here.edit_config("m", |config| config["intermediate_size"] = json!(64));
    let message = here.fails(&format!("{PPL} --model m"));
    assert_snapshot!(message, @r"
    error: loading model `m`
      caused by: the tensors of `m` do not fit its config.json
          tensor `model.layers.0.mlp.down_proj.weight` has shape [32, 48], expected [32, 64]
          tensor `model.layers.0.mlp.gate_proj.weight` has shape [48, 32], expected [64, 32]
          tensor `model.layers.0.mlp.up_proj.weight` has shape [48, 32], expected [64, 32]
          tensor `model.layers.1.mlp.down_proj.weight` has shape [32, 48], expected [32, 64]
          tensor `model.layers.1.mlp.gate_proj.weight` has shape [48, 32], expected [64, 32]
          tensor `model.layers.1.mlp.up_proj.weight` has shape [48, 32], expected [64, 32]
    hint: config.json and the weights belong to different models, or one of them was edited
    ");
}

#[test]
fn a_config_with_a_size_that_is_null() {
    let here = Workplace::with_model();
    here.edit_config("m", |config| config["vocab_size"] = json!(null));
    let message = here.fails(&format!("{PPL} --model m"));
    assert_snapshot!(message, @r"
    error: loading model `m`
      caused by: `m/config.json` cannot be used
      caused by: `vocab_size` of the model config is null, expected a whole number from 1 to 16777216
    hint: correct this key of config.json; a key that has a default may be left out
    ");
}

#[test]
fn a_config_that_is_not_json() {
    let here = Workplace::with_model();
    here.write("m/config.json", "{\"model_type\": ");
    let message = here.fails(&format!("{PPL} --model m"));
    assert_snapshot!(message, @r"
    error: loading model `m`
      caused by: `m/config.json` is not valid JSON
      caused by: EOF while parsing a value at line 1 column 15
    hint: use the config.json that was published with the weights, or correct it
    ");
}

#[test]
fn another_architecture() {
    let here = Workplace::with_model();
    here.edit_config("m", |config| config["model_type"] = json!("rwkv"));
    let message = here.fails("inspect m");
    assert_snapshot!(message, @r#"
    error: inspecting `m`
      caused by: `m/config.json` has `model_type` = "rwkv", supported: llama, mistral, phi3, qwen2, qwen3, smollm3, granite, minicpm, ministral3, olmo2, olmo3, seed_oss, ernie4_5, gemma2, gemma3_text, glm4, cohere2, exaone4, hunyuan_v1_dense, phi, stablelm, starcoder2, arcee, internlm3, mixtral, qwen2_moe, qwen3_moe, phimoe, gpt_oss
    hint: this kind of model is not supported
    "#);
}

// Text and tokens.

#[test]
fn no_such_text() {
    let here = Workplace::with_tokenizer();
    let message = here.fails("eval ppl --model t --contexts 32 --text nowhere.txt");
    assert_snapshot!(message, @r"
    error: no such file or folder: `nowhere.txt`
    hint: check the path; relative paths are relative to the working directory
    ");
}

#[test]
fn an_empty_text() {
    let here = Workplace::with_tokenizer();
    here.write("empty.txt", " \n");
    let message = here.fails("eval ppl --model t --contexts 32 --text empty.txt");
    assert_snapshot!(message, @r"
    error: `empty.txt` holds no text, found white space only or nothing
    hint: give a file or folder with text
    ");
}

#[test]
fn text_that_is_not_utf8() {
    let here = Workplace::with_tokenizer();
    here.write("latin1.txt", b"caf\xe9 au lait");
    let message = here.fails("eval ppl --model t --contexts 32 --text latin1.txt");
    assert_snapshot!(message, @r"
    error: `latin1.txt` is not UTF-8: found an invalid byte sequence at byte 3
    hint: convert the file to UTF-8, for example with iconv
    ");
}

#[test]
fn text_shorter_than_the_context() {
    let here = Workplace::with_tokenizer();
    here.write("short.txt", "It was the best of times.");
    let message = here.fails("eval ppl --model t --contexts 256 --text short.txt");
    assert_snapshot!(message, @r"
    error: placing windows of 256 tokens
      caused by: no document fills a context of 256 tokens: found 1 document, the longest has 13 tokens, expected at least 256
    hint: give longer documents, more text, or a smaller context
    ");
}

#[test]
fn text_shorter_than_the_target() {
    let here = Workplace::with_tokenizer();
    here.write("short.txt", "It was the best of times.");
    let message = here.fails("search --model t --text short.txt --target 1024 --out run");
    assert_snapshot!(message, @r"
    error: selecting samples of 1024 tokens
      caused by: not enough text for 5 samples of 1024 tokens: found 1 document, the longest has 13 tokens, room for 0 samples
    hint: give longer documents, more text, or a smaller context
    ");
}

#[test]
fn too_few_tokens_for_the_samples() {
    let here = Workplace::with_model();
    let message = here.fails(&format!("{TINY_SEARCH} --target 512 --out run"));
    assert_snapshot!(message, @r"
    error: selecting samples of 512 tokens
      caused by: not enough text for 2 samples of 512 tokens: found 1 document, the longest has 600 tokens, room for 1 sample
    hint: give longer documents, more text, or a smaller context
    ");
}

#[test]
fn a_model_without_tokenizer() {
    let here = Workplace::with_model();
    here.write("a.txt", "It was the best of times.");
    let message = here.fails("eval ppl --model m --contexts 32 --text a.txt");
    assert_snapshot!(message, @r"
    error: folder `m` has no `tokenizer.json`
    hint: add the tokenizer.json of the model, or give token ids with --tokens
    ");
}

#[test]
fn no_text_at_all() {
    let here = Workplace::with_model();
    let message = here.fails("eval ppl --model m --contexts 32");
    assert_snapshot!(message, @r"
    error: `--text` is missing
    hint: give files or folders with --text, or token ids with --tokens
    ");
}

#[test]
fn no_such_token_file() {
    let here = Workplace::with_model();
    let message = here.fails("eval ppl --model m --contexts 32 --tokens nowhere.json");
    assert_snapshot!(message, @r"
    error: reading token ids `nowhere.json`
      caused by: no such file or folder: `nowhere.json`
    hint: check the path; relative paths are relative to the working directory
    ");
}

#[test]
fn tokens_that_are_not_json() {
    let here = Workplace::with_model();
    here.write("tokens.json", "[1, 2");
    let message = here.fails(&format!("{PPL} --model m"));
    assert_snapshot!(message, @r#"
    error: reading token ids `tokens.json`
      caused by: `tokens.json` is not JSON, expected token ids: `[1, 2]`, `[[1, 2], [3]]` or `{"tokens": ..}`
      caused by: EOF while parsing a list at line 1 column 5
    hint: to give text instead of token ids, use --text
    "#);
}

#[test]
fn a_token_outside_the_vocabulary() {
    let here = Workplace::with_model();
    here.write("tokens.json", "[1, 2, 97]");
    let message = here.fails(&format!("{PPL} --model m"));
    assert_snapshot!(message, @r"
    error: reading token ids `tokens.json`
      caused by: `tokens.json`: token 2 is 97, expected an id below the vocabulary size 97
    hint: the token ids come from the tokenizer of another model
    ");
}

#[test]
fn token_ids_that_are_no_whole_numbers() {
    let here = Workplace::with_model();
    for text in ["[1, 2.0]", "[1, -1]", "[1, null]"] {
        here.write("tokens.json", text);
        let message = here.fails(&format!("{PPL} --model m"));
        assert!(
            message.contains("hint: token ids are whole numbers from 0"),
            "{message}"
        );
    }
}

// RoPEs.

#[test]
fn an_unknown_rope() {
    let here = Workplace::with_model();
    let message = here.fails(&format!("{PPL} --model m --rope nkt"));
    assert_snapshot!(message, @r"
    error: RoPE `nkt` is neither a method, nor a published RoPE, nor a file
    hint: methods are checkpoint, none, pi, ntk, dynamic-ntk, yarn, llama3, mrrope-uni, mrrope-pro, selfextend, METHOD@CONTEXT, theta@BASE, drope, drope@C, selfextend@GROUP,WINDOW; published RoPEs are llama2-1024k-ft256k, llama2-128k, llama2-2048k-ft128k, llama2-2048k-ft256k, llama2-256k, llama2-4k-ft128k, llama2-4k-ft256k, llama2-512k-ft256k, llama2-8k-ft128k, llama2-8k-ft256k, llama3-8b-128k-v2, mistral-128k, mistral-2048k-ft128k, mistral-2048k-ft256k, mistral-256k, phi4-mini-128k
    ");
}

#[test]
fn a_method_for_an_invalid_context() {
    let here = Workplace::with_model();
    let message = here.fails(&format!("{PPL} --model m --rope yarn@8k"));
    assert_snapshot!(message, @r"
    error: the context of RoPE `yarn@8k` is `8k`, expected a number of tokens
    hint: for example yarn@8192
    ");
}

#[test]
fn a_factor_csv_of_another_length() {
    let here = Workplace::with_model();
    here.write("factors.csv", "1\n1.5\n2\n");
    let message = here.fails(&format!("{PPL} --model m --rope factors.csv"));
    assert_snapshot!(message, @r"
    error: reading RoPE `factors.csv`
      caused by: factor set 0 (`max_context` 32) has 3 factors, expected 8 (`rotary_dim` / 2)
    hint: the factors are for a model with another head size; a list needs one factor per rotated pair, rotary_dim / 2
    ");
}

#[test]
fn a_rope_json_of_another_length() {
    let here = Workplace::with_model();
    let set = json!({"max_context": 128, "start_tokens": 0, "factors": [1.0, 1.5, 2.0]});
    let rope = json!({
        "format": "longrope-rope", "version": 1, "rotary_dim": 16, "theta": 10000.0, "original_context": 32,
        "scaling": {"type": "long-rope", "sets": [set], "attention": {"type": "su"}},
    });
    here.write("rope.json", rope.to_string());
    let message = here.fails(&format!("{PPL} --model m --rope rope.json"));
    assert_snapshot!(message, @r"
    error: reading RoPE `rope.json`
      caused by: factor set 0 (`max_context` 128) has 3 factors, expected 8 (`rotary_dim` / 2)
    hint: the factors are for a model with another head size; a list needs one factor per rotated pair, rotary_dim / 2
    ");
}

#[test]
fn a_factor_that_is_not_a_number() {
    let here = Workplace::with_model();
    here.write("factors.csv", "1\n1.5\ntwo\n");
    let message = here.fails(&format!("{PPL} --model m --rope factors.csv"));
    assert_snapshot!(message, @r"
    error: reading RoPE `factors.csv`
      caused by: the factor table has `two` in line 3, column 1, expected a number
    hint: a factor CSV has one factor per line, or one row of factors per layer
    ");
}

#[test]
fn factors_of_another_model() {
    let here = Workplace::with_model();
    here.checkpoint("llama-sharded-bf16", "s");
    here.run("export --model s --rope pi --target 128 --out pi")
        .worked();
    let message = here.fails(&format!("{PPL} --model m --rope pi/rope.json"));
    assert_snapshot!(message, @r"
    error: using RoPE `pi/rope.json`
      caused by: its theta is 25000, that of the model is 10000
    hint: the RoPE is for another model
    ");
}

#[test]
fn json_that_is_not_a_rope() {
    let here = Workplace::with_model();
    let message = here.fails(&format!("{PPL} --model m --rope tokens.json"));
    assert_snapshot!(message, @r"
    error: reading RoPE `tokens.json`
      caused by: the file is not a JSON object, expected a rope.json or a config.json
    hint: give a plain list of factors as a CSV file, one per line
    ");
}

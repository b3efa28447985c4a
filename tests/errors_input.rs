//! Promised messages about models, text and RoPEs: what, where, found, expected, and a hint.

use insta::assert_snapshot;
use serde_json::json;

use crate::support::{TINY_SEARCH, Workplace};

const PPL: &str = "eval ppl --contexts 32 --tokens tokens.json";

// Models.

#[test]
fn no_such_model() {
    let here = Workplace::with_model();
    let message = here.fails(&format!("{PPL} --model nowhere"));
    assert_snapshot!(message, @"");
}

#[test]
fn a_file_instead_of_a_model() {
    let here = Workplace::with_model();
    let message = here.fails("inspect tokens.json");
    assert_snapshot!(message, @"");
}

#[test]
fn a_model_without_config() {
    let here = Workplace::with_model();
    fs_err::remove_file(here.path("m/config.json")).unwrap();
    let message = here.fails("inspect m");
    assert_snapshot!(message, @"");
}

#[test]
fn a_model_without_weights() {
    let here = Workplace::with_model();
    fs_err::remove_file(here.path("m/model.safetensors")).unwrap();
    let message = here.fails(&format!("{PPL} --model m"));
    assert_snapshot!(message, @"");
}

#[test]
fn truncated_weights() {
    let here = Workplace::with_model();
    let whole = fs_err::read(here.path("m/model.safetensors")).unwrap();
    here.write("m/model.safetensors", &whole[..whole.len() - 100]);
    let message = here.fails(&format!("{PPL} --model m"));
    assert_snapshot!(message, @"");
}

#[test]
fn a_missing_shard() {
    let here = Workplace::with_model();
    here.checkpoint("llama-sharded-bf16", "s");
    fs_err::remove_file(here.path("s/model-00003-of-00004.safetensors")).unwrap();
    let message = here.fails(&format!("{PPL} --model s"));
    assert_snapshot!(message, @"");
}

#[test]
fn tensors_of_another_shape() {
    let here = Workplace::with_model();
    here.edit_config("m", |config| config["intermediate_size"] = json!(64));
    let message = here.fails(&format!("{PPL} --model m"));
    assert_snapshot!(message, @"");
}

#[test]
fn a_config_without_rope_theta() {
    let here = Workplace::with_model();
    here.edit_config("m", |config| {
        config["rope_parameters"] = json!({"rope_type": "default"})
    });
    let message = here.fails(&format!("{PPL} --model m"));
    assert_snapshot!(message, @"");
}

#[test]
fn a_config_without_a_size() {
    let here = Workplace::with_model();
    here.edit_config("m", |config| config["vocab_size"] = json!(null));
    let message = here.fails(&format!("{PPL} --model m"));
    assert_snapshot!(message, @"");
}

#[test]
fn a_config_that_is_no_json() {
    let here = Workplace::with_model();
    here.write("m/config.json", "{\"model_type\": ");
    let message = here.fails(&format!("{PPL} --model m"));
    assert_snapshot!(message, @"");
}

#[test]
fn another_architecture() {
    let here = Workplace::with_model();
    here.edit_config("m", |config| config["model_type"] = json!("mamba"));
    let message = here.fails("inspect m");
    assert_snapshot!(message, @"");
}

// Text and tokens.

#[test]
fn no_such_text() {
    let here = Workplace::with_tokenizer();
    let message = here.fails("eval ppl --model t --contexts 32 --text nowhere.txt");
    assert_snapshot!(message, @"");
}

#[test]
fn an_empty_text() {
    let here = Workplace::with_tokenizer();
    here.write("empty.txt", " \n");
    let message = here.fails("eval ppl --model t --contexts 32 --text empty.txt");
    assert_snapshot!(message, @"");
}

#[test]
fn text_that_is_not_utf8() {
    let here = Workplace::with_tokenizer();
    here.write("latin1.txt", b"caf\xe9 au lait");
    let message = here.fails("eval ppl --model t --contexts 32 --text latin1.txt");
    assert_snapshot!(message, @"");
}

#[test]
fn text_shorter_than_the_context() {
    let here = Workplace::with_tokenizer();
    here.write("short.txt", "It was the best of times.");
    let message = here.fails("eval ppl --model t --contexts 256 --text short.txt");
    assert_snapshot!(message, @"");
}

#[test]
fn text_shorter_than_the_target() {
    let here = Workplace::with_tokenizer();
    here.write("short.txt", "It was the best of times.");
    let message = here.fails("search --model t --text short.txt --target 1024 --out run");
    assert_snapshot!(message, @"");
}

#[test]
fn too_few_tokens_for_the_samples() {
    let here = Workplace::with_model();
    let message = here.fails(&format!("{TINY_SEARCH} --samples 5 --target 128 --out run"));
    assert_snapshot!(message, @"");
}

#[test]
fn a_model_without_tokenizer() {
    let here = Workplace::with_model();
    here.write("a.txt", "It was the best of times.");
    let message = here.fails("eval ppl --model m --contexts 32 --text a.txt");
    assert_snapshot!(message, @"");
}

#[test]
fn no_text_at_all() {
    let here = Workplace::with_model();
    let message = here.fails("eval ppl --model m --contexts 32");
    assert_snapshot!(message, @"");
}

#[test]
fn no_such_token_file() {
    let here = Workplace::with_model();
    let message = here.fails("eval ppl --model m --contexts 32 --tokens nowhere.json");
    assert_snapshot!(message, @"");
}

#[test]
fn tokens_that_are_no_json() {
    let here = Workplace::with_model();
    here.write("tokens.json", "[1, 2");
    let message = here.fails(&format!("{PPL} --model m"));
    assert_snapshot!(message, @"");
}

#[test]
fn a_token_outside_the_vocabulary() {
    let here = Workplace::with_model();
    here.write("tokens.json", "[1, 2, 97]");
    let message = here.fails(&format!("{PPL} --model m"));
    assert_snapshot!(message, @"");
}

// RoPEs.

#[test]
fn an_unknown_rope() {
    let here = Workplace::with_model();
    let message = here.fails(&format!("{PPL} --model m --rope nkt"));
    assert_snapshot!(message, @"");
}

#[test]
fn a_factor_csv_of_another_length() {
    let here = Workplace::with_model();
    here.write("factors.csv", "1\n1.5\n2\n");
    let message = here.fails(&format!("{PPL} --model m --rope factors.csv"));
    assert_snapshot!(message, @"");
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
    assert_snapshot!(message, @"");
}

#[test]
fn a_factor_that_is_no_number() {
    let here = Workplace::with_model();
    here.write("factors.csv", "1\n1.5\ntwo\n");
    let message = here.fails(&format!("{PPL} --model m --rope factors.csv"));
    assert_snapshot!(message, @"");
}

#[test]
fn factors_of_another_model() {
    let here = Workplace::with_model();
    here.checkpoint("llama-sharded-bf16", "s");
    here.run("export --model s --rope pi --target 128 --out pi")
        .worked();
    let message = here.fails(&format!("{PPL} --model m --rope pi/rope.json"));
    assert_snapshot!(message, @"");
}

#[test]
fn json_that_is_no_rope() {
    let here = Workplace::with_model();
    let message = here.fails(&format!("{PPL} --model m --rope tokens.json"));
    assert_snapshot!(message, @"");
}

use longrope_rope::{HfConfig, read_hf_config};
use serde_json::{Value, json};

use super::*;

fn config(model_type: &str, edit: impl FnOnce(&mut Value)) -> HfConfig {
    let mut json = json!({
        "model_type": model_type, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 4,
        "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 100, "head_dim": 16,
        "max_position_embeddings": 256, "hidden_act": "silu",
    });
    edit(&mut json);
    read_hf_config(&json).unwrap()
}

fn of(model_type: &str, edit: impl FnOnce(&mut Value)) -> Result<Architecture> {
    Architecture::of(&ModelShape::from(&config(model_type, edit)))
}

#[test]
fn families_are_written_as_what_computes_the_same() {
    for (model_type, expected) in [
        ("llama", Architecture::Llama),
        ("mistral", Architecture::Llama),
        ("qwen2", Architecture::Llama),
        ("seed_oss", Architecture::Llama),
        ("internlm3", Architecture::Llama),
        ("ernie4_5", Architecture::Llama),
        ("phi3", Architecture::Phi3),
        ("qwen3", Architecture::Qwen3),
        ("olmo2", Architecture::Olmo2),
        ("smollm3", Architecture::SmolLm3),
    ] {
        assert_eq!(of(model_type, |_| {}).unwrap(), expected, "{model_type}");
    }
    let granite = of("granite", |json| json["residual_multiplier"] = json!(0.3));
    assert_eq!(granite.unwrap(), Architecture::Granite);
    let all_rotate = |json: &mut Value| json["no_rope_layers"] = json!([1, 1, 1, 1]);
    assert_eq!(of("smollm3", all_rotate).unwrap(), Architecture::Llama);
    let half = |json: &mut Value| json["partial_rotary_factor"] = json!(0.5);
    assert_eq!(of("phi3", half).unwrap(), Architecture::Phi3);
}

#[test]
fn what_llama_cpp_lacks_is_refused_with_its_name() {
    let message =
        |model_type: &str, edit: fn(&mut Value)| of(model_type, edit).unwrap_err().to_string();
    let gelu = message("llama", |json| json["hidden_act"] = json!("gelu"));
    assert!(gelu.contains("its activation"), "{gelu}");
    let biased = message("qwen3", |json| json["attention_bias"] = json!(true));
    assert!(biased.contains("`qwen3` has no biases"), "{biased}");
    let odd = message("smollm3", |json| {
        json["no_rope_layers"] = json!([1, 0, 1, 0]);
    });
    assert!(odd.contains("`smollm3` has no such a pattern"), "{odd}");
    let gemma = message("gemma2", |json| {
        json["hidden_act"] = json!("gelu_pytorch_tanh");
    });
    assert!(
        gemma.contains("a `gemma2` model cannot be written as GGUF"),
        "{gemma}"
    );
}

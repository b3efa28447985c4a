//! Exports for a runtime: the RoPE as it is, or the closest one that the runtime takes.

use serde_json::{Value, json};

use crate::support::{Workplace, number, two_sets};

/// Factors with an attention scale of their own.
fn rope(attention: f64) -> String {
    let attention = json!({"type": "constant", "value": attention});
    two_sets([1.25, 4.0], 0, &attention)
}

const TEXT: &str = "--tokens tokens.json --samples 2";

#[test]
fn a_runtime_that_takes_factors_gets_them_unmeasured() {
    let here = Workplace::with_model();
    here.write("rope.json", rope(1.2));
    here.run("export m --rope rope.json --out plain").worked();
    for runtime in ["transformers", "vllm"] {
        let line = format!("export m --rope rope.json --for {runtime} --out {runtime}");
        let stdout = here.run(&line).worked();
        assert!(stdout.contains("takes the RoPE as it is"), "{stdout}");
        let read = |folder: &str, file: &str| here.read_json(&format!("{folder}/{file}"));
        assert_eq!(read("plain", "rope.json"), read(runtime, "rope.json"));
        let mut plain = read("plain", "config.json");
        if runtime == "transformers" {
            for section in ["rope_scaling", "rope_parameters"] {
                let keys = plain[section].as_object_mut().unwrap();
                for key in ["short_mscale", "long_mscale"] {
                    assert!(keys.remove(key).is_some(), "vLLM needs {key}");
                }
            }
        }
        assert_eq!(plain, read(runtime, "config.json"), "{runtime}");
    }
    here.run("export m --rope rope.json --out other --samples 2")
        .refused_with("--samples is given, but nothing is measured");
}

#[test]
fn a_closest_rope_needs_text_and_is_the_same_again() {
    let here = Workplace::with_model();
    here.write("rope.json", rope(1.0));
    let line = "export m --rope rope.json --for mlx-lm";
    here.run(&format!("{line} --out x"))
        .refused_with("`--text` is missing");
    let shown = here.run(&format!("{line} {TEXT} --out x")).worked();
    for words in [
        "mlx-lm does not take the RoPE as it is",
        "tried",
        "variant 1",
        "chosen: ",
        "difference",
        "nats/token minus those of the RoPE",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    let again = here.run(&format!("{line} {TEXT} --out y")).worked();
    let tables = |shown: &str| shown.split("wrote").next().map(str::to_owned);
    assert_eq!(tables(&shown), tables(&again));
    assert_eq!(
        here.read_json("x/config.json"),
        here.read_json("y/config.json")
    );
    here.run(&format!("{line} {TEXT} --context 4096 --out z"))
        .refused_with("samples have 4096 tokens, expected at most the 128");
    // Another seed takes other samples and variants.
    here.run(&format!("{line} {TEXT} --seed 7 --out z"))
        .worked();
}

#[test]
fn text_without_room_for_held_out_windows_beside_the_samples_is_taken_whole() {
    let here = Workplace::with_model();
    here.write("rope.json", rope(1.0));
    // Four windows of 128 tokens in all. Two would be held out.
    let line = "export m --rope rope.json --for mlx-lm --tokens tokens.json --samples 4 --out x";
    let shown = here.run(line).worked();
    for words in [
        "on 4 samples of 128 tokens",
        "too little text to hold some out: it is that of the choice",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
}

#[test]
fn llama_cpp_gets_what_it_takes_where_it_takes_no_factors() {
    let here = Workplace::of_family("qwen3");
    let export = "export m --rope mrrope-uni --target 128";
    here.run(&format!("{export} --format gguf --out f.gguf"))
        .refused_with("no rescale factors");
    let line = format!("{export} --for llama.cpp {TEXT} --out x.gguf");
    let shown = here.run(&line).worked();
    assert!(shown.contains("yarn"), "{shown}");
    // What was measured is what the file computes.
    let line = "eval ppl x.gguf --tokens tokens.json --contexts 128 --windows 1 --json";
    let ppl: Value = serde_json::from_str(&here.run(line).worked()).unwrap();
    assert!(number(&ppl, "/results/0/nll_nats").is_finite());
}

#[test]
fn an_attention_scale_is_written_as_another_original_context() {
    let here = Workplace::with_model();
    here.write("rope.json", rope(1.05));
    let line = format!("export m --rope rope.json --for exllamav3 {TEXT} --out x");
    let shown = here.run(&line).worked();
    assert!(shown.contains("one set, other original context"), "{shown}");
}

#[test]
fn a_single_set_is_the_long_one_at_every_length() {
    let here = Workplace::with_model();
    here.write("rope.json", rope(1.2));
    here.run("export m --rope rope.json --single-set --out x")
        .worked();
    let config = here.read_json("x/config.json");
    let section = &config["rope_parameters"];
    assert_eq!(section["short_factor"], section["long_factor"]);
    assert_eq!(section["long_factor"][7], 4.0);
    let shown = here
        .run(&format!(
            "export m --rope rope.json --single-set {TEXT} --out y"
        ))
        .worked();
    assert!(shown.contains("as written"), "{shown}");
    assert_eq!(config, here.read_json("y/config.json"));
}

#[test]
fn runtimes_without_known_rules_are_refused() {
    let here = Workplace::of_family("qwen3");
    let line = format!("export m --rope yarn --target 256 --for mlx-lm {TEXT} --out x");
    here.run(&line)
        .refused_with("what mlx-lm computes for `qwen3` models is not known");
    here.run("export m --rope yarn --target 256 --for vllm --format gguf --out x.gguf")
        .refused_with("--format gguf is for --for llama.cpp");
    here.run(&format!(
        "export m --rope mrrope-uni --target 256 --for llama.cpp {TEXT} --context 16 --out x.gguf"
    ))
    .refused_with("expected more than the original context");
}

#[test]
fn a_rope_for_any_context_claims_the_target() {
    let here = Workplace::with_model();
    for rope in ["drope", "theta@1e6"] {
        let outcome = here.run(&format!("export m --rope {rope} --out {rope}"));
        let words = "was not made for a context: the export claims the 32 tokens of the model";
        assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
        outcome.worked();
        here.run(&format!(
            "export m --rope {rope} --target 128 --out long-{rope}"
        ))
        .worked();
        let config = here.read_json(&format!("long-{rope}/config.json"));
        assert_eq!(config["max_position_embeddings"], 128);
    }
}

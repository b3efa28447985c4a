//! `longrope generate`

use insta::assert_snapshot;

use crate::support::Workplace;

const PASSKEY: &str = "The pass key is 48213. Remember it. 48213 is the pass key. What is the pass \
                       key? The pass key is";

#[test]
fn the_streamed_text_is_the_text_of_the_report() {
    let here = Workplace::with_tokenizer();
    here.write("prompt.txt", PASSKEY);
    let run = "generate --model t --prompt-file prompt.txt --max-new-tokens 6";
    let report = here.compute_json(&format!("{run} --json"));
    assert_eq!(report["format"], "longrope-generation");
    assert_eq!(report["version"], 1);
    let result = &report["results"][0];
    assert_eq!(result["text"], " 48213");
    assert_eq!(result["end"], "length");
    assert_eq!(here.compute(run), " 48213\n");
}

#[test]
fn streamed_weights_and_either_factor_choice_give_the_same_inside_the_window() {
    let here = Workplace::with_tokenizer();
    here.write("prompt.txt", PASSKEY);
    let run = "generate --model t --prompt-file prompt.txt --max-new-tokens 6";
    let expected = here.compute(run);
    for set in ["weights=streamed", "generate.factors=length"] {
        assert_eq!(
            here.compute(&format!("{run} --set {set}")),
            expected,
            "{set}"
        );
    }
}

#[test]
fn several_prompts_are_separated_and_sampling_is_reproducible() {
    let here = Workplace::with_tokenizer();
    let run = "generate --model t --prompt Once --prompt She --max-new-tokens 8 --temperature 0.9 \
               --top-k 20 --top-p 0.95 --seed 3";
    let first = here.compute(run);
    assert_eq!(first, here.compute(run));
    assert!(
        first.starts_with("--- prompt 1\n") && first.contains("--- prompt 2\n"),
        "{first}"
    );
    assert_ne!(first, here.compute(&run.replace("--seed 3", "--seed 4")));
}

#[test]
fn wrong_input_is_refused() {
    let here = Workplace::with_tokenizer();
    assert_snapshot!(here.fails("generate --model t"), @r"
    error: `--prompt` is missing
    hint: give a prompt with --prompt or --prompt-file
    ");
    assert_snapshot!(here.fails("generate --model t --prompt a --temperature=-1"), @r"
    error: `generate.temperature` is -1, expected 0 or a positive number
    hint: temperature 0 always takes the most likely token
    ");
    assert_snapshot!(here.fails("generate --model t --prompt-file nowhere.txt"), @r"
    error: reading prompt `nowhere.txt`
      caused by: no such file or folder: `nowhere.txt`
    hint: check the path; relative paths are relative to the working directory
    ");
}

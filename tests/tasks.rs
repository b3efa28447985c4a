//! Tasks with trials: passkeys and their kin.

use serde_json::Value;

use crate::support::Workplace;

fn values(report: &Value) -> Vec<f64> {
    let results = report["results"].as_array().unwrap();
    let value = |result: &Value| result["value"].as_f64().unwrap();
    results.iter().map(value).collect()
}

#[test]
fn passkeys_are_found_inside_the_window_and_lost_beyond() {
    let here = Workplace::with_tokenizer();
    let line = "eval passkey --model t --rope none pi --contexts 256,512 --trials 3 --json";
    let report = here.compute_json(line);
    // PI is none at the original context.
    let [none, _, pi, pi_beyond] = values(&report)[..] else {
        panic!("{report}")
    };
    assert!(none > 0.99 && pi > 0.99 && pi_beyond < 0.01, "{report}");
    let trial = &report["results"][0]["trials"][1];
    assert_eq!(trial["expected"], trial["answer"]);
    assert_eq!(trial["n_prompt_tokens"], 250);
}

#[test]
fn generating_an_answer_gives_what_forcing_it_gives() {
    let here = Workplace::with_tokenizer();
    let line = "eval passkey --model t --rope none --contexts 512 --trials 4 --seed 3 --json";
    let forced = here.compute_json(line);
    let generated = here.compute_json(&format!("{line} --set passkey.protocol=generated"));
    assert_eq!(values(&forced), values(&generated));
}

#[test]
fn contexts_without_room_are_refused() {
    let here = Workplace::with_tokenizer();
    let message = here.fails("eval passkey --model t --contexts 64");
    assert!(
        message.contains("`passkey` does not fit into 64 tokens") && message.contains("114"),
        "{message}"
    );
    let message = here.fails("eval passkey --model t --contexts 256 --resume");
    assert!(message.contains("--out"), "{message}");
}

//! Every result says what it was measured on, in its file and in `--json`.

use serde_json::Value;

use crate::support::{TINY_SEARCH, Workplace};

/// Checks the fields that all results have.
fn assert_complete(source: &Value, model: &str, texts: &[&str], seed: u64) {
    assert_eq!(
        source["tool_version"],
        env!("CARGO_PKG_VERSION"),
        "{source}"
    );
    assert_eq!(source["model"], model, "{source}");
    assert_eq!(hex(&source["model_fingerprint"]).len(), 64, "{source}");
    assert_eq!(source["texts"], Value::from(texts.to_vec()), "{source}");
    assert_eq!(hex(&source["text_fingerprint"]).len(), 64, "{source}");
    assert_eq!(source["seed"], seed, "{source}");
    assert_eq!(source["devices"], Value::from(vec!["flex"]), "{source}");
    assert_eq!(source["precision"], "f32", "{source}");
}

fn hex(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn json(here: &Workplace, line: &str) -> Value {
    serde_json::from_str(&here.run(line).worked()).unwrap()
}

#[test]
fn perplexities_name_model_text_and_each_rope_with_and_without_a_folder() {
    let here = Workplace::with_model();
    let flags = "--model m --tokens tokens.json --contexts 32,64 --windows 2 --json";
    for verb in ["eval ppl --rope none yarn", "compare"] {
        let printed = json(&here, &format!("{verb} {flags}"));
        assert_complete(&printed["source"], "m", &["tokens.json"], 42);
        let saved = json(&here, &format!("{verb} {flags} --out run"));
        assert_eq!(saved["source"], printed["source"]);
        let name = if verb == "compare" { "compare" } else { "ppl" };
        assert_eq!(here.read_json(&format!("run/eval/{name}.json")), saved);
        let results = printed["results"].as_array().unwrap();
        let fingerprint = |rope: &str, context: usize| {
            let is = |result: &&Value| result["rope"] == rope && result["context"] == context;
            hex(&results.iter().find(is).unwrap()["rope_fingerprint"]).to_owned()
        };
        // Within the window, methods change nothing; beyond it, each is its own.
        assert_eq!(fingerprint("yarn", 32), fingerprint("none", 32));
        assert_ne!(fingerprint("yarn", 64), fingerprint("none", 64));
        let windows = &results[0]["windows"];
        assert_eq!(windows["document"], Value::from(vec![0, 0]));
        assert_eq!(windows["n_tokens"], Value::from(vec![31, 31]));
        let losses = windows["nll_nats"].as_array().unwrap();
        let mean = losses.iter().filter_map(Value::as_f64).sum::<f64>() / 2.0;
        assert!((mean - results[0]["nll_nats"].as_f64().unwrap()).abs() < 1e-9);
    }
}

#[test]
fn tasks_name_their_data_and_their_seed() {
    let here = Workplace::with_tokenizer();
    here.rust_text();
    let passkey = json(
        &here,
        "eval passkey t --contexts 128 --trials 1 --seed 7 --json",
    );
    let source = &passkey["source"];
    assert_eq!(
        (&source["model"], &source["seed"]),
        (&"t".into(), &7.into())
    );
    assert_eq!(source.get("text_fingerprint"), None);
    assert_eq!(hex(&passkey["results"][0]["rope_fingerprint"]).len(), 64);
    let needle = "eval needle t --contexts 200 --trials 1 --depths 0 --text text.txt --json";
    assert_complete(&json(&here, needle)["source"], "t", &["text.txt"], 42);

    let here = Workplace::with_model();
    here.checkpoint("../bench/checkpoint", "b");
    here.checkpoint("../bench/data", "data");
    let bench = "eval bench --model b --bench mmlu --data data/mmlu-test.parquet \
        --fewshot data/mmlu-dev.jsonl --limit 1 --json";
    let files = ["data/mmlu-test.parquet", "data/mmlu-dev.jsonl"];
    assert_complete(&json(&here, bench)["source"], "b", &files, 1234);
}

#[test]
fn searches_recoveries_and_trainings_name_what_they_were_made_from() {
    let here = Workplace::with_model();
    let search = format!("{TINY_SEARCH} --set search.generations=1 --target 64 --out found --json");
    let found = json(&here, &search);
    assert_complete(&found["source"], "m", &["tokens.json"], 42);
    assert_eq!(here.read_json("found/search/result.json"), found);
    for method in std::iter::once(&found["searched"]).chain(found["baselines"].as_array().unwrap())
    {
        assert_eq!(hex(&method["rope_fingerprint"]).len(), 64, "{method}");
        assert_eq!(method["text_nats"].as_array().unwrap().len(), 2);
    }
    let ppl = "eval ppl m --tokens tokens.json --contexts 64 --windows 1 --json";
    let whole_text = &json(&here, ppl)["source"]["text_fingerprint"];
    assert_eq!(found["source"]["text_fingerprint"], *whole_text);

    let recover = "recover --model m --tokens tokens.json --rope found/rope.json --contexts 16 --samples 1 \
        --set search.population=6 --set search.parents=2 --set search.mutations=1 --set search.crossovers=1 \
        --set search.generations=1 --out short --json";
    let recovered = json(&here, recover);
    assert_complete(&recovered["source"], "m", &["tokens.json"], 42);
    let origin = &here.read_json("short/rope.json")["provenance"];
    assert_eq!(
        origin["model_fingerprint"],
        recovered["source"]["model_fingerprint"]
    );

    let finetune = "finetune --model m --tokens tokens.json --rope yarn --context 64 --steps 1 --seed 7 --json --out run";
    let trained = json(&here, finetune);
    assert_complete(&trained["source"], "m", &["tokens.json"], 7);
    let rope = &trained["source"]["rope"];
    assert_eq!(
        (&rope["name"], hex(&rope["fingerprint"]).len()),
        (&"yarn".into(), 64)
    );
    assert_eq!(trained["source"]["text_fingerprint"], *whole_text);
    let header = here.read_json_lines("run/metrics.jsonl").swap_remove(0);
    assert_eq!(header["source"], trained["source"]);
}

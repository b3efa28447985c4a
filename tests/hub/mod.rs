//! Models, texts and benchmarks from a hub, served by a thread of the test.
//!
//! These tests need the feature: `cargo test --features hub`.

mod downloads;
mod server;
mod texts;
mod variables;

use serde_json::json;

use self::server::{COMMIT, Hub};
use crate::support::{Outcome, Workplace};

/// An address at which nobody listens.
const NOWHERE: &str = "http://127.0.0.1:9";

/// A hub with the checkpoint `o/m` and the questions of ARC.
fn workplace() -> Workplace {
    let here = Workplace::with_model();
    fs_err::create_dir_all(here.path("hub/o")).unwrap();
    here.checkpoint("../bench/checkpoint", "hub/o/m");
    here.write("hub/o/m/README.md", "a model");
    here.checkpoint("../bench/data", "data");
    let folder = here.path("hub/datasets/allenai/ai2_arc/ARC-Easy");
    fs_err::create_dir_all(&folder).unwrap();
    for (name, file) in [
        ("train", "arc-train.parquet"),
        ("test", "arc-train.parquet"),
    ] {
        let to = folder.join(format!("{name}-00000-of-00001.parquet"));
        fs_err::copy(here.path("data").join(file), to).unwrap();
    }
    here
}

/// Runs a command line with this hub and a cache of its own.
fn run(here: &Workplace, hub: &str, line: &str) -> Outcome {
    let cache = here.path("cache");
    let variables = [
        ("HF_ENDPOINT", hub),
        ("HF_HOME", cache.to_str().unwrap()),
        ("HF_TOKEN", "secret"),
    ];
    here.run_with(line, &variables)
}

#[test]
fn models_and_benchmarks_are_fetched_once() {
    let here = workplace();
    let hub = Hub::serve(here.path("hub"));
    let line = "eval bench --model hf:o/m --bench arc-easy --limit 3 --shots 2 --json";
    let fetched = run(&here, &hub.address, line).worked();
    let inspected = run(&here, &hub.address, "inspect hf:o/m").worked();
    assert!(inspected.contains("hf:o/m"), "{inspected}");
    assert!(
        !here
            .path("cache/hub/models--o--m")
            .join("snapshots")
            .join(COMMIT)
            .join("README.md")
            .exists()
    );
    // The folder in the cache would say less.
    let name = format!("hf:o/m@{COMMIT}");
    assert_eq!(strip_times(&fetched)["source"]["model"], name);
    // Nobody listens there: all comes from the cache.
    assert_eq!(
        strip_times(&run(&here, NOWHERE, line).worked()),
        strip_times(&fetched)
    );
    let local = "eval bench --model hub/o/m --bench arc-easy --limit 3 --shots 2 --json \
        --data data/arc-train.parquet --fewshot data/arc-train.parquet";
    assert_eq!(
        strip_times(&run(&here, NOWHERE, local).worked())["results"],
        strip_times(&fetched)["results"]
    );
}

/// A report without times, which differ between runs.
fn strip_times(json: &str) -> serde_json::Value {
    let mut value: serde_json::Value = serde_json::from_str(json).unwrap();
    value["results"][0]["elapsed_secs"] = json!(0);
    value
}

#[test]
fn errors_name_what_cannot_be_fetched() {
    let here = workplace();
    let hub = Hub::serve(here.path("hub"));
    let outcome = run(
        &here,
        &hub.address,
        "eval bench --model hf:o/m --bench hellaswag",
    );
    assert_eq!(outcome.code, Some(1));
    for words in [
        "cannot fetch `data/validation-00000-of-00001.parquet` of data set `Rowan/hellaswag`",
        "404",
        "hint: it does not exist on the hub",
    ] {
        assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
    }
    let outcome = run(&here, NOWHERE, "inspect hf:o/other@v2");
    assert_eq!(outcome.code, Some(1));
    for words in [
        "cannot fetch model `o/other`",
        "hint: check the network, or give local files",
    ] {
        assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
    }
}

#[test]
fn a_cached_model_without_a_tokenizer_is_used_offline() {
    let here = workplace();
    fs_err::remove_file(here.path("hub/o/m/tokenizer.json")).unwrap();
    let hub = Hub::serve(here.path("hub"));
    run(&here, &hub.address, "inspect hf:o/m").worked();
    run(&here, NOWHERE, "inspect hf:o/m").worked();
    let cache = here.path("cache");
    let variables = [
        ("HF_ENDPOINT", NOWHERE),
        ("HF_HOME", cache.to_str().unwrap()),
        ("HF_HUB_OFFLINE", "1"),
    ];
    here.run_with("inspect hf:o/m", &variables).worked();
}

#[test]
fn only_the_weights_that_are_read_are_fetched() {
    let here = workplace();
    let snapshot = here.path(&format!("cache/hub/models--o--m/snapshots/{COMMIT}"));
    here.write("hub/o/m/consolidated.safetensors", "the same once more");
    here.write("hub/o/m/model.fp16.safetensors", "in another type");
    let hub = Hub::serve(here.path("hub"));
    run(&here, &hub.address, "inspect hf:o/m").worked();
    assert!(snapshot.join("model.safetensors").exists());
    for name in ["consolidated.safetensors", "model.fp16.safetensors"] {
        assert!(!snapshot.join(name).exists(), "{name}");
    }
    // In shards that an index names.
    fs_err::remove_dir_all(here.path("cache")).unwrap();
    let weights = here.path("hub/o/m/model.safetensors");
    let bytes = fs_err::read(&weights).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let shard = "model-00001-of-00001.safetensors";
    let map: serde_json::Map<String, serde_json::Value> = tensors
        .names()
        .into_iter()
        .map(|name| (name.to_string(), json!(shard)))
        .collect();
    let index = json!({"metadata": {}, "weight_map": map});
    here.write("hub/o/m/model.safetensors.index.json", index.to_string());
    fs_err::rename(&weights, here.path("hub/o/m").join(shard)).unwrap();
    run(&here, &hub.address, "inspect hf:o/m").worked();
    assert!(snapshot.join(shard).exists());
    assert!(!snapshot.join("model.fp16.safetensors").exists());
}

#[test]
fn a_repository_of_gguf_files_says_how_they_are_used() {
    let here = workplace();
    fs_err::create_dir_all(here.path("hub/o/g")).unwrap();
    here.write("hub/o/g/q8.gguf", "GGUF");
    let hub = Hub::serve(here.path("hub"));
    let message = run(&here, &hub.address, "inspect hf:o/g").refused();
    assert!(message.contains("hf download o/g q8.gguf"), "{message}");
}

#[test]
fn a_model_of_the_hub_is_exported_with_what_belongs_to_it() {
    let here = workplace();
    here.write("hub/o/m/LICENSE", "terms");
    here.write("hub/o/m/chat_template.jinja", "{{ messages }}");
    let hub = Hub::serve(here.path("hub"));
    let line = "export --model hf:o/m --rope pi --target 512 --out x";
    run(&here, &hub.address, line).worked();
    for name in ["LICENSE", "chat_template.jinja", "model.safetensors"] {
        assert_eq!(
            fs_err::read(here.path("x").join(name)).unwrap(),
            fs_err::read(here.path("hub/o/m").join(name)).unwrap(),
            "{name}"
        );
    }
    let card = here.read("x/README.md");
    assert!(card.starts_with("---\nbase_model: o/m\n"), "{card}");
    run(&here, NOWHERE, "inspect x").worked();
}

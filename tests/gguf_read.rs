//! GGUF files in the place of a model: what is read, shown and carried on.

use std::path::{Path, PathBuf};

use longrope_data::Tokenizer;
use longrope_gguf::{GgufFile, Value as Stored};
use serde_json::{Value, json};

use crate::support::{Workplace, number};

/// What a file becomes in the cache.
fn unpacked(here: &Workplace) -> Vec<PathBuf> {
    let entries = fs_err::read_dir(here.path("cache/longrope/gguf"));
    let entries = entries.into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn special_tokens_of_a_file_keep_their_ids() {
    let here = Workplace::with_tokenizer();
    // Its special tokens are 0 and 1. An id without a token, in the middle of the others.
    let mut json = here.read_json("t/tokenizer.json");
    let model = &mut json["model"];
    let vocab = model["vocab"].as_object_mut().unwrap();
    assert_eq!(vocab.remove("oll"), Some(json!(1021)));
    let merges = model["merges"].as_array_mut().unwrap();
    let n_merges = merges.len();
    merges.retain(|merge| *merge != json!(["ol", "l"]));
    assert_eq!(merges.len(), n_merges - 1);
    here.write("t/tokenizer.json", json.to_string());
    here.rust_text();
    let text = here.read("text.txt").replace('\n', "</s><s>\n");
    here.write("text.txt", &text);

    here.run("export t --rope checkpoint --format gguf --out t.gguf")
        .worked();
    let losses = |model: &str| {
        let flags = "--text text.txt --contexts 256 --windows 1 --rope checkpoint --json";
        here.compute_json(&format!("eval ppl {model} {flags}"))
    };
    let (found, expected) = (losses("t.gguf"), losses("t"));
    let nats = |results: &Value| number(results, "/results/0/nll_nats");
    assert!((nats(&found) - nats(&expected)).abs() < 1e-4);

    let read = |folder: &Path| Tokenizer::from_model_dir(folder).unwrap();
    let (found, expected) = (read(&unpacked(&here)[0]), read(&here.path("t")));
    for text in [text.as_str(), "<s>Example ak<s> roll </s> é\t<unk>"] {
        let ids = expected.encode(text, true).unwrap();
        assert!(ids.contains(&0), "{text}");
        assert_eq!(found.encode(text, true).unwrap(), ids);
        assert_eq!(found.decode(&ids).unwrap(), expected.decode(&ids).unwrap());
    }
}

#[test]
fn an_inspection_shows_the_types_in_the_file() {
    let here = Workplace::with_tokenizer();
    here.run("export t --rope checkpoint --format gguf --dtype q8_0 --out x.gguf")
        .worked();
    let found = here.inspection("x.gguf");
    assert_eq!(found["dtypes"], json!(["F32", "Q8_0"]));
    assert_eq!(found["n_files"], 1);
    let file = GgufFile::open(&here.path("x.gguf")).unwrap();
    let n_bytes = file.tensors().values().filter_map(|tensor| tensor.n_bytes);
    assert_eq!(found["n_bytes"], n_bytes.sum::<u64>());
    let text = here.run("inspect x.gguf").worked();
    assert!(text.contains("in 1 file(s), F32, Q8_0"), "{text}");
}

#[test]
fn copies_keep_the_name_the_licence_and_the_base() {
    let here = Workplace::with_model();
    here.write(
        "m/README.md",
        "---\nlicense: mit\nbase_model: o/base\n---\n",
    );
    here.run("export m --rope checkpoint --format gguf --out a.gguf")
        .worked();
    here.run("export a.gguf --rope checkpoint --format gguf --out b.gguf")
        .worked();
    let general = |name: &str| -> Vec<(String, Stored)> {
        let file = GgufFile::open(&here.path(name)).unwrap();
        let entries = file.metadata().iter().cloned();
        let mut keys: Vec<_> = entries
            .filter(|(key, _)| key.starts_with("general."))
            .collect();
        keys.sort_by(|a, b| a.0.cmp(&b.0));
        keys
    };
    let first = general("a.gguf");
    let name = ("general.name".to_owned(), Stored::from("base"));
    assert!(first.contains(&name), "{first:?}");
    assert_eq!(general("b.gguf"), first);
    here.run("export a.gguf --rope checkpoint --out hf")
        .worked();
    let card = here.read("hf/README.md");
    assert!(
        card.contains("base_model: o/base\nlicense: mit\n"),
        "{card}"
    );
    let config = here.read_json("hf/config.json");
    assert_eq!(config["architectures"], json!(["LlamaForCausalLM"]));
}

#[test]
fn adapters_name_the_file_that_they_are_for() {
    let here = Workplace::with_model();
    here.run("export m --rope checkpoint --format gguf --out a.gguf")
        .worked();
    here.run(
        "finetune a.gguf --tokens tokens.json --context 32 --steps 1 --out run --lora --dashboard off \
         --set train.eval-windows=0 --set train.warmup-steps=0",
    )
    .worked();
    let config = here.read_json("run/step-000001/adapter/adapter_config.json");
    assert_eq!(config["base_model_name_or_path"], "a.gguf");
}

#[test]
fn a_file_whose_tensors_do_not_fit_its_keys_is_not_unpacked() {
    let here = Workplace::with_model();
    here.run("export m --rope checkpoint --format gguf --out x.gguf")
        .worked();
    let mut bytes = fs_err::read(here.path("x.gguf")).unwrap();
    let key = b"llama.feed_forward_length";
    let at = bytes.windows(key.len()).position(|found| found == key);
    // After the key and the type of its value.
    let at = at.unwrap() + key.len() + 4;
    bytes[at] += 1;
    here.write("x.gguf", bytes);
    let message = here.fails("inspect x.gguf");
    assert!(
        message.contains(
            "`x.gguf` cannot be read as a model: tensor `blk.0.ffn_gate.weight` has shape"
        ),
        "{message}"
    );
    assert!(message.contains("hint: "), "{message}");
    assert!(!message.contains("config.json"), "{message}");
    assert!(unpacked(&here).is_empty());
}

//! Modules that are trained as a whole beside adapters.

use burn::tensor::{DType, Tensor};
use longrope_model::{Decoder, LoraConfig, LoraError, ModelConfig, Recompute, Trained};
use longrope_model::{TensorEntry, TrainingBatch, attention_maps, write_safetensors};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::support::{FAMILIES, load};

fn config(targets: &[&str], saved: &[&str]) -> LoraConfig {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    LoraConfig {
        rank: 2,
        alpha: 4.0,
        target_modules: names(targets),
        modules_to_save: names(saved),
    }
}

fn add(decoder: &mut Decoder, config: &LoraConfig) -> longrope_model::Result<()> {
    decoder.add_adapters(config, &mut ChaCha8Rng::seed_from_u64(3))
}

fn targets(model: &ModelConfig) -> Vec<&'static str> {
    attention_maps(model)
}

/// Trained parameters with their gradients.
fn gradients(decoder: &Decoder, trained: Trained, recompute: Recompute) -> Vec<(String, Vec<f64>)> {
    let tokens: Vec<u32> = (0..24).map(|t| (t * 7 + t * t) % 50).collect();
    let batch = TrainingBatch {
        tokens: vec![tokens],
        ..TrainingBatch::default()
    };
    let rotary = decoder.rotary(&decoder.config().rope.resolve(24), 24);
    let result = decoder
        .loss_gradients(&batch, &rotary, trained, recompute)
        .unwrap();
    let gradients = result.gradients.iter();
    gradients
        .map(|(name, values)| {
            let data = values.clone().into_data();
            (name.to_owned(), data.iter::<f64>().collect())
        })
        .collect()
}

/// Adds a number to every value of the trained parameters.
fn nudge(decoder: &mut Decoder, by: f64) {
    let selection = decoder.selection(Trained::Adapters);
    decoder.for_each_parameter(|mut parameter| {
        if selection.includes(&parameter) {
            let values = parameter.flat();
            parameter.set_flat(values + by);
        }
    });
}

fn parameters(decoder: &Decoder) -> Vec<(String, Vec<f64>)> {
    let mut found = Vec::new();
    decoder.clone().for_each_parameter(|parameter| {
        let data = parameter.flat().into_data();
        found.push((parameter.name, data.iter::<f64>().collect()));
    });
    found
}

#[test]
fn their_gradients_are_those_of_full_training_in_every_family() {
    for (name, _) in FAMILIES {
        let mut decoder = load(name).cast(DType::F64);
        let full = gradients(&decoder, Trained::All, Recompute::Layers);
        let own = targets(decoder.config());
        add(&mut decoder, &config(&own, &["embed_tokens", "norm"])).unwrap();
        for recompute in [Recompute::Layers, Recompute::Nothing] {
            let found = gradients(&decoder, Trained::Adapters, recompute);
            let whole: Vec<_> = found
                .iter()
                .filter(|(name, _)| !name.contains("lora_"))
                .collect();
            let layers = decoder.config().n_layers;
            assert_eq!(
                whole.len(),
                2 + 2 * layers,
                "embeddings and norms of {name}"
            );
            for (parameter, values) in whole {
                let expected = &full.iter().find(|(name, _)| name == parameter).unwrap().1;
                for (a, b) in values.iter().zip(expected) {
                    assert!(
                        (a - b).abs() < 1e-9 * b.abs().max(1.0),
                        "{name}: {parameter}"
                    );
                }
            }
        }
    }
}

#[test]
fn names_end_the_full_name_as_in_peft() {
    let tied = load("llama-gqa-tied");
    let trained = |saved: &[&str]| {
        let mut decoder = tied.clone();
        add(&mut decoder, &config(&["q_proj"], saved)).unwrap();
        let selection = decoder.selection(Trained::Adapters);
        let mut names = Vec::new();
        decoder.for_each_parameter(|parameter| {
            if selection.includes(&parameter) && !parameter.name.contains("lora_") {
                names.push(parameter.name);
            }
        });
        names
    };
    assert_eq!(trained(&["model.norm"]), ["model.norm.weight"]);
    assert_eq!(
        trained(&["lm_head"]),
        ["model.embed_tokens.weight"],
        "one matrix"
    );
    assert_eq!(
        trained(&["layers.0.input_layernorm", "1.self_attn.o_proj"]),
        [
            "model.layers.0.input_layernorm.weight",
            "model.layers.1.self_attn.o_proj.weight"
        ]
    );
}

#[test]
fn names_without_a_module_and_modules_with_an_adapter_are_refused() {
    let refused = |targets: &[&str], saved: &[&str]| {
        let error = add(&mut load("llama-gqa-tied"), &config(targets, saved)).unwrap_err();
        match error {
            longrope_model::Error::Lora(error) => error,
            other => panic!("{other}"),
        }
    };
    for name in ["embed", "", "lora_A", "embed_tokens.weight", "self_attn"] {
        let error = refused(&["q_proj"], &[name]);
        assert!(matches!(&error, LoraError::UnknownSaved { name: found, .. } if found == name));
        let message = error.to_string();
        assert!(
            message.contains("embed_tokens") && message.contains("input_layernorm"),
            "{message}"
        );
    }
    assert!(matches!(
        refused(&["q_proj"], &["q_proj"]),
        LoraError::AdapterAndSaved { module } if module.ends_with("q_proj")
    ));
    assert!(matches!(refused(&[], &[]), LoraError::NoTarget { .. }));
}

#[test]
fn a_folder_holds_them_as_peft_writes_them() {
    for (name, head) in [("llama-gqa-tied", true), ("llama-f16", false)] {
        let mut decoder = load(name);
        let settings = config(&["q_proj"], &["embed_tokens", "norm"]);
        add(&mut decoder, &settings).unwrap();
        nudge(&mut decoder, 0.01);
        let folder = tempfile::tempdir().unwrap();
        decoder
            .write_adapters(folder.path(), &settings, folder.path())
            .unwrap();
        let text = fs_err::read_to_string(folder.path().join("adapter_config.json")).unwrap();
        let json: Value = serde_json::from_str(&text).unwrap();
        let mut expected = vec!["embed_tokens", "norm"];
        expected.extend(head.then_some("lm_head"));
        assert_eq!(json["modules_to_save"], json!(expected));
        let file =
            longrope_model::Checkpoint::open_file(&folder.path().join("adapter_model.safetensors"));
        let file = file.unwrap();
        for key in [
            "model.embed_tokens.weight",
            "model.norm.weight",
            "model.layers.1.input_layernorm.weight",
        ] {
            assert!(
                file.tensors()
                    .contains_key(&format!("base_model.model.{key}")),
                "{key}"
            );
        }
        assert_eq!(
            file.tensors()
                .contains_key("base_model.model.lm_head.weight"),
            head
        );

        let mut again = load(name);
        let read = again.read_adapters(folder.path()).unwrap();
        assert_eq!(read.modules_to_save, expected);
        assert_eq!(parameters(&again), parameters(&decoder));
        // They are weights, so merging leaves them as they are.
        let trained = parameters(&decoder);
        decoder.merge_adapters();
        for (parameter, values) in parameters(&decoder) {
            if parameter.contains("norm") || parameter.contains("embed") {
                let before = &trained
                    .iter()
                    .find(|(name, _)| *name == parameter)
                    .unwrap()
                    .1;
                assert_eq!(&values, before, "{parameter}");
            }
        }
    }
}

#[test]
fn a_head_that_differs_from_tied_embeddings_is_refused() {
    let mut decoder = load("llama-gqa-tied");
    let settings = config(&["q_proj"], &["embed_tokens"]);
    add(&mut decoder, &settings).unwrap();
    let folder = tempfile::tempdir().unwrap();
    decoder
        .write_adapters(folder.path(), &settings, folder.path())
        .unwrap();
    let path = folder.path().join("adapter_model.safetensors");
    let file = longrope_model::Checkpoint::open_file(&path).unwrap();
    let entries = file.tensors().iter().map(|(name, stored)| {
        let values: Tensor<2> = file.tensor(name, decoder.device(), DType::F32).unwrap();
        let n: usize = stored.shape.iter().product();
        let by = if name.contains("lm_head") { 1.0 } else { 0.0 };
        TensorEntry {
            name: name.clone(),
            shape: stored.shape.clone(),
            values: values.reshape([n]) + by,
        }
    });
    let entries: Vec<TensorEntry> = entries.collect();
    write_safetensors(&path, entries).unwrap();
    let error = load("llama-gqa-tied")
        .read_adapters(folder.path())
        .unwrap_err();
    assert!(error.to_string().contains("head differ"), "{error}");
}

#[test]
fn their_parameters_are_counted() {
    for (name, _) in FAMILIES {
        let mut decoder = load(name);
        let own = targets(decoder.config());
        for saved in [&[][..], &["embed_tokens", "norm"]] {
            let settings = config(&own, saved);
            add(&mut decoder, &settings).unwrap();
            let selection = decoder.selection(Trained::Adapters);
            let mut n = 0;
            decoder.for_each_parameter(|parameter| {
                if selection.includes(&parameter) {
                    n += parameter.shape().iter().product::<usize>();
                }
            });
            assert_eq!(settings.n_parameters(decoder.config()), Ok(n), "{name}");
            if saved.is_empty() {
                assert_eq!(
                    longrope_model::estimate::adapter_parameters(decoder.config(), 2),
                    n
                );
            }
        }
    }
}

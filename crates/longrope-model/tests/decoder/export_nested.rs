//! Exporting models of text and images, of which the language model is a part.

use longrope_gguf::Loss;
use longrope_model::{
    Checkpoint, ExportOptions, FloatType, ModelConfig, ShouldStop, export_gguf, export_hf,
};
use safetensors::Dtype;
use serde_json::json;

use crate::support::{copy, edit_json, gguf_options, store, stored};

#[test]
fn what_is_no_floating_point_number_keeps_its_type_and_bytes() {
    let source = copy("gemma3");
    let mut tensors = stored(source.path());
    let positions: Vec<u8> = (0..16i64).flat_map(i64::to_le_bytes).collect();
    let sizes: Vec<u8> = (1..9i32).flat_map(i32::to_le_bytes).collect();
    let kept = [
        (
            "vision_tower.embeddings.position_ids",
            (Dtype::I64, vec![1, 16], positions),
        ),
        ("vision_tower.sizes", (Dtype::I32, vec![8], sizes)),
        ("vision_tower.mask", (Dtype::BOOL, vec![3], vec![1, 0, 1])),
        (
            "vision_tower.packed",
            (Dtype::U8, vec![5], vec![1, 2, 3, 4, 5]),
        ),
    ];
    for (name, tensor) in &kept {
        tensors.insert((*name).to_owned(), tensor.clone());
    }
    store(source.path(), &tensors);

    let place = tempfile::tempdir().unwrap();
    let target = place.path().join("out");
    let model = ModelConfig::from_folder(source.path()).unwrap();
    let options = ExportOptions {
        dtype: Some(FloatType::BF16),
        ..ExportOptions::new(model.max_context)
    };
    export_hf(source.path(), &target, &model.rope, options).unwrap();
    let written = stored(&target);
    assert!(written.keys().eq(tensors.keys()));
    for (name, tensor) in kept {
        assert!(written[name] == tensor, "{name}");
    }
    let projector = "multi_modal_projector.mm_input_projection_weight";
    assert_eq!(written[projector].0, Dtype::BF16);
    assert!(Checkpoint::open_model(&target).is_ok());
}

#[test]
fn parts_for_images_are_lost_in_a_gguf_file() {
    let place = tempfile::tempdir().unwrap();
    for (name, is_nested) in [("mistral3", true), ("llama-gqa-tied", false)] {
        let source = copy(name);
        if is_nested {
            // llama.cpp has no architecture for the scale of queries that depends on positions.
            edit_json(&source.path().join("config.json"), |config| {
                config["text_config"]["model_type"] = "mistral".into();
                config["text_config"]["rope_parameters"] =
                    json!({"rope_type": "default", "rope_theta": 10000.0});
            });
        }
        let model = ModelConfig::from_folder(source.path()).unwrap();
        let options = gguf_options(model.max_context, ShouldStop::default());
        let file = place.path().join(format!("{name}.gguf"));
        let exported = export_gguf(source.path(), &file, &model.rope, options).unwrap();
        assert_eq!(exported.context, model.max_context);
        let parts = |loss: &&Loss| matches!(loss, Loss::OtherParts { .. });
        let lost = exported.losses.iter().find(parts);
        let expected = is_nested.then(|| {
            let others = stored(source.path()).into_keys();
            let mut others = others.filter(|name| !name.starts_with("language_model."));
            let first = others.next().unwrap();
            Loss::OtherParts {
                n_tensors: 1 + others.count(),
                first,
            }
        });
        assert_eq!(lost, expected.as_ref(), "{name}");
    }
}

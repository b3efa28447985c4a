//! The fixtures, and the device that the tests run on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::{DType, Device};
use longrope_gguf::Sets;
use longrope_model::{
    Checkpoint, Decoder, ExportOptions, GgufOptions, ModelConfig, Precision, ShouldStop,
    TokenBatch, export_hf,
};
use longrope_rope::RopeSpec;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use tempfile::TempDir;

/// Names of the tiny checkpoints.
pub(crate) const CHECKPOINTS: [&str; 3] = ["llama-gqa-tied", "llama-sharded-bf16", "llama-f16"];

/// Names of the tiny checkpoints of further families, and the number of cases of each.
pub(crate) const FAMILIES: [(&str, usize); 6] = [
    ("mistral-window", 8),
    ("phi3-longrope", 4),
    ("phi3-window", 4),
    ("qwen2-biases", 8),
    ("qwen2-layers", 8),
    ("llama-longrope", 4),
];

/// The folder of a tiny checkpoint.
pub(crate) fn fixture(name: &str) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures");
    let folders = ["models", "families", "decoders"].map(|kind| fixtures.join(kind).join(name));
    let found = folders.into_iter().find(|folder| folder.is_dir());
    found.unwrap_or_else(|| panic!("there is no fixture {name}"))
}

/// The device under test: `LONGROPE_DEVICE`, or flex if it is not set.
#[expect(
    clippy::disallowed_methods,
    reason = "the environment selects the device of these tests"
)]
pub(crate) fn device() -> Device {
    match std::env::var("LONGROPE_DEVICE").as_deref() {
        Ok("ndarray") =>
        {
            #[expect(
                deprecated,
                reason = "an independent second backend to check results with"
            )]
            Device::ndarray()
        }
        Ok("flex") | Err(_) => Device::flex(),
        Ok(other) => panic!("LONGROPE_DEVICE is {other}, expected flex or ndarray"),
    }
}

/// The precision under test, `LONGROPE_PRECISION`, and how near losses have to be in it.
#[expect(
    clippy::disallowed_methods,
    reason = "the environment selects the precision of these tests"
)]
pub(crate) fn precision() -> (Precision, Nearness) {
    match std::env::var("LONGROPE_PRECISION").as_deref() {
        Ok("f32") | Err(_) => (Precision::F32, Nearness::Tokens),
        Ok("bf16") => (Precision::widened(DType::BF16), Nearness::Mean(BF16_NATS)),
        Ok("f16") => (Precision::widened(DType::F16), Nearness::Mean(F16_NATS)),
        Ok(other) => panic!("LONGROPE_PRECISION is {other}, expected f32, bf16 or f16"),
    }
}

/// How near the losses of a sequence have to be.
#[derive(Clone, Copy)]
pub(crate) enum Nearness {
    /// Every token within the tolerance of f32.
    Tokens,
    /// The mean within this tolerance. A single token may go to another expert if weights are rounded.
    Mean(f32),
}

/// Tolerances of a mean loss, nats, for random weights that are rounded to 8 or 11 bits of mantissa.
const BF16_NATS: f32 = 0.04;
const F16_NATS: f32 = 0.005;

/// Checks the losses of a sequence. `tolerance` is that of a token in f32.
pub(crate) fn assert_losses(
    nearness: Nearness,
    tolerance: f32,
    found: &[f32],
    expected: &[f32],
    what: &str,
) {
    assert_eq!(found.len(), expected.len(), "{what}");
    if let Nearness::Mean(tolerance) = nearness {
        let mean = |losses: &[f32]| losses.iter().sum::<f32>() / losses.len() as f32;
        let (found, expected) = (mean(found), mean(expected));
        let difference = (found - expected).abs();
        assert!(
            difference < tolerance,
            "{what}, mean: {found} is not {expected}"
        );
        return;
    }
    for (at, (x, y)) in found.iter().zip(expected).enumerate() {
        let token = at + 1;
        assert!(
            (x - y).abs() < tolerance,
            "{what}, token {token}: {x} is not {y}"
        );
    }
}

pub(crate) fn load(name: &str) -> Decoder {
    Decoder::load(&fixture(name), device()).unwrap()
}

/// Losses of one sequence, with the RoPE resolved for its length.
pub(crate) fn losses(decoder: &Decoder, spec: &RopeSpec, tokens: &[u32]) -> Vec<f32> {
    let rotary = decoder.rotary(&spec.resolve(tokens.len()), tokens.len());
    let batch = TokenBatch {
        sequences: &[tokens],
        score_from: 1,
    };
    decoder.token_nll(batch, &rotary).unwrap().remove(0)
}

/// A copy of a checkpoint to damage.
pub(crate) fn copy(name: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs_err::read_dir(fixture(name)).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs_err::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    folder
}

/// Type, shape and bytes of each tensor, read with the safetensors crate.
pub(crate) type Stored = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

pub(crate) fn stored(folder: &Path) -> Stored {
    let mut all = Stored::new();
    for path in Checkpoint::open(folder).unwrap().files() {
        let bytes = fs_err::read(path).unwrap();
        for (name, tensor) in SafeTensors::deserialize(&bytes).unwrap().tensors() {
            let content = (
                tensor.dtype(),
                tensor.shape().to_vec(),
                tensor.data().to_vec(),
            );
            assert!(all.insert(name, content).is_none(), "written twice");
        }
    }
    all
}

/// Replaces the weights of a checkpoint with a single file.
pub(crate) fn store(folder: &Path, tensors: &Stored) {
    store_as(folder, "model.safetensors", tensors);
}

/// Writes a weight file.
pub(crate) fn store_as(folder: &Path, name: &str, tensors: &Stored) {
    let views = tensors.iter().map(|(name, (dtype, shape, bytes))| {
        let view = TensorView::new(*dtype, shape.clone(), bytes).unwrap();
        (name, view)
    });
    safetensors::serialize_to_file(views, None, &folder.join(name)).unwrap();
}

/// Changes a JSON file.
pub(crate) fn edit_json(path: &Path, edit: impl FnOnce(&mut Value)) {
    let mut json = serde_json::from_str(&fs_err::read_to_string(path).unwrap()).unwrap();
    edit(&mut json);
    fs_err::write(path, json.to_string()).unwrap();
}

/// How to write a GGUF file of both sets of factors, for `target_context` tokens.
pub(crate) fn gguf_options(target_context: usize, should_stop: ShouldStop<'_>) -> GgufOptions<'_> {
    GgufOptions {
        target_context,
        sets: Sets::Both,
        dtype: None,
        overwrite: false,
        allow_non_finite: false,
        hub_name: None,
        origin: &[],
        adds_bos: false,
        rope_json: "{}",
        should_stop,
    }
}

/// Exports a checkpoint without changing its RoPE, with its weights copied or rewritten.
pub(crate) fn export_rewritten(source: &Path, target: &Path, rewrite: bool) {
    let config = ModelConfig::from_folder(source).unwrap();
    let options = ExportOptions {
        shard_size: rewrite.then(|| "1GB".parse().unwrap()),
        ..ExportOptions::new(config.max_context)
    };
    export_hf(source, target, &config.rope, options).unwrap();
}

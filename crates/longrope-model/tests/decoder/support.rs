//! The fixtures, and the device that the tests run on.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use longrope_model::{Decoder, Rotary, TokenBatch};
use longrope_rope::RopeSpec;
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
    let folder = fixtures.join("models").join(name);
    if folder.is_dir() {
        folder
    } else {
        fixtures.join("families").join(name)
    }
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

pub(crate) fn load(name: &str) -> Decoder {
    Decoder::load(&fixture(name), &device()).unwrap()
}

/// Losses of one sequence, with the RoPE resolved for its length.
pub(crate) fn losses(decoder: &Decoder, spec: &RopeSpec, tokens: &[u32]) -> Vec<f32> {
    let rotary = Rotary::new(&spec.resolve(tokens.len()), tokens.len(), decoder.device());
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
        fs_err::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    folder
}

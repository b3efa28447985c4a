//! Weights against the largest buffer of their device, before any is read.

use burn::tensor::DType;
use longrope_kernels::largest_buffer;

use super::placement::Placed;
use super::precision::Precision;
use crate::config::ModelConfig;
use crate::error::{Error, Result};

/// Refuses a model that has a tensor too large for the device it should lie on.
///
/// The embeddings of a large vocabulary are the first to be too large, and they are read last.
///
/// # Errors
/// For the largest of these tensors.
pub(crate) fn check_buffers(
    config: &ModelConfig,
    placed: &Placed,
    precision: Precision,
) -> Result<()> {
    let has_limit = |device| largest_buffer(device).is_some();
    if !placed.placement.devices().any(has_limit) {
        return Ok(());
    }
    let limit_of = |name: &str| largest_buffer(placed.of_parameter(name));
    largest_beyond(config, precision, limit_of).map_or(Ok(()), Err)
}

/// The largest tensor that takes more bytes than `limit_of` says of its name.
fn largest_beyond(
    config: &ModelConfig,
    precision: Precision,
    limit_of: impl Fn(&str) -> Option<u64>,
) -> Option<Error> {
    let tensors = config.tensors().into_iter().filter_map(|(tensor, shape)| {
        let limit = limit_of(&tensor)?;
        let dtype = match shape[..] {
            [_, _] => precision.matrices(),
            _ => precision.compute(),
        };
        let elements = shape.iter().copied().fold(1, usize::saturating_mul);
        let bytes = elements.saturating_mul(dtype.size()) as u64;
        (bytes > limit).then(|| Error::TensorTooLarge {
            tensor,
            bytes,
            dtype: name(dtype),
            limit,
        })
    });
    tensors.max_by_key(|error| match error {
        Error::TensorTooLarge { bytes, .. } => *bytes,
        _ => 0,
    })
}

fn name(dtype: DType) -> &'static str {
    match dtype {
        DType::BF16 => "bf16",
        DType::F16 => "f16",
        DType::F64 => "f64",
        _ => "f32",
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The bundled model with the vocabulary and the width of LLaMA 3 8B.
    fn wide() -> ModelConfig {
        let folder =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../longrope/assets/tiny-llama-256");
        let mut model = ModelConfig::from_folder(&folder).unwrap();
        (model.vocab_size, model.hidden_size) = (128_256, 4096);
        model
    }

    #[test]
    fn the_largest_tensor_is_named_with_its_size() {
        let limit = 128 << 20;
        let error = largest_beyond(&wide(), Precision::F32, |_| Some(limit)).unwrap();
        assert_eq!(
            error.to_string(),
            "tensor `model.embed_tokens.weight` takes 2004 MiB as f32, but the largest buffer of its device has 128 MiB"
        );
    }

    #[test]
    fn halves_fit_where_the_type_of_computations_does_not() {
        let between = |_: &str| Some(1_500_000_000);
        assert!(largest_beyond(&wide(), Precision::F32, between).is_some());
        let halves = Precision::widened(DType::BF16);
        assert!(largest_beyond(&wide(), halves, between).is_none());
        assert!(largest_beyond(&wide(), Precision::F32, |_| None).is_none());
    }

    #[test]
    fn devices_without_a_limit_take_any_tensor() {
        let model = wide();
        let placed = Placed::new(burn::tensor::Device::flex().into(), &model);
        assert!(check_buffers(&model, &placed, Precision::F32).is_ok());
    }
}

//! The types that a model is loaded in.

use anyhow::{Result, anyhow};
use burn::tensor::DType;
use longrope_model::estimate::Held;
use longrope_model::{Placement, Precision};
use longrope_trainer::run::WeightPrecision;

use super::device;
use crate::failure::Hint;
use crate::settings::config::{Config, PrecisionSetting, WeightSetting};

/// The precision on a device with this name.
///
/// On CPUs, weights in half precision are kept so, and computations are in `f32`. On GPUs, both are in half precision, and a
/// software driver computes what a GPU would.
///
/// # Errors
/// If the device does not have the type.
pub(crate) fn precision(
    setting: PrecisionSetting,
    name: &str,
    placement: &Placement,
) -> Result<Precision> {
    let dtype = match setting {
        PrecisionSetting::Auto => default_dtype(name, placement),
        PrecisionSetting::F32 => DType::F32,
        PrecisionSetting::Bf16 => DType::BF16,
        PrecisionSetting::F16 => DType::F16,
    };
    check_supported(name, placement, dtype, "precision")?;
    Ok(match dtype {
        DType::F32 => Precision::F32,
        half if device::has_kernels_of_gpus(name) => Precision::whole(half),
        half => Precision::widened(half),
    })
}

/// The settings of a training with the type of its weights: `auto` is `bf16` if all configured devices are GPUs that have it.
///
/// # Errors
/// If a GPU cannot be opened.
pub(crate) fn with_trained_precision(config: &Config) -> Result<Config> {
    let mut config = config.clone();
    if let Some(known) = trained_without_gpus(&config)? {
        config.train.precision = known;
        return Ok(config);
    }
    let mut names = config.device.names()?.iter();
    let all_in_half = names.try_fold(true, |all, name| -> Result<bool> {
        Ok(all && have(&device::place(name)?, DType::BF16))
    })?;
    config.train.precision = if all_in_half {
        WeightPrecision::Bf16
    } else {
        WeightPrecision::F32
    };
    Ok(config)
}

/// The type of the weights of a training: the one that is set, or that of a training that is not on GPUs alone; `None`
/// if it depends on GPUs.
fn trained_without_gpus(config: &Config) -> Result<Option<WeightPrecision>> {
    if config.train.precision != WeightPrecision::Auto {
        return Ok(Some(config.train.precision));
    }
    let mut names = config.device.names()?.iter();
    let is_on_gpus = names.all(|name| device::is_gpu(name));
    Ok((!is_on_gpus).then_some(WeightPrecision::F32))
}

/// Whether a training on the device with this name is in `bf16` by default. Of GPUs that are not here, those of CUDA and `ROCm`
/// are known to have it.
pub(crate) fn trains_in_half(name: &str, placement: Option<&Placement>) -> bool {
    let is_known = |part: &str| part.starts_with("cuda") || part.starts_with("rocm");
    device::is_gpu(name)
        && placement.map_or_else(
            || device::parts(name).all(is_known),
            |placement| have(placement, DType::BF16),
        )
}

/// The type of the weights of a training, as far as the names of its devices tell; `None` if GPUs have to be asked.
pub(crate) fn trained_by_names(config: &Config) -> Option<WeightPrecision> {
    let known = trained_without_gpus(config).ok()?;
    known.or_else(|| {
        let mut names = config.device.names().ok()?.iter();
        let all_in_half = names.all(|name| trains_in_half(name, None));
        all_in_half.then_some(WeightPrecision::Bf16)
    })
}

/// Refuses a type that the device does not have. Otherwise, the first tensor would panic.
pub(crate) fn check_supported(
    name: &str,
    placement: &Placement,
    dtype: DType,
    key: &str,
) -> Result<()> {
    if dtype == DType::F32 || have(placement, dtype) {
        return Ok(());
    }
    let dtype = dtype.name();
    Err(
        anyhow!("device `{name}` does not have `{dtype}`, which `{key}` asks for")
            .context(Hint(format!("set `{key}` to f32, or use another device"))),
    )
}

/// `bf16` on GPUs that have it, else `f16` on those that have that, else `f32`.
fn default_dtype(name: &str, placement: &Placement) -> DType {
    if !device::is_gpu(name) {
        return DType::F32;
    }
    [DType::BF16, DType::F16]
        .into_iter()
        .find(|dtype| have(placement, *dtype))
        .unwrap_or(DType::F32)
}

/// Whether all devices have a type.
fn have(placement: &Placement, dtype: DType) -> bool {
    placement
        .devices()
        .all(|device| device.supports_dtype(dtype))
}

/// The name of the precision on the first configured device.
///
/// # Errors
/// If there is no device, or it cannot be opened.
pub(crate) fn precision_name(config: &Config) -> Result<&'static str> {
    let setting = config.precision;
    if setting != PrecisionSetting::Auto {
        return Ok(setting.name());
    }
    let first = config
        .device
        .names()?
        .first()
        .map_or("flex", String::as_str);
    if !device::is_gpu(first) {
        return Ok(PrecisionSetting::F32.name());
    }
    Ok(match default_dtype(first, &device::place(first)?) {
        DType::BF16 => PrecisionSetting::Bf16.name(),
        DType::F16 => PrecisionSetting::F16.name(),
        _ => PrecisionSetting::F32.name(),
    })
}

/// How the configured weights are held on a CPU.
pub(crate) fn held(config: &Config) -> Held {
    Held {
        streamed: config.weights == WeightSetting::Streamed,
        bytes: if config.precision.is_half() { 2 } else { 4 },
    }
}

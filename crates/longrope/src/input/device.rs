//! `--device`: opens Burn devices by name.
//!
//! A name such as `cuda:0+cuda:1` stands for several devices with some of the layers of a model each.

use anyhow::{Result, anyhow};
use burn::tensor::Device;
#[cfg(any(feature = "cuda", feature = "rocm"))]
use longrope_data::counted;
use longrope_model::Placement;
use longrope_trainer::Worker;

use crate::failure::Hint;
use crate::settings::config::Config;

/// All kinds of devices, and whether this program was built with each.
const KINDS: [(&str, bool); 8] = [
    ("flex", cfg!(feature = "flex")),
    ("ndarray", cfg!(feature = "ndarray")),
    ("wgpu", cfg!(feature = "wgpu")),
    ("vulkan", cfg!(feature = "vulkan")),
    ("metal", cfg!(feature = "metal")),
    ("cuda", cfg!(feature = "cuda")),
    ("rocm", cfg!(feature = "rocm")),
    ("remote", cfg!(feature = "remote")),
];

/// Whether the device is this machine's CPU, which all such workers share, or the CPU has some of the layers.
pub(crate) fn is_cpu(name: &str) -> bool {
    parts(name).any(|part| matches!(part, "flex" | "ndarray"))
}

/// Whether the device is a GPU of this machine, not a software driver for one, or several GPUs have the layers.
pub(crate) fn is_gpu(name: &str) -> bool {
    has_kernels_of_gpus(name) && parts(name).all(|part| !part.ends_with(":cpu"))
}

/// Whether all devices of a name run the kernels of GPUs, on a GPU or by a software driver.
pub(crate) fn has_kernels_of_gpus(name: &str) -> bool {
    parts(name).all(|part| {
        let kind = part.split_once(':').map_or(part, |(kind, _)| kind);
        matches!(kind, "wgpu" | "vulkan" | "metal" | "cuda" | "rocm")
    })
}

/// The devices that a name stands for.
pub(crate) fn parts(name: &str) -> impl Iterator<Item = &str> {
    name.split('+')
}

/// The memory of this machine, as a name that no device has.
pub(crate) const HOST: &str = "host";

/// The memories that the parts of a device use: [`HOST`], or that of a device with this name.
pub(crate) fn memories(name: &str) -> impl Iterator<Item = &str> {
    parts(name).map(|part| if is_cpu(part) { HOST } else { part })
}

/// The configured devices as workers of a training; there is at least one.
///
/// # Errors
/// If there is none, or one cannot be opened.
pub(crate) fn workers(config: &Config) -> Result<Vec<Worker>> {
    let names = config.device.names()?.iter();
    let workers = names.map(|name| {
        Ok(Worker {
            name: name.clone(),
            placement: place(name)?,
            is_cpu: is_cpu(name),
        })
    });
    workers.collect()
}

/// Checks that a name is one of a device, whether or not this program was built with it.
///
/// # Errors
/// If it is not.
pub(crate) fn check_name(name: &str) -> Result<()> {
    check_parts(name)?;
    parts(name).try_for_each(|part| parse(part).map(|_| ()))
}

/// Checks that this program was built with the devices of a name, without opening them.
///
/// # Errors
/// If it was not, or the name is not one of a device.
pub(crate) fn check_built_in(name: &str) -> Result<()> {
    check_parts(name)?;
    parts(name).try_for_each(|part| {
        let (kind, _) = parse(part)?;
        if KINDS.contains(&(kind, true)) {
            Ok(())
        } else {
            Err(not_built_in(kind))
        }
    })
}

/// How several devices are given.
const SEVERAL: &str = "several devices are given as --device A --device B, where each computes its own windows, or as \
                       --device A+B, where each has some of the layers";

/// Checks that there is a name on both sides of every `+`.
fn check_parts(name: &str) -> Result<()> {
    if parts(name).count() < 2 || parts(name).all(|part| !part.is_empty()) {
        return Ok(());
    }
    Err(
        anyhow!("device `{name}` lacks a name beside a `+`, expected one on both sides")
            .context(Hint(SEVERAL.to_owned())),
    )
}

/// What to say of devices that never have work: those of a training share the batches of a step, whose number `key` sets.
pub(crate) fn idle(key: &str, n_batches: usize, n_devices: usize) -> Option<String> {
    let have = if n_batches == 1 { "has" } else { "have" };
    (n_batches < n_devices).then(|| {
        format!("{key} is {n_batches}, so only {n_batches} of {n_devices} devices {have} work")
    })
}

/// Splits a name into the kind of the device and its place: a number, or an address.
fn parse(name: &str) -> Result<(&str, Option<&str>)> {
    let (kind, place) = match name.split_once(':') {
        Some((kind, place)) => (kind, Some(place)),
        None => (name, None),
    };
    if !KINDS.iter().any(|(known, _)| *known == kind) {
        return Err(anyhow!(
            "device `{name}` is unknown, expected one of {}",
            KINDS.map(|(known, _)| known).join(", ")
        )
        .context(Hint(unknown_hint(name).to_owned())));
    }
    match (kind, place) {
        (_, None) => Ok((kind, None)),
        ("flex" | "ndarray", Some(_)) => Err(anyhow!(
            "device `{name}` has a number, but `{kind}` has only one device"
        )
        .context(Hint(format!("write --device {kind}")))),
        ("remote", Some(place)) => {
            if let Some((_, index)) = place.rsplit_once('#') {
                number(name, index)?;
            }
            Ok((kind, Some(place)))
        }
        ("wgpu" | "vulkan", Some("cpu" | "integrated")) | ("metal", Some("integrated")) => {
            Ok((kind, place))
        }
        (_, Some(index)) => {
            number(name, index)?;
            Ok((kind, place))
        }
    }
}

/// What to do about a name that no device has.
fn unknown_hint(name: &str) -> &'static str {
    if name.contains(',') {
        SEVERAL
    } else {
        "--device flex works on every machine; GPUs are cuda:0, cuda:1 and so on"
    }
}

/// Opens the devices of a name such as `flex`, or `cuda:0+cuda:1` for two with some of the layers each.
///
/// # Errors
/// If one of them is unknown or not there.
pub(crate) fn place(name: &str) -> Result<Placement> {
    check_parts(name)?;
    let mut devices = parts(name).map(open);
    let first = devices.next().unwrap_or_else(|| open(name))?;
    Ok(Placement::spread(first, devices.collect::<Result<_>>()?))
}

/// Opens the device with a name such as `flex` or `cuda:1`.
pub(crate) fn open(name: &str) -> Result<Device> {
    let (kind, place) = parse(name)?;
    // Only devices other than the CPU have a place.
    let _ = place;
    match kind {
        #[cfg(feature = "flex")]
        "flex" => Ok(Device::flex()),
        #[cfg(feature = "ndarray")]
        #[expect(
            deprecated,
            reason = "an independent second backend to check results with"
        )]
        "ndarray" => Ok(Device::ndarray()),
        #[cfg(feature = "wgpu")]
        "wgpu" => Ok(Device::wgpu(gpu(name, place)?)),
        #[cfg(feature = "vulkan")]
        "vulkan" => Ok(Device::vulkan(gpu(name, place)?)),
        #[cfg(feature = "metal")]
        "metal" => Ok(Device::metal(gpu(name, place)?)),
        #[cfg(feature = "cuda")]
        "cuda" => cuda(name, place),
        #[cfg(feature = "rocm")]
        "rocm" => rocm(name, place),
        #[cfg(feature = "remote")]
        "remote" => remote(name, place),
        _ => Err(not_built_in(kind)),
    }
}

/// The error for a kind of device that this program was built without.
fn not_built_in(kind: &str) -> anyhow::Error {
    // NVIDIA's own compiler of kernels comes with the CUDA toolkit.
    let feature = if kind == "cuda" { "cuda-nvrtc" } else { kind };
    anyhow!("this program was built without device `{kind}`").context(Hint(format!(
        "build it with `cargo build --release --features {feature}`, or use --device flex"
    )))
}

#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal"))]
fn gpu(name: &str, place: Option<&str>) -> Result<burn::tensor::DeviceKind> {
    use burn::tensor::DeviceKind;
    Ok(match place {
        None => DeviceKind::default(),
        Some("cpu") => DeviceKind::Cpu,
        Some("integrated") => DeviceKind::IntegratedGpu(0),
        Some(index) => DeviceKind::DiscreteGpu(number(name, index)?),
    })
}

#[cfg(feature = "cuda")]
fn cuda(name: &str, place: Option<&str>) -> Result<Device> {
    let tool = "nvidia-smi lists the devices; the first one is cuda:0";
    let index = existing(name, place, burn::tensor::DeviceType::Cuda, "CUDA", tool)?;
    tell_of_tuning(name);
    Ok(Device::cuda(index))
}

#[cfg(feature = "rocm")]
fn rocm(name: &str, place: Option<&str>) -> Result<Device> {
    let tool = "rocm-smi lists the devices; the first one is rocm:0";
    let index = existing(name, place, burn::tensor::DeviceType::Rocm, "ROCm", tool)?;
    tell_of_tuning(name);
    Ok(Device::rocm(index))
}

/// Says once why a program with the feature `autotune` seems to do nothing at first: about 14 kernels are compiled for each new
/// shape of a matrix product, which takes half a minute.
#[cfg(any(feature = "cuda", feature = "rocm"))]
fn tell_of_tuning(name: &str) {
    static TOLD: std::sync::Once = std::sync::Once::new();
    if cfg!(feature = "autotune") {
        TOLD.call_once(|| {
            tracing::warn!(
                "this program has the feature `autotune`: {name} first compiles several kernels for each operation and keeps the \
                 fastest one, which takes minutes in which nothing is printed"
            );
        });
    }
}

/// The number of a device, after checking that it exists. Otherwise, the first operation would panic in a worker thread.
#[cfg(any(feature = "cuda", feature = "rocm"))]
fn existing(
    name: &str,
    place: Option<&str>,
    kind: burn::tensor::DeviceType,
    runtime: &str,
    hint: &str,
) -> Result<usize> {
    let index = place.map_or(Ok(0), |index| number(name, index))?;
    let found = Device::enumerate(kind).into_vec().len();
    if index >= found {
        return Err(anyhow!(
            "device `{name}` does not exist, {runtime} reports {}",
            counted(found, "device")
        )
        .context(Hint(hint.to_owned())));
    }
    Ok(index)
}

/// Connects to a `longrope worker`.
#[cfg(feature = "remote")]
fn remote(name: &str, place: Option<&str>) -> Result<Device> {
    use anyhow::Context;
    use burn::remote::RemoteHost;
    let (url, index) = match place.and_then(|place| place.rsplit_once('#')) {
        Some((url, index)) => (url, number(name, index)?),
        None => (place.unwrap_or_default(), 0),
    };
    if !url.starts_with("ws://") {
        return Err(anyhow!("device `{name}` has no address").context(Hint(
            "write --device remote:ws://HOST:PORT, or remote:ws://HOST:PORT#1 for the second device there"
                .to_owned(),
        )));
    }
    let spinner = crate::terminal::progress::spinner(&format!("connecting to {url}"));
    let device = Device::remote_options(&RemoteHost::websocket(url))
        .device_index(index)
        .init();
    spinner.finish_and_clear();
    device
        .with_context(|| format!("connecting to `{url}`"))
        .context(Hint(
            "start `longrope worker --listen ADDR` there, with the same version of longrope"
                .to_owned(),
        ))
}

fn number(name: &str, index: &str) -> Result<usize> {
    index.parse().map_err(|_| {
        anyhow!("device `{name}` ends in `{index}`, expected a number").context(Hint(
            "devices of a kind are numbered from 0, for example cuda:0".to_owned(),
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        assert!(open("flex").is_ok());
        let error = open("tpu").unwrap_err().root_cause().to_string();
        assert_eq!(
            error,
            "device `tpu` is unknown, expected one of flex, ndarray, wgpu, vulkan, metal, cuda, rocm, remote"
        );
        assert!(open("flex:1").is_err());
        assert!(open("remote:host").is_err());
        assert!(check_name("wgpu:integrated").is_ok() && check_name("metal:integrated").is_ok());
        assert!(check_name("cuda:integrated").is_err() && check_name("metal:cpu").is_err());
        assert!(check_built_in("flex").is_ok() && check_built_in("flex+tpu").is_err());
        assert_eq!(check_built_in("cuda:9").is_ok(), cfg!(feature = "cuda"));
    }

    #[test]
    fn devices_without_work_are_counted() {
        let said = |n_batches| idle("`train.accumulate`", n_batches, 4);
        assert_eq!(
            said(3).unwrap(),
            "`train.accumulate` is 3, so only 3 of 4 devices have work"
        );
        assert_eq!(
            said(1).unwrap(),
            "`train.accumulate` is 1, so only 1 of 4 devices has work"
        );
        assert_eq!(said(4), None);
    }

    #[test]
    fn layers_can_lie_on_several_devices() {
        assert_eq!(place("flex+flex").unwrap().devices().count(), 2);
        let error = place("flex+tpu").unwrap_err().root_cause().to_string();
        assert!(error.starts_with("device `tpu` is unknown"), "{error}");
        for name in ["flex+", "+flex", "flex++flex", "+"] {
            let error = place(name).unwrap_err().root_cause().to_string();
            assert!(
                error.starts_with(&format!("device `{name}` lacks a name")),
                "{error}"
            );
            assert!(check_name(name).is_err(), "{name}");
        }
        assert!(check_name("cuda:0+cuda:1").is_ok());
        assert!(is_gpu("cuda:0+cuda:1") && !is_gpu("cuda:0+flex"));
        assert!(has_kernels_of_gpus("wgpu:cpu") && !is_gpu("wgpu:cpu"));
        assert!(!has_kernels_of_gpus("flex"));
        assert!(is_cpu("cuda:0+flex") && !is_cpu("cuda:0+cuda:1"));
        let memories: Vec<&str> = memories("flex+ndarray+cuda:0").collect();
        assert_eq!(memories, [HOST, HOST, "cuda:0"]);
    }
}

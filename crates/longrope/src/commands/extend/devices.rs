//! Whether the devices of all stages can be had, before any stage runs.

use anyhow::{Context, Result};
use longrope_extend::recipe::Verb;

use super::planned::{Planned, in_stage};
use crate::input::device;
use crate::input::precision::{check_supported, precision};

/// Checks the names of all devices, that this program was built with those that are yet to compute, and that CPUs have
/// the types that they are to compute in. Opens no other devices.
///
/// A dry run only warns of a device that this program was built without: a recipe may be for another machine.
///
/// # Errors
/// If a device is unknown, or is a CPU without the type; in a run, also if this program was built without it.
pub(super) fn check(planned: &[Planned], is_dry_run: bool) -> Result<()> {
    let mut told: Vec<&str> = Vec::new();
    for stage in planned {
        let checked = check_stage(stage, is_dry_run, &mut told);
        checked.with_context(|| in_stage(stage))?;
    }
    Ok(())
}

/// Checks the devices of a stage. `told` are those that were warned of.
fn check_stage<'p>(stage: &'p Planned, is_dry_run: bool, told: &mut Vec<&'p str>) -> Result<()> {
    for name in stage.work.config.device.names()? {
        device::check_name(name)?;
        if !computes(stage) || told.contains(&name.as_str()) {
            continue;
        }
        let Err(error) = device::check_built_in(name) else {
            check_type(stage, name)?;
            continue;
        };
        if !is_dry_run {
            return Err(error);
        }
        tracing::warn!(
            "stage `{}` is for device `{name}`: the recipe can be checked here, but not run, because {}",
            stage.name,
            error.root_cause()
        );
        told.push(name);
    }
    Ok(())
}

/// Refuses a CPU that does not have the type that the stage asks for.
fn check_type(stage: &Planned, name: &str) -> Result<()> {
    if !device::parts(name).all(device::is_cpu) {
        return Ok(());
    }
    let config = &stage.work.config;
    let placement = device::place(name)?;
    if stage.verb == Verb::Finetune {
        let dtype = config.train.precision.dtype();
        return check_supported(name, &placement, dtype, "train.precision");
    }
    precision(config.precision, name, &placement)?;
    Ok(())
}

/// Whether a stage is yet to compute something on a device.
fn computes(stage: &Planned) -> bool {
    !matches!(stage.verb, Verb::Report | Verb::Export) && !stage.is_done()
}

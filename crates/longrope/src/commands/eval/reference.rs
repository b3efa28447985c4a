//! The RoPE that differences are taken to.

use anyhow::{Result, anyhow};

use crate::failure::Hint;
use crate::input::rope_arg::RopeArg;
use crate::settings::config::Config;

/// As [`reference`], before a model is loaded: names that are neither of a RoPE nor of a file are refused too.
pub(crate) fn checked_reference(config: &Config, names: &[String]) -> Result<Option<String>> {
    names
        .iter()
        .try_for_each(|name| RopeArg::check_name(name))?;
    reference(config, names.iter().map(String::as_str))
}

/// Refuses a configured reference that is none of the RoPEs that could be measured of a model that is not there yet.
pub(crate) fn check_possible_reference(config: &Config, possible: &[String]) -> Result<()> {
    match &config.eval.reference {
        Some(wanted) if !possible.contains(wanted) => Err(unmeasured(
            wanted,
            &format!("could be measured: {}", possible.join(", ")),
        )),
        _ => Ok(()),
    }
}

/// The error for a reference that is not measured. `measured` says what is.
fn unmeasured(wanted: &str, measured: &str) -> anyhow::Error {
    anyhow!("the reference `{wanted}` is not measured; {measured}").context(Hint(format!(
        "give one of them with --reference, or add {wanted} to --rope"
    )))
}

/// The name of the reference among the RoPEs that are measured: the configured one, or the first. `None` if there is only
/// one RoPE.
///
/// # Errors
/// If the configured one is not measured.
pub(crate) fn reference<'a>(
    config: &Config,
    ropes: impl IntoIterator<Item = &'a str>,
) -> Result<Option<String>> {
    let mut names: Vec<&str> = Vec::new();
    for name in ropes {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    match &config.eval.reference {
        Some(wanted) if !names.contains(&wanted.as_str()) => Err(unmeasured(
            wanted,
            &format!("measured are {}", names.join(", ")),
        )),
        Some(wanted) => Ok((names.len() > 1).then(|| wanted.clone())),
        None => Ok(names
            .first()
            .filter(|_| names.len() > 1)
            .map(|name| (*name).to_owned())),
    }
}

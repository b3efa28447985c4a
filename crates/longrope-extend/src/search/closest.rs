//! The RoPE closest to another one that a runtime takes, chosen by loss.

use longrope_data::TokenDocument;
use longrope_search::closest::{Aim, Fit, neighbours};

use super::calibration::shape::SampleShape;
use super::calibration::{Calibration, CalibrationOptions};
use super::held_out::split::{HeldOutShare, Split};
use super::held_out::windows::{unseen_windows, windows};
use super::methods::loss::MethodLoss;
use super::methods::measured::{NamedSpec, measure};
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::pool::CallStatus;
use crate::scoring::{Models, Scoring, Workers};

/// Variants of the best form that are measured too.
const NEIGHBOURS: usize = 8;

/// What a choice is made from.
#[derive(Clone, Debug)]
pub struct ClosestInputs<'a> {
    /// The model, on every device that computes.
    pub models: &'a Models,
    /// The text.
    pub documents: &'a [TokenDocument],
    /// Samples that the RoPEs are measured on.
    pub samples: usize,
    /// Tokens of a sample.
    pub context: usize,
    /// Seed of the samples and of the variants.
    pub seed: u64,
}

/// The RoPE with the lowest loss, and the losses of all.
#[derive(Clone, Debug, PartialEq)]
pub struct ClosestRope {
    /// The RoPE.
    pub chosen: Fit,
    /// All that were measured, in order, with their losses in nats per token on the samples.
    pub tried: Vec<(String, f64)>,
}

/// Losses of RoPEs on the same windows of text.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowComparison {
    /// Tokens of a window.
    pub context: usize,
    /// Number of windows.
    pub n_windows: usize,
    /// Whether a choice among RoPEs did not see the text.
    pub is_held_out: bool,
    /// The losses, in the order of the RoPEs, with the differences to the first one.
    pub losses: Vec<MethodLoss>,
}

/// A fit that was measured.
struct Tried {
    fit: Fit,
    name: String,
    nll_nats: f64,
}

/// Measures `fits`, then variants of the best one, and chooses the RoPE with the lowest loss at `inputs.context`. Text that
/// [`compare_on_windows`] measures is left out, if the samples fit into the rest.
///
/// # Errors
/// If `fits` is empty, the text is too short, an interrupt is requested, or the model or all devices fail.
pub fn choose_closest(
    inputs: &ClosestInputs<'_>,
    fits: &[Fit],
    aim: Aim<'_>,
    interrupt: &Interrupt,
    watch: &mut dyn FnMut(usize),
) -> Result<ClosestRope> {
    let (calibration, _) = samples_and_rest(inputs)?;
    let mut scoring = Scoring::Workers(Workers::start(inputs.models)?);
    let mut tried: Vec<Tried> = Vec::new();
    for round in 0..2 {
        let new = match best(&tried) {
            None => fits.to_vec(),
            Some(best) => neighbours(&best.fit, aim, NEIGHBOURS, inputs.seed),
        };
        let named = |(number, fit): (usize, &Fit)| {
            let name = match round {
                0 => fit.form.to_string(),
                _ => format!("{}, variant {}", fit.form, number + 1),
            };
            NamedSpec::new(name, fit.computed.clone())
        };
        let ropes: Vec<NamedSpec> = new.iter().enumerate().map(named).collect();
        if ropes.is_empty() {
            continue;
        }
        let mut status = |status: &CallStatus| watch(status.n_answered);
        let losses = measure(&mut scoring, &calibration, &ropes, interrupt, &mut status)?;
        let measured = new.into_iter().zip(losses);
        tried.extend(measured.map(|(fit, loss)| Tried {
            fit,
            name: loss.method,
            nll_nats: loss.nll_nats,
        }));
    }
    let chosen = best(&tried).map(|best| best.fit.clone());
    Ok(ClosestRope {
        chosen: chosen.ok_or(Error::NothingToScore)?,
        tried: tried
            .into_iter()
            .map(|one| (one.name, one.nll_nats))
            .collect(),
    })
}

/// The samples of a choice, and its text in two parts; no parts if the samples fit into all of the text only.
///
/// # Errors
/// If they do not fit into all of it.
fn samples_and_rest(inputs: &ClosestInputs<'_>) -> Result<(Calibration, Option<Split>)> {
    let options = CalibrationOptions {
        samples: inputs.samples,
        passkey_trials: 0,
        seed: inputs.seed,
        ..CalibrationOptions::default()
    };
    let make =
        |documents: &[TokenDocument]| Calibration::new(&options, documents, None, inputs.context);
    if let Some(split) = HeldOutShare::Auto.split(inputs.documents, inputs.context)
        && let Ok(calibration) = make(&split.search)
    {
        return Ok((calibration, Some(split)));
    }
    Ok((make(inputs.documents)?, None))
}

/// The first of those with the lowest loss.
fn best(tried: &[Tried]) -> Option<&Tried> {
    tried
        .iter()
        .min_by(|a, b| a.nll_nats.total_cmp(&b.nll_nats))
}

/// The losses of RoPEs on windows of each length, with the differences to the first RoPE. The windows lie in text that
/// [`choose_closest`] leaves out, or in all of the text if that is too short, or nothing is left out.
///
/// # Errors
/// If the text has no window, an interrupt is requested, or the model or all devices fail.
pub fn compare_on_windows(
    inputs: &ClosestInputs<'_>,
    ropes: &[NamedSpec],
    contexts: &[usize],
    interrupt: &Interrupt,
    watch: &mut dyn FnMut(usize),
) -> Result<Vec<WindowComparison>> {
    let parts = samples_and_rest(inputs).ok();
    let split = parts.and_then(|(_, split)| split);
    let mut scoring = Scoring::Workers(Workers::start(inputs.models)?);
    let mut found = Vec::new();
    for &context in contexts {
        let shape = SampleShape::whole(context);
        let unseen = split.as_ref().map(|split| unseen_windows(split, shape));
        let unseen = unseen.transpose()?.filter(|windows| !windows.is_empty());
        let is_held_out = unseen.is_some();
        let windows = match unseen {
            Some(unseen) => unseen,
            None => windows(inputs.documents, shape)?,
        };
        let n_windows = windows.len();
        let on = Calibration::unscored(windows, Vec::new(), None);
        let mut status = |status: &CallStatus| watch(status.n_answered);
        let mut losses = measure(&mut scoring, &on, ropes, interrupt, &mut status)?.into_iter();
        let Some(reference) = losses.next() else {
            continue;
        };
        let others: Vec<MethodLoss> = losses.map(|loss| loss.compared_with(&reference)).collect();
        found.push(WindowComparison {
            context,
            n_windows,
            is_held_out,
            losses: [vec![reference], others].concat(),
        });
    }
    Ok(found)
}

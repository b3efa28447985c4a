//! Differences of perplexities on the same windows.

use super::difference::{Difference, Estimate, PairedMethod, Unpaired};
use super::quantiles::{fixed_b_95, t_95};

use crate::protocol::PplProtocol;
use crate::report::PplResult;

/// From this number of documents on, documents are the independent units.
const MANY_DOCUMENTS: usize = 10;

/// The difference of two mean losses on the same windows, `one - other`, in nats per token.
///
/// With `t_i` tokens in window `i` and the difference `δ_i` of its mean losses, the value is `D = Σ t_i δ_i / Σ t_i`: the
/// difference of the logarithms of the perplexities. For the protocols that report the mean over windows, every `t_i`
/// is 1. `D` is a ratio of sums, so its error is that of the sum of `e_i = t_i (δ_i - D)`, divided by `Σ t_i` (Cochran,
/// Sampling Techniques, section 6.4).
///
/// - If every document has one window, or there are fewer than 8 windows that do not overlap, the variance is
///   `n/(n-1) · Σ e_i²`, and the quantile is that of Student's t with `n - 1` degrees of freedom.
/// - From ten documents on, the same is computed from the sums of `e_i` over each document.
/// - Otherwise neighbouring windows share context or subject. The variance is the one that a moving-block bootstrap has
///   in the limit of many draws, which needs none (Künsch 1989): `Σ_h (1 - |h|/l) Σ_i e_i e_{i+h}` with blocks of `l`
///   windows. Windows of which `k` share a token have blocks of `2k`, and the variance is corrected for the part of the
///   largest possible correlation, `1 - h/k`, that these blocks leave out. Others have blocks of `n^(1/3)`.
///   The quantile is the one for blocks of this share (Kiefer and Vogelsang 2005).
///
/// There is no interval for a single unit, for windows that overlap none if there are fewer than two blocks, and none if
/// all windows differ by the same, unless by 0.
///
/// # Errors
/// If the two are not measured on the same windows in the same way.
pub fn window_difference(one: &PplResult, other: &PplResult) -> Result<Difference, Unpaired> {
    check(one, other)?;
    let (Some(mine), Some(theirs)) = (&one.windows, &other.windows) else {
        return Err(Unpaired::NoWindows);
    };
    let same_windows = (&mine.document, &mine.start, &mine.n_tokens)
        == (&theirs.document, &theirs.start, &theirs.n_tokens);
    let n = mine.nll_nats.len();
    if !same_windows || theirs.nll_nats.len() != n || mine.n_tokens.len() != n || n == 0 {
        return Err(Unpaired::Windows);
    }
    let weights: Vec<f64> = match one.protocol {
        PplProtocol::Longrope | PplProtocol::LlamaCpp => {
            mine.n_tokens.iter().map(|tokens| *tokens as f64).collect()
        }
        PplProtocol::Yarn | PplProtocol::Truncate => vec![1.0; n],
    };
    let pairs = mine.nll_nats.iter().zip(&theirs.nll_nats);
    let differences: Vec<f64> = pairs.map(|(one, other)| one - other).collect();
    let series = Series {
        weights,
        differences,
        documents: mine.document.clone(),
        n_sharing: one.context.div_ceil(one.stride.max(1)),
    };
    Ok(series.difference(&other.rope))
}

fn check(one: &PplResult, other: &PplResult) -> Result<(), Unpaired> {
    Unpaired::unless_equal("context", &one.context, &other.context)?;
    Unpaired::unless_equal("protocol", &one.protocol, &other.protocol)?;
    Unpaired::unless_equal("stride", &one.stride, &other.stride)?;
    Unpaired::unless_equal("number of windows", &one.n_windows, &other.n_windows)?;
    Unpaired::unless_equal("place of the bos token", &one.bos, &other.bos)
}

/// Paired losses of windows, in the order of the text.
pub(super) struct Series {
    pub(super) weights: Vec<f64>,
    /// Nats.
    pub(super) differences: Vec<f64>,
    /// Index of the document of each window.
    pub(super) documents: Vec<usize>,
    /// Windows that have a token in common, the window itself included; 1 if they do not overlap.
    pub(super) n_sharing: usize,
}

impl Series {
    pub(super) fn difference(&self, reference: &str) -> Difference {
        let total: f64 = self.weights.iter().sum();
        let pairs = self.weights.iter().zip(&self.differences);
        let value = pairs.clone().map(|(t, delta)| t * delta).sum::<f64>() / total;
        let errors: Vec<f64> = pairs.map(|(t, delta)| t * (delta - value)).collect();
        let by_document = self.sums_of_documents(&errors);
        let n = errors.len();
        let (n_documents, n_sharing) = (by_document.len(), self.n_sharing);
        let (method, variance, quantile) = if n_documents == n || (n < 8 && n_sharing == 1) {
            (PairedMethod::WindowsT, sum_variance(&errors), t_95(n - 1))
        } else if n_documents >= MANY_DOCUMENTS {
            let variance = sum_variance(&by_document);
            (PairedMethod::DocumentsT, variance, t_95(n_documents - 1))
        } else {
            let (variance, share) = block_variance(&errors, n_sharing);
            (PairedMethod::WindowBlocks, variance, fixed_b_95(share))
        };
        match variance {
            Some(variance) => Difference::of(
                &Estimate {
                    value,
                    stderr: variance.sqrt() / total,
                    quantile,
                },
                n,
                method,
                reference,
            ),
            None => Difference::uncertain(value, n, method, reference),
        }
    }

    /// The sum over each document. Windows of a document follow one another.
    fn sums_of_documents(&self, errors: &[f64]) -> Vec<f64> {
        let mut sums: Vec<(usize, f64)> = Vec::new();
        for (document, error) in self.documents.iter().zip(errors) {
            match sums.last_mut() {
                Some((last, sum)) if last == document => *sum += error,
                _ => sums.push((*document, *error)),
            }
        }
        sums.into_iter().map(|(_, sum)| sum).collect()
    }
}

/// Variance of the sum of independent errors whose mean was estimated; `None` for fewer than two.
fn sum_variance(errors: &[f64]) -> Option<f64> {
    let n = errors.len() as f64;
    let squares: f64 = errors.iter().map(|error| error * error).sum();
    (errors.len() > 1).then(|| squares * n / (n - 1.0))
}

/// Variance of the sum of errors in moving blocks, and the share of all windows that a block has. No variance if there
/// are fewer than two blocks.
fn block_variance(errors: &[f64], n_sharing: usize) -> (Option<f64>, f64) {
    let n = errors.len();
    let block = if n_sharing > 1 {
        2 * n_sharing
    } else {
        // The whole part of the cube root.
        (1..=n)
            .take_while(|root| root * root * root <= n)
            .last()
            .unwrap_or(1)
    };
    let share = block as f64 / n as f64;
    if 2 * block > n {
        return (None, share);
    }
    let weight = |lag: usize| 1.0 - lag as f64 / block as f64;
    let mut variance = 0.0;
    for lag in 0..block {
        let products = errors.iter().zip(&errors[lag..]).map(|(a, b)| a * b);
        let both_sides = if lag == 0 { 1.0 } else { 2.0 };
        variance += both_sides * weight(lag) * products.sum::<f64>();
    }
    // What the blocks keep of the largest correlation of windows that share context, which adds up to `n_sharing`.
    let correlation = |lag: usize| 1.0 - lag as f64 / n_sharing as f64;
    let kept = 1.0
        + (1..n_sharing)
            .map(|lag| 2.0 * correlation(lag) * weight(lag))
            .sum::<f64>();
    let correction = n_sharing as f64 / kept;
    (Some(variance.max(0.0) * correction), share)
}

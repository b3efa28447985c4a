//! Racing: which candidates need not be scored on the remaining samples.

use crate::block_losses::BlockLosses;

/// Fewer blocks than this say nothing about how certain a difference is.
const MIN_BLOCKS: usize = 8;

/// The rules of a race.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Race<'a> {
    /// A candidate is dropped if it is worse than the border by this many standard errors.
    pub(crate) strictness: f64,
    /// Number of places. The border is the candidate in the last place.
    pub(crate) n_places: usize,
    /// Ids of candidates that are scored in full and compete for the places.
    pub(crate) elites: &'a [usize],
}

/// A mean and its standard error, nats per token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Estimate {
    pub(crate) mean: f64,
    pub(crate) stderr: f64,
}

/// The differences between two candidates, block by block, on the samples that both have; `None` if there are too few blocks or they do not match.
///
/// Within a sample all blocks have the same weight, and all samples have the same weight.
pub(crate) fn difference(a: &[BlockLosses], b: &[BlockLosses]) -> Option<Estimate> {
    let mut differences = Vec::new();
    let mut mean = 0.0;
    let n_samples = a.len().min(b.len());
    for (a, b) in a.iter().zip(b) {
        if a.blocks().len() != b.blocks().len() {
            return None;
        }
        for (a, b) in a.blocks().iter().zip(b.blocks()) {
            if a.n_tokens != b.n_tokens {
                return None;
            }
            differences.push((a.sum_nats - b.sum_nats) / a.n_tokens as f64);
        }
        mean += (a.mean() - b.mean()) / n_samples as f64;
    }
    let n = differences.len();
    if n < MIN_BLOCKS {
        return None;
    }
    let middle = differences.iter().sum::<f64>() / n as f64;
    let squares: f64 = differences.iter().map(|d| (d - middle).powi(2)).sum();
    let stderr = (squares / (n - 1) as f64 / n as f64).sqrt();
    Some(Estimate { mean, stderr })
}

/// The score that a dropped candidate would have on all samples: that of the border, plus the difference of the two on the
/// samples `seen`.
///
/// At least the score of the border, because a candidate is only dropped when it is worse than the border was then, and
/// the border never becomes worse.
pub(crate) fn estimate(seen: &[BlockLosses], border: &[BlockLosses]) -> Option<Estimate> {
    let found = difference(seen, border)?;
    Some(Estimate {
        mean: mean(border) + found.mean.max(0.0),
        stderr: found.stderr,
    })
}

/// Mean over the samples, nats per token.
pub(crate) fn mean(losses: &[BlockLosses]) -> f64 {
    losses.iter().map(BlockLosses::mean).sum::<f64>() / losses.len() as f64
}

/// The losses of the candidate in the last place. All contenders have the same number of samples; `None` if there are
/// fewer contenders than places.
pub(crate) fn border<'a>(
    contenders: &[&'a [BlockLosses]],
    n_places: usize,
) -> Option<&'a [BlockLosses]> {
    let ranked = contenders.iter().map(|losses| (mean(losses), *losses));
    let mut ranked: Vec<(f64, &[BlockLosses])> = ranked.collect();
    ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
    n_places
        .checked_sub(1)
        .and_then(|last| ranked.get(last))
        .map(|(_, losses)| *losses)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block_losses::BlockLoss;

    fn sample(nats: &[f64]) -> BlockLosses {
        let block = |&nats: &f64| BlockLoss {
            sum_nats: 2.0 * nats,
            n_tokens: 2,
        };
        BlockLosses::new(nats.iter().map(block).collect())
    }

    #[test]
    fn differences_by_hand() {
        // 1 and 2 in turn: mean 1.5, variance 2/7, standard error sqrt(2/7/8).
        let a = [sample(&[5.0, 7.0, 5.0, 7.0]), sample(&[3.0, 4.0, 3.0, 4.0])];
        let b = [sample(&[4.0, 5.0, 4.0, 5.0]), sample(&[2.0, 2.0, 2.0, 2.0])];
        let found = difference(&a, &b).expect("eight blocks");
        assert!((found.mean - 1.5).abs() < 1e-12);
        assert!((found.stderr - (2.0_f64 / 7.0 / 8.0).sqrt()).abs() < 1e-12);
        assert_eq!(difference(&a[..1], &b[..1]), None, "four blocks");
        assert_eq!(difference(&a, &[b[0].clone(), sample(&[1.0; 3])]), None);
    }

    #[test]
    fn an_estimate_is_on_the_scale_of_all_samples() {
        // The first sample is easy, the second hard; the candidate saw only the easy one.
        let border = [sample(&[1.0; 8]), sample(&[9.0; 8])];
        let seen = [sample(&[1.5, 2.5, 1.5, 2.5, 1.5, 2.5, 1.5, 2.5])];
        let found = estimate(&seen, &border).expect("eight blocks");
        assert!((found.mean - (5.0 + 1.0)).abs() < 1e-12);
        assert!((found.stderr - (2.0_f64 / 7.0 / 8.0).sqrt()).abs() < 1e-12);
        let better = [sample(&[0.5; 8])];
        let bounded = estimate(&better, &border).expect("eight blocks");
        assert!((bounded.mean - 5.0).abs() < 1e-12);
    }

    #[test]
    fn the_border_is_the_last_place() {
        let losses = [[sample(&[3.0])], [sample(&[1.0])], [sample(&[2.0])]];
        let contenders: Vec<_> = losses.iter().map(|losses| &losses[..]).collect();
        let at = |places| border(&contenders, places).map(mean);
        assert_eq!(at(2), Some(2.0));
        assert_eq!(at(4), None);
        assert_eq!(at(0), None);
    }
}

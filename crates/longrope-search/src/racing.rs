//! Racing: which candidates need not be scored on the remaining samples.

use std::collections::BTreeSet;

use crate::block_losses::BlockLosses;

/// Fewer blocks of a kind of sample than this say nothing about how certain a difference is.
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

/// The samples of one kind.
struct Kind {
    /// Its part of all samples.
    share: f64,
    /// Those of its samples that are among the first ones.
    seen: Vec<usize>,
}

/// The kinds of samples, with those among the first `n_seen`; `None` if a kind was not seen. `kinds` has the number of
/// the kind of every sample.
fn seen_kinds(kinds: &[usize], n_seen: usize) -> Option<Vec<Kind>> {
    let numbers: BTreeSet<usize> = kinds.iter().copied().collect();
    let seen_kind = |number: usize| {
        let all: Vec<usize> = (0..kinds.len())
            .filter(|sample| kinds[*sample] == number)
            .collect();
        let share = all.len() as f64 / kinds.len() as f64;
        let seen: Vec<usize> = all.into_iter().filter(|sample| *sample < n_seen).collect();
        (!seen.is_empty()).then_some(Kind { share, seen })
    };
    numbers.into_iter().map(seen_kind).collect()
}

/// The difference between two candidates on the samples that both have, from the differences of their blocks; `None` if
/// there are too few blocks of a kind or they do not match. `kinds` has the number of the kind of every sample.
///
/// Within a sample all blocks have the same weight, and within a kind all samples. A kind has the part that it has of
/// all samples, however many of them were seen, so the mean is on the scale of the score.
///
/// Blocks of one kind vary alike. With `v` the variance of those of a kind, `n_i` blocks in its sample `i`, `S` of its
/// samples seen and `w` its part, `stderr² = Σ w² · v · Σ_i (1 / n_i) / S²`, the outer sum over the kinds.
pub(crate) fn difference(
    a: &[BlockLosses],
    b: &[BlockLosses],
    kinds: &[usize],
) -> Option<Estimate> {
    let (mut mean, mut variance) = (0.0, 0.0);
    for Kind { share, seen } in seen_kinds(kinds, a.len().min(b.len()))? {
        let pairs: Vec<(&BlockLosses, &BlockLosses)> = seen
            .iter()
            .map(|sample| (&a[*sample], &b[*sample]))
            .collect();
        let of_kind = difference_of_kind(&pairs)?;
        mean += share * of_kind.mean;
        variance += share * share * of_kind.variance;
    }
    Some(Estimate {
        mean,
        stderr: variance.sqrt(),
    })
}

/// A mean and the variance of this mean.
struct Moments {
    mean: f64,
    variance: f64,
}

/// The difference between two candidates on samples of one kind, each with the losses of both.
fn difference_of_kind(pairs: &[(&BlockLosses, &BlockLosses)]) -> Option<Moments> {
    let mut differences = Vec::new();
    let mut mean = 0.0;
    for (a, b) in pairs {
        if a.blocks().len() != b.blocks().len() {
            return None;
        }
        for (a, b) in a.blocks().iter().zip(b.blocks()) {
            if a.n_tokens != b.n_tokens {
                return None;
            }
            differences.push((a.sum_nats - b.sum_nats) / a.n_tokens as f64);
        }
        mean += (a.mean() - b.mean()) / pairs.len() as f64;
    }
    let n = differences.len();
    if n < MIN_BLOCKS {
        return None;
    }
    let middle = differences.iter().sum::<f64>() / n as f64;
    let squares: f64 = differences.iter().map(|d| (d - middle).powi(2)).sum();
    Some(Moments {
        mean,
        variance: squares / (n - 1) as f64 / effective_blocks(pairs),
    })
}

/// The number of blocks in samples of equal size whose mean would be as certain: `S² / Σ_i (1 / n_i)`.
fn effective_blocks(pairs: &[(&BlockLosses, &BlockLosses)]) -> f64 {
    let counts = || pairs.iter().map(|(a, _)| a.blocks().len() as f64);
    let (n_samples, first) = (pairs.len() as f64, counts().next().unwrap_or_default());
    // As multiples of the first, so that it is exactly their number if all samples have as many.
    n_samples * n_samples * first / counts().map(|count| first / count).sum::<f64>()
}

/// The score that a dropped candidate would have on all samples: that of the border, plus the difference of the two on the
/// samples `seen`.
///
/// At least the score of the border, because a candidate is only dropped when it is worse than the border was then, and
/// the border never becomes worse.
pub(crate) fn estimate(
    seen: &[BlockLosses],
    border: &[BlockLosses],
    kinds: &[usize],
) -> Option<Estimate> {
    let found = difference(seen, border, kinds)?;
    Some(Estimate {
        mean: mean(border) + found.mean.max(0.0),
        stderr: found.stderr,
    })
}

/// Mean over the samples, nats per token.
pub(crate) fn mean(losses: &[BlockLosses]) -> f64 {
    losses.iter().map(BlockLosses::mean).sum::<f64>() / losses.len() as f64
}

/// Mean over the first samples, in which every kind has its part of all samples; `None` if a kind was not seen.
fn mean_so_far(losses: &[BlockLosses], kinds: &[usize]) -> Option<f64> {
    let parts = seen_kinds(kinds, losses.len())?;
    let mean_of = |seen: &[usize]| {
        let sum: f64 = seen.iter().map(|sample| losses[*sample].mean()).sum();
        sum / seen.len() as f64
    };
    let parts = parts.iter().map(|kind| kind.share * mean_of(&kind.seen));
    Some(parts.sum())
}

/// The losses of the candidate in the last place. All contenders have the same number of samples; `None` if there are
/// fewer contenders than places, or samples of a kind are still to come.
pub(crate) fn border<'a>(
    contenders: &[&'a [BlockLosses]],
    n_places: usize,
    kinds: &[usize],
) -> Option<&'a [BlockLosses]> {
    let ranked = contenders
        .iter()
        .map(|losses| Some((mean_so_far(losses, kinds)?, *losses)));
    let mut ranked = ranked.collect::<Option<Vec<(f64, &[BlockLosses])>>>()?;
    ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
    n_places
        .checked_sub(1)
        .and_then(|last| ranked.get(last))
        .map(|(_, losses)| *losses)
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

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
        let found = difference(&a, &b, &[0; 2]).expect("eight blocks");
        assert!((found.mean - 1.5).abs() < 1e-12);
        assert!((found.stderr - (2.0_f64 / 7.0 / 8.0).sqrt()).abs() < 1e-12);
        assert_eq!(
            difference(&a[..1], &b[..1], &[0; 2]),
            None,
            "four blocks of eight"
        );
        let other = [b[0].clone(), sample(&[1.0; 3])];
        assert_eq!(difference(&a, &other, &[0; 2]), None);
    }

    #[test]
    fn samples_weigh_the_same_however_many_blocks_they_have() {
        // 1 and 2 in turn in a sample of ten, 0 and 3 in one of two: both means are 1.5. All twelve have the squares
        // 10/4 + 2 · 9/4 and the variance 7/11; that of the mean of both samples is 7/11 · (1/10 + 1/2) / 4.
        let a = [
            sample(&[1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 1.0, 2.0]),
            sample(&[0.0, 3.0]),
        ];
        let b = [sample(&[0.0; 10]), sample(&[0.0; 2])];
        let found = difference(&a, &b, &[0; 2]).expect("twelve blocks");
        assert!((found.mean - 1.5).abs() < 1e-12);
        let expected = (7.0_f64 / 11.0 * 0.6 / 4.0).sqrt();
        assert!((found.stderr - expected).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn every_kind_has_its_final_part_before_all_samples_are_seen() {
        // Three samples of kind 1 and one of kind 0, of which one each is seen: 0.75 · 4 + 0.25 · 8.
        let kinds = [1, 0, 1, 1];
        let a = [sample(&[4.0; 8]), sample(&[8.0; 8])];
        let b = [sample(&[0.0; 8]), sample(&[0.0; 8])];
        let found = difference(&a, &b, &kinds).expect("eight blocks of each");
        assert!((found.mean - 5.0).abs() < 1e-12 && found.stderr.abs() < 1e-12);
        // Without a sample of kind 0 there is neither a difference nor a border.
        assert_eq!(difference(&a[..1], &b[..1], &kinds), None);
        assert_eq!(border(&[&a[..1], &b[..1]], 1, &kinds), None);
        // 4.75 is behind 4.5, although the means over the two samples are 3.5 and 4.
        let one = [sample(&[6.0; 8]), sample(&[1.0; 8])];
        let other = [sample(&[5.0; 8]), sample(&[3.0; 8])];
        let last = border(&[&one[..], &other[..]], 2, &kinds).map(mean);
        assert_eq!(last, Some(3.5));
    }

    /// Standard normal (Box and Muller).
    fn normal(rng: &mut ChaCha8Rng) -> f64 {
        let (u, v): (f64, f64) = (rng.random(), rng.random());
        (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }

    #[test]
    fn candidates_as_good_as_the_border_are_seldom_dropped_on_text_and_needles() {
        // Five texts of 16 quiet blocks, ten answers of 2 to 6 tokens that vary ten times as much, with weights for equal
        // parts.
        let kinds = [1, 0, 1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 1, 0, 1];
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let (mut n_looks, mut n_dropped) = (0_usize, 0_usize);
        for _ in 0..1000 {
            let (mut one, mut other) = (Vec::new(), Vec::new());
            for kind in &kinds[..14] {
                let (n_blocks, spread) = if *kind == 0 {
                    (16, 1.5 * 0.1)
                } else {
                    (rng.random_range(2..=6), 0.75)
                };
                let nats: Vec<f64> = (0..n_blocks).map(|_| spread * normal(&mut rng)).collect();
                one.push(sample(&nats));
                other.push(sample(&vec![0.0; n_blocks]));
                let Some(found) = difference(&one, &other, &kinds) else {
                    continue;
                };
                n_looks += 1;
                n_dropped += usize::from(found.mean > 3.0 * found.stderr);
            }
        }
        assert!(n_looks > 8000, "{n_looks}");
        let share = n_dropped as f64 / n_looks as f64;
        // Beyond 3 are 0.1% of a normal distribution, and 0.4% with a spread that is estimated from so few blocks.
        assert!(share < 0.01, "{share}");
    }

    #[test]
    fn an_estimate_is_on_the_scale_of_all_samples() {
        // The first sample is easy, the second hard; the candidate saw only the easy one.
        let border = [sample(&[1.0; 8]), sample(&[9.0; 8])];
        let seen = [sample(&[1.5, 2.5, 1.5, 2.5, 1.5, 2.5, 1.5, 2.5])];
        let found = estimate(&seen, &border, &[0; 2]).expect("eight blocks");
        assert!((found.mean - (5.0 + 1.0)).abs() < 1e-12);
        assert!((found.stderr - (2.0_f64 / 7.0 / 8.0).sqrt()).abs() < 1e-12);
        let better = [sample(&[0.5; 8])];
        let bounded = estimate(&better, &border, &[0; 2]).expect("eight blocks");
        assert!((bounded.mean - 5.0).abs() < 1e-12);
    }

    #[test]
    fn the_border_is_the_last_place() {
        let losses = [[sample(&[3.0])], [sample(&[1.0])], [sample(&[2.0])]];
        let contenders: Vec<_> = losses.iter().map(|losses| &losses[..]).collect();
        let at = |places| border(&contenders, places, &[0]).map(mean);
        assert_eq!(at(2), Some(2.0));
        assert_eq!(at(4), None);
        assert_eq!(at(0), None);
    }
}

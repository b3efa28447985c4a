//! A model of the scores so far, which selects the proposals that are measured.

use crate::candidate::Candidate;
use longrope_rope::AttentionScale;

/// Number of best scores that the model learns from. Its cost grows with their cube.
const MAX_POINTS: usize = 240;

/// Variance of the noise of every score, for scores with variance 1.
const NOISE: f64 = 1e-3;

/// Number of standard deviations that are subtracted from an expected score, in favour of uncertain proposals.
const OPTIMISM: f64 = 0.5;

/// What is known about a candidate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Observation<'a> {
    pub(crate) candidate: &'a Candidate,
    /// Nats per token.
    pub(crate) score: f64,
    /// Standard error of an estimated score, nats per token; 0 for a measured one.
    pub(crate) stderr: f64,
}

/// A Gaussian process over the logarithms of the factors, with one length scale.
#[derive(Debug)]
pub(crate) struct Surrogate {
    points: Vec<Vec<f64>>,
    /// Lower triangle of the covariance's Cholesky factor, row by row.
    factor: Vec<Vec<f64>>,
    /// Covariance⁻¹ · scores.
    weights: Vec<f64>,
    inverse_scale: f64,
}

impl Surrogate {
    /// Learns from candidates and their scores, best first; `None` if there are too few.
    pub(crate) fn fit<'a>(observed: impl Iterator<Item = Observation<'a>>) -> Option<Self> {
        let observed: Vec<Observation<'a>> = observed
            .filter(|one| one.score.is_finite())
            .take(MAX_POINTS)
            .collect();
        let points: Vec<Vec<f64>> = observed.iter().map(|one| features(one.candidate)).collect();
        let n = points.len();
        if n < 8 {
            return None;
        }
        let mut distances: Vec<f64> = (0..n)
            .flat_map(|i| (0..i).map(move |j| (i, j)))
            .map(|(i, j)| square_distance(&points[i], &points[j]))
            .collect();
        distances.sort_by(f64::total_cmp);
        let median = distances[distances.len() / 2];
        if median <= 0.0 {
            return None;
        }
        let inverse_scale = 0.5 / median;
        let targets = standardized(&observed);
        let mut factor: Vec<Vec<f64>> = Vec::with_capacity(n);
        for i in 0..n {
            let mut row = Vec::with_capacity(i + 1);
            for j in 0..=i {
                let mut value = kernel(&points[i], &points[j], inverse_scale);
                if i == j {
                    value += NOISE + targets[i].variance;
                }
                let known: &[f64] = if i == j { &row } else { &factor[j] };
                let sum: f64 = row.iter().zip(known).take(j).map(|(a, b)| a * b).sum();
                row.push(if i == j {
                    (value - sum).max(NOISE).sqrt()
                } else {
                    (value - sum) / factor[j][j]
                });
            }
            factor.push(row);
        }
        let values: Vec<f64> = targets.iter().map(|target| target.value).collect();
        let mut weights = forward(&factor, &values);
        for i in (0..n).rev() {
            let sum: f64 = (i + 1..n).map(|k| factor[k][i] * weights[k]).sum();
            weights[i] = (weights[i] - sum) / factor[i][i];
        }
        Some(Self {
            points,
            factor,
            weights,
            inverse_scale,
        })
    }

    /// An optimistic guess of a candidate's score, on the scale of the model; lower is better.
    pub(crate) fn guess(&self, candidate: &Candidate) -> f64 {
        let point = features(candidate);
        let covariances: Vec<f64> = self
            .points
            .iter()
            .map(|known| kernel(known, &point, self.inverse_scale))
            .collect();
        let mean: f64 = covariances
            .iter()
            .zip(&self.weights)
            .map(|(a, b)| a * b)
            .sum();
        let explained = forward(&self.factor, &covariances);
        let variance = 1.0 - explained.iter().map(|v| v * v).sum::<f64>();
        mean - OPTIMISM * variance.max(0.0).sqrt()
    }
}

/// A score as the model learns it.
struct Target {
    value: f64,
    /// Variance of the value, from the standard error of an estimated score.
    variance: f64,
}

/// Scores on a logarithmic scale above the best, so that bad scores do not hide the differences between good ones; mean 0
/// and variance 1.
fn standardized(observed: &[Observation<'_>]) -> Vec<Target> {
    let scores = || observed.iter().map(|one| one.score);
    let best = scores().fold(f64::INFINITY, f64::min);
    let mut above: Vec<f64> = scores().map(|score| score - best).collect();
    let mut sorted = above.clone();
    sorted.sort_by(f64::total_cmp);
    let unit = sorted[sorted.len() / 2].max(1e-12);
    for value in &mut above {
        *value = (*value / unit).ln_1p();
    }
    let n = above.len() as f64;
    let mean = above.iter().sum::<f64>() / n;
    let spread = (above.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n)
        .sqrt()
        .max(1e-12);
    let target = |(value, one): (&f64, &Observation<'_>)| Target {
        value: (value - mean) / spread,
        // The slope of the logarithm, at the score.
        variance: (one.stderr / (unit + one.score - best) / spread).powi(2),
    };
    above.iter().zip(observed).map(target).collect()
}

/// Solves `factor · x = right`.
fn forward(factor: &[Vec<f64>], right: &[f64]) -> Vec<f64> {
    let mut solved: Vec<f64> = Vec::with_capacity(right.len());
    for (row, value) in factor.iter().zip(right) {
        let sum: f64 = row.iter().zip(&solved).map(|(a, b)| a * b).sum();
        solved.push((value - sum) / row[solved.len()]);
    }
    solved
}

/// A candidate as numbers; the distance between two candidates measures how different they are.
fn features(candidate: &Candidate) -> Vec<f64> {
    let mut features: Vec<f64> = candidate.factors().into_iter().map(f64::ln).collect();
    features.push((candidate.start_tokens as f64).ln_1p() / 4.0);
    let policies = [AttentionScale::Su {}, AttentionScale::Yarn {}];
    features.extend(policies.map(|policy| f64::from(u8::from(candidate.attention == policy))));
    features.push(match candidate.attention {
        AttentionScale::Constant { value } => 4.0 * value.ln(),
        _ => 0.0,
    });
    features
}

fn square_distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()
}

fn kernel(a: &[f64], b: &[f64], inverse_scale: f64) -> f64 {
    (-square_distance(a, b) * inverse_scale).exp()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::config::SearchConfig;
    use crate::operators::mutate;
    use crate::problem::SearchProblem;

    /// Squared distance of the logarithms to a ramp.
    fn loss(candidate: &Candidate) -> f64 {
        let factors = candidate.factors().into_iter().enumerate();
        factors
            .map(|(i, factor)| (factor.ln() - 0.1 * i as f64).powi(2))
            .sum()
    }

    #[test]
    fn it_orders_what_it_has_not_seen() {
        let problem = SearchProblem {
            rotary_dim: 32,
            theta: 1e4,
            original_context: 256,
            target_context: 2048,
        };
        let config = SearchConfig::default();
        let space = config.space(&problem).expect("valid");
        let start = space
            .nearest(&[2.0; 16], 0, AttentionScale::None {})
            .expect("finite");
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut draw = || mutate(&start, &space, &config, &mut rng);
        let mut seen: Vec<(Candidate, f64)> = (0..100)
            .map(|_| draw())
            .map(|candidate| (candidate.clone(), loss(&candidate)))
            .collect();
        seen.sort_by(|a, b| a.1.total_cmp(&b.1));
        let model = Surrogate::fit(seen.iter().map(|(candidate, score)| Observation {
            candidate,
            score: *score,
            stderr: 0.0,
        }))
        .expect("enough");
        let new: Vec<Candidate> = (0..60).map(|_| draw()).collect();
        let mut concordant = 0;
        let mut pairs = 0;
        for (i, a) in new.iter().enumerate() {
            for b in &new[..i] {
                pairs += 1;
                let same = (model.guess(a) < model.guess(b)) == (loss(a) < loss(b));
                concordant += usize::from(same);
            }
        }
        assert!(concordant * 10 > pairs * 7, "{concordant} of {pairs}");
    }

    #[test]
    fn too_little_to_learn_from_is_no_model() {
        assert!(Surrogate::fit(std::iter::empty()).is_none());
    }
}

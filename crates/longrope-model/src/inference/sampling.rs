//! Choosing a token from logits.

use rand::{Rng, RngExt};

/// How the next token is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Sampling {
    /// The most likely token; of equally likely tokens, the one with the lowest id.
    #[default]
    Greedy,
    /// A random token from `softmax(logits / temperature)`, restricted to the most likely tokens.
    Random {
        /// Must be above 0; 1 does not change the distribution of the model.
        temperature: f64,
        /// Keeps only this many of the most likely tokens.
        top_k: Option<usize>,
        /// Keeps the smallest set of most likely tokens whose total probability reaches this value.
        top_p: Option<f64>,
    },
}

impl Sampling {
    /// Chooses a token; only [`Self::Random`] uses `rng`.
    pub fn choose(self, logits: &[f32], rng: &mut impl Rng) -> u32 {
        let chosen = match self {
            Self::Greedy => most_likely(logits),
            Self::Random {
                temperature,
                top_k,
                top_p,
            } => draw(logits, temperature, top_k, top_p, rng),
        };
        u32::try_from(chosen).unwrap_or(u32::MAX)
    }
}

fn most_likely(logits: &[f32]) -> usize {
    let mut best = 0;
    for (token, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = token;
        }
    }
    best
}

fn draw(
    logits: &[f32],
    temperature: f64,
    top_k: Option<usize>,
    top_p: Option<f64>,
    rng: &mut impl Rng,
) -> usize {
    let max = f64::from(logits[most_likely(logits)]);
    // Most likely first. Equally likely tokens are sorted by id, so that the same seed gives the same token.
    let mut ranked: Vec<(usize, f64)> = logits
        .iter()
        .map(|logit| ((f64::from(*logit) - max) / temperature).exp())
        .enumerate()
        .collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    ranked.truncate(top_k.unwrap_or(ranked.len()).max(1));
    if let Some(top_p) = top_p {
        let total: f64 = ranked.iter().map(|(_, weight)| weight).sum();
        let mut sum = 0.0;
        let enough = ranked.iter().position(|(_, weight)| {
            sum += weight / total;
            sum >= top_p
        });
        ranked.truncate(enough.map_or(ranked.len(), |last| last + 1));
    }
    let total: f64 = ranked.iter().map(|(_, weight)| weight).sum();
    let mut left = rng.random::<f64>() * total;
    for (token, weight) in &ranked {
        left -= weight;
        if left <= 0.0 {
            return *token;
        }
    }
    ranked[ranked.len() - 1].0
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    const LOGITS: [f32; 4] = [0.0, 2.0, 1.0, -1.0];

    fn counts(sampling: Sampling) -> [usize; 4] {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut counts = [0; 4];
        for _ in 0..4000 {
            counts[sampling.choose(&LOGITS, &mut rng) as usize] += 1;
        }
        counts
    }

    fn random(temperature: f64, top_k: Option<usize>, top_p: Option<f64>) -> Sampling {
        Sampling::Random {
            temperature,
            top_k,
            top_p,
        }
    }

    #[test]
    fn greedy_takes_the_first_of_the_largest() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        assert_eq!(Sampling::Greedy.choose(&LOGITS, &mut rng), 1);
        assert_eq!(Sampling::Greedy.choose(&[1.0, 1.0], &mut rng), 0);
    }

    #[test]
    fn frequencies_are_those_of_the_softmax() {
        let weights = LOGITS.map(|logit| f64::from(logit).exp());
        let total: f64 = weights.iter().sum();
        for (count, weight) in counts(random(1.0, None, None)).iter().zip(weights) {
            let expected = 4000.0 * weight / total;
            // Four standard deviations of a count.
            assert!(
                (*count as f64 - expected).abs() < 4.0 * expected.sqrt(),
                "{count}, {expected}"
            );
        }
    }

    #[test]
    fn cuts_leave_the_most_likely_tokens() {
        let top_k = counts(random(1.0, Some(2), None));
        assert!(top_k[0] == 0 && top_k[3] == 0 && top_k[1] > top_k[2] && top_k[2] > 0);
        // The most likely token alone has probability 0.64.
        assert_eq!(counts(random(1.0, None, Some(0.6))), [0, 4000, 0, 0]);
        assert_eq!(counts(random(1.0, None, Some(0.7)))[3], 0);
        assert!(counts(random(0.05, None, None))[1] > 3990, "cold is greedy");
    }

    #[test]
    fn the_same_seed_draws_the_same() {
        assert_eq!(
            counts(random(1.0, None, None)),
            counts(random(1.0, None, None))
        );
    }
}

//! Compares the losses of a sequence, token by token.

use longrope_gguf::{GgufFile, TensorType};
use serde::Serialize;

use crate::settings::args::Runtime;

/// How far losses may be apart.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Tolerance {
    /// Of one token, in nats.
    pub(super) token_nats: f64,
    /// Of the mean over the tokens of a sequence, in nats.
    pub(super) mean_nats: f64,
    /// Why it is what it is.
    pub(super) because: String,
}

/// Share of the tolerance of a token that a mean may be apart.
const OF_MEAN: f64 = 0.1;

impl Tolerance {
    /// The tolerance that was given.
    pub(super) fn given(token_nats: f64) -> Self {
        Self::new(token_nats, "given")
    }

    fn new(token_nats: f64, because: &str) -> Self {
        Self {
            token_nats,
            mean_nats: OF_MEAN * token_nats,
            because: because.to_owned(),
        }
    }

    /// The tolerance for a program, and for the weights in the GGUF file that it loads.
    pub(super) fn default_for(runtime: Runtime, file: Option<&GgufFile>) -> Self {
        let in_f32 = "both sides compute in f32 with the same weights";
        match file.map(coarsest) {
            None | Some(TensorType::F32) => Self::new(1e-3, in_f32),
            Some(TensorType::F16) => Self::new(
                0.05,
                &format!(
                    "weights in F16: {} rounds activations to F16 too",
                    runtime.name()
                ),
            ),
            Some(TensorType::BF16) => Self::new(
                0.2,
                &format!(
                    "weights in BF16: {} rounds activations to BF16 too",
                    runtime.name()
                ),
            ),
            Some(_) => Self::new(
                0.5,
                &format!(
                    "quantized weights: {} rounds activations to 8 bits too",
                    runtime.name()
                ),
            ),
        }
    }
}

/// The coarsest type of the matrices of a file; types that are not read count as the coarsest.
fn coarsest(file: &GgufFile) -> TensorType {
    let coarseness = |ty: &TensorType| match ty {
        TensorType::F32 => 0,
        TensorType::F16 => 1,
        TensorType::BF16 => 2,
        _ => 3,
    };
    let matrices = file.tensors().values().filter(|it| it.shape.len() > 1);
    matrices
        .map(|it| TensorType::from_id(it.type_id).unwrap_or(TensorType::Q4_0))
        .max_by_key(coarseness)
        .unwrap_or(TensorType::F32)
}

/// A token whose losses differ.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Place {
    /// Position of the token in the sequence, from 0.
    pub(super) position: usize,
    /// Our loss, in nats.
    pub(super) ours: f64,
    /// The loss in the other program, in nats.
    pub(super) theirs: f64,
}

impl Place {
    /// How far the losses are apart, in nats.
    pub(super) fn difference(&self) -> f64 {
        (self.theirs - self.ours).abs()
    }
}

/// How the losses of a sequence compare.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Comparison {
    /// Our mean loss, in nats.
    pub(super) ours: f64,
    /// The mean loss in the other program, in nats.
    pub(super) theirs: f64,
    /// The token whose losses are furthest apart.
    pub(super) largest: Place,
    /// The largest difference of a token, in nats.
    pub(super) largest_difference: f64,
    /// The other mean minus ours, in nats.
    pub(super) mean_difference: f64,
    /// The first token beyond the tolerance.
    pub(super) first_beyond: Option<Place>,
    /// Number of tokens beyond the tolerance.
    pub(super) n_beyond: usize,
    /// Whether no token and no mean is beyond the tolerance.
    pub(super) passes: bool,
}

impl Comparison {
    /// Compares losses of the same tokens, from the second one of a sequence on. There is at least one.
    pub(super) fn new(ours: &[f64], theirs: &[f64], tolerance: &Tolerance) -> Self {
        let mut largest = Place {
            position: 0,
            ours: 0.0,
            theirs: 0.0,
        };
        let (mut first_beyond, mut n_beyond) = (None, 0);
        for (i, (&ours, &theirs)) in ours.iter().zip(theirs).enumerate() {
            let place = Place {
                position: i + 1,
                ours,
                theirs,
            };
            if largest.position == 0 || place.difference() > largest.difference() {
                largest = place;
            }
            if place.difference() > tolerance.token_nats {
                n_beyond += 1;
                first_beyond.get_or_insert(place);
            }
        }
        let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
        let (ours, theirs) = (mean(ours), mean(theirs));
        let mean_difference = theirs - ours;
        Self {
            ours,
            theirs,
            largest,
            largest_difference: largest.difference(),
            mean_difference,
            first_beyond,
            n_beyond,
            passes: n_beyond == 0 && mean_difference.abs() <= tolerance.mean_nats,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_token_beyond_the_tolerance_is_found() {
        let ours = [1.0, 2.0, 3.0, 4.0];
        let tolerance = Tolerance::given(0.01);
        let same = Comparison::new(&ours, &[1.0005, 1.9995, 3.0, 4.0], &tolerance);
        assert!(same.passes && same.first_beyond.is_none());
        let other = Comparison::new(&ours, &[1.0, 2.02, 2.9, 4.0], &tolerance);
        let first = other.first_beyond.unwrap();
        assert_eq!((first.position, first.ours), (2, 2.0));
        assert_eq!((other.largest.position, other.n_beyond), (3, 2));
        assert!(!other.passes);
    }

    #[test]
    fn a_mean_may_depart_alone() {
        let tolerance = Tolerance::given(0.01);
        let shifted = Comparison::new(&[1.0, 2.0], &[1.005, 2.005], &tolerance);
        assert!(!shifted.passes && shifted.first_beyond.is_none());
    }
}

//! Cos and sin of positions.

use std::ops::Range;

use crate::precision::to_f32;
use crate::{AnglePrecision, ResolvedRope};

/// Cos and sin of every position and pair, times the attention scale.
///
/// # Shapes
/// `cos` and `sin` are row-major `[n_positions, n_pairs]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Angles {
    /// `attention_scale · cos(position · inv_freq)`.
    pub cos: Vec<f32>,
    /// `attention_scale · sin(position · inv_freq)`.
    pub sin: Vec<f32>,
    /// Number of rows.
    pub n_positions: usize,
    /// Number of columns.
    pub n_pairs: usize,
}

impl ResolvedRope {
    /// Cos and sin for a range of positions. A table for millions of positions would not fit into memory.
    ///
    /// Angles of positions below [`start_tokens`](Self::start_tokens) are plain. The attention scale multiplies every
    /// row, including those. Microsoft's research branch leaves the start rows unmultiplied, so that scores between a start
    /// token and a later one grow by the scale there, and by its square here.
    pub fn angles(&self, positions: Range<usize>) -> Angles {
        self.angles_at(positions)
    }

    /// Cos and sin of the given positions, one row each, in their order. Rows are those of [`Self::angles`].
    pub fn angles_at(&self, positions: impl IntoIterator<Item = usize>) -> Angles {
        let positions = positions.into_iter();
        let n_pairs = self.n_pairs();
        let expected = positions.size_hint().0 * n_pairs;
        let mut cos = Vec::with_capacity(expected);
        let mut sin = Vec::with_capacity(expected);
        let mut n_positions = 0;
        for position in positions {
            n_positions += 1;
            for frequency in self.inv_freq_at(position) {
                let (sin_value, cos_value) = self.sin_cos(position as f64, *frequency);
                cos.push(cos_value);
                sin.push(sin_value);
            }
        }
        Angles {
            cos,
            sin,
            n_positions,
            n_pairs,
        }
    }

    fn sin_cos(&self, position: f64, frequency: f64) -> (f32, f32) {
        match self.precision {
            AnglePrecision::F64 => {
                let (sin, cos) = (position * frequency).sin_cos();
                (
                    to_f32(self.attention_scale * sin),
                    to_f32(self.attention_scale * cos),
                )
            }
            AnglePrecision::CompatF32 => {
                let (sin, cos) = (to_f32(position) * to_f32(frequency)).sin_cos();
                let attention_scale = to_f32(self.attention_scale);
                (sin * attention_scale, cos * attention_scale)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{AttentionScale, FactorSet, RescaleFactors, RopeScaling, RopeSpec};

    fn spec(start_tokens: usize, attention: AttentionScale) -> RopeSpec {
        let factors = RescaleFactors::new(vec![1.0, 2.0]).unwrap();
        let set = FactorSet {
            max_context: 1024,
            start_tokens,
            factors,
            attention: None,
        };
        RopeSpec::new(
            4,
            10_000.0,
            256,
            RopeScaling::LongRope {
                sets: vec![set],
                attention,
            },
        )
        .unwrap()
    }

    #[test]
    fn rows_are_positions_and_columns_pairs() {
        let angles = spec(0, AttentionScale::None {}).resolve(1024).angles(2..5);
        assert_eq!((angles.n_positions, angles.n_pairs), (3, 2));
        assert_eq!(angles.cos.len(), 6);
        // position 3, pair 1: 3 * 0.01 / 2
        assert_eq!(angles.cos[3], 0.015_f32.cos());
        assert_eq!(angles.sin[3], 0.015_f32.sin());
    }

    #[test]
    fn start_tokens_keep_plain_angles_but_take_the_attention_scale() {
        let attention = AttentionScale::Constant { value: 2.0 };
        let angles = spec(2, attention).resolve(1024).angles(0..3);
        let close = |found: f32, expected: f64| (f64::from(found) - expected).abs() < 1e-6;
        assert!(close(angles.sin[3], 2.0 * 0.01_f64.sin()));
        assert!(close(angles.sin[5], 2.0 * 0.01_f64.sin()));
        assert_eq!(angles.cos[0], 2.0);
    }

    #[test]
    fn any_positions_have_the_angles_of_a_range() {
        let rope = spec(3, AttentionScale::Su {}).resolve(64);
        let (whole, at) = (rope.angles(0..64), rope.angles_at([2, 40, 41, 7]));
        assert_eq!((at.n_positions, at.n_pairs), (4, 2));
        for (row, position) in [2, 40, 41, 7].into_iter().enumerate() {
            assert_eq!(at.cos[2 * row..][..2], whole.cos[2 * position..][..2]);
            assert_eq!(at.sin[2 * row..][..2], whole.sin[2 * position..][..2]);
        }
    }

    #[test]
    fn an_empty_range_has_no_angles() {
        let angles = spec(0, AttentionScale::Su {}).resolve(10).angles(7..7);
        assert_eq!((angles.n_positions, angles.cos.len()), (0, 0));
    }

    #[test]
    fn a_range_is_a_part_of_the_whole() {
        let rope = spec(3, AttentionScale::Su {}).resolve(64);
        let (whole, part) = (rope.angles(0..64), rope.angles(10..20));
        assert_eq!(part.cos, whole.cos[20..40]);
        assert_eq!(part.sin, whole.sin[20..40]);
    }
}

//! The angles that a form should come close to.

use std::f64::consts::TAU;

use longrope_rope::{ResolvedRope, RopeSpec};

/// The angles that a form should come close to, in a text of a given length.
#[derive(Clone, Debug, PartialEq)]
pub struct Goal {
    /// The RoPE of the model without scaling.
    pub(super) plain: RopeSpec,
    /// The angles.
    pub(super) rope: ResolvedRope,
    /// Length of the text, in tokens.
    pub(super) context: usize,
}

impl Goal {
    /// The angles of `spec` in a text of `context` tokens.
    pub fn new(spec: &RopeSpec, context: usize) -> Self {
        Self {
            plain: spec.plain(),
            rope: spec.resolve(context),
            context,
        }
    }

    /// The factors, `f_plain / f`, one per pair.
    pub(super) fn factors(&self) -> Vec<f64> {
        let plain = self.plain.resolve(self.context);
        let pairs = plain.inv_freq().iter().zip(self.rope.inv_freq());
        pairs.map(|(plain, scaled)| plain / scaled).collect()
    }

    /// How far a RoPE is away: `Σ w_i ln²(g_i / f_i) / Σ w_i + ln²(b / a)`, with the frequencies `f_i` and the attention
    /// scale `a` of the goal, and `g_i` and `b` of the RoPE.
    ///
    /// The weight `w_i = min(1, T f_i / 2π)` is the share of a turn that pair `i` makes in a text of `T` tokens: a relative
    /// error of a slow pair changes its angles less. Pairs that do not turn have no weight.
    pub fn distance(&self, spec: &RopeSpec) -> f64 {
        let found = spec.resolve(self.context);
        let (mut sum, mut weights) = (0.0, 0.0);
        for (goal, found) in self.rope.inv_freq().iter().zip(found.inv_freq()) {
            if *goal > 0.0 && *found > 0.0 {
                let weight = (self.context as f64 * goal / TAU).min(1.0);
                sum += weight * (found / goal).ln().powi(2);
                weights += weight;
            }
        }
        let attention = (found.attention_scale() / self.rope.attention_scale()).ln();
        let frequencies = if weights > 0.0 { sum / weights } else { 0.0 };
        frequencies + attention.powi(2)
    }
}

/// Whether two RoPEs compute the same angles in texts of these lengths, up to the rounding of f32.
pub fn computes_the_same(a: &RopeSpec, b: &RopeSpec, lengths: &[usize]) -> bool {
    let close = |a: f64, b: f64| (a - b).abs() <= 1e-6 * b.abs();
    lengths.iter().all(|length| {
        let (a, b) = (a.resolve(*length), b.resolve(*length));
        let mut pairs = a.inv_freq().iter().zip(b.inv_freq());
        a.start_tokens() == b.start_tokens()
            && close(a.attention_scale(), b.attention_scale())
            && pairs.all(|(a, b)| close(*a, *b))
    })
}

//! What a task measures.

/// A number that a task measures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// The name, such as `accuracy` or `acc_norm`.
    pub name: String,
    /// Whether higher values are better.
    pub higher_is_better: bool,
}

impl Metric {
    /// A metric where higher is better.
    pub fn higher(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            higher_is_better: true,
        }
    }

    /// Whether a trial can have this score. Metrics where higher is better are shares.
    pub(crate) fn allows(&self, score: f64) -> bool {
        score.is_finite() && (!self.higher_is_better || (0.0..=1.0).contains(&score))
    }

    /// What [`Self::allows`] expects, in words.
    pub(crate) fn range(&self) -> &'static str {
        if self.higher_is_better {
            "a number from 0 to 1"
        } else {
            "a finite number"
        }
    }
}

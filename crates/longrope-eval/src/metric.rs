//! What a task measures.

/// A number that a task measures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// The name, such as `accuracy` or `acc_norm`.
    pub name: String,
    /// Whether higher values are better.
    pub higher_is_better: bool,
    /// Whether every score is a share, from 0 to 1.
    pub is_share: bool,
}

impl Metric {
    /// A share where higher is better.
    pub fn higher(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            higher_is_better: true,
            is_share: true,
        }
    }

    /// A number of any size.
    pub fn number(name: &str, higher_is_better: bool) -> Self {
        Self {
            name: name.to_owned(),
            higher_is_better,
            is_share: false,
        }
    }

    /// Whether a trial can have this score.
    pub(crate) fn allows(&self, score: f64) -> bool {
        score.is_finite() && (!self.is_share || (0.0..=1.0).contains(&score))
    }

    /// What [`Self::allows`] expects, in words.
    pub(crate) fn range(&self) -> &'static str {
        if self.is_share {
            "a number from 0 to 1"
        } else {
            "a finite number"
        }
    }
}

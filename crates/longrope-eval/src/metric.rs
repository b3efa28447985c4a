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
}

//! What the numbers of a search are. An objective that weighs needles is no loss on text, and its exponential is no
//! perplexity.

use longrope_extend::{ObjectiveKind, SearchResult};

/// What a search minimizes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Quantity {
    /// The loss on text.
    #[default]
    TextLoss,
    /// The loss on the answers of needle texts.
    AnswerLoss,
    /// A weighted mean of both.
    Objective,
}

impl Quantity {
    /// What scores are, given the share of the needles in them, 0 to 1.
    pub(crate) fn of_share(needle_share: f64) -> Self {
        if needle_share <= 0.0 {
            Self::TextLoss
        } else if needle_share >= 1.0 {
            Self::AnswerLoss
        } else {
            Self::Objective
        }
    }

    /// What the search of this result minimized.
    pub(crate) fn of_result(result: &SearchResult) -> Self {
        match ObjectiveKind::of_description(&result.objective) {
            Some(ObjectiveKind::Perplexity) => Self::TextLoss,
            Some(ObjectiveKind::Needle) => Self::AnswerLoss,
            _ => Self::Objective,
        }
    }

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::TextLoss => "text loss",
            Self::AnswerLoss => "answer loss",
            Self::Objective => "objective",
        }
    }

    /// The label of an axis.
    pub(crate) fn axis(self) -> String {
        format!("{} [nats per token]", self.name())
    }

    /// Whether its exponential is the perplexity of text.
    pub(crate) fn is_text_loss(self) -> bool {
        self == Self::TextLoss
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_follow_the_share_of_the_needles() {
        let names = [0.0, 0.4, 1.0].map(|share| Quantity::of_share(share).name());
        assert_eq!(names, ["text loss", "objective", "answer loss"]);
    }
}

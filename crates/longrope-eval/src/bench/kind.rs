//! Which benchmarks there are.

use std::fmt;
use std::str::FromStr;

use super::error::BenchError;
use crate::metric::Metric;

/// A benchmark of questions with choices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bench {
    /// ARC, the easy questions (arXiv 1803.05457).
    ArcEasy,
    /// ARC, the hard ones.
    ArcChallenge,
    /// `HellaSwag` (arXiv 1905.07830).
    HellaSwag,
    /// MMLU (arXiv 2009.03300), one subject or many.
    Mmlu,
    /// `TruthfulQA` (arXiv 2109.07958), one right answer.
    TruthfulQaMc1,
    /// `TruthfulQA`, the probability of all right answers.
    TruthfulQaMc2,
}

/// Where the Hugging Face hub has a benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HubData {
    /// Owner and name of the data set.
    pub dataset: &'static str,
    /// Its file of questions: the test split, or the validation split where answers to the test are secret.
    pub questions: &'static str,
    /// Its file of examples, where there are any.
    pub examples: Option<&'static str>,
}

impl HubData {
    /// Data set and files, in words.
    pub fn describe(self) -> String {
        let HubData {
            dataset,
            questions,
            examples,
        } = self;
        match examples {
            None => format!("`{questions}` of data set `{dataset}`"),
            Some(examples) => format!("`{questions}` and `{examples}` of data set `{dataset}`"),
        }
    }
}

/// How examples before a question are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Draw {
    /// The first ones of the subject.
    First,
    /// Drawn from all.
    Random,
    /// Drawn from all, one more than needed, and the question itself left out if it is among them.
    RandomWithoutQuestion,
}

impl Bench {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::ArcEasy,
        Self::ArcChallenge,
        Self::HellaSwag,
        Self::Mmlu,
        Self::TruthfulQaMc1,
        Self::TruthfulQaMc2,
    ];

    /// The name, with hyphens where lm-evaluation-harness has underscores.
    pub fn name(self) -> &'static str {
        match self {
            Self::ArcEasy => "arc-easy",
            Self::ArcChallenge => "arc-challenge",
            Self::HellaSwag => "hellaswag",
            Self::Mmlu => "mmlu",
            Self::TruthfulQaMc1 => "truthfulqa-mc1",
            Self::TruthfulQaMc2 => "truthfulqa-mc2",
        }
    }

    /// Where the hub has it, in the columns that are read here.
    pub fn hub_data(self) -> HubData {
        let (dataset, questions, examples) = match self {
            Self::ArcEasy => (
                "allenai/ai2_arc",
                "ARC-Easy/test-00000-of-00001.parquet",
                Some("ARC-Easy/train-00000-of-00001.parquet"),
            ),
            Self::ArcChallenge => (
                "allenai/ai2_arc",
                "ARC-Challenge/test-00000-of-00001.parquet",
                Some("ARC-Challenge/train-00000-of-00001.parquet"),
            ),
            Self::HellaSwag => (
                "Rowan/hellaswag",
                "data/validation-00000-of-00001.parquet",
                Some("data/train-00000-of-00001.parquet"),
            ),
            Self::Mmlu => (
                "cais/mmlu",
                "all/test-00000-of-00001.parquet",
                Some("all/dev-00000-of-00001.parquet"),
            ),
            Self::TruthfulQaMc1 | Self::TruthfulQaMc2 => (
                "truthfulqa/truthful_qa",
                "multiple_choice/validation-00000-of-00001.parquet",
                None,
            ),
        };
        HubData {
            dataset,
            questions,
            examples,
        }
    }

    /// Examples before each question, as in the Open LLM Leaderboard and in Table 8 of `LongRoPE`.
    pub fn default_shots(self) -> usize {
        match self {
            Self::ArcEasy | Self::ArcChallenge => 25,
            Self::HellaSwag => 10,
            Self::Mmlu => 5,
            Self::TruthfulQaMc1 | Self::TruthfulQaMc2 => 0,
        }
    }

    /// Whether examples have no place in it.
    pub fn is_zero_shot(self) -> bool {
        matches!(self, Self::TruthfulQaMc1 | Self::TruthfulQaMc2)
    }

    /// What is measured; the first is the one people compare.
    pub fn metrics(self) -> Vec<Metric> {
        let names: &[&str] = match self {
            Self::ArcEasy | Self::ArcChallenge | Self::HellaSwag => {
                &["acc_norm", "acc", "acc_bytes"]
            }
            Self::Mmlu => &["acc"],
            Self::TruthfulQaMc1 => &["mc1"],
            Self::TruthfulQaMc2 => &["mc2"],
        };
        names.iter().map(|name| Metric::higher(name)).collect()
    }

    pub(super) fn draw(self) -> Draw {
        match self {
            Self::Mmlu => Draw::First,
            Self::HellaSwag => Draw::RandomWithoutQuestion,
            _ => Draw::Random,
        }
    }

    /// What stands before the examples.
    pub(super) fn description(self, subject: Option<&str>) -> String {
        match (self, subject) {
            (Self::Mmlu, Some(subject)) => format!(
                "The following are multiple choice questions (with answers) about {}.\n\n",
                subject.replace('_', " ")
            ),
            _ => String::new(),
        }
    }
}

impl fmt::Display for Bench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Bench {
    type Err = BenchError;

    fn from_str(name: &str) -> Result<Self, BenchError> {
        let found = Self::ALL.into_iter().find(|bench| bench.name() == name);
        found.ok_or_else(|| BenchError::UnknownBench {
            found: name.to_owned(),
            expected: Self::ALL.map(|bench| format!("`{bench}`")).join(", "),
        })
    }
}

//! The benchmarks.

use std::fmt;
use std::str::FromStr;

use super::error::BenchError;
use crate::metric::Metric;

/// A multiple choice benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bench {
    /// ARC, the easy questions (arXiv 1803.05457).
    ArcEasy,
    /// ARC, the hard questions.
    ArcChallenge,
    /// `HellaSwag` (arXiv 1905.07830).
    HellaSwag,
    /// MMLU (arXiv 2009.03300), one subject or many.
    Mmlu,
    /// `TruthfulQA` (arXiv 2109.07958) with one right answer.
    TruthfulQaMc1,
    /// `TruthfulQA` by the probability of all right answers.
    TruthfulQaMc2,
}

/// The files of a benchmark on the Hugging Face hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HubData {
    /// Owner and name of the data set.
    pub dataset: &'static str,
    /// The file of questions: the test split, or the validation split where answers to the test are secret.
    pub questions: &'static str,
    /// The file of examples, if there are any.
    pub examples: Option<&'static str>,
}

impl HubData {
    /// Data set and files as text for messages.
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
    /// The first examples of the subject.
    First,
    /// Drawn from all examples.
    Random,
    /// Drawn from all examples, one more than needed. The question itself is removed if it is among them.
    RandomWithoutQuestion,
}

impl Bench {
    /// All benchmarks.
    pub const ALL: [Self; 6] = [
        Self::ArcEasy,
        Self::ArcChallenge,
        Self::HellaSwag,
        Self::Mmlu,
        Self::TruthfulQaMc1,
        Self::TruthfulQaMc2,
    ];

    /// The name in lm-evaluation-harness, with hyphens instead of underscores.
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

    /// Its files on the Hugging Face hub, with the columns that are read here.
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

    /// Whether the benchmark does not use examples.
    pub fn is_zero_shot(self) -> bool {
        matches!(self, Self::TruthfulQaMc1 | Self::TruthfulQaMc2)
    }

    /// The metrics. The first is the main one.
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

    /// The text before the examples.
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

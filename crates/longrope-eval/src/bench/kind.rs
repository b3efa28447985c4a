//! The benchmarks.

use std::fmt;
use std::str::FromStr;

use super::babilong_texts::{BABI, Babi};
use super::error::BenchError;
use crate::metric::Metric;

/// A benchmark: questions with choices, except for `BABILong`, whose answers are generated.
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
    /// `LongBench` v2 (arXiv 2412.15204): one of four answers about a long text.
    LongBench2,
    /// `BABILong` (arXiv 2406.10149): facts in a long text.
    BabiLong(BabiLong),
}

/// A task of `BABILong`, and the length of its texts on the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BabiLong {
    /// Number of the task, 1 to 20.
    task: usize,
    /// Length of the texts, thousands of tokens; 0 for facts alone.
    thousands: usize,
}

impl BabiLong {
    /// Number of tasks.
    const TASKS: usize = BABI.len();
    /// Number of tasks with long texts; the others have facts alone.
    const WITH_LENGTHS: usize = 5;
    /// Lengths on the hub, thousands of tokens.
    const LENGTHS: [usize; 9] = [0, 1, 2, 4, 8, 16, 32, 64, 128];

    /// Parses what follows `babilong-`: `qa1`, or `qa1-4k`.
    fn parse(name: &str) -> Option<Self> {
        let (task, length) = name.split_once('-').unwrap_or((name, "0k"));
        let task = task.strip_prefix("qa")?;
        let thousands: usize = length.strip_suffix('k')?.parse().ok()?;
        let found = Self {
            task: task.parse().ok()?,
            thousands,
        };
        let has_texts = thousands == 0 || found.task <= Self::WITH_LENGTHS;
        let is_known = (1..=Self::TASKS).contains(&found.task)
            && Self::LENGTHS.contains(&thousands)
            && has_texts;
        // A name is written in one way only.
        (is_known && found.name() == name).then_some(found)
    }

    fn name(self) -> String {
        match self.thousands {
            0 => format!("qa{}", self.task),
            thousands => format!("qa{}-{thousands}k", self.task),
        }
    }

    /// The texts before a question.
    pub(super) fn texts(self) -> &'static Babi {
        &BABI[self.task - 1]
    }
}

/// The files of a benchmark on the Hugging Face hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubData {
    /// Owner and name of the data set.
    pub dataset: &'static str,
    /// The files of questions: the test split, or the validation split where answers to the test are secret.
    pub questions: Vec<String>,
    /// The file of examples, if there are any.
    pub examples: Option<&'static str>,
}

impl HubData {
    /// Data set and files as text for messages.
    pub fn describe(&self) -> String {
        let HubData {
            dataset,
            questions,
            examples,
        } = self;
        let files = questions.iter().map(String::as_str).chain(*examples);
        let files: Vec<String> = files.map(|file| format!("`{file}`")).collect();
        format!("{} of data set `{dataset}`", files.join(" and "))
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

/// The benchmarks that have one task, by name in lm-evaluation-harness with hyphens instead of underscores.
const SINGLE: [(&str, Bench); 7] = [
    ("arc-easy", Bench::ArcEasy),
    ("arc-challenge", Bench::ArcChallenge),
    ("hellaswag", Bench::HellaSwag),
    ("mmlu", Bench::Mmlu),
    ("truthfulqa-mc1", Bench::TruthfulQaMc1),
    ("truthfulqa-mc2", Bench::TruthfulQaMc2),
    ("longbench2", Bench::LongBench2),
];

impl Bench {
    /// The name in lm-evaluation-harness, with hyphens instead of underscores. The texts of `BABILong` have their length
    /// in it: `babilong-qa1-4k`.
    pub fn name(self) -> String {
        if let Self::BabiLong(task) = self {
            return format!("babilong-{}", task.name());
        }
        let known = SINGLE.iter().find(|(_, bench)| *bench == self);
        known.map_or_else(String::new, |(name, _)| (*name).to_owned())
    }

    /// The name of the task in lm-evaluation-harness.
    pub fn harness_name(self) -> String {
        match self {
            Self::BabiLong(task) => format!("babilong_qa{}", task.task),
            _ => self.name().replace('-', "_"),
        }
    }

    /// Its files on the Hugging Face hub, with the columns that are read here.
    pub fn hub_data(self) -> HubData {
        let (dataset, questions, examples) = match self {
            Self::LongBench2 => ("zai-org/LongBench-v2", "data.json", None),
            Self::BabiLong(BabiLong { task, thousands }) => {
                let n_files = if thousands < 128 { 1 } else { 2 };
                let file = |i| format!("{thousands}k/qa{task}-{i:05}-of-{n_files:05}.parquet");
                return HubData {
                    dataset: "RMT-team/babilong-1k-samples",
                    questions: (0..n_files).map(file).collect(),
                    examples: None,
                };
            }
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
            questions: vec![questions.to_owned()],
            examples,
        }
    }

    /// Examples before each question, as in the Open LLM Leaderboard and in Table 8 of `LongRoPE`.
    pub fn default_shots(self) -> usize {
        match self {
            Self::ArcEasy | Self::ArcChallenge => 25,
            Self::HellaSwag => 10,
            Self::Mmlu => 5,
            Self::TruthfulQaMc1 | Self::TruthfulQaMc2 | Self::LongBench2 => 0,
            Self::BabiLong(_) => 2,
        }
    }

    /// Whether the benchmark does not use examples.
    pub fn is_zero_shot(self) -> bool {
        matches!(
            self,
            Self::TruthfulQaMc1 | Self::TruthfulQaMc2 | Self::LongBench2
        )
    }

    /// Tokens of an answer that the model generates; `None` if it chooses among answers.
    pub fn tokens_to_generate(self) -> Option<usize> {
        matches!(self, Self::BabiLong(_)).then_some(16)
    }

    /// Whether the examples before a question are part of the benchmark, so that none are read.
    pub fn has_own_examples(self) -> bool {
        matches!(self, Self::BabiLong(_))
    }

    /// Whether questions have long texts, which may be longer than the context.
    pub fn has_long_texts(self) -> bool {
        matches!(self, Self::LongBench2 | Self::BabiLong(_))
    }

    /// The metrics. The first is the main one.
    pub fn metrics(self) -> Vec<Metric> {
        let names: &[&str] = match self {
            Self::ArcEasy | Self::ArcChallenge | Self::HellaSwag => {
                &["acc_norm", "acc", "acc_bytes"]
            }
            Self::Mmlu | Self::LongBench2 | Self::BabiLong(_) => &["acc"],
            Self::TruthfulQaMc1 => &["mc1"],
            Self::TruthfulQaMc2 => &["mc2"],
        };
        names.iter().map(|name| Metric::higher(name)).collect()
    }

    pub(super) fn draw(self) -> Draw {
        match self {
            Self::Mmlu | Self::BabiLong(_) => Draw::First,
            Self::HellaSwag => Draw::RandomWithoutQuestion,
            _ => Draw::Random,
        }
    }

    /// The text before the examples.
    pub(super) fn description(self, subject: Option<&str>) -> String {
        match (self, subject) {
            (Self::BabiLong(task), _) => task.texts().description.to_owned(),
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
        f.write_str(&self.name())
    }
}

impl FromStr for Bench {
    type Err = BenchError;

    fn from_str(name: &str) -> Result<Self, BenchError> {
        let single = SINGLE.iter().find(|(known, _)| *known == name);
        let babi = || BabiLong::parse(name.strip_prefix("babilong-")?);
        let found = single
            .map(|(_, bench)| *bench)
            .or_else(|| Some(Self::BabiLong(babi()?)));
        found.ok_or_else(|| {
            let single = SINGLE.map(|(known, _)| format!("`{known}`")).join(", ");
            BenchError::UnknownBench {
                found: name.to_owned(),
                expected: format!(
                    "{single}, `babilong-qa1` to `babilong-qa20`, or up to qa5 with a length from 1k to 128k, `babilong-qa1-4k`"
                ),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let bench = |name: &str| name.parse::<Bench>();
        for name in [
            "arc-easy",
            "longbench2",
            "babilong-qa1",
            "babilong-qa20",
            "babilong-qa3-128k",
        ] {
            assert_eq!(bench(name).unwrap().name(), name);
        }
        for name in [
            "arc",
            "babilong",
            "babilong-qa0",
            "babilong-qa21",
            "babilong-qa01",
            "babilong-qa1-0k",
            "babilong-qa1-3k",
            "babilong-qa1-4",
        ] {
            let error = bench(name).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("unknown benchmark `{name}`")),
                "{error}"
            );
        }
        let hub = bench("babilong-qa2-4k").unwrap().hub_data();
        assert_eq!(hub.questions, ["4k/qa2-00000-of-00001.parquet"]);
        let hub = bench("babilong-qa3-128k").unwrap().hub_data();
        assert_eq!(hub.questions[1], "128k/qa3-00001-of-00002.parquet");
        assert_eq!(
            bench("babilong-qa2-4k").unwrap().harness_name(),
            "babilong_qa2"
        );
    }
}

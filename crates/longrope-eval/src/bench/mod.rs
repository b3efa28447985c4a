//! Benchmarks of questions with choices or short answers, scored as lm-evaluation-harness (0.4) scores them.
//!
//! ```text
//! file ── read_records ─► Record ── Question::new ─► Question ── Prompts::new ─► Prompts ── BenchTask::new ─► a Task
//! ```
//!
//! A choice is scored by the log-likelihood of its tokens after the question. Short answers are generated greedily, and
//! right if they contain the expected text. Everything that affects a score follows
//! that program exactly: texts, examples and the order in which they are drawn, which tokens belong to the answer, how
//! long questions are cut, and the lengths that sums are divided by.

mod babilong_texts;
mod error;
mod harness;
mod kind;
mod longbench_tasks;
mod prompts;
mod python;
mod question;
mod records;
mod row;
mod score;
mod task;
mod tokens;

pub use error::BenchError;
pub use harness::{HarnessFiles, HarnessRun, harness_files, sanitized};
pub use kind::{BabiLong, Bench, HubData};
pub use prompts::Prompts;
pub use question::Question;
pub use records::{Record, read_records};
pub use score::{pooled_stderr, score, score_generated};
pub(crate) use task::PROTOCOL;
pub use task::{BenchTask, FEWSHOT_SEED};
pub use tokens::AnswerTokens;

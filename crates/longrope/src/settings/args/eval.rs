//! Flags of the verbs that measure.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

use super::common::{Common, ModelArg, TaskFlags, TextFlags};

#[derive(Debug, Subcommand)]
pub(crate) enum Eval {
    /// Perplexity over windows of text.
    Ppl(Ppl),
    /// A number hidden in filler, asked for at the end.
    Passkey(Passkey),
    /// Facts hidden in long text, asked for at the end, by depth.
    Needle(Needle),
    /// The thirteen tasks of RULER.
    Ruler(Ruler),
    /// ARC, HellaSwag, MMLU and TruthfulQA, scored as lm-evaluation-harness does.
    Bench(Bench),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Ppl {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) model: ModelArg,
    #[command(flatten)]
    pub(crate) text: TextFlags,
    /// Contexts, tokens, separated by commas.
    #[arg(long, value_name = "N,..", value_delimiter = ',')]
    pub(crate) contexts: Vec<usize>,
    /// checkpoint, none, pi, ntk, dynamic-ntk, yarn, llama3, scaled for each context, METHOD@CONTEXT for one, or a
    /// rope.json, factor CSV or HF config.json; repeatable.
    #[arg(long, value_name = "R", num_args = 1..)]
    pub(crate) rope: Vec<String>,
    /// Windows per document, spread evenly.
    #[arg(long, value_name = "N", conflicts_with = "stride")]
    pub(crate) windows: Option<usize>,
    /// Overlapping windows instead: tokens from one to the next.
    #[arg(long, value_name = "N")]
    pub(crate) stride: Option<usize>,
    /// Whose perplexity: longrope, yarn, truncate or llama.cpp.
    #[arg(long, value_name = "NAME")]
    pub(crate) protocol: Option<String>,
    /// Run folder: results go there.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Writes one JSON line per scored token.
    #[arg(long, value_name = "FILE")]
    pub(crate) per_token: Option<PathBuf>,
    /// JSON on stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Passkey {
    #[command(flatten)]
    pub(crate) task: TaskFlags,
    /// Trials per context, or per depth where depths are given.
    #[arg(long, value_name = "N")]
    pub(crate) trials: Option<usize>,
    /// Depths from 0 (beginning) to 1 (end), separated by commas; default: random.
    #[arg(long, value_name = "D,..", value_delimiter = ',')]
    pub(crate) depths: Vec<f64>,
}

#[derive(Debug, ClapArgs)]
#[expect(clippy::struct_field_names, reason = "flags are named as keys are")]
pub(crate) struct Needle {
    #[command(flatten)]
    pub(crate) task: TaskFlags,
    /// The haystack: files or folders; default: the filler of passkeys; repeatable.
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub(crate) text: Vec<PathBuf>,
    /// Trials per context and depth.
    #[arg(long, value_name = "N")]
    pub(crate) trials: Option<usize>,
    /// Depths from 0 (beginning) to 1 (end), separated by commas.
    #[arg(long, value_name = "D,..", value_delimiter = ',')]
    pub(crate) depths: Vec<f64>,
    /// Needles in one text.
    #[arg(long, value_name = "N")]
    pub(crate) needles: Option<usize>,
    /// What is hidden; {key} and {value} are drawn.
    #[arg(long, value_name = "TEXT")]
    pub(crate) needle: Option<String>,
    /// The whole prompt; {haystack} is the text with the needles in it.
    #[arg(long, value_name = "TEXT")]
    pub(crate) prompt: Option<String>,
    /// What has to follow the prompt.
    #[arg(long, value_name = "TEXT")]
    pub(crate) answer: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Ruler {
    #[command(flatten)]
    pub(crate) task: TaskFlags,
    /// Text to hide needles in, whose words are counted, too: files or folders; repeatable.
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub(crate) text: Vec<PathBuf>,
    /// Tasks, separated by commas; default: all there is material for.
    #[arg(long, value_name = "NAME,..", value_delimiter = ',')]
    pub(crate) tasks: Vec<String>,
    /// Samples per task and context.
    #[arg(long, value_name = "N")]
    pub(crate) samples: Option<usize>,
    /// Questions for `qa_1`: a JSON file of SQuAD.
    #[arg(long, value_name = "FILE")]
    pub(crate) squad: Option<PathBuf>,
    /// Questions for `qa_2`: a JSON file of HotpotQA, distractor setting.
    #[arg(long, value_name = "FILE")]
    pub(crate) hotpotqa: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
#[expect(clippy::struct_field_names, reason = "flags are named as keys are")]
pub(crate) struct Bench {
    #[command(flatten)]
    pub(crate) task: TaskFlags,
    /// arc-easy, arc-challenge, hellaswag, mmlu, truthfulqa-mc1 or truthfulqa-mc2.
    #[arg(long, value_name = "NAME")]
    pub(crate) bench: Option<String>,
    /// Questions: JSON lines or parquet in the data set's own columns; repeatable.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) data: Vec<PathBuf>,
    /// Examples to stand before questions: the train split, of MMLU the dev split; repeatable.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) fewshot: Vec<PathBuf>,
    /// Examples before each question; default: 25 for ARC, 10 for HellaSwag, 5 for MMLU.
    #[arg(long, value_name = "N")]
    pub(crate) shots: Option<usize>,
    /// Only the first questions, of MMLU those of each subject.
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
}

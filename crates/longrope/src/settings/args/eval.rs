//! Flags of the verbs that measure.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};

use super::common::{Common, ModelArg, TaskFlags, TextFlags, rope_name};

#[derive(Debug, Subcommand)]
pub(crate) enum Eval {
    /// Measure perplexity over windows of text.
    Ppl(Ppl),
    /// Retrieve a number hidden in filler text, by context.
    Passkey(Passkey),
    /// Retrieve facts hidden in a long text, by context and depth.
    Needle(Needle),
    /// Measure how much the text beyond the original window lowers the loss of the same tokens.
    Gain(Gain),
    /// Run the thirteen tasks of RULER.
    Ruler(Ruler),
    /// Run ARC, HellaSwag, MMLU, TruthfulQA, LongBench v2 or BABILong, scored as by lm-evaluation-harness.
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
    /// Context lengths in tokens, separated by commas.
    #[arg(long, value_name = "N,..", value_delimiter = ',')]
    pub(crate) contexts: Vec<usize>,
    /// RoPE: checkpoint (default); a method scaled for each context (none, pi, ntk, dynamic-ntk, yarn, llama3,
    /// mrrope-uni, mrrope-pro, selfextend); METHOD@CONTEXT, scaled for one context; a method with its own numbers
    /// (theta@BASE, drope, drope@C, selfextend@GROUP,WINDOW); a published name; or a rope.json, factor CSV or Hugging
    /// Face config.json; repeatable.
    #[arg(long, value_name = "R", num_args = 1.., value_parser = rope_name())]
    pub(crate) rope: Vec<String>,
    /// RoPE that differences are taken to, by its name in the table; default: the first.
    #[arg(long, value_name = "R", value_parser = rope_name())]
    pub(crate) reference: Option<String>,
    /// Windows per document, evenly spaced; default: 8.
    #[arg(long, value_name = "N", conflicts_with = "stride")]
    pub(crate) windows: Option<usize>,
    /// Tokens from the start of one window to the start of the next, for overlapping windows.
    #[arg(long, value_name = "N")]
    pub(crate) stride: Option<usize>,
    /// Score the same text at every context: spread windows of N tokens, and divide them for shorter contexts.
    #[arg(long, value_name = "N", conflicts_with = "stride")]
    pub(crate) within: Option<usize>,
    /// Perplexity as measured by: longrope (default), yarn, truncate or llama.cpp.
    #[arg(long, value_name = "NAME")]
    pub(crate) protocol: Option<String>,
    /// Run folder for the results.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// File to write one JSON line per scored token to.
    #[arg(long, value_name = "FILE")]
    pub(crate) per_token: Option<PathBuf>,
    /// Print JSON on stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Passkey {
    #[command(flatten)]
    pub(crate) task: TaskFlags,
    /// Trials per context, or per depth if --depths is given; default: 10.
    #[arg(long, value_name = "N")]
    pub(crate) trials: Option<usize>,
    /// Depths from 0 (beginning) to 1 (end), separated by commas; default: random.
    #[arg(long, value_name = "D,..", value_delimiter = ',')]
    pub(crate) depths: Vec<f64>,
    #[command(flatten)]
    pub(crate) threshold: ThresholdFlag,
}

/// `--threshold`
#[derive(Debug, ClapArgs)]
pub(crate) struct ThresholdFlag {
    /// Score from 0 to 1 that counts for the effective length; default: 85% of the score at the original window.
    #[arg(long, value_name = "SCORE")]
    pub(crate) threshold: Option<f64>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Gain {
    #[command(flatten)]
    pub(crate) task: TaskFlags,
    #[command(flatten)]
    pub(crate) text: TextFlags,
    /// Windows per document, evenly spaced; default: 8.
    #[arg(long, value_name = "N")]
    pub(crate) windows: Option<usize>,
    /// Tokens at the end of each window that are scored; default: 500, or half of the original window if that is less.
    #[arg(long, value_name = "N")]
    pub(crate) tail: Option<usize>,
    /// Text before the original window: own (default), or other, text of another document, as a control.
    #[arg(long, value_name = "NAME")]
    pub(crate) far: Option<String>,
    /// What the whole context is compared with: window (default), the original window alone, or other, text of another
    /// document before it.
    #[arg(long, value_name = "NAME")]
    pub(crate) against: Option<String>,
}

#[derive(Debug, ClapArgs)]
#[expect(clippy::struct_field_names, reason = "flags are named as keys are")]
pub(crate) struct Needle {
    #[command(flatten)]
    pub(crate) task: TaskFlags,
    /// Haystack: text files or folders; default: the filler text of passkeys; repeatable.
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub(crate) text: Vec<PathBuf>,
    /// Trials per context and depth; default: 5.
    #[arg(long, value_name = "N")]
    pub(crate) trials: Option<usize>,
    /// Depths from 0 (beginning) to 1 (end), separated by commas; default: 0, 0.25, 0.5, 0.75 and 1.
    #[arg(long, value_name = "D,..", value_delimiter = ',')]
    pub(crate) depths: Vec<f64>,
    /// What is hidden and asked for: number (default), association (facts that share no word with the question) or
    /// ordinal (several needles of one kind, asked for by their order).
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: Option<String>,
    /// Needles per text, up to 16; default: 1, of association and ordinal 4.
    #[arg(long, value_name = "N")]
    pub(crate) needles: Option<usize>,
    /// Sentence to hide; {key} and {value} are drawn at random.
    #[arg(long, value_name = "TEXT")]
    pub(crate) needle: Option<String>,
    /// Whole prompt; {haystack} is the text with the needles in it.
    #[arg(long, value_name = "TEXT")]
    pub(crate) prompt: Option<String>,
    /// Expected continuation of the prompt.
    #[arg(long, value_name = "TEXT")]
    pub(crate) answer: Option<String>,
    #[command(flatten)]
    pub(crate) threshold: ThresholdFlag,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Ruler {
    #[command(flatten)]
    pub(crate) task: TaskFlags,
    /// Text for the tasks that hide needles in it or count its words: files or folders; repeatable.
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub(crate) text: Vec<PathBuf>,
    /// Tasks, separated by commas; default: all tasks with available data.
    #[arg(long, value_name = "NAME,..", value_delimiter = ',')]
    pub(crate) tasks: Vec<String>,
    /// Samples per task and context; default: 500.
    #[arg(long, value_name = "N")]
    pub(crate) samples: Option<usize>,
    /// Questions of `qa_1`: the JSON file of SQuAD.
    #[arg(long, value_name = "FILE")]
    pub(crate) squad: Option<PathBuf>,
    /// Questions of `qa_2`: the JSON file of HotpotQA, distractor setting.
    #[arg(long, value_name = "FILE")]
    pub(crate) hotpotqa: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) threshold: ThresholdFlag,
}

#[derive(Debug, ClapArgs)]
#[expect(clippy::struct_field_names, reason = "flags are named as keys are")]
pub(crate) struct Bench {
    #[command(flatten)]
    pub(crate) task: TaskFlags,
    /// Benchmark: arc-easy, arc-challenge, hellaswag, mmlu, truthfulqa-mc1, truthfulqa-mc2, longbench2, or babilong-qa1 to
    /// babilong-qa20; babilong-qa1 to babilong-qa5 also with a length, such as babilong-qa1-4k.
    #[arg(long, value_name = "NAME")]
    pub(crate) bench: Option<String>,
    /// Questions: JSON lines, a JSON list or parquet with the columns of the data set; repeatable.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) data: Vec<PathBuf>,
    /// Few-shot examples: the train split, for MMLU the dev split; repeatable.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) fewshot: Vec<PathBuf>,
    /// Examples before each question; default: 25 for ARC, 10 for HellaSwag, 5 for MMLU, 2 for BABILong, 0 for the others.
    #[arg(long, value_name = "N")]
    pub(crate) shots: Option<usize>,
    /// Maximum number of questions, for MMLU and LongBench v2 per subject; default: all.
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Form of the results in the run folder; lm-eval also writes the files of lm-evaluation-harness.
    #[arg(long, value_enum, value_name = "FORM", default_value = "longrope")]
    pub(crate) format: ResultFormat,
}

/// Form of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ResultFormat {
    Longrope,
    LmEval,
}

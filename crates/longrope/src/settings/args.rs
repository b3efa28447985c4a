//! What can be typed. Flags are sugar for configuration keys; nothing is checked here.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use toml::{Table, Value};

/// Extends the context window of RoPE language models by LongRoPE.
#[derive(Debug, Parser)]
#[command(name = "longrope", version, about, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// More log lines on stderr; twice for still more.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, display_order = 100)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The whole story on the bundled tiny model, in minutes.
    Demo(Demo),
    /// What a checkpoint is: its windows, RoPE and size.
    Inspect(Inspect),
    /// What other programs make of a checkpoint's RoPE, and how to run it there.
    Doctor(Doctor),
    /// Trains a tokenizer and a small model from scratch.
    Pretrain(Pretrain),
    /// Searches rescale factors for a longer context.
    Search(Search),
    /// Searches factors for short contexts of an extended model.
    Recover(Recover),
    /// A perplexity table of RoPE methods by context.
    Compare(Compare),
    /// Measures a model at given contexts.
    #[command(subcommand)]
    Eval(Eval),
    /// Lends this machine's devices to searches on other machines.
    Worker(Worker),
    /// Trains a model under a rescaled RoPE.
    Finetune(Finetune),
    /// Runs the stages of a recipe: search, train, search again, recover, evaluate, export.
    Extend(Extend),
    /// Memory and time of evaluation, search and training, before you start.
    Plan(Plan),
    /// One HTML page about a run folder.
    Report(Report),
    /// Continues a prompt.
    Generate(Generate),
    /// Writes the checkpoint with another RoPE, ready for other programs.
    Export(Export),
}

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

/// Flags that every verb with a model has.
#[derive(Debug, ClapArgs)]
pub(crate) struct Common {
    /// Configuration file (TOML); flags and `--set` override it.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Sets a configuration key, for instance `search.population=32`; repeatable.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    #[arg(
        long,
        value_name = "DEVICE",
        help = "Where to compute: flex, ndarray, wgpu[:N], vulkan[:N|:cpu], cuda[:N], \
                remote:ws://HOST:PORT; repeatable"
    )]
    pub(crate) device: Vec<String>,
}

/// Flags for text.
#[derive(Debug, ClapArgs)]
pub(crate) struct TextFlags {
    /// Text: files, folders or JSON lines, also .gz and .zst; repeatable.
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub(crate) text: Vec<PathBuf>,
    /// Token ids instead of text: a JSON list of ids, or a list of such lists.
    #[arg(long, value_name = "FILE", conflicts_with = "text")]
    pub(crate) tokens: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Worker {
    /// Where to listen. Whoever can connect there can compute on this machine: there are no passwords.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:3000")]
    pub(crate) listen: String,
    /// A device to lend; repeatable, all of one kind.
    #[arg(long, value_name = "DEVICE", default_value = "flex")]
    pub(crate) device: Vec<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Demo {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Folder for everything the demo writes.
    #[arg(long, value_name = "DIR", default_value = "runs/demo")]
    pub(crate) out: PathBuf,
    /// Text to use instead of sources of our dependencies; repeatable.
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub(crate) text: Vec<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Inspect {
    /// Checkpoint folder.
    pub(crate) model: PathBuf,
    /// JSON on stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Doctor {
    /// Checkpoint folder, or its config.json.
    pub(crate) model: PathBuf,
    /// JSON on stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Pretrain {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Text instead of the sources of our dependencies: files, folders or JSON lines; repeatable.
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub(crate) text: Vec<PathBuf>,
    /// Run folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Seed of every random choice.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Continues the training in the run folder.
    #[arg(long)]
    pub(crate) resume: bool,
    /// Log lines instead of the dashboard.
    #[arg(long)]
    pub(crate) plain: bool,
    /// JSON on stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Search {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Checkpoint folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) model: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) text: TextFlags,
    /// Context wanted, tokens.
    #[arg(long, value_name = "N")]
    pub(crate) target: Option<usize>,
    /// Run folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Which search: paper, official, v2 or fast.
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// Factors to start from as well, or to search ratios on top of: a rope.json, a factor CSV, or a published name.
    #[arg(long, value_name = "R")]
    pub(crate) init: Option<PathBuf>,
    /// What is searched for: factors, or ratios to those of --init.
    #[arg(long, value_name = "STAGE")]
    pub(crate) stage: Option<String>,
    /// What is minimized: perplexity, needle or combined.
    #[arg(long, value_name = "OBJECTIVE")]
    pub(crate) objective: Option<String>,
    /// Samples every candidate is scored on.
    #[arg(long, value_name = "N")]
    pub(crate) samples: Option<usize>,
    /// Seed of every random choice.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Continues the search in the run folder.
    #[arg(long)]
    pub(crate) resume: bool,
    /// A dashboard in the terminal instead of a progress bar; `q` stops and saves.
    #[arg(long)]
    pub(crate) tui: bool,
    /// JSON on stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Recover {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Checkpoint folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) model: Option<PathBuf>,
    /// The extended model's RoPE: a rope.json, or a published name.
    #[arg(long, value_name = "R")]
    pub(crate) rope: Option<String>,
    #[command(flatten)]
    pub(crate) text: TextFlags,
    /// Contexts to recover, tokens, separated by commas.
    #[arg(long, value_name = "N,..", value_delimiter = ',')]
    pub(crate) contexts: Vec<usize>,
    /// Run folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Which search: paper, official, v2 or fast.
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// Samples every candidate is scored on.
    #[arg(long, value_name = "N")]
    pub(crate) samples: Option<usize>,
    /// Seed of every random choice.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Continues the searches in the run folder.
    #[arg(long)]
    pub(crate) resume: bool,
    /// JSON on stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Compare {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Checkpoint folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) model: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) text: TextFlags,
    /// Contexts, tokens, separated by commas.
    #[arg(long, value_name = "N,..", value_delimiter = ',')]
    pub(crate) contexts: Vec<usize>,
    /// A further RoPE to compare with the methods; repeatable.
    #[arg(long, value_name = "R", num_args = 1..)]
    pub(crate) rope: Vec<String>,
    /// Windows per document.
    #[arg(long, value_name = "N")]
    pub(crate) windows: Option<usize>,
    /// JSON on stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Ppl {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Checkpoint folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) model: Option<PathBuf>,
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

/// Flags that every task with trials has.
#[derive(Debug, ClapArgs)]
pub(crate) struct TaskFlags {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Checkpoint folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) model: Option<PathBuf>,
    /// Contexts, tokens of prompt and answer, separated by commas.
    #[arg(long, value_name = "N,..", value_delimiter = ',')]
    pub(crate) contexts: Vec<usize>,
    /// A RoPE as for `eval ppl`; repeatable; default: what config.json says.
    #[arg(long, value_name = "R", num_args = 1..)]
    pub(crate) rope: Vec<String>,
    /// Seed of every random choice.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Run folder: results go there, and an interrupted evaluation can go on.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Continues the evaluation in the run folder.
    #[arg(long)]
    pub(crate) resume: bool,
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
pub(crate) struct Extend {
    /// The recipe (TOML): configuration keys for all stages, then the stages.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Sets a key for all stages that do not set it themselves; repeatable.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Where to compute.
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Option<String>,
    /// Run folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Continues: finished stages are skipped, the one that was stopped goes on.
    #[arg(long)]
    pub(crate) resume: bool,
    /// Checks the recipe and shows what would run.
    #[arg(long)]
    pub(crate) dry_run: bool,
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

#[derive(Debug, ClapArgs)]
pub(crate) struct Plan {
    /// Checkpoint folder.
    pub(crate) model: PathBuf,
    /// Tokens of a window.
    #[arg(long, value_name = "N")]
    pub(crate) context: usize,
    /// What is to be done; default: all.
    #[arg(long, value_enum, value_name = "MODE")]
    pub(crate) mode: Option<PlanMode>,
    /// Where it is to be done, and what the time is estimated on: flex, cuda:0 and so on.
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Option<String>,
    /// Memory there is, GiB; default: that of this machine, of a GPU unknown.
    #[arg(long, value_name = "GiB")]
    pub(crate) memory: Option<f64>,
    /// JSON on stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What is planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlanMode {
    /// Perplexity of one window.
    Eval,
    /// A search of the default size.
    Search,
    /// A step of training low-rank adapters.
    Lora,
    /// A step of training all weights.
    Full,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Report {
    /// Run folder.
    pub(crate) run: PathBuf,
}

#[derive(Debug, ClapArgs)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(crate) struct Finetune {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Checkpoint folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) model: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) text: TextFlags,
    /// A RoPE as for `eval ppl`; default: what config.json says.
    #[arg(long, value_name = "R")]
    pub(crate) rope: Vec<String>,
    /// Tokens of a window; default: the window of the checkpoint.
    #[arg(long, value_name = "N")]
    pub(crate) context: Option<usize>,
    /// Optimizer steps.
    #[arg(long, value_name = "N")]
    pub(crate) steps: Option<usize>,
    /// Trains low-rank adapters and leaves the weights alone.
    #[arg(long)]
    pub(crate) lora: bool,
    /// Run folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Seed of every random choice.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Continues the run in the run folder.
    #[arg(long)]
    pub(crate) resume: bool,
    /// Lines instead of the dashboard.
    #[arg(long)]
    pub(crate) no_dashboard: bool,
    /// JSON on stdout.
    #[arg(long)]
    pub(crate) json: bool,
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

/// Types of exported weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum WeightType {
    /// As they are stored.
    Keep,
    /// 32 bits.
    F32,
    /// 16 bits, up to 65504.
    F16,
    /// 16 bits, the range of f32.
    Bf16,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Generate {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Checkpoint folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) model: Option<PathBuf>,
    /// A RoPE as for `eval ppl`; default: what config.json says.
    #[arg(long, value_name = "R")]
    pub(crate) rope: Vec<String>,
    /// Text to continue; repeatable.
    #[arg(long, value_name = "TEXT")]
    pub(crate) prompt: Vec<String>,
    /// File to continue; repeatable.
    #[arg(long, value_name = "FILE")]
    pub(crate) prompt_file: Vec<PathBuf>,
    /// Most tokens to add.
    #[arg(long, value_name = "N")]
    pub(crate) max_new_tokens: Option<usize>,
    /// 0 takes the most likely token every time, 1 draws from the model's distribution.
    #[arg(long, value_name = "T")]
    pub(crate) temperature: Option<f64>,
    /// Draws from this many of the most likely tokens.
    #[arg(long, value_name = "N")]
    pub(crate) top_k: Option<usize>,
    /// Draws from the most likely tokens that together have this probability.
    #[arg(long, value_name = "P")]
    pub(crate) top_p: Option<f64>,
    /// Seed of every random choice.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// JSON on stdout.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Formats of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A Hugging Face folder.
    Hf,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Export {
    /// Checkpoint folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// A rope.json, factor CSV, HF config.json, or the name of a method.
    #[arg(long, value_name = "R")]
    pub(crate) rope: String,
    /// Folder to write.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Format.
    #[arg(long, value_enum, default_value = "hf")]
    pub(crate) format: Format,
    /// Window the exported model claims; default: what the RoPE was made for.
    #[arg(long, value_name = "N")]
    pub(crate) target: Option<usize>,
    /// Type of the weights, rounded to nearest; a weight beyond its range is an error.
    #[arg(long, value_enum, value_name = "TYPE", default_value = "keep")]
    pub(crate) dtype: WeightType,
    /// Splits the weights into files of at most this size, as in 500MB or 2GiB; without it the files
    /// stay as they are, or hold 5GB if --dtype changes them.
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_shard_size: Option<String>,
    /// Replaces an existing folder.
    #[arg(long)]
    pub(crate) force: bool,
}

/// A layer of configuration keys made from flags.
#[derive(Debug, Default)]
pub(crate) struct FlagLayer(Table);

impl FlagLayer {
    /// Sets a key of the top level or of a section, if the flag was given.
    pub(crate) fn set(mut self, key: &str, value: Option<impl Into<Value>>) -> Self {
        if let Some(value) = value {
            match key.split_once('.') {
                None => {
                    self.0.insert(key.to_owned(), value.into());
                }
                Some((section, key)) => {
                    let section = self.0.entry(section).or_insert_with(|| Table::new().into());
                    if let Value::Table(section) = section {
                        section.insert(key.to_owned(), value.into());
                    }
                }
            }
        }
        self
    }

    /// Sets a number.
    pub(crate) fn number(self, key: &str, value: Option<impl TryInto<i64>>) -> Self {
        self.set(key, value.and_then(|n| n.try_into().ok()))
    }

    /// Sets a path.
    pub(crate) fn path(self, key: &str, value: Option<&PathBuf>) -> Self {
        self.set(key, value.map(|path| path.display().to_string()))
    }

    /// Sets a list, unless it is empty.
    pub(crate) fn list<T: Into<Value>>(
        self,
        key: &str,
        values: impl IntoIterator<Item = T>,
    ) -> Self {
        let values: Vec<Value> = values.into_iter().map(Into::into).collect();
        self.set(key, (!values.is_empty()).then_some(values))
    }

    /// Sets the keys of [`TaskFlags`].
    pub(crate) fn task(self, flags: &TaskFlags) -> Self {
        self.path("model", flags.model.as_ref())
            .path("out", flags.out.as_ref())
            .list("contexts", contexts(&flags.contexts))
            .list("rope", flags.rope.iter().cloned())
            .number("seed", flags.seed)
    }

    /// Sets the keys of [`TextFlags`].
    pub(crate) fn text(self, flags: &TextFlags) -> Self {
        self.list(
            "text",
            flags.text.iter().map(|path| path.display().to_string()),
        )
        .path("tokens", flags.tokens.as_ref())
    }

    /// The finished layer.
    pub(crate) fn table(self) -> Table {
        self.0
    }
}

/// Context lengths as configuration values.
pub(crate) fn contexts(contexts: &[usize]) -> Vec<i64> {
    contexts
        .iter()
        .filter_map(|n| i64::try_from(*n).ok())
        .collect()
}

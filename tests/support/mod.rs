//! A temporary folder and the program, run in it.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::Duration;

use parquet::basic::Type as Physical;
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;
use serde_json::Value;

/// Maximum time of a command, on any machine.
const TIMEOUT: Duration = Duration::from_mins(3);

/// Tokens in the vocabulary of the tiny checkpoints.
const VOCAB: u32 = 97;

/// A search of seconds on a tiny checkpoint; append a target and a folder.
pub(crate) const TINY_SEARCH: &str = "search --model m --tokens tokens.json --samples 2 \
    --set search.population=8 --set search.parents=4 --set search.mutations=3 \
    --set search.crossovers=3";

/// The root of the repository.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The device of tests that compare numbers: `LONGROPE_DEVICE`, or the CPU if it is not set.
#[expect(
    clippy::disallowed_methods,
    reason = "the one switch of the tests, so that a machine with a GPU can run them there"
)]
pub(crate) fn device() -> String {
    std::env::var("LONGROPE_DEVICE").unwrap_or_else(|_| "flex".to_owned())
}

/// A temporary folder. Commands run in it, so that messages have relative paths.
pub(crate) struct Workplace {
    folder: tempfile::TempDir,
}

impl Workplace {
    /// An empty folder.
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// A folder with the checkpoint `m`, whose window is 32, and 600 tokens for it.
    pub(crate) fn with_model() -> Self {
        let here = Self::new();
        here.checkpoint("llama-gqa-tied", "m");
        here.tokens("tokens.json", 600);
        here
    }

    /// A folder with a checkpoint `m` of a family, whose window is 128 or less, and 400 tokens or more for it.
    pub(crate) fn of_family(family: &str) -> Self {
        let here = Self::new();
        here.family(family, "m");
        let golden = repository().join("tests/fixtures/decoders").join(family);
        let golden = fs_err::read_to_string(golden.join("golden.json")).unwrap();
        let golden: Value = serde_json::from_str(&golden).unwrap();
        let ids = golden["tokens"].as_array().unwrap();
        let long: Vec<&Value> = ids.iter().cycle().take(4 * ids.len()).collect();
        here.write("tokens.json", serde_json::json!(long).to_string());
        here
    }

    /// Copies the tiny checkpoint of a family.
    pub(crate) fn family(&self, family: &str, name: &str) {
        let source = repository().join("tests/fixtures/decoders").join(family);
        fs_err::create_dir(self.path(name)).unwrap();
        for file in ["config.json", "model.safetensors"] {
            fs_err::copy(source.join(file), self.path(name).join(file)).unwrap();
        }
    }

    /// A folder with the checkpoint `t`, which has a tokenizer; its window is 256.
    pub(crate) fn with_tokenizer() -> Self {
        let here = Self::new();
        copy_folder(
            &repository().join("crates/longrope/assets/tiny-llama-256"),
            &here.path("t"),
        );
        here
    }

    /// A path inside.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs_err::write(self.path(name), content).unwrap();
    }

    /// Writes `text.txt`, functions that differ in a number, and `held.txt`, a stretch of it.
    pub(crate) fn rust_text(&self) {
        let lines: Vec<String> = (0..400)
            .map(|i| format!("fn number_{i}() -> u32 {{ {} }}\n", i * i % 997))
            .collect();
        let text = lines.concat();
        self.write("text.txt", &text);
        self.write("held.txt", &text[3000..6000]);
    }

    /// Writes a Parquet file with one column of texts.
    pub(crate) fn parquet(&self, name: &str, column: &str, texts: &[&str]) {
        let field = Type::primitive_type_builder(column, Physical::BYTE_ARRAY);
        let schema = Type::group_type_builder("schema")
            .with_fields(vec![Arc::new(field.build().unwrap())])
            .build();
        let file = fs_err::File::create(self.path(name)).unwrap();
        let schema = Arc::new(schema.unwrap());
        let mut writer = SerializedFileWriter::new(file, schema, Arc::default()).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let mut rows = group.next_column().unwrap().unwrap();
        let cells: Vec<ByteArray> = texts.iter().map(|text| (*text).into()).collect();
        // Columns may be null if nothing else is said.
        let levels = vec![1; cells.len()];
        let typed = rows.typed::<ByteArrayType>();
        typed.write_batch(&cells, Some(&levels), None).unwrap();
        rows.close().unwrap();
        group.close().unwrap();
        writer.close().unwrap();
    }

    /// Reads a text file.
    pub(crate) fn read(&self, name: &str) -> String {
        fs_err::read_to_string(self.path(name)).unwrap()
    }

    /// Reads a JSON file.
    pub(crate) fn read_json(&self, name: &str) -> Value {
        serde_json::from_str(&self.read(name)).unwrap()
    }

    /// Reads a file of one JSON value per line.
    pub(crate) fn read_json_lines(&self, name: &str) -> Vec<Value> {
        let text = self.read(name);
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Lines of a training's `metrics.jsonl` after the header, without what depends on the machine.
    pub(crate) fn training_metrics(&self, name: &str) -> Vec<Value> {
        let mut lines = self.read_json_lines(name);
        let header = lines.remove(0);
        assert_eq!(header["format"], "longrope-metrics", "{header}");
        for line in &mut lines {
            let line = line.as_object_mut().unwrap();
            for key in ["elapsed_secs", "tokens_per_second", "peak_memory_bytes"] {
                line.remove(key);
            }
        }
        lines
    }

    /// Copies a tiny checkpoint of the fixtures; those of further families are at `../families/`.
    pub(crate) fn checkpoint(&self, fixture: &str, name: &str) {
        let source = repository().join("tests/fixtures/models").join(fixture);
        copy_folder(&source, &self.path(name));
    }

    /// Copies a folder of the fixtures.
    pub(crate) fn fixture(&self, fixture: &str, name: &str) {
        let source = repository().join("tests/fixtures").join(fixture);
        copy_folder(&source, &self.path(name));
    }

    /// Changes `config.json` of a checkpoint.
    pub(crate) fn edit_config(&self, checkpoint: &str, edit: impl FnOnce(&mut Value)) {
        let name = format!("{checkpoint}/config.json");
        let mut config = self.read_json(&name);
        edit(&mut config);
        self.write(&name, config.to_string());
    }

    /// Writes one document of token ids that look random and never change.
    pub(crate) fn tokens(&self, name: &str, n: usize) {
        self.write(name, Value::from(token_ids(n)).to_string());
    }

    /// The program, ready to run a command line; words are separated by blanks.
    pub(crate) fn command(&self, line: &str) -> std::process::Command {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_longrope"));
        command
            .args(line.split_whitespace())
            .current_dir(self.folder.path())
            .env("NO_COLOR", "1")
            .env("COLUMNS", "100")
            .env("XDG_CACHE_HOME", self.path("cache"))
            .env_remove("RUST_LOG")
            .env_remove("RUST_BACKTRACE")
            .env_remove("HF_HOME")
            .env_remove("HF_HUB_CACHE")
            .env_remove("HF_HUB_OFFLINE")
            .env_remove("HF_TOKEN")
            .env_remove("HF_TOKEN_PATH")
            .env_remove("HUGGINGFACE_HUB_CACHE")
            .env_remove("HUGGING_FACE_HUB_TOKEN")
            .env_remove("TRANSFORMERS_OFFLINE")
            // Nobody listens there.
            .env("HF_ENDPOINT", "http://127.0.0.1:9")
            .stdin(Stdio::null());
        command
    }

    /// Runs a command line to its end.
    pub(crate) fn run(&self, line: &str) -> Outcome {
        finish(line, self.command(line))
    }

    /// As [`Self::run`], with further variables in the environment.
    #[cfg(feature = "hub")]
    pub(crate) fn run_with(&self, line: &str, variables: &[(&str, &str)]) -> Outcome {
        let mut command = self.command(line);
        command.envs(variables.iter().copied());
        finish(line, command)
    }

    /// Runs a command line that has to work, on the device under test; its stdout.
    pub(crate) fn compute(&self, line: &str) -> String {
        self.run(&format!("{line} --device {}", device())).worked()
    }

    /// As [`Self::compute`], for a command that prints JSON.
    pub(crate) fn compute_json(&self, line: &str) -> Value {
        serde_json::from_str(&self.compute(line)).unwrap()
    }

    /// `inspect --json` of a checkpoint.
    pub(crate) fn inspection(&self, checkpoint: &str) -> Value {
        let line = format!("inspect {checkpoint} --json");
        serde_json::from_str(&self.run(&line).worked()).unwrap()
    }

    /// Runs a command line that has to fail on its input; the message.
    pub(crate) fn fails(&self, line: &str) -> String {
        self.run(line).refused()
    }

    /// Starts a command line, its stderr kept for later.
    pub(crate) fn start(&self, line: &str) -> Child {
        self.command(line)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }
}

/// Runs a command to its end.
fn finish(line: &str, command: std::process::Command) -> Outcome {
    let output = assert_cmd::Command::from(command)
        .timeout(TIMEOUT)
        .output()
        .unwrap();
    Outcome {
        line: line.to_owned(),
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// What came of a command.
pub(crate) struct Outcome {
    line: String,
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    /// Stdout of a command that has to have worked.
    pub(crate) fn worked(self) -> String {
        assert_eq!(self.code, Some(0), "{}\n{}", self.line, self.stderr);
        self.stdout
    }

    /// As [`Self::refused`], for a message that holds some words.
    pub(crate) fn refused_with(self, words: &str) {
        let message = self.refused();
        assert!(message.contains(words), "`{words}` in: {message}");
    }

    /// The message of a command that has to have failed on its input, after checking its form:
    /// an error, causes that say something new, and a hint.
    pub(crate) fn refused(self) -> String {
        let Self {
            line,
            code,
            stdout,
            stderr,
        } = self;
        assert_eq!(code, Some(1), "{line}\n{stderr}");
        assert_eq!(stdout, "", "{line}");
        assert!(stderr.starts_with("error: "), "{line}\n{stderr}");
        assert!(
            stderr.lines().any(|line| line.starts_with("hint: ")),
            "{line}\n{stderr}"
        );
        let causes: Vec<&str> = stderr
            .lines()
            .filter_map(|line| line.split_once(": ").map(|(_, cause)| cause))
            .collect();
        for (i, cause) in causes.iter().enumerate() {
            assert!(!causes[..i].contains(cause), "{line}\n{stderr}");
        }
        stderr
    }
}

/// Pseudo-random token ids, the same on every machine.
pub(crate) fn token_ids(n: usize) -> Vec<u32> {
    let mut state: u32 = 1;
    let mut next = || {
        // the generator of Numerical Recipes; its upper bits are the better ones
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) % VOCAB
    };
    (0..n).map(|_| next()).collect()
}

/// Copies a folder with its subfolders.
fn copy_folder(from: &Path, to: &Path) {
    fs_err::create_dir(to).unwrap();
    for entry in fs_err::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs_err::copy(entry.path(), target).unwrap();
        }
    }
}

/// A number of a JSON value, by pointer.
pub(crate) fn number(value: &Value, pointer: &str) -> f64 {
    value
        .pointer(pointer)
        .and_then(Value::as_f64)
        .unwrap_or_else(|| panic!("no number at {pointer} of {value}"))
}

/// A `rope.json` with a short and a long set, for heads of 16 dimensions and an original context of 32. The factors rise from 1
/// to `last` of each set.
pub(crate) fn two_sets(last: [f64; 2], start_tokens: usize, attention: &Value) -> String {
    let set = |max_context: usize, last: f64| {
        let factors: Vec<f64> = (0..8)
            .map(|i| 1.0 + (last - 1.0) * f64::from(i) / 7.0)
            .collect();
        serde_json::json!({"max_context": max_context, "start_tokens": start_tokens, "factors": factors})
    };
    let [short, long] = last;
    serde_json::json!({
        "format": "longrope-rope", "version": 1, "rotary_dim": 16, "theta": 10000.0, "original_context": 32,
        "scaling": {"type": "long-rope", "sets": [set(32, short), set(128, long)], "attention": attention},
        "provenance": {"seed": 7},
    })
    .to_string()
}

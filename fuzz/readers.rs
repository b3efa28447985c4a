//! Every reader of files that come from outside, as a function of bytes.
//!
//! The fuzz targets call it, and so does a bounded test that runs with all the others (`tests/damaged.rs`).

use std::path::{Path, PathBuf};

use fs_err as fs;
use longrope_data::{ReadOptions, Tokenizer, read_documents, read_token_ids};
use longrope_eval::bench::read_records;
use longrope_model::{Checkpoint, Decoder, LoraConfig, ModelConfig};
use longrope_rope::{RopeArtifact, diagnose, factors_from_csv};
use longrope_search::{Search, SearchState};
use longrope_trainer::checkpoint::TrainingState;
use longrope_trainer::{AdamW, OptimizerConfig};

/// A reader, or a group of readers of the same kind of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// `config.json`, and what `doctor` says of it.
    ConfigJson,
    /// `model.safetensors`, its index, and adapters.
    Weights,
    /// `rope.json`.
    RopeJson,
    /// Factors as CSV.
    FactorCsv,
    /// The state of a search.
    SearchState,
    /// The state of a training run and of its optimizer.
    TrainingState,
    /// `tokenizer.json`, and the tokens of a short text.
    Tokenizer,
    /// Texts, JSON lines, compressed or not, token ids, benchmark files.
    Text,
}

/// What the reader said: nothing, or its error as text.
pub type Answer = Result<(), String>;

/// The names of the files that [`Reader::Text`] takes its content for.
const TEXT_FILES: [&str; 9] = [
    "a.txt",
    "a.jsonl",
    "a.txt.gz",
    "a.jsonl.gz",
    "a.jsonl.zst",
    "tokens.json",
    "a.parquet",
    "b.jsonl",
    "b.parquet",
];

/// `{"text":"one"}` and a line feed, compressed.
const GZIP_LINE: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xabV*I\xad(Q\xb2R\xca\xcfKU\xaa\xe5\x02\x00\x02\x9as \x0f\x00\x00\x00";
/// The same as a frame of zstd with one raw block.
const ZSTD_LINE: &[u8] = b"(\xb5/\xfd \x0fy\x00\x00{\x22text\x22:\x22one\x22}\x0a";

impl Reader {
    /// All readers.
    pub const ALL: [Self; 8] = [
        Self::ConfigJson,
        Self::Weights,
        Self::RopeJson,
        Self::FactorCsv,
        Self::SearchState,
        Self::TrainingState,
        Self::Tokenizer,
        Self::Text,
    ];

    /// Its name, that of its fuzz target.
    pub fn name(self) -> &'static str {
        match self {
            Self::ConfigJson => "config_json",
            Self::Weights => "weights",
            Self::RopeJson => "rope_json",
            Self::FactorCsv => "factor_csv",
            Self::SearchState => "search_state",
            Self::TrainingState => "training_state",
            Self::Tokenizer => "tokenizer",
            Self::Text => "text",
        }
    }

    /// Number of kinds of files among which the first byte of an input chooses; 1 if there is no such byte.
    pub fn n_kinds(self) -> usize {
        match self {
            Self::Weights | Self::TrainingState => 3,
            Self::Text => TEXT_FILES.len(),
            _ => 1,
        }
    }

    /// Sound inputs to begin with; `fixtures` is the folder of the tests' fixtures.
    pub fn seeds(self, fixtures: &Path) -> Vec<Vec<u8>> {
        let file = |name: &str| fs::read(fixtures.join(name)).unwrap_or_default();
        let kind = |kind: u8, bytes: Vec<u8>| [vec![kind], bytes].concat();
        let state = "states-0.1/pretrain/run/1-copying/step-000004";
        let lora = "states-0.1/finetune-lora/run/step-000003/adapter";
        match self {
            Self::ConfigJson => {
                let families = [
                    "llama-longrope",
                    "mistral-window",
                    "phi3-longrope",
                    "phi3-window",
                    "qwen2-biases",
                    "qwen2-layers",
                ];
                families
                    .iter()
                    .map(|name| file(&format!("families/{name}/config.json")))
                    .collect()
            }
            Self::Weights => vec![
                kind(0, file(&format!("{state}/model/model.safetensors"))),
                kind(
                    1,
                    file("models/llama-sharded-bf16/model.safetensors.index.json"),
                ),
                kind(2, file(&format!("{lora}/adapter_config.json"))),
            ],
            Self::RopeJson => vec![
                file("states-0.1/finetune-lora/rope.json"),
                file("states-0.1/recover/context-16/rope.json"),
            ],
            Self::FactorCsv => vec![
                b"factor\n1\n1.5\n2e0\n".to_vec(),
                b"1,1.5,2\n1,1.5,2\n# slow\n1,1.5,2\n".to_vec(),
            ],
            Self::SearchState => vec![
                file("states-0.1/search/search/state.json"),
                file("states-0.1/recover/context-32/search/state.json"),
            ],
            Self::TrainingState => vec![
                kind(0, file(&format!("{state}/state.json"))),
                kind(1, file(&format!("{state}/optimizer.safetensors"))),
                kind(2, file(&format!("{lora}/adapter_model.safetensors"))),
            ],
            Self::Tokenizer => vec![file(&format!("{state}/model/tokenizer.json"))],
            Self::Text => vec![
                kind(0, b"A text of \xc3\xa9 lines.\r\nAnd another.\n".to_vec()),
                kind(
                    1,
                    b"{\"text\":\"one\"}\n{\"text\":\"two\",\"n\":1}\n".to_vec(),
                ),
                kind(3, GZIP_LINE.to_vec()),
                kind(4, ZSTD_LINE.to_vec()),
                kind(5, b"[[1, 2, 3], [4]]".to_vec()),
                kind(5, b"{\"tokens\": [1, 2, 3]}".to_vec()),
                kind(
                    7,
                    b"{\"question\": \"q\", \"choices\": [\"a\", \"b\"], \"answer\": 1}\n".to_vec(),
                ),
                kind(8, file("bench/data/arc-train.parquet")),
            ],
        }
    }

    /// Reads `input` as a file of this kind, in the folder `scratch`.
    pub fn read(self, input: &[u8], scratch: &Scratch) -> Answer {
        let (kind, content) = match (self.n_kinds(), input.split_first()) {
            (n_kinds, Some((&first, rest))) if n_kinds > 1 => (usize::from(first) % n_kinds, rest),
            _ => (0, input),
        };
        match self {
            Self::ConfigJson => read_config(content, scratch),
            Self::Weights => read_weights(kind, content, scratch),
            Self::RopeJson => {
                let artifact = RopeArtifact::from_json(&text(content)?).map_err(words)?;
                let _ = artifact.spec().resolve(1 << 12);
                Ok(())
            }
            Self::FactorCsv => factors_from_csv(&text(content)?).map(drop).map_err(words),
            Self::SearchState => {
                let state = SearchState::from_json(&text(content)?).map_err(words)?;
                Search::resume(state).map(drop).map_err(words)
            }
            Self::TrainingState => read_training(kind, content, scratch),
            Self::Tokenizer => {
                let path = scratch.file("tokenizer.json", content)?;
                let tokenizer = Tokenizer::from_file(&path).map_err(words)?;
                let tokens = tokenizer
                    .encode("Fn main, 12 h\u{e9}<s>\n", true)
                    .map_err(words)?;
                tokenizer.decode(&tokens).map(drop).map_err(words)
            }
            Self::Text => read_text(TEXT_FILES[kind], content, scratch),
        }
    }
}

/// A folder for the files of inputs, and the model that states belong to.
pub struct Scratch {
    folder: tempfile::TempDir,
    /// The model of the training states.
    decoder: Decoder,
    /// The model of the adapters.
    adapted: Decoder,
}

impl Scratch {
    /// Makes a folder; in memory if the system has a folder there.
    ///
    /// # Errors
    /// If the folder cannot be made or the model cannot be read.
    pub fn new(fixtures: &Path) -> Result<Self, String> {
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() {
            tempfile::tempdir_in(memory)
        } else {
            tempfile::tempdir()
        };
        let folder = folder.map_err(words)?;
        let model = folder.path().join("model");
        let sharded = folder.path().join("sharded");
        copy(&fixtures.join("states-0.1/pretrain/run/start"), &model)?;
        copy(&fixtures.join("models/llama-sharded-bf16"), &sharded)?;
        let decoder = Decoder::load(&model, burn::tensor::Device::flex()).map_err(words)?;
        let adapted = fixtures.join("models/llama-gqa-tied");
        let adapted = Decoder::load(&adapted, burn::tensor::Device::flex()).map_err(words)?;
        let config =
            fixtures.join("states-0.1/finetune-lora/run/step-000003/adapter/adapter_config.json");
        fs::create_dir(folder.path().join("adapter")).map_err(words)?;
        fs::copy(config, folder.path().join("adapter/adapter_config.json")).map_err(words)?;
        Ok(Self {
            folder,
            decoder,
            adapted,
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str, content: &[u8]) -> Result<PathBuf, String> {
        let path = self.path(name);
        fs::write(&path, content).map_err(words)?;
        Ok(path)
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    fs::create_dir(to).map_err(words)?;
    for entry in fs::read_dir(from).map_err(words)? {
        let entry = entry.map_err(words)?;
        fs::copy(entry.path(), to.join(entry.file_name())).map_err(words)?;
    }
    Ok(())
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn text(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(words)
}

fn read_config(content: &[u8], scratch: &Scratch) -> Answer {
    let folder = scratch.path("config");
    fs::create_dir_all(&folder).map_err(words)?;
    fs::write(folder.join("config.json"), content).map_err(words)?;
    if let Ok(json) = serde_json::from_slice(content) {
        // What `doctor` cannot say is an error too, but must not end the program.
        let _ = diagnose(&json);
    }
    let config = ModelConfig::from_folder(&folder).map_err(words)?;
    let _ = config.n_parameters();
    let checkpoint = Checkpoint::open(&scratch.path("model")).map_err(words)?;
    // The model beside it is another one: what does not fit must be told without a panic.
    let _ = checkpoint.check(&config);
    Ok(())
}

fn read_weights(kind: usize, content: &[u8], scratch: &Scratch) -> Answer {
    match kind {
        0 => {
            let folder = scratch.path("whole");
            fs::create_dir_all(&folder).map_err(words)?;
            fs::copy(
                scratch.path("model/config.json"),
                folder.join("config.json"),
            )
            .map_err(words)?;
            fs::write(folder.join("model.safetensors"), content).map_err(words)?;
            open(&folder)
        }
        1 => {
            scratch.file("sharded/model.safetensors.index.json", content)?;
            open(&scratch.path("sharded"))
        }
        _ => {
            scratch.file("adapter_config.json", content)?;
            LoraConfig::read(scratch.folder.path())
                .map(drop)
                .map_err(words)
        }
    }
}

fn open(folder: &Path) -> Answer {
    let config = ModelConfig::from_folder(folder).map_err(words)?;
    let checkpoint = Checkpoint::open(folder).map_err(words)?;
    checkpoint.check(&config).map_err(words)
}

fn read_training(kind: usize, content: &[u8], scratch: &Scratch) -> Answer {
    match kind {
        0 => {
            scratch.file("state.json", content)?;
            let state = TrainingState::read(scratch.folder.path()).map_err(words)?;
            serde_json::from_value::<longrope_data::MixtureCursor>(state.data)
                .map(drop)
                .map_err(words)
        }
        1 => {
            let path = scratch.file("optimizer.safetensors", content)?;
            let mut decoder = scratch.decoder.clone();
            let config = OptimizerConfig::default();
            AdamW::read(&path, config, 4, &mut decoder, longrope_model::Trained::All)
                .map(drop)
                .map_err(words)
        }
        _ => {
            scratch.file("adapter/adapter_model.safetensors", content)?;
            let mut decoder = scratch.adapted.clone();
            let folder = scratch.path("adapter");
            decoder.read_adapters(&folder).map(drop).map_err(words)
        }
    }
}

fn read_text(name: &str, content: &[u8], scratch: &Scratch) -> Answer {
    let path = scratch.file(name, content)?;
    match name {
        "tokens.json" => read_token_ids(&path, 100).map(drop).map_err(words),
        "a.parquet" | "b.jsonl" => read_records(&path).map(drop).map_err(words),
        _ => {
            let mut options = ReadOptions::default();
            if name == "b.parquet" {
                "question".clone_into(&mut options.text_field);
            }
            read_documents(&[path], &options).map(drop).map_err(words)
        }
    }
}

//! The program given damaged files: it works or says what is wrong with the input, and never that it failed itself.

use std::path::{Path, PathBuf};

use crate::readers::Reader;
use crate::{fixtures, mutator};

/// Damaged inputs that each command is given.
const INPUTS: usize = 16;

/// A folder with a small model, with a tokenizer and a text, in which commands run.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        place.copy("states-0.1/pretrain/run/start", "m");
        fs_err::write(place.path("a.txt"), "let x = 12; // words\n".repeat(40)).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Copies a folder of the fixtures, in place of what is there.
    fn copy(&self, from: &str, to: &str) {
        let to = self.path(to);
        if to.exists() {
            fs_err::remove_dir_all(&to).unwrap();
        }
        copy_folder(&fixtures().join(from), &to);
    }

    /// Runs a command; it may succeed or refuse its input.
    fn check(&self, command: &str, damaged: &[u8]) {
        let output = assert_cmd::Command::new(env!("CARGO_BIN_EXE_longrope"))
            .args(command.split_whitespace())
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        let input = String::from_utf8_lossy(damaged);
        match output.status.code() {
            Some(0) => {}
            Some(1) => assert!(
                stderr.contains("hint: "),
                "`{command}` gives no hint:\n{stderr}\n{input}"
            ),
            code => panic!("`{command}` ends with {code:?}:\n{stderr}\n{input}"),
        }
        // What a model generates goes into a pipe as it is.
        let stdout = String::from_utf8_lossy(&output.stdout);
        let shown = if command.starts_with("generate") {
            stderr
        } else {
            stderr + stdout
        };
        let is_raw = |c: char| c.is_control() && !matches!(c, '\n' | '\t' | '\r');
        assert!(
            !shown.contains(is_raw),
            "`{command}` shows control characters:\n{shown:?}"
        );
    }

    /// Runs a command with mutated copies of a fixture in the place of `file`.
    fn damage(&self, reader: Reader, kind: usize, file: &str, command: &str) {
        let has_kinds = reader.n_kinds() > 1;
        let seeds = reader.seeds(&fixtures());
        let seed = seeds
            .iter()
            .find(|seed| !has_kinds || usize::from(seed[0]) == kind)
            .unwrap();
        let mut mutator = mutator(reader);
        for _ in 0..INPUTS {
            let input = mutator.mutate(seed);
            let content = &input[usize::from(has_kinds)..];
            fs_err::write(self.path(file), content).unwrap();
            self.check(command, content);
        }
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs_err::create_dir_all(to).unwrap();
    for entry in fs_err::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            fs_err::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn commands_answer_damaged_configurations() {
    let place = Place::new();
    place.damage(Reader::ConfigJson, 0, "m/config.json", "doctor m");
    place.damage(Reader::ConfigJson, 0, "m/config.json", "inspect m");
    place.damage(
        Reader::ConfigJson,
        0,
        "m/config.json",
        "plan m --context 64",
    );
}

#[test]
fn commands_answer_damaged_weights() {
    let place = Place::new();
    place.damage(Reader::Weights, 0, "m/model.safetensors", "inspect m");
    place.damage(
        Reader::Weights,
        0,
        "m/model.safetensors",
        "generate --model m --prompt let --max-new-tokens 2",
    );
    place.copy("models/llama-sharded-bf16", "s");
    place.damage(
        Reader::Weights,
        1,
        "s/model.safetensors.index.json",
        "inspect s",
    );
}

#[test]
fn commands_answer_damaged_factors() {
    let place = Place::new();
    let eval = "eval ppl --model m --text a.txt --contexts 16 --rope";
    place.damage(
        Reader::RopeJson,
        0,
        "rope.json",
        &format!("{eval} rope.json"),
    );
    place.damage(Reader::FactorCsv, 0, "f.csv", &format!("{eval} f.csv"));
}

#[test]
fn commands_answer_damaged_texts_and_tokenizers() {
    let place = Place::new();
    let eval = "eval ppl --model m --contexts 16";
    place.damage(
        Reader::Text,
        1,
        "a.jsonl",
        &format!("{eval} --text a.jsonl"),
    );
    place.damage(
        Reader::Text,
        5,
        "t.json",
        &format!("{eval} --tokens t.json"),
    );
    place.damage(
        Reader::Tokenizer,
        0,
        "m/tokenizer.json",
        &format!("{eval} --text a.txt"),
    );
}

#[test]
fn commands_answer_damaged_states() {
    let place = Place::new();
    place.copy("models/llama-gqa-tied", "m");
    let tokens: Vec<usize> = (0..600).map(|i| (i * i + 3 * i) % 97).collect();
    fs_err::write(place.path("tokens.json"), format!("{tokens:?}")).unwrap();
    let search = "search --resume --out s";
    place.copy("states-0.1/search", "s");
    place.damage(Reader::SearchState, 0, "s/search/state.json", search);
    place.copy("states-0.1/finetune/run", "f");
    let finetune = "finetune --resume --out f";
    place.damage(
        Reader::TrainingState,
        0,
        "f/step-000003/state.json",
        finetune,
    );
}

//! A file as a checkpoint folder in the format of Hugging Face.

mod card;
mod config;
mod ends;
mod fields;
mod rope;
mod tokenizer;
mod weights;
mod windows;

pub use card::origin_keys;

use std::path::Path;

use longrope_rope::{HfConfig, read_hf_config};
use serde_json::Value as Json;

use self::fields::Fields;
use crate::error::{Error, Result};
use crate::format::GgufFile;
use crate::model::Architecture;

/// Writes the model in a file to a folder: `config.json`, `model.safetensors`, `tokenizer.json` with its
/// `tokenizer_config.json` if the file has a tokenizer, a `generation_config.json` if llama.cpp ends texts at further tokens
/// than the keys name, and a `README.md` if it says which licence or base the model has.
///
/// The config says what llama.cpp would compute from the keys and tensors of the file. Quantized weights become F32, one
/// tensor at a time; F32, F16 and BF16 stay as they are. `needed` are the tensors of a checkpoint with that config, which
/// [`config_json`] makes, and their shapes. They are compared with those of the file before anything is written.
///
/// # Errors
/// [`Error::Split`], [`Error::Key`] and [`Error::Model`] for a model that is not read, [`Error::TensorType`] for other quantizations,
/// [`Error::Tokenizer`] for other tokenizers, and the errors of reading and writing.
pub fn write_folder(file: &GgufFile, needed: &[(String, Vec<usize>)], folder: &Path) -> Result<()> {
    let (architecture, json) = config_of(file)?;
    let config = read(file, &json)?;
    let sources = weights::sources(file, &config, needed)?;
    let tokenizer = tokenizer::files(file)?;
    let generation = ends::generation_config(file, &json)?;
    fs_err::write(folder.join("config.json"), format!("{json:#}\n"))?;
    if let Some(generation) = generation {
        let path = folder.join("generation_config.json");
        fs_err::write(path, format!("{generation:#}\n"))?;
    }
    if let Some(files) = tokenizer {
        fs_err::write(folder.join("tokenizer.json"), files.tokenizer.to_string())?;
        let text = format!("{:#}\n", files.config);
        fs_err::write(folder.join("tokenizer_config.json"), text)?;
    }
    if let Some(card) = card::text(file) {
        fs_err::write(folder.join("README.md"), card)?;
    }
    let path = folder.join("model.safetensors");
    weights::write(file, &sources, architecture, &config, &path)
}

/// The `config.json` of the model in a file, without reading its weights.
///
/// # Errors
/// As [`write_folder`].
pub fn config_json(file: &GgufFile) -> Result<Json> {
    let (_, json) = config_of(file)?;
    read(file, &json)?;
    Ok(json)
}

fn config_of(file: &GgufFile) -> Result<(Architecture, Json)> {
    check_whole(file)?;
    let architecture = architecture(file)?;
    let fields = Fields {
        file,
        prefix: architecture.name(),
    };
    Ok((architecture, config::config(&fields, architecture)?))
}

fn read(file: &GgufFile, json: &Json) -> Result<HfConfig> {
    read_hf_config(json).map_err(|error| Error::Model {
        path: file.path().to_owned(),
        problem: error.to_string(),
    })
}

/// Refuses one of the files of a model that was split, which say how many they are.
fn check_whole(file: &GgufFile) -> Result<()> {
    let split = Fields {
        file,
        prefix: "split",
    };
    let count = split.count_or("count", 1)?;
    if count > 1 {
        return Err(Error::Split {
            path: file.path().to_owned(),
            count,
        });
    }
    Ok(())
}

fn architecture(file: &GgufFile) -> Result<Architecture> {
    let general = Fields {
        file,
        prefix: "general",
    };
    let name = general.text("architecture")?;
    Architecture::named(name).ok_or_else(|| Error::Key {
        path: file.path().to_owned(),
        key: "general.architecture".to_owned(),
        found: format!("{name:?}"),
        expected: "llama, granite, phi3, qwen2, qwen3, olmo2 or smollm3",
    })
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod model_tests;
#[cfg(test)]
#[path = "tests.rs"]
mod tests;

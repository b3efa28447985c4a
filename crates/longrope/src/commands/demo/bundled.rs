//! The files of the bundled checkpoint.

use std::path::Path;

use anyhow::Result;
use longrope_data::write_atomically;

const FILES: [(&str, &[u8]); 6] = [
    (
        "README.md",
        include_bytes!("../../../assets/tiny-llama-256/README.md"),
    ),
    (
        "config.json",
        include_bytes!("../../../assets/tiny-llama-256/config.json"),
    ),
    (
        "generation_config.json",
        include_bytes!("../../../assets/tiny-llama-256/generation_config.json"),
    ),
    (
        "model.safetensors",
        include_bytes!("../../../assets/tiny-llama-256/model.safetensors"),
    ),
    (
        "tokenizer.json",
        include_bytes!("../../../assets/tiny-llama-256/tokenizer.json"),
    ),
    (
        "tokenizer_config.json",
        include_bytes!("../../../assets/tiny-llama-256/tokenizer_config.json"),
    ),
];

/// Writes the files that are missing or have other contents.
pub(super) fn unpack(folder: &Path) -> Result<()> {
    fs_err::create_dir_all(folder)?;
    for (name, content) in FILES {
        let path = folder.join(name);
        let is_there = fs_err::read(&path).is_ok_and(|found| found == content);
        if !is_there {
            write_atomically(&path, content)?;
        }
    }
    Ok(())
}

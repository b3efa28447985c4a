//! The files of the bundled checkpoint.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Result, anyhow};
use longrope_data::write_atomically;

use crate::failure::Hint;

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

/// Writes the files that are missing.
///
/// # Errors
/// If a file cannot be written, or one of these names has other contents: it belongs to another model then.
pub(super) fn unpack(folder: &Path) -> Result<()> {
    unpack_files(folder, FILES)
}

/// Writes the files of the tokenizer that are missing.
///
/// # Errors
/// As for [`unpack`].
pub(super) fn unpack_tokenizer(folder: &Path) -> Result<()> {
    let is_of_tokenizer = |(name, _): &(&str, &[u8])| name.starts_with("tokenizer");
    unpack_files(folder, FILES.into_iter().filter(is_of_tokenizer))
}

fn unpack_files(
    folder: &Path,
    files: impl IntoIterator<Item = (&'static str, &'static [u8])>,
) -> Result<()> {
    let mut missing = Vec::new();
    for (name, content) in files {
        let path = folder.join(name);
        match fs_err::read(&path) {
            Ok(found) if found == content => {}
            Ok(_) => {
                return Err(
                    anyhow!("`{}` is not of the bundled model", path.display()).context(Hint(
                        "choose another --out, or move that folder away: it may be a model that you still need"
                            .to_owned(),
                    )),
                );
            }
            Err(error) if error.kind() == ErrorKind::NotFound => missing.push((path, content)),
            Err(error) => return Err(error.into()),
        }
    }
    fs_err::create_dir_all(folder)?;
    for (path, content) in missing {
        write_atomically(&path, content)?;
    }
    Ok(())
}

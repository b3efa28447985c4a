//! What stays in the folder of a trained model when a finished run is resumed, and the model is written again.

use std::path::Path;

use longrope_data::{sha256_of_file, take_over};
use longrope_model::ModelConfig;

use crate::error::Result;

/// The weights of a trained model.
const WEIGHTS: &str = "model.safetensors";

/// Brings what is to stay of `old`, the folder of a trained model, into `new`, which will be put in its place: files that no
/// training writes. If `old` has the same weights, and a configuration that can be read, nothing in it is out of date, so
/// all its files stay: some may have been edited.
///
/// # Errors
/// If a file cannot be read or written.
pub fn keep_files(old: &Path, new: &Path) -> Result<()> {
    if !old.is_dir() {
        return Ok(());
    }
    let is_same = ModelConfig::from_folder(old).is_ok()
        && has_same_content(&old.join(WEIGHTS), &new.join(WEIGHTS))?;
    Ok(take_over(old, new, is_same)?)
}

fn has_same_content(one: &Path, other: &Path) -> Result<bool> {
    if !one.is_file() || fs_err::metadata(one)?.len() != fs_err::metadata(other)?.len() {
        return Ok(false);
    }
    Ok(sha256_of_file(one)? == sha256_of_file(other)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edited_files_stay_with_the_same_weights_and_others_always() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/models");
        let config = fs_err::read_to_string(fixtures.join("llama-gqa-tied/config.json")).unwrap();
        let edited = config.replacen('{', "{\"my_key\": 1,", 1);
        for (weights, old_config, expected) in [
            ("weights", edited.as_str(), &edited),
            ("WEIGHTS", edited.as_str(), &config),
            ("weights that", edited.as_str(), &config),
            ("weights", "{ cut", &config),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let [old, new] = ["old", "new"].map(|name| dir.path().join(name));
            for (folder, weights, config) in [
                (&old, weights, old_config),
                (&new, "weights", config.as_str()),
            ] {
                fs_err::create_dir(folder).unwrap();
                fs_err::write(folder.join(WEIGHTS), weights).unwrap();
                fs_err::write(folder.join("config.json"), config).unwrap();
            }
            fs_err::write(old.join("notes.txt"), "mine").unwrap();
            fs_err::write(new.join("rope.json"), "{}").unwrap();
            keep_files(&old, &new).unwrap();
            let text = |name: &str| fs_err::read_to_string(new.join(name)).unwrap();
            assert_eq!(text(WEIGHTS), "weights");
            assert_eq!(text("config.json"), *expected, "{weights}");
            assert_eq!(text("notes.txt") + &text("rope.json"), "mine{}");
        }
        keep_files(Path::new("not/there"), Path::new("new")).unwrap();
    }
}

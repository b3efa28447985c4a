//! The folder of a model on this machine, however the model is named.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{gguf, hub};

/// The folder of a model. A model of the hub is fetched first and a GGUF file unpacked, unless they are in the cache.
pub(crate) fn local_folder(model: &Path) -> Result<PathBuf> {
    match hub::model(model) {
        Some(folder) => folder,
        None if gguf::is_gguf(model) => gguf::unpacked(model),
        None => Ok(model.to_path_buf()),
    }
}

//! The folder of a model on this machine, however the model is named.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{gguf, hub};

/// Where a model is without fetching or unpacking it: the folder in the cache of a model of the hub, else the path itself.
pub(crate) fn place_of_model(model: &Path) -> Option<PathBuf> {
    if hub::is_on_hub(model) {
        hub::in_cache(model)
    } else {
        Some(model.to_path_buf())
    }
}

/// The folder of a model. A model of the hub is fetched first and a GGUF file unpacked, unless they are in the cache.
pub(crate) fn local_folder(model: &Path) -> Result<PathBuf> {
    match hub::model(model) {
        Some(folder) => folder,
        None if gguf::is_gguf(model) => gguf::unpacked(model),
        None => Ok(model.to_path_buf()),
    }
}

//! Whether a saved state is whole: damage by a crash, a full disk, a cut copy or a failing disk is found without loading a
//! model.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

use longrope_data::sha256_of_file;
use serde_json::Value;

/// Folders of a state that hold tensor files, relative to it. The first is the state itself.
const FOLDERS: [&str; 3] = ["", "model", "adapter"];

/// The SHA-256 of every tensor file of a state, by its path relative to the state.
///
/// # Errors
/// If a file cannot be read.
pub(crate) fn checksums(state: &Path) -> io::Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for folder in FOLDERS {
        let path = state.join(folder);
        if !path.is_dir() {
            continue;
        }
        for entry in fs_err::read_dir(path)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name.ends_with(".safetensors") {
                let name = if folder.is_empty() {
                    name
                } else {
                    format!("{folder}/{name}")
                };
                let sum = sha256_of_file(&state.join(&name))?;
                found.insert(name, sum);
            }
        }
    }
    Ok(found)
}

/// Checks that the weights and the optimizer of a saved state are there, have their full length, and have the bytes that
/// were saved. States of earlier versions have no checksums.
///
/// # Errors
/// What is wrong.
pub(crate) fn check(state: &Path, expected: &BTreeMap<String, String>) -> Result<(), String> {
    check_form(state)?;
    if expected.is_empty() {
        return Ok(());
    }
    let found = checksums(state).map_err(|error| error.to_string())?;
    for (name, expected) in expected {
        let path = state.join(name);
        match found.get(name) {
            None => return Err(format!("`{}` is missing", path.display())),
            Some(found) if found != expected => {
                return Err(format!(
                    "the content of `{}` has changed since it was saved: its SHA-256 is {found}, expected {expected}",
                    path.display()
                ));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Checks that the files are there and have their full length.
fn check_form(state: &Path) -> Result<(), String> {
    check_tensors(&state.join("optimizer.safetensors"))?;
    let (model, adapter) = (state.join("model"), state.join("adapter"));
    if model.is_dir() {
        check_json(&model.join("config.json"))?;
        check_tensors(&model.join("model.safetensors"))
    } else if adapter.is_dir() {
        check_json(&adapter.join("adapter_config.json"))?;
        check_tensors(&adapter.join("adapter_model.safetensors"))
    } else {
        Err(format!("`{}` is missing", model.display()))
    }
}

fn check_json(path: &Path) -> Result<(), String> {
    let bytes = fs_err::read(path).map_err(|error| error.to_string())?;
    serde_json::from_slice::<Value>(&bytes)
        .map(|_| ())
        .map_err(|error| format!("`{}`: {error}", path.display()))
}

/// Checks that a safetensors file has a header, and the length that its header says.
fn check_tensors(path: &Path) -> Result<(), String> {
    let cut = |what: &str| format!("`{}` is cut off: {what}", path.display());
    let mut file = fs_err::File::open(path).map_err(|error| error.to_string())?;
    let length = file.metadata().map_err(|error| error.to_string())?.len();
    let mut size = [0; 8];
    file.read_exact(&mut size)
        .map_err(|_| cut("it has no header"))?;
    let size = u64::from_le_bytes(size);
    if size > length.saturating_sub(8) {
        return Err(cut("its header is longer than the file"));
    }
    let mut header = Vec::new();
    file.take(size)
        .read_to_end(&mut header)
        .map_err(|error| error.to_string())?;
    let header: Value =
        serde_json::from_slice(&header).map_err(|_| cut("its header is not JSON"))?;
    let ends = header.as_object().into_iter().flat_map(|tensors| {
        tensors
            .values()
            .filter_map(|tensor| tensor["data_offsets"][1].as_u64())
    });
    let expected = size
        .saturating_add(8)
        .saturating_add(ends.max().unwrap_or(0));
    if expected == length {
        Ok(())
    } else {
        Err(cut(&format!("found {length} bytes, expected {expected}")))
    }
}

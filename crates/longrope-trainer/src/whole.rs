//! Whether a saved state is whole: damage that a crash, a full disk or a cut copy leaves is found without loading a model.

use std::io::Read;
use std::path::Path;

use serde_json::Value;

/// Checks that the weights and the optimizer of a saved state are there and have their full length.
///
/// # Errors
/// What is wrong.
pub(crate) fn check(state: &Path) -> Result<(), String> {
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
    let text = fs_err::read_to_string(path).map_err(|error| error.to_string())?;
    serde_json::from_str::<Value>(&text)
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

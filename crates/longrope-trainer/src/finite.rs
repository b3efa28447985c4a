//! Weights that are not finite are not saved: nothing could be resumed from them or done with them.

use std::path::Path;

use longrope_model::{Checkpoint, non_finite_tensors};

use crate::error::{Error, Result};

/// Checks the weights in a file that was written after step `step` of the training of the model in `base`.
///
/// A model may have weights that are NaN or infinite where nothing reads them. A tensor that had one before the training may
/// keep it.
///
/// # Errors
/// [`Error::WeightNotFinite`] for the first other tensor that has one; if a file cannot be read.
pub(crate) fn check_weights(file: &Path, base: &Path, step: usize) -> Result<()> {
    let found = non_finite_tensors(&Checkpoint::open_file(file)?)?;
    if found.is_empty() {
        return Ok(());
    }
    let known = non_finite_tensors(&Checkpoint::open(base)?)?;
    // In files of adapters, names have a prefix.
    let had_one = |tensor: &str| known.iter().any(|known| tensor.ends_with(&known.tensor));
    match found.into_iter().find(|found| !had_one(&found.tensor)) {
        None => Ok(()),
        Some(new) => Err(Error::WeightNotFinite {
            step,
            tensor: new.tensor,
            index: new.index,
            value: new.value,
        }),
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor};
    use longrope_model::{TensorEntry, write_safetensors};

    use super::*;

    const FINITE: [f32; 2] = [1.0, 2.0];
    const INFINITE: [f32; 2] = [1.0, f32::INFINITY];

    fn write(path: &Path, tensors: &[(&str, [f32; 2])]) {
        let entry = |(name, values): &(&str, [f32; 2])| TensorEntry {
            name: (*name).to_owned(),
            shape: vec![values.len()],
            values: Tensor::from_data(*values, &Device::flex()),
        };
        write_safetensors(path, tensors.iter().map(entry).collect()).unwrap();
    }

    #[test]
    fn a_tensor_that_was_not_finite_before_hides_none_that_has_become_so() {
        let folder = tempfile::tempdir().unwrap();
        let (base, saved) = (folder.path(), folder.path().join("saved.safetensors"));
        let before = [("a", INFINITE), ("b", FINITE), ("c", INFINITE)];
        write(&base.join("model.safetensors"), &before);

        write(&saved, &before);
        check_weights(&saved, base, 3).unwrap();
        write(&saved, &[("base_model.model.a", INFINITE)]);
        check_weights(&saved, base, 3).unwrap();

        write(&saved, &before.map(|(name, _)| (name, INFINITE)));
        let error = check_weights(&saved, base, 3).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("tensor `b` holds inf at index [1]"),
            "{error}"
        );
    }
}

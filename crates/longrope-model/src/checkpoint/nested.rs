//! The tensors of a language model inside a model of text and images.

use std::collections::BTreeMap;

use super::stored::StoredTensor;

/// What the names begin with in the files of transformers before 4.52, and what follows it in the language model alone.
const OLD: &str = "language_model.";
/// The same in newer files, for all but the head.
const NEW: &str = "model.language_model.";
/// The head in newer files.
const HEAD: &str = "lm_head.";

/// The tensors of the language model by their names in it; those of other parts are left out.
pub(super) fn language_tensors(
    tensors: &BTreeMap<String, StoredTensor>,
) -> BTreeMap<String, StoredTensor> {
    let named = tensors.iter();
    named
        .filter_map(|(stored, tensor)| Some((name_in_language(stored)?, tensor.clone())))
        .collect()
}

/// The name in the language model of a stored tensor; `None` if it is of another part.
pub(super) fn name_in_language(stored: &str) -> Option<String> {
    if let Some(rest) = stored.strip_prefix(OLD) {
        Some(rest.to_owned())
    } else if let Some(rest) = stored.strip_prefix(NEW) {
        Some(format!("model.{rest}"))
    } else {
        stored.starts_with(HEAD).then(|| stored.to_owned())
    }
}

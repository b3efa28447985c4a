//! `[data]`: how text is read.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `[data]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub(crate) struct DataSection {
    /// Field of a JSON line that holds the text.
    pub(crate) text_field: String,
    /// Folder of the token cache; without it, text is tokenized on every run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cache: Option<PathBuf>,
}

impl Default for DataSection {
    fn default() -> Self {
        Self {
            text_field: "text".to_owned(),
            cache: None,
        }
    }
}

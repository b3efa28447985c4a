//! Which parameters of a decoder are trained.

use crate::decoder::Decoder;
use crate::module_names::{EMBEDDING, SavedModules};
use crate::parameters::{Parameter, Trained};

/// The trained parameters of a decoder; see [`Decoder::selection`].
#[derive(Clone, Debug)]
pub struct Selection {
    trained: Trained,
    saved: SavedModules,
}

impl Selection {
    /// Whether a parameter is trained: by its kind, or as part of a module that is trained beside the adapters.
    pub fn includes(&self, parameter: &Parameter<'_>) -> bool {
        self.trained.includes(parameter.kind) || self.saved.hold(&parameter.name)
    }

    /// Whether the embedding matrix is trained.
    pub(crate) fn includes_embedding(&self) -> bool {
        self.trained == Trained::All || self.saved.contain(EMBEDDING)
    }
}

impl Decoder {
    /// The parameters that `trained` stands for in this decoder.
    pub fn selection(&self, trained: Trained) -> Selection {
        Selection {
            trained,
            saved: self.saved_modules.clone(),
        }
    }
}

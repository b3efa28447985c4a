//! Which parameters of a decoder are trained.

use std::collections::BTreeMap;

use super::{Parameter, Trained};
use crate::config::module_names::{EMBEDDING, SavedModules};
use crate::decoder::Decoder;

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

    /// Takes over the values of the trained parameters of `from`, which is the same model on another device.
    pub fn copy_trained(&mut self, from: &mut Self, trained: Trained) {
        let selection = self.selection(trained);
        let mut values = BTreeMap::new();
        from.for_each_parameter(|parameter| {
            if selection.includes(&parameter) {
                values.insert(parameter.name.clone(), parameter.flat());
            }
        });
        self.for_each_parameter(|mut parameter| {
            if let Some(values) = values.remove(&parameter.name) {
                let device = parameter.device();
                parameter.set_flat(values.to_device(&device));
            }
        });
    }
}

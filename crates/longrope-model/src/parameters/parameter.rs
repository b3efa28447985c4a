//! One parameter, and which kinds of parameters are trained.

use burn::tensor::{Device, Gradients as Tape, Tensor};

use super::slot::Slot;

/// The kind of a parameter; optimizers may treat kinds differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParameterKind {
    /// The embedding matrix, tied to the head or not.
    Embedding,
    /// The weight of a linear map, including the head.
    Matrix,
    /// The bias of a linear map.
    Bias,
    /// The weight or the bias of a normalization.
    Norm,
    /// The sinks of an attention.
    Sinks,
    /// One of the two factors of a low-rank adapter.
    Adapter,
}

/// Which parameters are trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trained {
    /// All parameters.
    All,
    /// Low-rank adapters, and the modules that are trained beside them; see
    /// [`LoraConfig::modules_to_save`](crate::LoraConfig::modules_to_save). All other parameters are frozen.
    Adapters,
}

impl Trained {
    /// Whether all parameters of this kind are trained; see [`Selection`](crate::Selection) for single ones.
    pub fn includes(self, kind: ParameterKind) -> bool {
        match self {
            Self::All => true,
            Self::Adapters => kind == ParameterKind::Adapter,
        }
    }
}

/// One parameter, borrowed from its decoder.
///
/// Values are read and written as flat vectors, since optimizers work element by element.
#[derive(Debug)]
pub struct Parameter<'a> {
    /// Its name in a checkpoint, such as `model.layers.0.mlp.up_proj.weight`.
    pub name: String,
    /// Its kind.
    pub kind: ParameterKind,
    pub(super) slot: Slot<'a>,
}

impl Parameter<'_> {
    /// Its shape.
    pub fn shape(&self) -> Vec<usize> {
        self.slot.shape()
    }

    /// The device that holds it.
    pub fn device(&self) -> Device {
        self.slot.device()
    }

    /// Its values in row-major order, `[elements]`.
    pub fn flat(&self) -> Tensor<1> {
        self.slot.flat()
    }

    /// Replaces its values; `values` is in row-major order, `[elements]`.
    ///
    /// # Panics
    /// If the number of values differs.
    pub fn set_flat(&mut self, values: Tensor<1>) {
        let n_values: usize = self.shape().iter().product();
        assert_eq!(values.dims(), [n_values], "elements of `{}`", self.name);
        self.slot.set_flat(values);
    }

    /// Tracks the parameter with autodiff.
    pub(crate) fn track(&mut self) {
        self.slot.track();
    }

    /// Takes its gradient from a tape, as a flat vector.
    pub(crate) fn take_gradient(&self, tape: &mut Tape) -> Option<Tensor<1>> {
        self.slot.take_gradient(tape)
    }
}

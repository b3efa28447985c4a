//! The types of weights and of computations.

use burn::tensor::DType;

/// Types of a decoder: of its matrices in memory, and of everything else.
///
/// Activations, normalizations and biases have the type of the computation. Softmax, rotation angles, losses and the sums
/// in normalizations are computed in `f32` at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Precision {
    matrices: DType,
    compute: DType,
}

impl Precision {
    /// Everything in `f32`.
    pub const F32: Self = Self::whole(DType::F32);

    /// Weights and activations in one type.
    pub const fn whole(dtype: DType) -> Self {
        Self {
            matrices: dtype,
            compute: dtype,
        }
    }

    /// Matrices and embeddings are kept as `stored`, and computations are in `f32`.
    ///
    /// This halves the memory of weights where computing in halves is slow. Weights that are stored as `stored` lose
    /// nothing.
    pub const fn widened(stored: DType) -> Self {
        Self {
            matrices: stored,
            compute: DType::F32,
        }
    }

    /// The type of matrices and embeddings in memory.
    pub const fn matrices(self) -> DType {
        self.matrices
    }

    /// The type of activations.
    pub const fn compute(self) -> DType {
        self.compute
    }
}

//! Short names for Burn's float primitives, so that code reads like formulas.

use std::ops::{Add, Div, Mul, Range, Sub};

use burn::backend::tensor::{BoolTensor, FloatTensor, IntTensor};
use burn::backend::{Backend, FloatDType, TensorMetadata, get_or_init_device_settings};
use burn::tensor::{DType, IndexingUpdateOp, Shape, Slice};

/// A float tensor of one backend.
///
/// Implementations work on primitives rather than on [`Tensor`](burn::tensor::Tensor), because the backward pass of a
/// custom operation only has primitives.
pub(crate) struct Float<B: Backend>(pub(crate) FloatTensor<B>);

impl<B: Backend> Clone for Float<B> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<B: Backend> Float<B> {
    pub(crate) fn zeros<const D: usize>(dims: [usize; D], dtype: DType, like: &Self) -> Self {
        Self(B::float_zeros(
            Shape::from(dims),
            &like.0.device(),
            FloatDType::from(dtype),
        ))
    }

    pub(crate) fn dims<const D: usize>(&self) -> [usize; D] {
        self.0.shape().dims()
    }

    pub(crate) fn dtype(&self) -> DType {
        self.0.dtype()
    }

    pub(crate) fn cast(self, dtype: DType) -> Self {
        if self.dtype() == dtype {
            return self;
        }
        Self(B::float_cast(self.0, FloatDType::from(dtype)))
    }

    /// Casts to the type that sums are computed in.
    pub(crate) fn wide(self) -> Self {
        let dtype = wide(self.dtype());
        self.cast(dtype)
    }

    pub(crate) fn reshape<const D: usize>(self, dims: [usize; D]) -> Self {
        Self(B::float_reshape(self.0, Shape::from(dims)))
    }

    pub(crate) fn expand<const D: usize>(self, dims: [usize; D]) -> Self {
        Self(B::float_expand(self.0, Shape::from(dims)))
    }

    /// The elements of `range` along dimension `dim`.
    pub(crate) fn part(self, dim: usize, range: Range<usize>) -> Self {
        let slices = slices(&self.0.shape(), dim, range);
        Self(B::float_slice(self.0, &slices))
    }

    /// The parts joined along a dimension. A single one is not copied.
    pub(crate) fn cat(mut parts: Vec<Self>, dim: usize) -> Self {
        if parts.len() == 1 {
            return parts.remove(0);
        }
        Self(B::float_cat(
            parts.into_iter().map(|part| part.0).collect(),
            dim,
        ))
    }

    pub(crate) fn swap(self, dim1: usize, dim2: usize) -> Self {
        Self(B::float_swap_dims(self.0, dim1, dim2))
    }

    pub(crate) fn matmul(self, right: Self) -> Self {
        Self(B::float_matmul(self.0, right.0))
    }

    pub(crate) fn scale(self, factor: f64) -> Self {
        Self(B::float_mul_scalar(self.0, factor.into()))
    }

    pub(crate) fn plus(self, term: f64) -> Self {
        Self(B::float_add_scalar(self.0, term.into()))
    }

    pub(crate) fn neg(self) -> Self {
        Self(B::float_neg(self.0))
    }

    pub(crate) fn exp(self) -> Self {
        Self(B::float_exp(self.0))
    }

    pub(crate) fn ln(self) -> Self {
        Self(B::float_log(self.0))
    }

    /// `max(x, least)`.
    pub(crate) fn at_least(self, least: f64) -> Self {
        Self(B::float_clamp_min(self.0, least.into()))
    }

    /// The larger of two elements; both have one shape.
    pub(crate) fn larger(self, other: Self) -> Self {
        let settings = get_or_init_device_settings::<B>(&self.0.device());
        let is_larger = B::float_greater(other.0.clone(), self.0.clone(), settings.bool_dtype);
        Self(B::float_mask_where(self.0, is_larger, other.0))
    }

    pub(crate) fn tanh(self) -> Self {
        Self(B::float_tanh(self.0))
    }

    pub(crate) fn sqrt(self) -> Self {
        Self(B::float_sqrt(self.0))
    }

    /// `1 / (1 + e^-x)`. Not the primitive of the backend, which some backends compute in `f32` even for `f64`.
    pub(crate) fn sigmoid(self) -> Self {
        Self(B::float_recip(self.neg().exp().plus(1.0).0))
    }

    /// Sum along a dimension, which is kept with size 1.
    pub(crate) fn sum(self, dim: usize) -> Self {
        Self(B::float_sum_dim(self.0, dim))
    }

    pub(crate) fn mean(self, dim: usize) -> Self {
        Self(B::float_mean_dim(self.0, dim))
    }

    pub(crate) fn max(self, dim: usize) -> Self {
        Self(B::float_max_dim(self.0, dim))
    }

    /// Sets elements to minus infinity where `mask` is true.
    pub(crate) fn hide(self, mask: BoolTensor<B>) -> Self {
        Self(B::float_mask_fill(self.0, mask, f32::NEG_INFINITY.into()))
    }

    pub(crate) fn gather(self, dim: usize, indices: IntTensor<B>) -> Self {
        Self(B::float_gather(dim, self.0, indices))
    }

    pub(crate) fn add_at(self, dim: usize, indices: IntTensor<B>, value: Self) -> Self {
        let update = IndexingUpdateOp::Add;
        Self(B::float_scatter(dim, self.0, indices, value.0, update))
    }
}

/// The type that sums are computed in: `f64` for `f64`, `f32` for all other types.
pub(crate) fn wide(dtype: DType) -> DType {
    match dtype {
        DType::F64 => DType::F64,
        _ => DType::F32,
    }
}

pub(crate) fn slices(shape: &Shape, dim: usize, range: Range<usize>) -> Vec<Slice> {
    let mut slices: Vec<Slice> = (0..shape.num_dims())
        .map(|d| Slice::from(0..shape[d]))
        .collect();
    slices[dim] = Slice::from(range);
    slices
}

macro_rules! elementwise {
    ($($operator:ident $name:ident $primitive:ident),*) => {$(
        impl<B: Backend> $operator for Float<B> {
            type Output = Self;

            fn $name(self, right: Self) -> Self {
                Self(B::$primitive(self.0, right.0))
            }
        }
    )*};
}

elementwise!(
    Add add float_add,
    Sub sub float_sub,
    Mul mul float_mul,
    Div div float_div
);

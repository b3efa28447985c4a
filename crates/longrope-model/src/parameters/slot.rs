//! Where the values of a parameter are.

use burn::module::Param;
use burn::tensor::{Device, Gradients as Tape, Tensor};

/// The tensor of a parameter, or its parts.
#[derive(Debug)]
pub(crate) enum Slot<'a> {
    Vector(&'a mut Param<Tensor<1>>),
    Matrix(&'a mut Param<Tensor<2>>),
    /// The rows of a matrix.
    Vectors(Vec<&'a mut Param<Tensor<1>>>),
    /// The matrices of a stack, `[n, rows, columns]`.
    Matrices(Vec<&'a mut Param<Tensor<2>>>),
}

impl Slot<'_> {
    pub(crate) fn shape(&self) -> Vec<usize> {
        match self {
            Self::Vector(param) => param.dims().to_vec(),
            Self::Matrix(param) => param.dims().to_vec(),
            Self::Vectors(parts) => stacked_shape(parts),
            Self::Matrices(parts) => stacked_shape(parts),
        }
    }

    pub(crate) fn device(&self) -> Device {
        match self {
            Self::Vector(param) => param.val().device(),
            Self::Matrix(param) => param.val().device(),
            Self::Vectors(parts) => device_of(parts),
            Self::Matrices(parts) => device_of(parts),
        }
    }

    /// The values in row-major order, `[elements]`.
    pub(crate) fn flat(&self) -> Tensor<1> {
        match self {
            Self::Vector(param) => param.val(),
            Self::Matrix(param) => flattened(param.val()),
            Self::Vectors(parts) => joined(parts.iter().map(|part| part.val())),
            Self::Matrices(parts) => joined(parts.iter().map(|part| flattened(part.val()))),
        }
    }

    /// Replaces the values; there are as many as before.
    pub(crate) fn set_flat(&mut self, values: Tensor<1>) {
        match self {
            Self::Vector(param) => **param = Param::from_tensor(values),
            Self::Matrix(param) => {
                let dims = param.dims();
                **param = Param::from_tensor(values.reshape(dims));
            }
            Self::Vectors(parts) => set_parts(parts, &values),
            Self::Matrices(parts) => set_parts(parts, &values),
        }
    }

    pub(crate) fn track(&mut self) {
        match self {
            Self::Vector(param) => track(param),
            Self::Matrix(param) => track(param),
            Self::Vectors(parts) => parts.iter_mut().for_each(|part| track(part)),
            Self::Matrices(parts) => parts.iter_mut().for_each(|part| track(part)),
        }
    }

    pub(crate) fn take_gradient(&self, tape: &mut Tape) -> Option<Tensor<1>> {
        match self {
            Self::Vector(param) => param.val().grad_remove(tape),
            Self::Matrix(param) => Some(flattened(param.val().grad_remove(tape)?)),
            Self::Vectors(parts) => {
                let gradients = parts.iter().map(|part| part.val().grad_remove(tape));
                joined_gradients(gradients.collect(), &parts.first()?.val())
            }
            Self::Matrices(parts) => {
                let gradients = parts.iter().map(|part| part.val().grad_remove(tape));
                let gradients = gradients.map(|gradient| gradient.map(flattened));
                joined_gradients(gradients.collect(), &flattened(parts.first()?.val()))
            }
        }
    }
}

fn track<const D: usize>(param: &mut Param<Tensor<D>>) {
    *param = Param::from_tensor(param.val().autodiff().require_grad());
}

/// The device of parts, which are all on one.
fn device_of<const D: usize>(parts: &[&mut Param<Tensor<D>>]) -> Device {
    parts.first().expect("a stack has parts").val().device()
}

/// The shape of equal parts, one after the other.
fn stacked_shape<const D: usize>(parts: &[&mut Param<Tensor<D>>]) -> Vec<usize> {
    let part = parts.first().map(|part| part.dims());
    let mut shape = vec![parts.len()];
    shape.extend(part.into_iter().flatten());
    shape
}

/// Gives each part its piece of the values.
fn set_parts<const D: usize>(parts: &mut [&mut Param<Tensor<D>>], values: &Tensor<1>) {
    let mut start = 0;
    for part in parts {
        let dims = part.dims();
        let size = dims.iter().product();
        let piece = values.clone().narrow(0, start, size);
        **part = Param::from_tensor(piece.reshape(dims));
        start += size;
    }
}

fn flattened(matrix: Tensor<2>) -> Tensor<1> {
    let [rows, columns] = matrix.dims();
    matrix.reshape([rows * columns])
}

fn joined(parts: impl Iterator<Item = Tensor<1>>) -> Tensor<1> {
    Tensor::cat(parts.collect(), 0)
}

/// The gradient of a stack, if any part has one. Parts that did not take part in a pass have a gradient of zero.
fn joined_gradients(parts: Vec<Option<Tensor<1>>>, like: &Tensor<1>) -> Option<Tensor<1>> {
    if parts.iter().all(Option::is_none) {
        return None;
    }
    let zeros = like.clone().without_autodiff().zeros_like();
    let parts = parts.into_iter();
    Some(joined(
        parts.map(|part| part.unwrap_or_else(|| zeros.clone())),
    ))
}

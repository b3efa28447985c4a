//! A tensor that waits on the device or on the host.

use std::panic::resume_unwind;
use std::thread::{JoinHandle, spawn};

use burn::tensor::{DType, Device, Tensor, TensorData};

/// Where the inputs of layers wait for the backward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// On the device.
    OnDevice,
    /// In the memory of the host.
    OnHost,
}

/// Where a tensor goes back to.
#[derive(Clone, Debug)]
pub(super) struct Home {
    device: Device,
    dtype: DType,
}

/// A tensor, `[batch, seq, hidden]`, wherever it is.
#[derive(Debug)]
pub(super) enum Kept {
    OnDevice(Tensor<3>),
    /// On the way to the host.
    Leaving(JoinHandle<TensorData>, Home),
    OnHost(TensorData, Home),
    /// On the way back.
    Returning(JoinHandle<Tensor<3>>),
    /// Between two of the others.
    Moving,
}

impl Kept {
    pub(super) fn new(tensor: Tensor<3>, keep: Keep) -> Self {
        match keep {
            Keep::OnDevice => Self::OnDevice(tensor),
            Keep::OnHost => {
                let home = Home {
                    device: tensor.device(),
                    dtype: tensor.dtype(),
                };
                Self::Leaving(spawn(move || tensor.into_data()), home)
            }
        }
    }

    /// Waits until the device no longer holds a tensor that is leaving.
    pub(super) fn settle(&mut self) {
        *self = match std::mem::replace(self, Self::Moving) {
            Self::Leaving(copy, home) => Self::OnHost(joined(copy), home),
            other => other,
        };
    }

    /// Begins to bring the tensor back.
    pub(super) fn recall(&mut self) {
        self.settle();
        *self = match std::mem::replace(self, Self::Moving) {
            Self::OnHost(data, home) => Self::Returning(spawn(move || upload(data, &home))),
            other => other,
        };
    }

    /// The tensor on its device.
    pub(super) fn fetch(mut self) -> Tensor<3> {
        self.settle();
        match self {
            Self::OnDevice(tensor) => tensor,
            Self::OnHost(data, home) => upload(data, &home),
            Self::Returning(copy) => joined(copy),
            Self::Leaving(..) | Self::Moving => unreachable!("it has settled"),
        }
    }

    /// A copy of the tensor on its device; it also stays where it is.
    pub(super) fn copy(&mut self) -> Tensor<3> {
        self.settle();
        match self {
            Self::OnHost(data, home) => upload(data.clone(), home),
            other => {
                let tensor = std::mem::replace(other, Self::Moving).fetch();
                *other = Self::OnDevice(tensor.clone());
                tensor
            }
        }
    }
}

fn upload(data: TensorData, home: &Home) -> Tensor<3> {
    Tensor::from_data(data, (&home.device, home.dtype))
}

/// The result of a thread, or its panic.
fn joined<T>(thread: JoinHandle<T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

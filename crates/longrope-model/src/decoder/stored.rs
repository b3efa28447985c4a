//! Building modules from the tensors of a checkpoint.

use burn::tensor::{Device, Tensor};

use super::builder::{Builder, TensorSource};
use super::precision::Precision;
use crate::checkpoint::Checkpoint;
use crate::config::ModelConfig;
use crate::error::{Error, Result};

/// A checkpoint that has been checked against the configuration.
pub(super) struct Stored<'a> {
    pub(super) config: &'a ModelConfig,
    pub(super) checkpoint: &'a Checkpoint,
    pub(super) precision: Precision,
}

impl<'a> Stored<'a> {
    /// Builds modules on a device.
    pub(super) fn on(&'a self, device: &'a Device) -> Builder<'a, StoredOn<'a>> {
        Builder {
            config: self.config,
            source: StoredOn {
                checkpoint: self.checkpoint,
                precision: self.precision,
                device,
            },
        }
    }
}

/// Reads tensors to a device.
pub(super) struct StoredOn<'a> {
    checkpoint: &'a Checkpoint,
    precision: Precision,
    device: &'a Device,
}

impl TensorSource for StoredOn<'_> {
    type Error = Error;

    fn tensor<const D: usize>(&mut self, name: &str) -> Result<Tensor<D>> {
        let dtype = self.precision.compute();
        self.checkpoint.tensor(name, self.device, dtype)
    }

    fn matrix<const D: usize>(&mut self, name: &str) -> Result<Tensor<D>> {
        let dtype = self.precision.matrices();
        self.checkpoint.tensor(name, self.device, dtype)
    }
}

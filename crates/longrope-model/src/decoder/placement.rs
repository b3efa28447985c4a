//! The devices that hold the layers of a model.

use std::fmt;

use burn::tensor::{Device, Tensor};

use crate::config::ModelConfig;
use crate::config::module_names::layer_of;
use crate::rotary::Rotary;

/// The devices of a model: one, or several with some of the layers each, for models that do not fit on one.
///
/// The first device also holds the embeddings, the last normalization and the head. Layers lie in order, so hidden states
/// move from one device to the next as often as there are devices. The devices compute one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Placement {
    first: Device,
    others: Vec<Device>,
}

impl Placement {
    /// Several devices, in the order of the layers.
    pub fn spread(first: Device, others: Vec<Device>) -> Self {
        Self { first, others }
    }

    /// The first device.
    pub fn first(&self) -> &Device {
        &self.first
    }

    /// All devices, in the order of the layers.
    pub fn devices(&self) -> impl Iterator<Item = &Device> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// The device of each layer.
    pub(crate) fn of_layers(&self, config: &ModelConfig) -> Vec<Device> {
        let parts = layers_per_device(config, 1 + self.others.len());
        let devices = self.devices().zip(parts);
        devices
            .flat_map(|(device, n)| std::iter::repeat_n(device.clone(), n))
            .collect()
    }
}

impl From<Device> for Placement {
    fn from(device: Device) -> Self {
        Self::spread(device, Vec::new())
    }
}

impl From<&Device> for Placement {
    fn from(device: &Device) -> Self {
        device.clone().into()
    }
}

impl From<&Placement> for Placement {
    fn from(placement: &Placement) -> Self {
        placement.clone()
    }
}

/// Number of layers on each of `n_devices`. The first device has fewer, as embeddings and head lie there too.
pub fn layers_per_device(config: &ModelConfig, n_devices: usize) -> Vec<usize> {
    let n_layers = config.n_layers;
    // Needs no sizes: every cache of a model on one device asks.
    if n_devices < 2 {
        return vec![n_layers];
    }
    let ends = config.parameters_of_ends() as f64;
    let layer = (config.n_parameters() as f64 - ends).max(1.0) / n_layers.max(1) as f64;
    let share = (n_layers as f64 + ends / layer) / n_devices as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of layers"
    )]
    let on_first = (share - ends / layer).round().max(0.0) as usize;
    let (left, n_others) = (n_layers - on_first, n_devices - 1);
    let mut parts = vec![on_first];
    parts.extend((0..n_others).map(|i| left / n_others + usize::from(i < left % n_others)));
    parts
}

/// The placement of a decoder: its devices, and which layer lies where.
#[derive(Clone)]
pub(crate) struct Placed {
    pub(crate) placement: Placement,
    layers: Vec<Device>,
}

impl fmt::Debug for Placed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.placement.fmt(f)
    }
}

impl Placed {
    pub(crate) fn new(placement: Placement, config: &ModelConfig) -> Self {
        let layers = placement.of_layers(config);
        Self { placement, layers }
    }

    /// The device of a layer; beyond the last layer, that of normalization and head.
    pub(crate) fn of_layer(&self, layer_idx: usize) -> &Device {
        let first = self.placement.first();
        self.layers.get(layer_idx).unwrap_or(first)
    }

    /// The output of a layer, `[batch, seq, hidden]`, moved to the device of the next one.
    pub(crate) fn after(&self, layer_idx: usize, output: Tensor<3>) -> Tensor<3> {
        moved(
            output,
            self.of_layer(layer_idx),
            self.of_layer(layer_idx + 1),
        )
    }

    /// Embedded tokens, `[batch, seq, hidden]`, moved to the device of the first layer.
    pub(crate) fn embedded(&self, tokens: Tensor<3>) -> Tensor<3> {
        moved(tokens, self.placement.first(), self.of_layer(0))
    }

    /// The device of a parameter.
    pub(crate) fn of_parameter(&self, name: &str) -> &Device {
        match layer_of(name) {
            Some(layer_idx) => self.of_layer(layer_idx),
            None => self.placement.first(),
        }
    }
}

fn moved(x: Tensor<3>, from: &Device, to: &Device) -> Tensor<3> {
    if from == to { x } else { x.to_device(to) }
}

/// Rotation angles on every device of a model.
#[derive(Clone, Debug)]
pub(crate) struct PlacedRotary {
    on_first: Rotary,
    others: Vec<(Device, Rotary)>,
}

impl PlacedRotary {
    /// Copies angles, which are on the first device, to the others.
    pub(crate) fn new(rotary: &Rotary, placement: &Placement) -> Self {
        let others = placement.others.iter();
        let others = others.filter(|device| **device != placement.first);
        Self {
            on_first: rotary.clone(),
            others: others
                .map(|device| (device.clone(), rotary.to_device(device)))
                .collect(),
        }
    }

    /// The angles on one of the devices.
    pub(crate) fn on(&self, device: &Device) -> &Rotary {
        let found = self.others.iter().find(|(other, _)| other == device);
        found.map_or(&self.on_first, |(_, rotary)| rotary)
    }

    /// The angles on the first device.
    pub(crate) fn on_first(&self) -> &Rotary {
        &self.on_first
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn model(n_layers: usize, vocab_size: usize) -> ModelConfig {
        let folder =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../longrope/assets/tiny-llama-256");
        let mut model = ModelConfig::from_folder(&folder).unwrap();
        (model.n_layers, model.vocab_size) = (n_layers, vocab_size);
        model
    }

    #[test]
    fn all_layers_are_placed_and_the_first_device_has_fewer() {
        // A layer has 725,504 parameters, and these embeddings are as many as two layers.
        let model = model(8, 5668);
        assert_eq!(layers_per_device(&model, 1), [8]);
        assert_eq!(layers_per_device(&model, 2), [3, 5]);
        assert_eq!(layers_per_device(&model, 3), [1, 4, 3]);
        assert_eq!(layers_per_device(&model, 12).iter().sum::<usize>(), 8);
    }

    #[test]
    fn embeddings_that_outweigh_the_layers_leave_them_to_the_other_devices() {
        assert_eq!(layers_per_device(&model(4, 1 << 20), 3), [0, 2, 2]);
    }
}

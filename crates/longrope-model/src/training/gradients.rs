//! Gradients of the parameters of a decoder, by name.

use std::collections::BTreeMap;

use burn::tensor::{DType, Tensor};

use crate::decoder::Decoder;

/// The gradient of each trained parameter, as a flat vector in the type of the parameter.
#[derive(Clone, Debug, Default)]
pub struct Gradients(BTreeMap<String, Tensor<1>>);

impl Gradients {
    /// Adds a gradient to that of the parameter `name`.
    pub fn add(&mut self, name: String, gradient: Tensor<1>) {
        let sum = match self.0.remove(&name) {
            Some(sum) => sum + gradient,
            None => gradient,
        };
        self.0.insert(name, sum);
    }

    /// Adds all gradients of another micro-batch.
    pub fn merge(&mut self, other: Self) {
        for (name, gradient) in other.0 {
            self.add(name, gradient);
        }
    }

    /// Removes and returns the gradient of a parameter.
    pub fn take(&mut self, name: &str) -> Option<Tensor<1>> {
        self.0.remove(name)
    }

    /// Names and gradients, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor<1>)> {
        self.0.iter().map(|(name, values)| (name.as_str(), values))
    }

    /// Multiplies all gradients by `factor`.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        let scaled = self.0.into_iter();
        Self(
            scaled
                .map(|(name, values)| (name, values * factor))
                .collect(),
        )
    }

    /// The same gradients on the devices of the parameters of `decoder`.
    #[must_use]
    pub fn placed_as(self, decoder: &Decoder) -> Self {
        let moved = self.0.into_iter().map(|(name, values)| {
            let values = values.to_device(decoder.placed.of_parameter(&name));
            (name, values)
        });
        Self(moved.collect())
    }

    /// Euclidean norm over all gradients; not finite if any element is not finite.
    pub fn norm(&self) -> f64 {
        let sums: Vec<Tensor<1>> = self
            .0
            .values()
            .map(|values| values.clone().cast(DType::F32).square().sum())
            .collect();
        let Some(device) = sums.first().map(Tensor::device) else {
            return 0.0;
        };
        // One transfer from the device for all sums.
        let sums = sums.into_iter().map(|sum| sum.to_device(&device)).collect();
        let sums = Tensor::cat(sums, 0).into_data();
        sums.iter::<f64>().sum::<f64>().sqrt()
    }
}

//! Gradients of a decoder's parameters, by name.

use std::collections::BTreeMap;

use burn::tensor::{DType, Tensor};

/// A gradient per trained parameter, flat, in the parameter's type.
#[derive(Clone, Debug, Default)]
pub struct Gradients(BTreeMap<String, Tensor<1>>);

impl Gradients {
    /// Adds to the gradient of a parameter.
    pub fn add(&mut self, name: String, gradient: Tensor<1>) {
        let sum = match self.0.remove(&name) {
            Some(sum) => sum + gradient,
            None => gradient,
        };
        self.0.insert(name, sum);
    }

    /// Adds those of another micro-batch.
    pub fn merge(&mut self, other: Self) {
        for (name, gradient) in other.0 {
            self.add(name, gradient);
        }
    }

    /// Takes the gradient of a parameter away.
    pub fn take(&mut self, name: &str) -> Option<Tensor<1>> {
        self.0.remove(name)
    }

    /// Names and values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor<1>)> {
        self.0.iter().map(|(name, values)| (name.as_str(), values))
    }

    /// Multiplies all by a number.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        let scaled = self.0.into_iter();
        Self(
            scaled
                .map(|(name, values)| (name, values * factor))
                .collect(),
        )
    }

    /// Euclidean norm over all of them together; not finite if any element is not.
    pub fn norm(&self) -> f64 {
        let sums: Vec<Tensor<1>> = self
            .0
            .values()
            .map(|values| values.clone().cast(DType::F32).square().sum())
            .collect();
        if sums.is_empty() {
            return 0.0;
        }
        // One transfer for all.
        let sums = Tensor::cat(sums, 0).into_data();
        sums.iter::<f64>().sum::<f64>().sqrt()
    }
}

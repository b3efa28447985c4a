//! Gradients of the parameters of a decoder, by name.

use std::collections::BTreeMap;

use burn::tensor::{DType, Device, Tensor};

/// The gradient of each trained parameter, as a flat vector in the type of the parameter. Sums of several in half precision
/// are in `f32`: a sum in half precision would lose what is small beside it.
#[derive(Clone, Debug, Default)]
pub struct Gradients(BTreeMap<String, Tensor<1>>);

impl Gradients {
    /// Adds a gradient to that of the parameter `name`.
    pub fn add(&mut self, name: String, gradient: Tensor<1>) {
        let sum = match self.0.remove(&name) {
            Some(sum) => widened(sum) + widened(gradient),
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

    /// The same gradients, each on the device that `device_of` has for its parameter; where it has none, the gradient stays.
    #[must_use]
    pub fn placed<'a>(self, device_of: impl Fn(&str) -> Option<&'a Device>) -> Self {
        let moved = self.0.into_iter().map(|(name, values)| {
            let values = match device_of(&name) {
                Some(device) => values.to_device(device),
                None => values,
            };
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

/// Numbers in half precision as `f32`, others as they are.
fn widened(numbers: Tensor<1>) -> Tensor<1> {
    match numbers.dtype() {
        DType::BF16 | DType::F16 => numbers.cast(DType::F32),
        _ => numbers,
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    #[test]
    fn gradients_in_half_precision_are_summed_in_f32() {
        for dtype in [DType::BF16, DType::F16] {
            let one = |value: f32| -> Tensor<1> {
                let device = Device::flex();
                Tensor::from_data(TensorData::new(vec![value], [1]), (&device, dtype))
            };
            let mut sum = Gradients::default();
            sum.add("w".to_owned(), one(4096.0));
            sum.add("alone".to_owned(), one(1.0));
            for _ in 0..8 {
                // Half of the distance to the next number of 11 bits, or less.
                let mut part = Gradients::default();
                part.add("w".to_owned(), one(0.5));
                sum.merge(part);
            }
            assert_eq!(sum.take("alone").unwrap().dtype(), dtype);
            let found: Vec<f32> = sum.take("w").unwrap().into_data().iter::<f32>().collect();
            assert_eq!(found, [4100.0], "{dtype:?}");
        }
    }
}

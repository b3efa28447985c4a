//! Low-rank adapters: a frozen weight and a trained correction of small rank.
//!
//! `y = x Wᵀ + s · (x Aᵀ) Bᵀ` with `A: [rank, in]`, `B: [out, rank]`, `s = alpha / rank` (Hu et
//! al., arXiv 2106.09685). The correction is never made as a matrix while training, so that its cost
//! is `rank / out` of the map's.

use burn::module::Param;
use burn::tensor::{Tensor, TensorData};
use rand::{Rng, RngExt};

use crate::decoder::Decoder;
use crate::error::Result;
use crate::linear::{Linear, LowRank};
use crate::lora_error::LoraError;
use crate::parameters::linears_mut;

/// Rank, strength and places of adapters; names and meanings are those of PEFT.
#[derive(Clone, Debug, PartialEq)]
pub struct LoraConfig {
    /// Rank of each correction.
    pub rank: usize,
    /// Its strength times the rank.
    pub alpha: f64,
    /// Names of linear maps that get one, `q_proj` and the like.
    pub target_modules: Vec<String>,
}

impl LoraConfig {
    /// What the low-rank product is multiplied by.
    pub fn scale(&self) -> f64 {
        self.alpha / self.rank as f64
    }
}

impl Decoder {
    /// Gives every targeted map an adapter that does nothing yet: `A` uniform in `±1/sqrt(in)`, as
    /// PEFT draws it, `B` zero.
    ///
    /// # Errors
    /// [`Error::Lora`](crate::Error::Lora) if a target names no map of this model, or the rank is 0.
    pub fn add_adapters(&mut self, config: &LoraConfig, rng: &mut impl Rng) -> Result<()> {
        if config.rank == 0 {
            return Err(LoraError::ZeroRank.into());
        }
        let (device, scale) = (self.device().clone(), config.scale());
        let mut found = vec![false; config.target_modules.len()];
        for layer in &mut self.weights.model.layers {
            for (name, linear) in linears_mut(layer) {
                let short = name.rsplit('.').next().unwrap_or(name);
                let Some(index) = config.target_modules.iter().position(|t| t == short) else {
                    continue;
                };
                found[index] = true;
                let [out, width] = linear.weight.dims();
                let dtype = linear.weight.val().dtype();
                let bound = 1.0 / (width as f32).sqrt();
                let a: Vec<f32> = (0..config.rank * width)
                    .map(|_| rng.random_range(-bound..bound))
                    .collect();
                let a = TensorData::new(a, [config.rank, width]);
                let b = Tensor::zeros([out, config.rank], (&device, dtype));
                linear.adapter = Some(LowRank {
                    a: Param::from_tensor(Tensor::from_data(a, (&device, dtype))),
                    b: Param::from_tensor(b),
                    scale,
                });
            }
        }
        match found.iter().position(|found| !found) {
            None => Ok(()),
            Some(index) => Err(LoraError::UnknownTarget {
                target: config.target_modules[index].clone(),
                known: self.module_names(),
            }
            .into()),
        }
    }

    /// Adds every adapter to the weight it corrects, and removes it.
    pub fn merge_adapters(&mut self) {
        for layer in &mut self.weights.model.layers {
            for (_, linear) in linears_mut(layer) {
                merge(linear);
            }
        }
    }

    /// Short names of the linear maps of a layer.
    fn module_names(&mut self) -> Vec<&'static str> {
        let Some(layer) = self.weights.model.layers.first_mut() else {
            return Vec::new();
        };
        let names = linears_mut(layer).into_iter().map(|(name, _)| name);
        names
            .map(|name| name.rsplit('.').next().unwrap_or(name))
            .collect()
    }
}

fn merge(linear: &mut Linear) {
    if let Some(adapter) = linear.adapter.take() {
        let correction = adapter.b.val().matmul(adapter.a.val()) * adapter.scale;
        linear.weight = Param::from_tensor(linear.weight.val() + correction);
    }
}

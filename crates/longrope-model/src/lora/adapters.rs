//! Low-rank adapters: frozen weights with trained corrections of small rank.
//!
//! `y = x Wᵀ + s · (x Aᵀ) Bᵀ` with `A: [rank, in]`, `B: [out, rank]`, `s = alpha / rank` (Hu et al., arXiv 2106.09685).
//! While training, the product `B A` is never computed, so the correction takes only a small part of the time of the
//! linear map.

use burn::module::Param;
use burn::tensor::{Tensor, TensorData};
use rand::{Rng, RngExt};

use super::config::LoraConfig;
use super::error::LoraError;
use crate::config::module_names::{last_part, short_names};
use crate::decoder::Decoder;
use crate::error::Result;
use crate::modules::linear::{Linear, LowRank};
use crate::parameters::linears_mut;

impl Decoder {
    /// Adds an adapter to every target module. The output does not change yet: `A` is uniform in `±1/sqrt(in)`, as in
    /// PEFT, and `B` is zero. From now on, [`Trained::Adapters`](crate::Trained::Adapters) also trains the modules to save.
    ///
    /// # Errors
    /// [`Error::Lora`](crate::Error::Lora) if the model does not have a target module or a module to save, a module is
    /// both, there is neither, or the rank is 0.
    pub fn add_adapters(&mut self, config: &LoraConfig, rng: &mut impl Rng) -> Result<()> {
        if config.rank == 0 {
            return Err(LoraError::ZeroRank.into());
        }
        let saved = config.saved_modules(self.config())?;
        if config.target_modules.is_empty() && config.modules_to_save.is_empty() {
            return Err(LoraError::NoTarget {
                known: self.module_names(),
            }
            .into());
        }
        let (dtype, scale) = (self.dtype(), config.scale());
        let mut found = vec![false; config.target_modules.len()];
        for layer in &mut self.weights.model.layers {
            for linear in linears_mut(layer) {
                let short = last_part(&linear.name);
                let Some(index) = config.target_modules.iter().position(|t| t == short) else {
                    continue;
                };
                found[index] = true;
                let [out, width] = linear.weight.dims();
                let device = linear.weight.val().device();
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
            None => {
                self.saved_modules = saved;
                Ok(())
            }
            Some(index) => Err(LoraError::UnknownTarget {
                target: config.target_modules[index].clone(),
                known: self.module_names(),
            }
            .into()),
        }
    }

    /// Adds every adapter to its weight, and removes the adapter. Modules trained beside adapters are weights already.
    pub fn merge_adapters(&mut self) {
        for layer in &mut self.weights.model.layers {
            for linear in linears_mut(layer) {
                merge(linear);
            }
        }
    }

    /// Short names of the linear maps of the layers.
    fn module_names(&mut self) -> Vec<String> {
        let layers = self.weights.model.layers.iter_mut();
        let maps = layers.flat_map(linears_mut);
        let names: Vec<String> = maps.map(|linear| linear.name.clone()).collect();
        short_names(&names)
    }
}

fn merge(linear: &mut Linear) {
    if let Some(adapter) = linear.adapter.take() {
        let correction = adapter.b.val().matmul(adapter.a.val()) * adapter.scale;
        let weight = linear.weight.val();
        let (stored, dtype) = (weight.dtype(), correction.dtype());
        let merged = (weight.cast(dtype) + correction).cast(stored);
        linear.weight = Param::from_tensor(merged);
    }
}

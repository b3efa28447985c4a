//! AdamW with moments and, for half-precision weights, master weights in `f32`.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{DType, Device, Tensor};
use longrope_model::{
    Checkpoint, Decoder, Gradients, Parameter, ParameterKind, TensorEntry, Trained,
    write_safetensors,
};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Settings of the optimizer. The defaults are those of LongRoPE2 (arXiv 2502.20082).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct OptimizerConfig {
    /// Decay rate of the mean of the gradients, `β₁`.
    pub beta1: f64,
    /// Decay rate of the mean of the squared gradients, `β₂`.
    pub beta2: f64,
    /// Added to the root of the mean square, `ε`.
    pub epsilon: f64,
    /// Decoupled weight decay, `λ`.
    pub weight_decay: f64,
    /// Whether embeddings, norms and biases decay as well.
    pub decay_all: bool,
    /// Largest norm of all gradients together; larger gradients are scaled down to it.
    pub max_grad_norm: f64,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.95,
            epsilon: 1e-8,
            weight_decay: 0.0,
            decay_all: false,
            max_grad_norm: 1.0,
        }
    }
}

impl OptimizerConfig {
    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::Setting`] names the first key that is out of range, and its range.
    pub fn validate(&self) -> Result<()> {
        let is_rate = |rate: f64| (0.0..1.0).contains(&rate);
        let is_decay = |decay: f64| (0.0..=f64::from(f32::MAX)).contains(&decay);
        let rate = "0 or more, and below 1";
        let checks = [
            ("beta1", self.beta1, is_rate(self.beta1), rate),
            ("beta2", self.beta2, is_rate(self.beta2), rate),
            ("epsilon", self.epsilon, is_positive(self.epsilon), POSITIVE),
            (
                "weight-decay",
                self.weight_decay,
                is_decay(self.weight_decay),
                "0, or a number above 0 that is finite in f32",
            ),
            (
                "max-grad-norm",
                self.max_grad_norm,
                self.max_grad_norm > 0.0,
                "a number above 0",
            ),
        ];
        match checks.into_iter().find(|(_, _, holds, _)| !holds) {
            None => Ok(()),
            Some((key, found, _, expected)) => Err(Error::setting(key, &found, expected)),
        }
    }

    fn decays(&self, kind: ParameterKind) -> bool {
        self.decay_all || matches!(kind, ParameterKind::Matrix | ParameterKind::Adapter)
    }
}

/// What a number is that [`is_positive`].
pub(crate) const POSITIVE: &str = "a number above 0 that is finite in f32";

/// Whether a number is above 0, and finite in the type that is computed in.
pub(crate) fn is_positive(number: f64) -> bool {
    number > 0.0 && number <= f64::from(f32::MAX)
}

/// State of one parameter; each tensor is `[elements]` in `f32` (`f64` for `f64` weights).
#[derive(Clone, Debug)]
struct Moments {
    mean: Tensor<1>,
    square: Tensor<1>,
    /// The weights in full precision, if the model has them in half precision.
    master: Option<Tensor<1>>,
}

/// AdamW with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101).
///
/// With gradient `g` of step `t ≥ 1` and rate `η`: `m ← β₁ m + (1-β₁) g`, `v ← β₂ v + (1-β₂) g²`,
/// `w ← w - η (λ w + (m / (1-β₁ᵗ)) / (√(v / (1-β₂ᵗ)) + ε))`. Burn's own optimizer keeps its state in
/// the type of the weights, and in `bf16` a step of 2e-5 is rounded away; hence this implementation.
#[derive(Clone, Debug)]
pub struct AdamW {
    config: OptimizerConfig,
    moments: BTreeMap<String, Moments>,
    n_steps: u64,
}

impl AdamW {
    /// An optimizer before its first step.
    pub fn new(config: OptimizerConfig) -> Self {
        Self {
            config,
            moments: BTreeMap::new(),
            n_steps: 0,
        }
    }

    /// Steps so far.
    pub fn n_steps(&self) -> u64 {
        self.n_steps
    }

    /// Makes one step. Parameters without a gradient stay unchanged. The state of a parameter is kept, and its new value computed,
    /// on the device of its gradient.
    pub fn step(&mut self, decoder: &mut Decoder, mut gradients: Gradients, learning_rate: f64) {
        self.n_steps += 1;
        let OptimizerConfig {
            beta1,
            beta2,
            epsilon,
            weight_decay,
            ..
        } = self.config;
        let t = self.n_steps as f64;
        let (correction1, correction2) = (1.0 - beta1.powf(t), 1.0 - beta2.powf(t));
        decoder.for_each_parameter(|mut parameter| {
            let Some(gradient) = gradients.take(&parameter.name) else {
                return;
            };
            let (device, home) = (parameter.device(), gradient.device());
            let weights = parameter.flat();
            let stored = weights.dtype();
            let precise = precise(stored);
            let gradient = gradient.cast(precise);
            let weights = weights.to_device(&home);
            let moments = self.moments.remove(&parameter.name);
            let (mean, square, master) = match moments.map(|moments| moments.placed_on(&home)) {
                Some(moments) => (moments.mean, moments.square, moments.master),
                None => (
                    Tensor::zeros_like(&gradient),
                    Tensor::zeros_like(&gradient),
                    (stored != precise).then(|| weights.clone().cast(precise)),
                ),
            };
            let mean = mean * beta1 + gradient.clone() * (1.0 - beta1);
            let square = square * beta2 + gradient.square() * (1.0 - beta2);
            let direction =
                (mean.clone() / correction1) / ((square.clone() / correction2).sqrt() + epsilon);
            let decay = if self.config.decays(parameter.kind) {
                weight_decay
            } else {
                0.0
            };
            let current = master.clone().unwrap_or(weights);
            let moved = current * (1.0 - learning_rate * decay) - direction * learning_rate;
            let master = master.map(|_| moved.clone());
            parameter.set_flat(moved.cast(stored).to_device(&device));
            let moments = Moments {
                mean,
                square,
                master,
            };
            self.moments.insert(parameter.name, moments);
        });
    }

    /// Writes the state as safetensors: `NAME.exp_avg`, `NAME.exp_avg_sq` and `NAME.master`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut entries = Vec::new();
        for (name, moments) in &self.moments {
            let mut push = |part: &str, values: &Tensor<1>| {
                entries.push(TensorEntry {
                    name: format!("{name}.{part}"),
                    shape: values.dims().to_vec(),
                    values: values.clone(),
                });
            };
            push("exp_avg", &moments.mean);
            push("exp_avg_sq", &moments.square);
            if let Some(master) = &moments.master {
                push("master", master);
            }
        }
        Ok(write_safetensors(path, entries)?)
    }

    /// Reads the state of an optimizer that has taken `n_steps`.
    ///
    /// # Errors
    /// If the file cannot be read, or what it holds does not fit the trained parameters.
    pub fn read(
        path: &Path,
        config: OptimizerConfig,
        n_steps: u64,
        decoder: &mut Decoder,
        trained: Trained,
    ) -> Result<Self> {
        let file = Checkpoint::open_file(path)?;
        let mut moments = BTreeMap::new();
        let (mut problem, mut n_read) = (None, 0);
        let selection = decoder.selection(trained);
        decoder.for_each_parameter(|parameter| {
            if !selection.includes(&parameter) || problem.is_some() {
                return;
            }
            match Moments::read(path, &file, &parameter) {
                Ok(Some(read)) => {
                    n_read += 2 + usize::from(read.master.is_some());
                    moments.insert(parameter.name, read);
                }
                Ok(None) => {}
                Err(error) => problem = Some(error),
            }
        });
        if let Some(error) = problem {
            return Err(error);
        }
        let n_stored = file.tensors().len();
        if n_read != n_stored {
            let problem = format!(
                "it holds {n_stored} tensors, but the model has a place for {n_read} of them only"
            );
            return Err(damaged(path, problem));
        }
        Ok(Self {
            config,
            moments,
            n_steps,
        })
    }
}

impl Moments {
    fn placed_on(self, device: &Device) -> Self {
        Self {
            mean: self.mean.to_device(device),
            square: self.square.to_device(device),
            master: self.master.map(|master| master.to_device(device)),
        }
    }

    /// Reads the state of a parameter; `None` for one that never had a gradient.
    fn read(path: &Path, file: &Checkpoint, parameter: &Parameter<'_>) -> Result<Option<Self>> {
        let name = &parameter.name;
        if !file.tensors().contains_key(&format!("{name}.exp_avg")) {
            return Ok(None);
        }
        let (device, stored) = (parameter.device(), parameter.flat().dtype());
        let n_elements: usize = parameter.shape().iter().product();
        let read = |part: &str| -> Result<Tensor<1>> {
            let name = format!("{name}.{part}");
            check_shape(path, file, &name, n_elements)?;
            Ok(file.tensor::<1>(&name, &device, precise(stored))?)
        };
        let (mean, square) = (read("exp_avg")?, read("exp_avg_sq")?);
        let is_precise = stored == precise(stored);
        let master = (!is_precise).then(|| read("master")).transpose()?;
        Ok(Some(Self {
            mean,
            square,
            master,
        }))
    }
}

/// Checks a tensor of the state before memory is allocated for it.
fn check_shape(path: &Path, file: &Checkpoint, name: &str, n_elements: usize) -> Result<()> {
    match file.tensors().get(name) {
        Some(stored) if stored.shape == [n_elements] => Ok(()),
        Some(stored) => Err(damaged(
            path,
            format!(
                "tensor `{name}` has shape {:?}, expected [{n_elements}]",
                stored.shape
            ),
        )),
        None => Err(damaged(path, format!("it has no tensor `{name}`"))),
    }
}

fn damaged(path: &Path, problem: String) -> Error {
    Error::State {
        path: path.to_owned(),
        problem,
    }
}

/// The type of the state of a parameter that is stored as `stored`.
fn precise(stored: DType) -> DType {
    if stored == DType::F64 {
        DType::F64
    } else {
        DType::F32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_train_nothing_or_spoil_the_weights_name_their_range() {
        OptimizerConfig::default().validate().unwrap();
        let with = |key: &str, value: f64| {
            let mut config = OptimizerConfig::default();
            match key {
                "beta1" => config.beta1 = value,
                "epsilon" => config.epsilon = value,
                "weight-decay" => config.weight_decay = value,
                _ => config.max_grad_norm = value,
            }
            config.validate()
        };
        for (key, value, message) in [
            (
                "beta1",
                1.0,
                "`beta1` is 1, expected 0 or more, and below 1",
            ),
            (
                "epsilon",
                f64::INFINITY,
                "`epsilon` is inf, expected a number above 0 that is finite in f32",
            ),
            ("epsilon", 0.0, "`epsilon` is 0, expected a number above 0"),
            ("epsilon", 1e39, "expected a number above 0 that is finite"),
            (
                "weight-decay",
                f64::INFINITY,
                "`weight-decay` is inf, expected 0, or a number above 0",
            ),
            ("weight-decay", -0.1, "`weight-decay` is -0.1"),
            ("max-grad-norm", f64::NAN, "`max-grad-norm` is NaN"),
        ] {
            let error = with(key, value).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
        // Gradients of any size are kept.
        with("max-grad-norm", f64::INFINITY).unwrap();
    }
}

//! Copies of the model, one per worker.

use std::collections::HashSet;

use longrope_model::Decoder;
use longrope_trainer::thread_shares;

use crate::error::{Error, Result};

/// The model, once per worker.
#[derive(Clone, Debug)]
pub struct Models {
    replicas: Vec<Replica>,
}

/// The model on the device of one worker.
#[derive(Clone, Debug)]
pub struct Replica {
    /// The name of the device, for messages.
    pub device: String,
    /// The model. Clones share the weights.
    pub decoder: Decoder,
    /// Whether the device is this machine's CPU, which all such workers share.
    pub is_cpu: bool,
    /// Threads for parallel loops; `None` for all threads of this machine.
    pub n_threads: Option<usize>,
}

impl Replica {
    /// A replica on a device named `device` in messages.
    pub fn new(device: impl Into<String>, decoder: Decoder, is_cpu: bool) -> Self {
        Self {
            device: device.into(),
            decoder,
            is_cpu,
            n_threads: None,
        }
    }
}

impl Models {
    /// One worker per replica. Workers on this machine's CPU share its threads.
    ///
    /// # Errors
    /// [`Error::NoModel`] if there are no replicas.
    pub fn new(mut replicas: Vec<Replica>) -> Result<Self> {
        if replicas.is_empty() {
            return Err(Error::NoModel);
        }
        share_cpu(&mut replicas, rayon::current_num_threads());
        Ok(Self { replicas })
    }

    /// One worker, on the device that holds the model.
    pub fn of(decoder: &Decoder) -> Self {
        let name = format!("{:?}", decoder.device());
        Self {
            replicas: vec![Replica::new(name, decoder.clone(), false)],
        }
    }

    /// The model of the first replica.
    pub fn decoder(&self) -> &Decoder {
        &self.replicas[0].decoder
    }

    /// The model on each worker's device.
    pub fn replicas(&self) -> &[Replica] {
        &self.replicas
    }

    /// Whether the devices have different names.
    pub fn differ(&self) -> bool {
        let names: HashSet<&str> = self
            .replicas
            .iter()
            .map(|replica| replica.device.as_str())
            .collect();
        names.len() > 1
    }
}

/// Divides this machine's threads among the workers on its CPU.
fn share_cpu(replicas: &mut [Replica], n_threads: usize) {
    let is_on_cpu: Vec<bool> = replicas.iter().map(|replica| replica.is_cpu).collect();
    for (replica, share) in replicas
        .iter_mut()
        .zip(thread_shares(&is_on_cpu, n_threads))
    {
        replica.n_threads = share;
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::Path;

    use burn::tensor::Device;

    use super::*;

    /// A tiny model of the fixtures, once per name.
    pub(crate) fn tiny(devices: &[&str]) -> Models {
        let fixture = "../../tests/fixtures/models/llama-gqa-tied";
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(fixture);
        let decoder = Decoder::load(&folder, Device::flex()).expect("the fixture");
        let replicas = devices
            .iter()
            .map(|device| Replica::new(*device, decoder.clone(), true));
        Models::new(replicas.collect()).expect("at least one")
    }

    #[test]
    fn workers_on_the_cpu_share_its_threads() {
        let mut models = tiny(&["flex", "flex", "flex"]);
        assert!(!models.differ());
        let mut shares = |n_threads| -> Vec<Option<usize>> {
            share_cpu(&mut models.replicas, n_threads);
            models
                .replicas
                .iter()
                .map(|replica| replica.n_threads)
                .collect()
        };
        assert_eq!(shares(8), [Some(3), Some(3), Some(2)]);
        assert_eq!(shares(2), [Some(1); 3]);
        assert_eq!(tiny(&["flex"]).replicas[0].n_threads, None);
        assert!(matches!(Models::new(Vec::new()), Err(Error::NoModel)));
    }
}

//! The model on each of the configured devices.

use std::collections::HashSet;

use anyhow::Result;
use longrope_model::Decoder;

use crate::input;
use crate::input::device;
use crate::settings::config::Config;

/// The model, once per worker.
pub(crate) struct Models {
    replicas: Vec<Replica>,
}

/// The model on the device of one worker.
pub(crate) struct Replica {
    /// The name of the device.
    pub(crate) device: String,
    pub(crate) decoder: Decoder,
    /// Threads for parallel loops; `None` leaves it all that there are.
    pub(crate) n_threads: Option<usize>,
}

impl Models {
    /// Loads the model onto every configured device; onto each once, however many workers it has.
    pub(crate) fn load(config: &Config) -> Result<Self> {
        let names = config.device.names()?;
        let mut replicas: Vec<Replica> = Vec::with_capacity(names.len());
        for name in names {
            let decoder = match replicas.iter().find(|there| there.device == *name) {
                Some(there) => there.decoder.clone(),
                None => input::load_model_onto(config, name)?,
            };
            replicas.push(Replica {
                device: name.clone(),
                decoder,
                n_threads: None,
            });
        }
        share_cpu(&mut replicas, rayon::current_num_threads());
        Ok(Self { replicas })
    }

    /// A tiny model of the fixtures.
    #[cfg(test)]
    pub(crate) fn tiny(devices: &[&str]) -> Self {
        let fixture = "../../tests/fixtures/models/llama-gqa-tied";
        let names = devices.iter().map(|&name| name.to_owned()).collect();
        let config = Config {
            model: Some(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(fixture)),
            device: device::DeviceNames::Several(names),
            ..Config::default()
        };
        Self::load(&config).expect("the fixture")
    }

    /// The model, wherever it is.
    pub(crate) fn decoder(&self) -> &Decoder {
        &self.replicas[0].decoder
    }

    /// The model on each worker's device.
    pub(crate) fn replicas(&self) -> &[Replica] {
        &self.replicas
    }

    /// Whether there are devices of more than one name.
    pub(crate) fn differ(&self) -> bool {
        let names: HashSet<&str> = self.replicas.iter().map(|it| it.device.as_str()).collect();
        names.len() > 1
    }
}

/// Divides this machine's threads among the workers that compute on its processor.
fn share_cpu(replicas: &mut [Replica], n_threads: usize) {
    let on_cpu = |replica: &&mut Replica| device::is_cpu(&replica.device);
    let n_workers = replicas.iter_mut().filter(on_cpu).count();
    if n_workers < 2 {
        return;
    }
    for (index, replica) in replicas.iter_mut().filter(on_cpu).enumerate() {
        let share = n_threads / n_workers + usize::from(index < n_threads % n_workers);
        replica.n_threads = Some(share.max(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_on_the_processor_share_its_threads() {
        let mut models = Models::tiny(&["flex", "flex", "flex"]);
        assert!(!models.differ());
        let mut shares = |n_threads| -> Vec<Option<usize>> {
            share_cpu(&mut models.replicas, n_threads);
            models.replicas.iter().map(|it| it.n_threads).collect()
        };
        assert_eq!(shares(8), [Some(3), Some(3), Some(2)]);
        assert_eq!(shares(2), [Some(1); 3]);
        assert_eq!(Models::tiny(&["flex"]).replicas[0].n_threads, None);
    }
}

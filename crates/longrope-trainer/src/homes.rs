//! Where the gradients and the state of the optimizer are kept.

use std::collections::BTreeMap;

use burn::tensor::Device;
use longrope_model::{Decoder, Gradients, Trained};

/// The device that keeps the sum of the gradients of a parameter, and the state of the optimizer for it, by the name of the
/// parameter.
///
/// Devices that each have a copy of the model need both only once, so each keeps those of some parameters (Rajbhandari et al.,
/// arXiv 1910.02054, stage 2).
#[derive(Clone, Debug, Default)]
pub(crate) struct Homes(BTreeMap<String, Device>);

impl Homes {
    /// Gives every trained parameter of a model, in the order of computation, to the device that keeps the fewest numbers so far,
    /// of those that have it: those of the model and of its copies.
    pub(crate) fn spread(decoder: &mut Decoder, trained: Trained, copies: &[&Decoder]) -> Self {
        let selection = decoder.selection(trained);
        let mut sizes: Vec<(String, usize)> = Vec::new();
        decoder.for_each_parameter(|parameter| {
            if selection.includes(&parameter) {
                let n_numbers = parameter.shape().iter().product();
                sizes.push((parameter.name, n_numbers));
            }
        });
        let mut kept: Vec<(&Device, usize)> = Vec::new();
        let mut homes = Self::default();
        for (name, n_numbers) in sizes {
            let n_kept = |device: &&Device| {
                let same = kept.iter().find(|(other, _)| other == device);
                same.map_or(0, |(_, n)| *n)
            };
            let own = decoder.device_of(&name);
            let of_copies = copies.iter().map(|copy| copy.device_of(&name));
            // The first of several that keep as little.
            let home = of_copies.fold(own, |best, device| {
                if n_kept(&device) < n_kept(&best) {
                    device
                } else {
                    best
                }
            });
            match kept.iter_mut().find(|(device, _)| *device == home) {
                Some((_, n)) => *n += n_numbers,
                None => kept.push((home, n_numbers)),
            }
            homes.0.insert(name, home.clone());
        }
        homes
    }

    /// Moves gradients to the devices that keep them.
    pub(crate) fn gather(&self, gradients: Gradients) -> Gradients {
        gradients.placed(|name| self.0.get(name))
    }
}

#[cfg(test)]
mod tests {
    use longrope_model::{DecoderConfig, DecoderSizes};

    use super::*;

    #[expect(deprecated, reason = "an independent second backend to keep a copy on")]
    fn ndarray() -> Device {
        Device::ndarray()
    }

    fn decoder() -> Decoder {
        let sizes = DecoderSizes {
            vocab: 32,
            hidden: 16,
            layers: 4,
            heads: 2,
        };
        DecoderConfig::new(sizes).init(&Device::flex())
    }

    /// Numbers that are kept on a device.
    fn kept(homes: &Homes, decoder: &mut Decoder, device: &Device) -> usize {
        let mut n = 0;
        decoder.for_each_parameter(|parameter| {
            if homes.0.get(&parameter.name) == Some(device) {
                n += parameter.shape().iter().product::<usize>();
            }
        });
        n
    }

    #[test]
    fn two_devices_keep_half_each() {
        let mut decoder = decoder();
        let copy = decoder.placed_on(&ndarray().into());
        let homes = Homes::spread(&mut decoder, Trained::All, &[&copy]);
        let [one, other] =
            [Device::flex(), ndarray()].map(|device| kept(&homes, &mut decoder, &device));
        assert_eq!(one + other, decoder.config().n_parameters());
        // The largest parameter is a matrix of the MLP.
        assert!(one.abs_diff(other) <= 16 * 64, "{one}, {other}");
    }

    #[test]
    fn one_device_keeps_everything_and_gradients_stay_there() {
        let mut decoder = decoder();
        let homes = Homes::spread(&mut decoder, Trained::All, &[]);
        let all = kept(&homes, &mut decoder, &Device::flex());
        assert_eq!(all, decoder.config().n_parameters());
        let mut gradients = Gradients::default();
        let name = "model.norm.weight".to_owned();
        gradients.add(name.clone(), burn::tensor::Tensor::zeros([16], &ndarray()));
        let moved = homes.gather(gradients.clone()).take(&name).unwrap();
        assert_eq!(moved.device(), Device::flex());
        // Without homes, nothing is moved.
        let left = Homes::default().gather(gradients).take(&name).unwrap();
        assert_eq!(left.device(), ndarray());
    }
}

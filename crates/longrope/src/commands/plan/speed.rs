//! How fast a device computes.

use std::time::Instant;

use burn::tensor::{Device, Distribution, Tensor};

/// Measures the operations per second of a matrix product. Takes the best of several, because the first ones start
/// threads.
pub(super) fn measure_flops(device: &Device) -> f64 {
    const ROWS: usize = 768;
    let shape = [ROWS, ROWS];
    let a = Tensor::<2>::random(shape, Distribution::Default, device);
    let b = Tensor::<2>::random(shape, Distribution::Default, device);
    let mut best = f64::INFINITY;
    for _ in 0..12 {
        let started = Instant::now();
        // Reading a number waits until the product is computed.
        let _ = a.clone().matmul(b.clone()).sum().into_data();
        best = best.min(started.elapsed().as_secs_f64());
    }
    2.0 * (ROWS as f64).powi(3) / best
}

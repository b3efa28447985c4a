//! Every operation on the CPU, forward and with gradients, for several lengths and widths.
//!
//! ```text
//! cargo bench --workspace --bench operations
//! ```
//!
//! The throughput of attention counts only the products that a causal mask does not hide: `2 · 2 · heads · head_dim ·
//! seq² / 2` operations forward, and two and a half times as many backward.
#![recursion_limit = "256"]

use burn::tensor::{Device, Distribution, Int, Tensor};
use divan::Bencher;
use divan::counter::ItemsCount;
use longrope_kernels::{
    AttentionConfig, attention, attention_with_sinks, linear_nll, rms_norm, rotate_half,
    rotate_interleaved, swiglu,
};

/// The allocator of the `longrope` program. With the system's allocator, freeing memory takes a third of the time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const HEADS: usize = 4;
const HIDDEN: usize = 512;
const VOCAB: usize = 32_000;
/// Number of tokens, for operations whose time is linear in it.
const ROWS: usize = 4096;

fn main() {
    divan::main();
}

fn random<const D: usize>(dims: [usize; D], grad: bool) -> Tensor<D> {
    let device = Device::flex();
    let device = if grad { device.autodiff() } else { device };
    Tensor::random(dims, Distribution::Normal(0.0, 1.0), &device).set_require_grad(grad)
}

/// Times `operation`, with its backward pass if `grad`.
fn time<const D: usize>(bencher: Bencher, grad: bool, operation: impl Fn() -> Tensor<D> + Sync) {
    if grad {
        bencher.bench_local(|| operation().sum().backward());
    } else {
        bencher.bench_local(operation);
    }
}

#[divan::bench(args = [1024, 4096, 8192], consts = [64, 128], sample_count = 5)]
fn attention_forward<const HEAD_DIM: usize>(bencher: Bencher, seq: usize) {
    attend::<HEAD_DIM>(bencher, seq, false);
}

#[divan::bench(args = [1024, 4096, 8192], consts = [64, 128], sample_count = 5)]
fn attention_with_gradients<const HEAD_DIM: usize>(bencher: Bencher, seq: usize) {
    attend::<HEAD_DIM>(bencher, seq, true);
}

fn attend<const HEAD_DIM: usize>(bencher: Bencher, seq: usize, grad: bool) {
    let [q, k, v] = [(); 3].map(|()| random([1, HEADS, seq, HEAD_DIM], grad));
    let products = 2 * HEADS * HEAD_DIM * seq * seq / 2;
    let operations = if grad { 7 * products } else { 2 * products };
    let bencher = bencher.counter(ItemsCount::new(operations));
    time(bencher, grad, || {
        let config = AttentionConfig::causal(HEAD_DIM);
        attention(q.clone(), k.clone(), v.clone(), config)
    });
}

/// The time is to be proportional to the window while that is longer than a tile of keys.
#[divan::bench(args = [512, 2048, 16_384], consts = [false, true], sample_count = 3)]
fn attention_in_a_window<const GRAD: bool>(bencher: Bencher, window: usize) {
    let [q, k, v] = [(); 3].map(|()| random([1, HEADS, 16_384, 64], GRAD));
    time(bencher, GRAD, || {
        let config = AttentionConfig {
            window: Some(window),
            ..AttentionConfig::causal(64)
        };
        attention(q.clone(), k.clone(), v.clone(), config)
    });
}

#[divan::bench(args = [false, true], sample_count = 5)]
fn attention_with_a_soft_cap_and_sinks(bencher: Bencher, grad: bool) {
    let [q, k, v] = [(); 3].map(|()| random([1, HEADS, ROWS, 64], grad));
    let sinks = random([HEADS], grad);
    time(bencher, grad, || {
        let config = AttentionConfig {
            softcap: Some(50.0),
            ..AttentionConfig::causal(64)
        };
        let (q, k, v) = (q.clone(), k.clone(), v.clone());
        attention_with_sinks(q, k, v, sinks.clone(), config)
    });
}

#[divan::bench(args = [false, true], sample_count = 5)]
fn loss(bencher: Bencher, grad: bool) {
    let hidden = random([ROWS, HIDDEN], grad);
    let weight = random([VOCAB, HIDDEN], grad);
    let targets = Tensor::<1, Int>::arange(0..i64::try_from(ROWS).unwrap_or(0), &Device::flex());
    time(bencher, grad, || {
        linear_nll(hidden.clone(), weight.clone(), targets.clone(), None)
    });
}

#[divan::bench(args = [false, true])]
fn norm(bencher: Bencher, grad: bool) {
    let (x, weight) = (random([1, ROWS, HIDDEN], grad), random([HIDDEN], grad));
    time(bencher, grad, || rms_norm(x.clone(), weight.clone(), 1e-5));
}

#[divan::bench(args = [false, true])]
fn rotation(bencher: Bencher, grad: bool) {
    let x = random([1, HEADS, ROWS, HIDDEN / HEADS], grad);
    let [cos, sin] = [(); 2].map(|()| random([ROWS, HIDDEN / HEADS / 2], false));
    time(bencher, grad, || {
        rotate_half(x.clone(), cos.clone(), sin.clone())
    });
}

#[divan::bench(args = [false, true])]
fn rotation_of_neighbours(bencher: Bencher, grad: bool) {
    let x = random([1, HEADS, ROWS, HIDDEN / HEADS], grad);
    let [cos, sin] = [(); 2].map(|()| random([ROWS, HIDDEN / HEADS / 2], false));
    time(bencher, grad, || {
        rotate_interleaved(x.clone(), cos.clone(), sin.clone())
    });
}

#[divan::bench(args = [false, true])]
fn gated_activation(bencher: Bencher, grad: bool) {
    let [gate, up] = [(); 2].map(|()| random([1, ROWS, HIDDEN], grad));
    time(bencher, grad, || swiglu(gate.clone(), up.clone()));
}

//! Times one operation of `longrope-kernels` and prints a line of JSON.
//!
//! ```text
//! cargo run --release --example kernel_times -- attention --seq 4096 --heads 4 --head-dim 64
//! ```
//!
//! `benches/compare_kernels.py` runs this example and PyTorch alternately, on the same shapes and cores.
#![expect(clippy::print_stdout, reason = "an example prints its result")]
#![recursion_limit = "256"]

use std::time::Instant;

use anyhow::Result;
use burn::tensor::{Device, Distribution, FloatDType, Int, Tensor};
use clap::{Parser, ValueEnum};
use longrope_kernels::{AttentionConfig, attention, linear_nll, rms_norm, rotate_half, swiglu};

/// The program uses it too: otherwise, returning memory to the kernel takes a third of the time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Operation {
    Attention,
    Loss,
    RmsNorm,
    Rotate,
    Swiglu,
}

/// Times one operation.
#[derive(Parser)]
struct Args {
    operation: Operation,
    #[arg(long, default_value_t = 4096)]
    seq: usize,
    #[arg(long, default_value_t = 4)]
    heads: usize,
    /// Heads of keys and values; default: `--heads`.
    #[arg(long)]
    kv_heads: Option<usize>,
    #[arg(long, default_value_t = 64)]
    head_dim: usize,
    /// Width of rows; default: heads times head dimension.
    #[arg(long)]
    hidden: Option<usize>,
    #[arg(long, default_value_t = 32_000)]
    vocab: usize,
    /// Time the forward and the backward pass together.
    #[arg(long)]
    backward: bool,
    /// Number of runs after one warmup run; the best counts.
    #[arg(long, default_value_t = 5)]
    repeat: usize,
    /// Device to compute on: flex, wgpu:cpu or cuda.
    #[arg(long, default_value = "flex")]
    device: String,
    /// Type of all numbers.
    #[arg(long, default_value = "f32")]
    dtype: Type,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Type {
    F32,
    F16,
    Bf16,
}

/// Opens the device, for tensors of the type.
fn open(args: &Args) -> Result<Device> {
    let mut device = match args.device.as_str() {
        "flex" => Device::flex(),
        #[cfg(feature = "wgpu")]
        "wgpu:cpu" => Device::wgpu(burn::tensor::DeviceKind::Cpu),
        #[cfg(feature = "cuda")]
        "cuda" => Device::cuda(0),
        other => anyhow::bail!("device `{other}` is unknown, or this example was built without it"),
    };
    let dtype = match args.dtype {
        Type::F32 => FloatDType::F32,
        Type::F16 => FloatDType::F16,
        Type::Bf16 => FloatDType::BF16,
    };
    device.configure(dtype)?;
    Ok(if args.backward {
        device.autodiff()
    } else {
        device
    })
}

fn main() -> Result<()> {
    let args = Args::parse();
    let device = open(&args)?;
    let start_kib = status_kib("VmRSS:");
    let inputs = Inputs::new(&args, &device);
    let mut best = f64::INFINITY;
    for run in 0..=args.repeat {
        let start = Instant::now();
        let output = inputs.run(args.operation);
        if args.backward {
            let gradients = output.backward();
            drop(gradients);
        }
        device.sync()?;
        if run > 0 {
            best = best.min(start.elapsed().as_secs_f64());
        }
    }
    println!(
        "{}",
        serde_json::json!({
            "operation": format!("{:?}", args.operation),
            "backward": args.backward,
            "seconds": best,
            "start_kib": start_kib,
            "peak_kib": status_kib("VmHWM:"),
        })
    );
    Ok(())
}

/// Input tensors of the operation; unused ones are empty.
struct Inputs {
    heads: [Tensor<4>; 3],
    tables: [Tensor<2>; 2],
    rows: [Tensor<3>; 2],
    weight: Tensor<1>,
    head: Tensor<2>,
    targets: Tensor<1, Int>,
    head_dim: usize,
}

impl Inputs {
    fn new(args: &Args, device: &Device) -> Self {
        use Operation::{Attention, Loss, RmsNorm, Rotate, Swiglu};
        let normal = Distribution::Normal(0.0, 1.0);
        let track = |needed: bool| move |seq: usize| if needed { seq } else { 1 };
        let kv_heads = args.kv_heads.unwrap_or(args.heads);
        let hidden = args.hidden.unwrap_or(args.heads * args.head_dim);
        let attends = track(matches!(args.operation, Attention | Rotate))(args.seq);
        let wide = track(matches!(args.operation, RmsNorm | Swiglu | Loss))(args.seq);
        let vocab = track(matches!(args.operation, Loss))(args.vocab);
        let grad = args.backward;
        let heads = |n| {
            let shape = [1, n, attends, args.head_dim];
            Tensor::<4>::random(shape, normal, device).set_require_grad(grad)
        };
        let rows = || Tensor::<3>::random([1, wide, hidden], normal, device).set_require_grad(grad);
        let table = || Tensor::<2>::random([attends, args.head_dim / 2], normal, device);
        let targets = (0..wide).map(|i| i32::try_from(i * 31 % vocab).unwrap_or(0));
        let targets: Vec<i32> = targets.collect();
        Self {
            heads: [heads(args.heads), heads(kv_heads), heads(kv_heads)],
            tables: [table(), table()],
            rows: [rows(), rows()],
            weight: Tensor::<1>::ones([hidden], device).set_require_grad(grad),
            head: Tensor::<2>::random([vocab, hidden], Distribution::Normal(0.0, 0.05), device)
                .set_require_grad(grad),
            targets: Tensor::<1, Int>::from_ints(targets.as_slice(), device),
            head_dim: args.head_dim,
        }
    }

    /// The operation, summed so that every element of the result has a gradient.
    fn run(&self, operation: Operation) -> Tensor<1> {
        let [query, key, value] = self.heads.clone();
        let [x, up] = self.rows.clone();
        let [cos, sin] = self.tables.clone();
        match operation {
            Operation::Attention => {
                attention(query, key, value, AttentionConfig::causal(self.head_dim)).sum()
            }
            Operation::Loss => {
                let [_, rows, hidden] = x.dims();
                let hidden = x.reshape([rows, hidden]);
                linear_nll(hidden, self.head.clone(), self.targets.clone(), None).sum()
            }
            Operation::RmsNorm => rms_norm(x, self.weight.clone(), 1e-5).sum(),
            Operation::Rotate => rotate_half(query, cos, sin).sum(),
            Operation::Swiglu => swiglu(x, up).sum(),
        }
    }
}

/// A memory figure of this process, or 0 if the system does not provide it.
fn status_kib(name: &str) -> u64 {
    fs_err::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| {
            let line = status.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1)?.parse().ok()
        })
        .unwrap_or(0)
}

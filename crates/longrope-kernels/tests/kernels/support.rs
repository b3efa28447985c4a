//! Devices, numbers, tensors and comparison.

use burn::tensor::{DType, Device, Gradients, Tensor, TensorData};

/// The device under test: `LONGROPE_DEVICE`, or flex if it is not set.
#[expect(
    clippy::disallowed_methods,
    reason = "the environment selects the backend of these tests"
)]
pub(crate) fn device() -> Device {
    match std::env::var("LONGROPE_DEVICE").as_deref() {
        #[cfg(feature = "ndarray")]
        Ok("ndarray") =>
        {
            #[expect(deprecated, reason = "ndarray is still supported")]
            Device::ndarray()
        }
        #[cfg(feature = "vulkan")]
        Ok("vulkan:cpu") => Device::vulkan(burn::tensor::DeviceKind::Cpu),
        #[cfg(feature = "wgpu")]
        Ok("wgpu:cpu") => Device::wgpu(burn::tensor::DeviceKind::Cpu),
        #[cfg(feature = "cuda")]
        Ok("cuda") => Device::cuda(0),
        #[cfg(all(feature = "remote", feature = "flex"))]
        Ok("remote") => remote(),
        #[cfg(feature = "flex")]
        Ok("flex") | Err(_) => Device::flex(),
        other => {
            panic!("LONGROPE_DEVICE is {other:?}, but these tests were built without that backend")
        }
    }
}

/// Flex, through a connection to a server in this process.
#[cfg(all(feature = "remote", feature = "flex"))]
fn remote() -> Device {
    use burn::remote::RemoteHost;
    use burn::server::WebSocketTransport;
    static DEVICE: std::sync::OnceLock<Device> = std::sync::OnceLock::new();
    let connect = || {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("the socket is bound");
        std::thread::spawn(move || {
            longrope_kernels::remote_server(vec![Device::flex()])
                .serve(WebSocketTransport::from_listener(listener))
        });
        let host = RemoteHost::websocket(&format!("ws://{address}"));
        Device::remote_options(&host)
            .init()
            .expect("the server answers")
    };
    DEVICE.get_or_init(connect).clone()
}

/// Whether the device under test is a GPU, or a software driver for one.
///
/// GPUs compile a kernel for each shape, and software drivers are slow, so they are tested with fewer shapes.
pub(crate) fn is_gpu() -> bool {
    let name = format!("{:?}", device());
    !["Flex", "NdArray", "Remote"]
        .iter()
        .any(|cpu| name.contains(cpu))
}

/// Number of random cases of a property test.
pub(crate) fn n_cases() -> u32 {
    if is_gpu() { 2 } else { 24 }
}

/// Precisions to test in, each with the largest difference allowed, relative to the largest number of the tensor.
///
/// Sums of up to a thousand terms have an error of about 1e-13 in f64 and 1e-6 in f32. GPUs round exponentials and
/// products of f32 more coarsely, and few support f64. Results are rounded to 11 bits in f16 and 8 in bf16; the layers of a
/// test add up a few such errors.
pub(crate) fn precisions() -> Vec<(DType, f64)> {
    if !is_gpu() {
        return vec![(DType::F64, 1e-9), (DType::F32, 1e-5)];
    }
    let all = [(DType::F32, 1e-4), (DType::F16, 5e-3), (DType::BF16, 4e-2)];
    let device = device();
    all.into_iter()
        .filter(|(dtype, _)| device.supports_dtype(*dtype))
        .collect()
}

/// Deterministic numbers in (-1, 1).
pub(crate) fn numbers(n: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..n)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            // Multiples of 1/1024, so that all precisions from f16 on start from the same numbers.
            let unit = (state >> 53) as f64 / (1u64 << 11) as f64;
            2.0 * unit - 1.0
        })
        .collect()
}

pub(crate) fn scaled(numbers: Vec<f64>, factor: f64) -> Vec<f64> {
    numbers.into_iter().map(|x| x * factor).collect()
}

pub(crate) fn tensor<const D: usize>(
    values: &[f64],
    dims: [usize; D],
    dtype: DType,
    device: &Device,
) -> Tensor<D> {
    let data = TensorData::new(values.to_vec(), dims).convert_dtype(dtype);
    Tensor::from_data(data, (device, dtype))
}

/// Like [`tensor`], but tracked by autodiff.
pub(crate) fn tracked<const D: usize>(
    values: &[f64],
    dims: [usize; D],
    dtype: DType,
    device: &Device,
) -> Tensor<D> {
    tensor(values, dims, dtype, device)
        .autodiff()
        .require_grad()
}

pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

pub(crate) fn gradient<const D: usize>(of: &Tensor<D>, gradients: &Gradients) -> Vec<f64> {
    values(of.grad(gradients).expect("the tensor is tracked"))
}

/// Lower bound for the scale that errors are relative to: a gradient that is zero by cancellation is only as exact as
/// the terms that cancel.
const SMALLEST_SCALE: f64 = 0.1;

pub(crate) fn assert_close(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected
        .iter()
        .fold(SMALLEST_SCALE, |max, x| x.abs().max(max));
    for (at, (x, y)) in found.iter().zip(expected).enumerate() {
        let off = (x - y).abs() / largest;
        assert!(
            off <= tolerance,
            "{what} at {at}: {x} is not {y}, off by {off:e}"
        );
    }
}

//! Devices of another process: each operation is sent as one named message, and the server runs the implementation of
//! its own backend.
//!
//! Composed of Burn's operations, attention alone would take hundreds of messages per layer. And a device gives the
//! same numbers whether it is used directly or through a connection. Backward passes use the composed implementations,
//! since nothing trains through a connection.

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{DispatchDevice, Remote, TensorMetadata};
use burn::remote::CustomOpClient;
use burn::server::{CustomOpIr, HandleContainer, RemoteServer};
use burn::tensor::{DType, Device, Shape};
use burn_ir::{BackendIr, ScalarIr, TensorIr};

use super::kernels::{Kernels, Saved};
use crate::attention::config::AttentionConfig;
use crate::attention::documents::Documents;
use crate::composed::steps::Steps;
use crate::composed::wide;
use crate::pairs::Pairs;

const ATTENTION: &str = "longrope.attention";
const ATTENTION_WITH_SINKS: &str = "longrope.attention_with_sinks";
const ATTENTION_WITH_LOG_SUM_EXP: &str = "longrope.attention_with_log_sum_exp";
const LINEAR: &str = "longrope.linear";
const LINEAR_NLL: &str = "longrope.linear_nll";
const RMS_NORM: &str = "longrope.rms_norm";
const ROTATE: &str = "longrope.rotate";
const SWIGLU: &str = "longrope.swiglu";

/// A server that gives other processes access to `devices` and also runs the operations of this crate.
///
/// All devices must belong to one backend; otherwise [`RemoteServer::serve`] fails. Client and server must be built
/// from the same version of this crate.
pub fn remote_server(devices: Vec<Device>) -> RemoteServer {
    let first = devices.first().map(|device| device.clone().inner());
    let server = RemoteServer::new(devices);
    // A server rejects operations registered for a backend that it does not serve.
    match first.as_ref().map(Device::as_dispatch) {
        #[cfg(feature = "flex")]
        Some(DispatchDevice::Flex(_)) => host::<burn::backend::Flex>(server),
        #[cfg(feature = "ndarray")]
        Some(DispatchDevice::NdArray(_)) => host::<burn::backend::NdArray>(server),
        #[cfg(feature = "cube")]
        Some(DispatchDevice::Cube(_)) => host::<burn::backend::Cube>(server),
        _ => server,
    }
}

impl Steps for Remote {}

/// The client.
impl Kernels for Remote {
    fn attention_forward(
        [query, key, value]: [FloatTensor<Self>; 3],
        sinks: Option<FloatTensor<Self>>,
        config: &AttentionConfig,
    ) -> Saved<Self> {
        let (shape, dtype) = (query.shape(), query.dtype());
        let scalars = scalars_of(config);
        let output = match sinks {
            None => ask(ATTENTION, [query, key, value], scalars, shape, dtype),
            Some(sinks) => {
                let inputs = [query, key, value, sinks];
                ask(ATTENTION_WITH_SINKS, inputs, scalars, shape, dtype)
            }
        };
        Saved {
            output,
            log_sum_exp: None,
        }
    }

    fn attention_log_sum_exp(
        inputs: [FloatTensor<Self>; 3],
        config: &AttentionConfig,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let (shape, dtype) = (inputs[0].shape(), inputs[0].dtype());
        let [batch, n_heads, seq_q, _] = shape.dims();
        let sums = Shape::from([batch, n_heads, seq_q]);
        let outputs = [(shape, dtype), (sums, wide(dtype))];
        let scalars = scalars_of(config);
        let [output, sums] = ask_for(ATTENTION_WITH_LOG_SUM_EXP, inputs, scalars, outputs);
        (output, sums)
    }

    fn linear_forward(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        let ([rows, _], [out, _]) = (x.shape().dims(), weight.shape().dims());
        let dtype = x.dtype();
        ask(
            LINEAR,
            [x, weight],
            Vec::new(),
            Shape::from([rows, out]),
            dtype,
        )
    }

    fn linear_nll_forward(
        hidden: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: IntTensor<Self>,
        softcap: Option<f64>,
    ) -> (FloatTensor<Self>, Option<FloatTensor<Self>>) {
        let (shape, dtype) = (targets.shape(), wide(hidden.dtype()));
        let inputs = [hidden, weight, targets];
        let scalars = vec![scalar_of_softcap(softcap)];
        (ask(LINEAR_NLL, inputs, scalars, shape, dtype), None)
    }

    fn rms_norm_forward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let (shape, dtype) = (x.shape(), x.dtype());
        let scalars = vec![ScalarIr::Float(epsilon)];
        ask(RMS_NORM, [x, weight], scalars, shape, dtype)
    }

    fn rotate_forward(
        x: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        pairs: Pairs,
    ) -> FloatTensor<Self> {
        let (shape, dtype) = (x.shape(), x.dtype());
        let scalars = vec![ScalarIr::Bool(pairs == Pairs::Neighbours)];
        ask(ROTATE, [x, cos, sin], scalars, shape, dtype)
    }

    fn swiglu_forward(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self> {
        let (shape, dtype) = (gate.shape(), gate.dtype());
        ask(SWIGLU, [gate, up], Vec::new(), shape, dtype)
    }
}

/// Sends an operation with one output. Integer and float tensors have the same type of handle.
fn ask<const N: usize>(
    id: &'static str,
    inputs: [FloatTensor<Remote>; N],
    scalars: Vec<ScalarIr>,
    shape: Shape,
    dtype: DType,
) -> FloatTensor<Remote> {
    let [output] = ask_for(id, inputs, scalars, [(shape, dtype)]);
    output
}

/// Sends an operation with outputs of these shapes and types.
fn ask_for<const N: usize, const M: usize>(
    id: &'static str,
    inputs: [FloatTensor<Remote>; N],
    scalars: Vec<ScalarIr>,
    outputs: [(Shape, DType); M],
) -> [FloatTensor<Remote>; M] {
    let client = CustomOpClient::new(&inputs[0].device());
    let outputs =
        outputs.map(|(shape, dtype)| TensorIr::uninit(client.create_empty_handle(), shape, dtype));
    let inputs = inputs.map(FloatTensor::<Remote>::into_ir);
    let operation = CustomOpIr::with_scalars(id, &inputs, &outputs, scalars);
    let Ok(answers) = client.register(operation).try_into() else {
        unreachable!("an operation answers with one tensor for each of its outputs");
    };
    answers
}

/// Registers the operations on the server.
fn host<B: Kernels + BackendIr>(server: RemoteServer) -> RemoteServer {
    server
        .with_custom_op::<B, _>(ATTENTION, |handles, operation, _| {
            let inputs = floats::<B, 3>(handles, operation);
            let config = config_of(&operation.scalars);
            let saved = B::attention_forward(inputs, None, &config);
            answer::<B>(handles, operation, saved.output);
        })
        .with_custom_op::<B, _>(ATTENTION_WITH_SINKS, |handles, operation, _| {
            let [query, key, value, sinks] = floats::<B, 4>(handles, operation);
            let config = config_of(&operation.scalars);
            let saved = B::attention_forward([query, key, value], Some(sinks), &config);
            answer::<B>(handles, operation, saved.output);
        })
        .with_custom_op::<B, _>(ATTENTION_WITH_LOG_SUM_EXP, |handles, operation, _| {
            let inputs = floats::<B, 3>(handles, operation);
            let config = config_of(&operation.scalars);
            let (output, sums) = B::attention_log_sum_exp(inputs, &config);
            handles.register_float_tensor::<B>(&operation.outputs[0].id, output);
            handles.register_float_tensor::<B>(&operation.outputs[1].id, sums);
        })
        .with_custom_op::<B, _>(LINEAR, |handles, operation, _| {
            let [x, weight] = floats::<B, 2>(handles, operation);
            answer::<B>(handles, operation, B::linear_forward(x, weight));
        })
        .with_custom_op::<B, _>(LINEAR_NLL, |handles, operation, _| {
            let [hidden, weight] = floats::<B, 2>(handles, operation);
            let targets = handles.get_int_tensor::<B>(&operation.inputs[2]);
            let softcap = softcap_of(&operation.scalars[0]);
            let (nll, _) = B::linear_nll_forward(hidden, weight, targets, softcap);
            answer::<B>(handles, operation, nll);
        })
        .with_custom_op::<B, _>(RMS_NORM, |handles, operation, _| {
            let [x, weight] = floats::<B, 2>(handles, operation);
            let epsilon = operation.scalars[0].elem();
            answer::<B>(handles, operation, B::rms_norm_forward(x, weight, epsilon));
        })
        .with_custom_op::<B, _>(ROTATE, |handles, operation, _| {
            let [x, cos, sin] = floats::<B, 3>(handles, operation);
            let pairs = match operation.scalars[0] {
                ScalarIr::Bool(true) => Pairs::Neighbours,
                _ => Pairs::Halves,
            };
            answer::<B>(handles, operation, B::rotate_forward(x, cos, sin, pairs));
        })
        .with_custom_op::<B, _>(SWIGLU, |handles, operation, _| {
            let [gate, up] = floats::<B, 2>(handles, operation);
            answer::<B>(handles, operation, B::swiglu_forward(gate, up));
        })
}

/// The first `N` inputs of an operation, as float tensors.
fn floats<B: BackendIr, const N: usize>(
    handles: &mut HandleContainer<B::Handle>,
    operation: &CustomOpIr,
) -> [FloatTensor<B>; N] {
    std::array::from_fn(|index| handles.get_float_tensor::<B>(&operation.inputs[index]))
}

fn answer<B: BackendIr>(
    handles: &mut HandleContainer<B::Handle>,
    operation: &CustomOpIr,
    output: FloatTensor<B>,
) {
    handles.register_float_tensor::<B>(&operation.outputs[0].id, output);
}

/// Encodes a soft cap, 0 for none.
fn scalar_of_softcap(softcap: Option<f64>) -> ScalarIr {
    ScalarIr::Float(softcap.unwrap_or(0.0))
}

/// The inverse of [`scalar_of_softcap`].
fn softcap_of(scalar: &ScalarIr) -> Option<f64> {
    let cap = scalar.elem::<f64>();
    (cap > 0.0).then_some(cap)
}

/// Encodes scale, soft cap and window (0 for none) and, if there are documents, the length of a sequence and the start
/// position of the document at each position.
fn scalars_of(config: &AttentionConfig) -> Vec<ScalarIr> {
    let number = |n: usize| ScalarIr::UInt(n as u64);
    let mut scalars = vec![
        ScalarIr::Float(config.scale),
        scalar_of_softcap(config.softcap),
        number(config.window.unwrap_or(0)),
    ];
    if let Some(documents) = &config.documents {
        scalars.push(number(documents.seq()));
        scalars.extend(documents.starts().iter().map(|start| number(*start)));
    }
    scalars
}

/// The inverse of [`scalars_of`].
fn config_of(scalars: &[ScalarIr]) -> AttentionConfig {
    let number = |scalar: &ScalarIr| usize::try_from(scalar.elem::<u64>()).unwrap_or(usize::MAX);
    let window = number(&scalars[2]);
    AttentionConfig {
        scale: scalars[0].elem(),
        softcap: softcap_of(&scalars[1]),
        window: (window > 0).then_some(window),
        documents: scalars.get(3).map(|seq| {
            let starts = scalars[4..].iter().map(number).collect();
            Documents::from_starts(starts, number(seq))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_attention_survive_the_journey() {
        let packed = Documents::from_lengths(&[vec![2, 1, 3], vec![6]]);
        for (softcap, window, documents) in [
            (None, None, None),
            (None, Some(7), None),
            (Some(50.0 + f64::EPSILON), Some(2), Some(packed)),
        ] {
            let config = AttentionConfig {
                scale: 0.1 + f64::EPSILON,
                softcap,
                window,
                documents,
            };
            assert_eq!(config_of(&scalars_of(&config)), config);
        }
    }
}

//! Hand-written kernels for Burn's Flex backend.
//!
//! They compute in `f32`. Attention and loss convert `f16` and `bf16` inputs to `f32` and round the results. Products with
//! weights widen those in half precision a block at a time. Everything else uses the composed implementations. Kernels read
//! through strides, so views made by reshapes, transposes and slices are not copied first.

mod attention;
mod elementwise;
mod linear;
mod loss;
mod matrix;
mod product;
mod shared;
mod simd;
mod softcap;
mod view;
mod weight;

use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Flex, FloatDType};
use burn::tensor::DType;
use burn_flex::FlexTensor;

use crate::attention::config::AttentionConfig;
use crate::backend::kernels::{
    AttentionGradients, Kernels, Saved, composed_attention_backward, composed_linear_nll,
    composed_linear_nll_backward,
};
use crate::composed::steps::Steps;
use crate::composed::{self, CHUNK_BYTES, Float};
use crate::linear::FEW_ROWS;
use crate::pairs::Pairs;

/// Whether the kernels of attention and loss support the type of this tensor.
fn computes_in_f32(tensor: &FloatTensor<Flex>) -> bool {
    matches!(tensor.dtype(), DType::F32 | DType::F16 | DType::BF16)
}

fn are_f32(tensors: [&FlexTensor; 2]) -> bool {
    tensors.map(FlexTensor::dtype) == [DType::F32; 2]
}

fn widen(tensor: FloatTensor<Flex>) -> FloatTensor<Flex> {
    round_to(tensor, DType::F32)
}

/// A weight that is read in blocks: as it is if it can be, else in `f32`.
fn readable(weight: FloatTensor<Flex>) -> FloatTensor<Flex> {
    if weight::is_readable(&weight) {
        weight
    } else {
        widen(weight)
    }
}

fn round_to(tensor: FloatTensor<Flex>, dtype: DType) -> FloatTensor<Flex> {
    if tensor.dtype() == dtype {
        return tensor;
    }
    Flex::float_cast(tensor, FloatDType::from(dtype))
}

impl Steps for Flex {}

impl Kernels for Flex {
    fn attention_forward(
        inputs: [FloatTensor<Self>; 3],
        sinks: Option<FloatTensor<Self>>,
        config: &AttentionConfig,
    ) -> Saved<Self> {
        if !computes_in_f32(&inputs[0]) {
            return Saved::composed(inputs, sinks, config);
        }
        let dtype = inputs[0].dtype();
        let (inputs, sinks) = (inputs.map(widen), sinks.map(widen));
        let (output, log_sum_exp) = attention::attention(inputs.each_ref(), sinks.as_ref(), config);
        Saved {
            output: round_to(output, dtype),
            log_sum_exp: Some(log_sum_exp),
        }
    }

    fn attention_log_sum_exp(
        inputs: [FloatTensor<Self>; 3],
        config: &AttentionConfig,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        if !computes_in_f32(&inputs[0]) {
            let inputs = inputs.map(Float::<Self>);
            let (output, sums) = composed::attention(inputs, None, config, CHUNK_BYTES);
            return (output.0, sums.0);
        }
        let dtype = inputs[0].dtype();
        let inputs = inputs.map(widen);
        let (output, sums) = attention::attention(inputs.each_ref(), None, config);
        let to_natural = std::f64::consts::LN_2;
        (
            round_to(output, dtype),
            Flex::float_mul_scalar(sums, to_natural.into()),
        )
    }

    fn attention_backward(
        inputs: [FloatTensor<Self>; 3],
        sinks: Option<FloatTensor<Self>>,
        saved: Saved<Self>,
        grad: FloatTensor<Self>,
        config: &AttentionConfig,
    ) -> AttentionGradients<Self> {
        let log_sum_exp = match &saved.log_sum_exp {
            Some(log_sum_exp) if computes_in_f32(&inputs[0]) => log_sum_exp.clone(),
            _ => return composed_attention_backward(inputs, sinks, saved, grad, config),
        };
        let dtype = inputs[0].dtype();
        let inputs = inputs.map(widen);
        let [output, grad] = [saved.output, grad].map(widen);
        let d_sinks = sinks.map(|sinks| {
            let dtype = sinks.dtype();
            let gradient = attention::sinks_backward(&widen(sinks), &output, &log_sum_exp, &grad);
            round_to(gradient, dtype)
        });
        let inputs = inputs.each_ref();
        let gradients = attention::attention_backward(inputs, &output, &log_sum_exp, &grad, config);
        (gradients.map(|gradient| round_to(gradient, dtype)), d_sinks)
    }

    fn linear_forward(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        if x.dtype() != DType::F32 || !weight::is_readable(&weight) {
            return composed::linear::<Self>(Float(x), Float(weight)).0;
        }
        if weight.dtype() == DType::F32 && x.layout().shape()[0] > FEW_ROWS {
            return product::of_rows(&x, &weight);
        }
        linear::linear(&x, &weight)
    }

    fn linear_backward(weight: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        if !are_f32([&weight, &grad]) {
            return composed::linear_backward::<Self>(Float(weight), Float(grad)).0;
        }
        product::of_columns(&grad, &weight)
    }

    fn linear_backward_of_weight(
        x: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        if !are_f32([&x, &grad]) {
            return composed::linear_backward_of_weight::<Self>(Float(x), Float(grad)).0;
        }
        product::over_rows(&grad, &x)
    }

    fn linear_nll_forward(
        hidden: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: IntTensor<Self>,
        softcap: Option<f64>,
    ) -> (FloatTensor<Self>, Option<FloatTensor<Self>>) {
        if !computes_in_f32(&hidden) {
            let inputs = [hidden, weight];
            let [nll, sums] = composed_linear_nll::<Self>(inputs, targets, softcap);
            return (nll, Some(sums));
        }
        let (nll, log_sum_exp) =
            loss::linear_nll(&widen(hidden), &readable(weight), &targets, softcap);
        (nll, Some(log_sum_exp))
    }

    fn linear_nll_backward(
        [hidden, weight]: [FloatTensor<Self>; 2],
        targets: IntTensor<Self>,
        softcap: Option<f64>,
        log_sum_exp: Option<FloatTensor<Self>>,
        grad: FloatTensor<Self>,
        needs_weight: bool,
    ) -> (FloatTensor<Self>, Option<FloatTensor<Self>>) {
        let log_sum_exp = match log_sum_exp {
            Some(log_sum_exp) if computes_in_f32(&hidden) => log_sum_exp,
            other => {
                let inputs = [hidden, weight];
                return composed_linear_nll_backward::<Self>(
                    inputs,
                    targets,
                    softcap,
                    other,
                    grad,
                    needs_weight,
                );
            }
        };
        let (dtype, weight_dtype) = (hidden.dtype(), weight.dtype());
        let [hidden, grad] = [hidden, grad].map(widen);
        let weight = readable(weight);
        let (d_hidden, d_weight) = loss::linear_nll_backward(
            [&hidden, &weight],
            &targets,
            softcap,
            &log_sum_exp,
            &grad,
            needs_weight,
        );
        let d_weight = d_weight.map(|gradient| round_to(gradient, weight_dtype));
        (round_to(d_hidden, dtype), d_weight)
    }

    fn rms_norm_forward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        if !are_f32([&x, &weight]) {
            return composed::rms_norm::<Self>(Float(x), Float(weight), epsilon).0;
        }
        elementwise::rms_norm(&x, &weight, epsilon)
    }

    fn rms_norm_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        epsilon: f64,
        grad: FloatTensor<Self>,
        needs_weight: bool,
    ) -> (FloatTensor<Self>, Option<FloatTensor<Self>>) {
        if !are_f32([&x, &weight]) {
            let [x, weight, grad] = [x, weight, grad].map(Float::<Self>);
            let (d_x, d_weight) =
                composed::rms_norm_backward(x, weight, epsilon, grad, needs_weight);
            return (d_x.0, d_weight.map(|gradient| gradient.0));
        }
        let [d_x, d_weight] = elementwise::rms_norm_backward(&x, &weight, epsilon, &grad);
        (d_x, Some(d_weight))
    }

    fn rotate_forward(
        x: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        pairs: Pairs,
    ) -> FloatTensor<Self> {
        if !are_f32([&x, &cos]) {
            return composed::rotate::<Self>(Float(x), Float(cos), Float(sin), pairs).0;
        }
        elementwise::rotate(&x, &cos, &sin, pairs)
    }

    fn swiglu_forward(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self> {
        if gate.dtype() != DType::F32 {
            return composed::swiglu::<Self>(Float(gate), Float(up)).0;
        }
        elementwise::swiglu(gate, &up)
    }

    fn swiglu_backward(
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 2] {
        if gate.dtype() != DType::F32 {
            return composed::swiglu_backward::<Self>(Float(gate), Float(up), Float(grad))
                .map(|gradient| gradient.0);
        }
        elementwise::swiglu_backward(&gate, &up, &grad)
    }
}

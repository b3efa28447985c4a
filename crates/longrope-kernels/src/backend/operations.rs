//! The operations as the public functions call them.

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, backend_extension};

use super::kernels::Kernels;
use crate::attention::config::AttentionConfig;
use crate::pairs::Pairs;

/// The operations on tensors of any backend.
#[backend_extension(
    Autodiff,
    Cube: cfg(feature = "cube"),
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Remote: cfg(feature = "remote")
)]
pub(crate) trait Operations: Backend {
    fn attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        config: AttentionConfig,
    ) -> FloatTensor<Self>;

    fn attention_with_sinks(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        sinks: FloatTensor<Self>,
        config: AttentionConfig,
    ) -> FloatTensor<Self>;

    fn attention_with_log_sum_exp(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        config: AttentionConfig,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    fn linear(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self>;

    fn linear_nll(
        hidden: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: IntTensor<Self>,
        softcap: Option<f64>,
    ) -> FloatTensor<Self>;

    fn rms_norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, epsilon: f64)
    -> FloatTensor<Self>;

    fn rotate(
        x: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        pairs: Pairs,
    ) -> FloatTensor<Self>;

    fn swiglu(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// Implements [`Operations`] for a backend without autodiff by its forward implementations.
macro_rules! plain_operations {
    ($backend:ty) => {
        impl Operations for $backend {
            fn attention(
                query: FloatTensor<Self>,
                key: FloatTensor<Self>,
                value: FloatTensor<Self>,
                config: AttentionConfig,
            ) -> FloatTensor<Self> {
                Self::attention_forward([query, key, value], None, &config).output
            }

            fn attention_with_sinks(
                query: FloatTensor<Self>,
                key: FloatTensor<Self>,
                value: FloatTensor<Self>,
                sinks: FloatTensor<Self>,
                config: AttentionConfig,
            ) -> FloatTensor<Self> {
                Self::attention_forward([query, key, value], Some(sinks), &config).output
            }

            fn attention_with_log_sum_exp(
                query: FloatTensor<Self>,
                key: FloatTensor<Self>,
                value: FloatTensor<Self>,
                config: AttentionConfig,
            ) -> (FloatTensor<Self>, FloatTensor<Self>) {
                Self::attention_log_sum_exp([query, key, value], &config)
            }

            fn linear(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
                Self::linear_forward(x, weight)
            }

            fn linear_nll(
                hidden: FloatTensor<Self>,
                weight: FloatTensor<Self>,
                targets: IntTensor<Self>,
                softcap: Option<f64>,
            ) -> FloatTensor<Self> {
                Self::linear_nll_forward(hidden, weight, targets, softcap).0
            }

            fn rms_norm(
                x: FloatTensor<Self>,
                weight: FloatTensor<Self>,
                epsilon: f64,
            ) -> FloatTensor<Self> {
                Self::rms_norm_forward(x, weight, epsilon)
            }

            fn rotate(
                x: FloatTensor<Self>,
                cos: FloatTensor<Self>,
                sin: FloatTensor<Self>,
                pairs: Pairs,
            ) -> FloatTensor<Self> {
                Self::rotate_forward(x, cos, sin, pairs)
            }

            fn swiglu(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self> {
                Self::swiglu_forward(gate, up)
            }
        }
    };
}

#[cfg(feature = "flex")]
plain_operations!(burn::backend::Flex);

#[cfg(feature = "ndarray")]
plain_operations!(burn::backend::NdArray);

#[cfg(feature = "cube")]
plain_operations!(burn::backend::Cube);

#[cfg(feature = "remote")]
plain_operations!(burn::backend::Remote);

//! What all kernels need to be launched, and what the units of a cube compute together.

use burn::backend::TensorMetadata;
use burn::backend::cubecl::dtype_to_storage_type;
use burn::tensor::{DType, Shape};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::calculate_cube_count_elemwise;
use cubecl::prelude::*;

/// Most units that work on one row. More need more steps to add up what they found.
const MOST_UNITS: usize = 256;

/// A launch of one cube per row.
pub(super) struct Rows {
    pub(super) count: CubeCount,
    pub(super) dim: CubeDim,
    /// Units of a cube, a power of two.
    pub(super) n_units: usize,
}

impl Rows {
    pub(super) fn new(like: &CubeTensor, n_rows: usize, width: usize) -> Self {
        let client = &like.client;
        let most = client.properties().hardware.max_units_per_cube as usize;
        let largest = (most.min(MOST_UNITS) + 1).next_power_of_two() / 2;
        let n_units = width.next_power_of_two().clamp(1, largest.max(1));
        Self {
            count: calculate_cube_count_elemwise(client, n_rows, CubeDim::new_1d(1)),
            dim: CubeDim::new_1d(u32::try_from(n_units).expect("at most a few hundred")),
            n_units,
        }
    }
}

/// The type that can index the largest of these tensors.
pub(super) fn address_type<const N: usize>(tensors: [&CubeTensor; N]) -> AddressType {
    let types = tensors.map(CubeTensor::required_address_type);
    types.into_iter().max().unwrap_or_default()
}

pub(super) fn element(dtype: DType) -> ElemType {
    dtype_to_storage_type(dtype)
}

pub(super) fn scalar(value: f64, dtype: DType) -> InputScalar {
    InputScalar::new(value, element(dtype))
}

/// A tensor without values yet, on the device of `like`.
pub(super) fn empty(like: &CubeTensor, shape: Shape, dtype: DType) -> CubeTensor {
    let (client, device) = (like.client.clone(), like.device.clone());
    empty_device_contiguous_dtype(client, device, shape, dtype)
}

/// The tensor with rows whose elements are neighbours; between rows may be gaps.
pub(super) fn with_rows(tensor: CubeTensor) -> CubeTensor {
    let is_tiled = tensor.meta.is_tiled();
    if !is_tiled && tensor.meta.strides().last() == Some(&1) {
        return tensor;
    }
    into_contiguous(tensor)
}

/// Number of rows of the last dimension.
pub(super) fn n_rows(tensor: &CubeTensor) -> usize {
    let shape = tensor.shape();
    shape.num_elements() / shape[shape.num_dims() - 1].max(1)
}

/// The index of the first element of a row, in a tensor of [`with_rows`] of `rank` dimensions.
#[cube]
pub(super) fn start_of_row<E: Numeric>(
    tensor: &Tensor<E>,
    row: usize,
    #[comptime] rank: usize,
) -> usize {
    let mut rest = row;
    let mut start = 0usize.runtime();
    #[unroll]
    for back in 1..rank {
        let dim = comptime![rank - 1 - back];
        start += rest % tensor.shape(dim) * tensor.stride(dim);
        rest /= tensor.shape(dim);
    }
    start
}

/// The sum of the values of all units of a cube, for each of them.
#[cube]
pub(super) fn sum_of_units<S: Float>(value: S, #[comptime] n_units: usize) -> S {
    reduced::<S>(value, false, n_units)
}

/// The largest of the values of all units of a cube, for each of them.
#[cube]
pub(super) fn max_of_units<S: Float>(value: S, #[comptime] n_units: usize) -> S {
    reduced::<S>(value, true, n_units)
}

/// The sum or the largest of the values of all units of a cube, in a tree whose order is fixed.
#[cube]
fn reduced<S: Float>(value: S, #[comptime] is_max: bool, #[comptime] n_units: usize) -> S {
    let mut values = Shared::new_slice(n_units);
    let unit = UNIT_POS as usize;
    values[unit] = value;
    sync_cube();
    let mut half = CUBE_DIM as usize / 2;
    while half > 0 {
        if unit < half {
            let other = values[unit + half];
            if comptime![is_max] {
                if other > values[unit] {
                    values[unit] = other;
                }
            } else {
                values[unit] += other;
            }
        }
        sync_cube();
        half /= 2;
    }
    values[0]
}

/// `c · tanh(x / c)` if there is a soft cap `c`, else `x`.
#[cube]
pub(super) fn capped<S: Float>(x: S, softcap: S, #[comptime] is_capped: bool) -> S {
    let mut capped = x;
    if comptime![is_capped] {
        capped = softcap * (x / softcap).tanh();
    }
    capped
}

/// The slope of [`capped`] where it gave `capped`: `1 - (capped / c)²`.
#[cube]
pub(super) fn slope_of_cap<S: Float>(capped: S, softcap: S, #[comptime] is_capped: bool) -> S {
    let mut slope = S::new(1.0);
    if comptime![is_capped] {
        let tanh = capped / softcap;
        slope = S::new(1.0) - tanh * tanh;
    }
    slope
}

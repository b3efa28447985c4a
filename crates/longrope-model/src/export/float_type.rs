//! The types that weights can be written in, and conversion to them.

use std::fmt;

use burn::tensor::DType;
use half::{bf16, f16};
use safetensors::Dtype;

/// A type of stored weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FloatType {
    /// 32 bits.
    F32,
    /// 16 bits with a 5-bit exponent: at most 65504.
    F16,
    /// The upper 16 bits of an `f32`: the same range with 8 bits of precision.
    BF16,
}

impl FloatType {
    /// That of tensors of this type; `None` if no weights are written in it.
    pub fn of(dtype: DType) -> Option<Self> {
        match dtype {
            DType::F32 => Some(Self::F32),
            DType::F16 => Some(Self::F16),
            DType::BF16 => Some(Self::BF16),
            _ => None,
        }
    }

    /// The name in a safetensors file.
    pub(super) fn stored(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::F16 => Dtype::F16,
            Self::BF16 => Dtype::BF16,
        }
    }

    /// The name in a `config.json`.
    pub(super) fn config_name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::BF16 => "bfloat16",
        }
    }

    /// The largest finite number.
    pub(crate) fn largest(self) -> f64 {
        match self {
            Self::F32 => f32::MAX.into(),
            Self::F16 => f16::MAX.into(),
            Self::BF16 => bf16::MAX.into(),
        }
    }

    /// Appends numbers stored as `from` to `out`, rounded to nearest, ties to even.
    ///
    /// Infinities and NaN are kept. Returns the first finite number that became infinite, if there is one.
    pub(super) fn convert(self, from: StoredFloat, bytes: &[u8], out: &mut Vec<u8>) -> Option<f64> {
        match from {
            StoredFloat::F64 => self.encode(bytes, f64::from_le_bytes, out),
            StoredFloat::F32 => self.encode(bytes, |b| f32::from_le_bytes(b).into(), out),
            StoredFloat::F16 => self.encode(bytes, |b| f16::from_le_bytes(b).into(), out),
            StoredFloat::BF16 => self.encode(bytes, |b| bf16::from_le_bytes(b).into(), out),
        }
    }

    fn encode<const N: usize>(
        self,
        bytes: &[u8],
        decode: impl Fn([u8; N]) -> f64,
        out: &mut Vec<u8>,
    ) -> Option<f64> {
        let (elements, _) = bytes.as_chunks::<N>();
        let numbers = elements.iter().map(|element| decode(*element));
        match self {
            Self::F32 => append(numbers, out, |x| {
                let rounded = nearest_f32(x);
                (rounded.is_infinite(), rounded.to_le_bytes())
            }),
            Self::F16 => append(numbers, out, |x| {
                let rounded = f16::from_f32(odd_f32(x));
                (rounded.is_infinite(), rounded.to_le_bytes())
            }),
            Self::BF16 => append(numbers, out, |x| {
                let rounded = bf16::from_f32(odd_f32(x));
                (rounded.is_infinite(), rounded.to_le_bytes())
            }),
        }
    }
}

impl fmt::Display for FloatType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::BF16 => "bf16",
        })
    }
}

/// A type of stored numbers that can be converted. Others, such as integers, masks and packed numbers, stay as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StoredFloat {
    F64,
    F32,
    F16,
    BF16,
}

impl StoredFloat {
    /// The type by its name in a safetensors file; `None` for every other type.
    pub(super) fn of(stored: Dtype) -> Option<Self> {
        match stored {
            Dtype::F64 => Some(Self::F64),
            Dtype::F32 => Some(Self::F32),
            Dtype::F16 => Some(Self::F16),
            Dtype::BF16 => Some(Self::BF16),
            _ => None,
        }
    }
}

/// Appends rounded numbers. Returns the first finite one that becomes infinite.
fn append<const M: usize>(
    numbers: impl Iterator<Item = f64>,
    out: &mut Vec<u8>,
    round: impl Fn(f64) -> (bool, [u8; M]),
) -> Option<f64> {
    let mut first = None;
    for number in numbers {
        let (infinite, bytes) = round(number);
        out.extend_from_slice(&bytes);
        if infinite && number.is_finite() && first.is_none() {
            first = Some(number);
        }
    }
    first
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "this cast rounds to nearest, ties to even, and gives infinity beyond the range"
)]
fn nearest_f32(x: f64) -> f32 {
    x as f32
}

/// Rounds to the neighbouring `f32` with an odd last bit, unless `x` is exactly an `f32` (round to odd).
///
/// Rounding the result to 16 bits gives the same as rounding `x` directly. Rounding to nearest twice does not: the
/// first rounding may produce a tie that the second one breaks in the wrong direction.
fn odd_f32(x: f64) -> f32 {
    let nearest = nearest_f32(x);
    let is_odd = nearest.to_bits() & 1 == 1;
    if is_odd || x.is_nan() || f64::from(nearest).to_bits() == x.to_bits() {
        return nearest;
    }
    // The neighbour on the other side of `x`. Larger magnitudes have larger bit patterns.
    if f64::from(nearest).abs() < x.abs() {
        f32::from_bits(nearest.to_bits() + 1)
    } else {
        f32::from_bits(nearest.to_bits() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares bits, to tell 0 from -0.
    fn assert_bf16(x: f64, expected: f64) {
        let mut out = Vec::new();
        let too_large = FloatType::BF16.convert(StoredFloat::F64, &x.to_le_bytes(), &mut out);
        assert_eq!(too_large, None);
        let found = bf16::from_le_bytes([out[0], out[1]]).to_f64();
        assert_eq!(found.to_bits(), expected.to_bits(), "{x} became {found}");
    }

    #[test]
    fn ties_go_to_even_and_nothing_is_rounded_twice() {
        let ulp = 2f64.powi(-7); // of bf16 at 1
        for (steps, even) in [(0.5, 0.0), (1.5, 2.0), (2.5, 2.0)] {
            let tie = 1.0 + steps * ulp;
            assert_bf16(tie, 1.0 + even * ulp);
            // A change in the last bit of the f64 decides, although an f32 cannot represent it.
            assert_bf16(tie.next_up(), 1.0 + (steps + 0.5) * ulp);
            assert_bf16(tie.next_down(), 1.0 + (steps - 0.5) * ulp);
            assert_bf16(-tie.next_up(), -1.0 - (steps + 0.5) * ulp);
        }
    }

    #[test]
    fn zeros_keep_their_sign_and_infinities_stay() {
        for x in [0.0, -0.0, 1e-320, -1e-320, 1e-60, -1e-60] {
            assert_bf16(x, 0.0 * x);
        }
        assert_bf16(f64::NEG_INFINITY, f64::NEG_INFINITY);
        assert!(odd_f32(f64::NAN).is_nan());
    }

    #[test]
    fn the_first_number_that_is_too_large_is_returned() {
        let bytes: Vec<u8> = [1.0, f32::INFINITY, 65519.0, -65520.0, 1e9]
            .iter()
            .flat_map(|x: &f32| x.to_le_bytes())
            .collect();
        let mut out = Vec::new();
        let found = FloatType::F16.convert(StoredFloat::F32, &bytes, &mut out);
        assert_eq!(found, Some(-65520.0));
        let (halves, _) = out.as_chunks::<2>();
        assert_eq!(f16::from_le_bytes(halves[2]), f16::MAX);
        let huge = 1e39f64.to_le_bytes();
        for to in [FloatType::F32, FloatType::BF16] {
            assert_eq!(to.convert(StoredFloat::F64, &huge, &mut out), Some(1e39));
        }
    }

    #[test]
    fn only_floating_point_numbers_are_converted() {
        use Dtype::{BOOL, F8_E4M3, I32, I64, U8};
        for dtype in [I64, I32, U8, BOOL, F8_E4M3] {
            assert_eq!(StoredFloat::of(dtype), None, "{dtype:?}");
        }
        for to in [FloatType::F32, FloatType::F16, FloatType::BF16] {
            assert!(StoredFloat::of(to.stored()).is_some(), "{to}");
        }
    }

    #[test]
    fn a_half_survives_a_wider_type_bit_by_bit() {
        for (half, back) in [
            (FloatType::F16, StoredFloat::F16),
            (FloatType::BF16, StoredFloat::BF16),
        ] {
            let bytes: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
            let (mut wide, mut again) = (Vec::new(), Vec::new());
            assert_eq!(FloatType::F32.convert(back, &bytes, &mut wide), None);
            assert_eq!(half.convert(StoredFloat::F32, &wide, &mut again), None);
            let (before, _) = bytes.as_chunks::<2>();
            let (after, _) = again.as_chunks::<2>();
            for (x, y) in before.iter().zip(after) {
                // A signalling NaN may become quiet.
                let is_nan = match half {
                    FloatType::F16 => f16::from_le_bytes(*x).is_nan(),
                    _ => bf16::from_le_bytes(*x).is_nan(),
                };
                assert!(is_nan || x == y, "{x:?} is {y:?}");
            }
        }
    }
}

//! Numbers to blocks of 8 bits.

use half::f16;

/// A number whose block has a scale beyond the range of f16, or that is not finite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Overflow(
    /// The number.
    pub f32,
);

/// Appends numbers as blocks of Q8_0; their count must be a multiple of 32.
///
/// A block of 32 numbers `x` has the scale `d = max |x| / 127`, stored as f16, and the whole numbers
/// `q = round(x / d)`, halves away from zero, where `d` is the f32 before it is stored. `x` is read as `d · q`.
///
/// # Errors
/// The first number that is too large or not finite.
///
/// # Reference
/// `quantize_row_q8_0_ref` in ggml's `ggml-quants.c`.
pub fn quantize_q8_0(numbers: &[f32], out: &mut Vec<u8>) -> Result<(), Overflow> {
    let (blocks, _) = numbers.as_chunks::<32>();
    for block in blocks {
        let largest = block.iter().fold(0.0_f32, |max, x| max.max(x.abs()));
        let scale = largest / 127.0;
        let stored = f16::from_f32(scale);
        if let Some(bad) = block.iter().find(|x| !x.is_finite()) {
            return Err(Overflow(*bad));
        }
        if !stored.is_finite() {
            return Err(Overflow(largest));
        }
        let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
        out.extend(stored.to_le_bytes());
        #[expect(
            clippy::cast_possible_truncation,
            reason = "at most 127 in size, up to rounding; the cast saturates"
        )]
        out.extend(
            block
                .iter()
                .map(|x| ((x * inverse).round() as i8).to_le_bytes()[0]),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TensorType, dequantize};

    #[test]
    fn a_block_has_its_scale_and_rounded_numbers() {
        let mut numbers = [0.0_f32; 32];
        numbers[0] = 127.0;
        numbers[1] = -63.5;
        numbers[2] = 1.4;
        let mut out = Vec::new();
        quantize_q8_0(&numbers, &mut out).unwrap();
        // The scale is 1.0; halves are rounded away from zero.
        assert_eq!(out[..6], [0x00, 0x3c, 127, (-64_i8).to_le_bytes()[0], 1, 0]);
        assert_eq!(out.len(), 34);
        assert_eq!(dequantize(TensorType::Q8_0, &out)[..3], [127.0, -64.0, 1.0]);
    }

    #[test]
    fn errors_are_at_most_half_a_step() {
        let numbers: Vec<f32> = (0..320)
            .map(|i| ((i * i % 97) as f32 - 48.0) * 0.013)
            .collect();
        let mut out = Vec::new();
        quantize_q8_0(&numbers, &mut out).unwrap();
        let read = dequantize(TensorType::Q8_0, &out);
        for (block, read) in numbers.chunks(32).zip(read.chunks(32)) {
            let step = block.iter().fold(0.0_f32, |max, x| max.max(x.abs())) / 127.0;
            for (x, read) in block.iter().zip(read) {
                // Storing the scale as f16 adds up to 127 · 2^-11 steps.
                assert!((x - read).abs() <= step * 0.57, "{x} is read as {read}");
            }
        }
    }

    #[test]
    fn zeros_stay_zeros_and_what_is_too_large_is_an_error() {
        let mut out = Vec::new();
        quantize_q8_0(&[0.0; 32], &mut out).unwrap();
        assert_eq!(out, vec![0; 34]);
        for bad in [f32::NAN, f32::INFINITY, 1e7 * 127.0] {
            let mut numbers = [1.0; 32];
            numbers[5] = bad;
            let found = quantize_q8_0(&numbers, &mut Vec::new()).unwrap_err().0;
            assert_eq!(found.to_bits(), bad.to_bits());
        }
    }
}

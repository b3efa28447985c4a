//! Stored blocks to numbers.

use half::{bf16, f16};

use super::tensor_type::TensorType;

/// The numbers of whole blocks; bytes after the last whole block are left out.
///
/// With `d` and `m` f16 numbers of a block, and `q` whole numbers:
///
/// | type | number |
/// |---|---|
/// | Q8_0 | `d · q`, `q` of 8 bits with a sign |
/// | Q4_0 | `d · (q - 8)`, `q` of 4 bits |
/// | Q4_K | `d · s_g · q - m · b_g` in group `g` of 32, `q` of 4 bits, `s_g` and `b_g` of 6 bits |
/// | Q6_K | `d · s_g · (q - 32)` in group `g` of 16, `q` of 6 bits, `s_g` of 8 bits with a sign |
///
/// # Reference
/// `dequantize_row_*` in ggml's `ggml-quants.c`, for the order of the bits.
pub fn dequantize(ty: TensorType, bytes: &[u8]) -> Vec<f32> {
    match ty {
        TensorType::F32 => numbers(bytes, f32::from_le_bytes),
        TensorType::F16 => numbers(bytes, |b| f16::from_le_bytes(b).to_f32()),
        TensorType::BF16 => numbers(bytes, |b| bf16::from_le_bytes(b).to_f32()),
        TensorType::Q8_0 => blocks(bytes, q8_0),
        TensorType::Q4_0 => blocks(bytes, q4_0),
        TensorType::Q4K => blocks(bytes, q4_k),
        TensorType::Q6K => blocks(bytes, q6_k),
    }
}

fn numbers<const N: usize>(bytes: &[u8], from: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    let (elements, _) = bytes.as_chunks::<N>();
    elements.iter().map(|element| from(*element)).collect()
}

fn blocks<const N: usize>(bytes: &[u8], read: impl Fn(&[u8; N], &mut Vec<f32>)) -> Vec<f32> {
    let (blocks, _) = bytes.as_chunks::<N>();
    let mut out = Vec::new();
    for block in blocks {
        read(block, &mut out);
    }
    out
}

fn half_at(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

fn signed(byte: u8) -> f32 {
    i8::from_le_bytes([byte]).into()
}

fn q8_0(block: &[u8; 34], out: &mut Vec<f32>) {
    let d = half_at(block, 0);
    out.extend(block[2..].iter().map(|q| d * signed(*q)));
}

/// The low halves of the bytes are the first 16 numbers, the high halves the others.
fn q4_0(block: &[u8; 18], out: &mut Vec<f32>) {
    let d = half_at(block, 0);
    let number = |q: u8| d * (f32::from(q) - 8.0);
    out.extend(block[2..].iter().map(|byte| number(byte & 15)));
    out.extend(block[2..].iter().map(|byte| number(byte >> 4)));
}

/// Scale and minimum of a group, of 6 bits each. Those of groups 4 to 7 are split: the low four bits in the last four bytes, the
/// high two bits above those of groups 0 to 3.
fn scale_and_minimum(packed: &[u8], group: usize) -> (f32, f32) {
    let (scale, minimum) = if group < 4 {
        (packed[group] & 63, packed[group + 4] & 63)
    } else {
        let low = packed[group + 4];
        (
            (low & 15) | ((packed[group - 4] >> 6) << 4),
            (low >> 4) | ((packed[group] >> 6) << 4),
        )
    };
    (scale.into(), minimum.into())
}

/// 32 bytes hold two groups: the low halves of the bytes the first one.
fn q4_k(block: &[u8; 144], out: &mut Vec<f32>) {
    let (d, m) = (half_at(block, 0), half_at(block, 2));
    let (packed, quants) = (&block[4..16], &block[16..]);
    for (pair, bytes) in quants.chunks(32).enumerate() {
        for half in 0..2 {
            let (scale, minimum) = scale_and_minimum(packed, 2 * pair + half);
            let (step, offset) = (d * scale, m * minimum);
            let number = |byte: &u8| step * f32::from((byte >> (4 * half)) & 15) - offset;
            out.extend(bytes.iter().map(number));
        }
    }
}

/// A half block of 128 numbers has 64 bytes of low four bits and 32 bytes of high two bits.
fn q6_k(block: &[u8; 210], out: &mut Vec<f32>) {
    let (low, high, scales) = (&block[..128], &block[128..192], &block[192..208]);
    let d = half_at(block, 208);
    for i in 0..256 {
        let (half, within) = (i / 128, i % 128);
        let (quarter, column) = (within / 32, within % 32);
        let byte = low[64 * half + 32 * (quarter % 2) + column];
        let four = (byte >> (4 * (quarter / 2))) & 15;
        let two = (high[32 * half + column] >> (2 * quarter)) & 3;
        let q = f32::from(four | (two << 4)) - 32.0;
        out.push(d * signed(scales[i / 16]) * q);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1.0 and 0.5 as f16.
    const ONE: [u8; 2] = [0x00, 0x3c];
    const HALF: [u8; 2] = [0x00, 0x38];

    #[test]
    fn floats_are_read_as_they_are() {
        assert_eq!(dequantize(TensorType::F32, &1.5_f32.to_le_bytes()), [1.5]);
        assert_eq!(dequantize(TensorType::F16, &HALF), [0.5]);
        assert_eq!(dequantize(TensorType::BF16, &[0x80, 0x3f]), [1.0]);
    }

    #[test]
    fn four_bits_have_eight_as_zero() {
        let mut block = HALF.to_vec();
        block.extend([0x80; 16]);
        block[2] = 0x9f;
        let read = dequantize(TensorType::Q4_0, &block);
        assert_eq!(read.len(), 32);
        assert_eq!((read[0], read[1]), (3.5, -4.0));
        assert_eq!((read[16], read[17]), (0.5, 0.0));
    }

    #[test]
    fn groups_of_q4_k_have_scales_and_minima() {
        let mut block = [0_u8; 144];
        block[..2].copy_from_slice(&HALF);
        block[2..4].copy_from_slice(&ONE);
        // Group 0: scale 3, minimum 2. Group 5: scale 0b10_0101 = 37, minimum 0b01_0010 = 18.
        block[4] = 3;
        block[8] = 2;
        block[4 + 9] = 0x25;
        block[4 + 1] = 0b10 << 6;
        block[4 + 5] = 0b01 << 6;
        block[16] = 0x07;
        block[16 + 64] = 0x40;
        let read = dequantize(TensorType::Q4K, &block);
        assert_eq!(read.len(), 256);
        assert_eq!((read[0], read[1]), (0.5 * 3.0 * 7.0 - 2.0, -2.0));
        assert_eq!(read[32], 0.0);
        assert_eq!(read[160], 0.5 * 37.0 * 4.0 - 18.0);
        assert_eq!(read[161], -18.0);
    }

    #[test]
    fn numbers_of_q6_k_are_split_into_four_and_two_bits() {
        let mut block = [0_u8; 210];
        block[208..].copy_from_slice(&HALF);
        block[192] = 2;
        // Number 100 is in the second half of the bytes with high bits, quarter 3, column 4.
        block[192 + 100 / 16] = (-1_i8).to_le_bytes()[0];
        block[32 + 4] = 0xb0;
        block[128 + 4] = 0b01_00_00_00;
        // Number 0: 5 + 3·16 = 53.
        block[0] = 5;
        block[128] = 3;
        let read = dequantize(TensorType::Q6K, &block);
        assert_eq!(read.len(), 256);
        assert_eq!(read[0], 0.5 * 2.0 * 21.0);
        assert_eq!(read[100], -0.5 * (f32::from(11_u8 + 16) - 32.0));
        assert_eq!(read[1], 0.5 * 2.0 * -32.0);
    }
}

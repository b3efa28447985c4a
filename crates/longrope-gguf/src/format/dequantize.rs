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
/// | Q4_1 | `d · q + m`, `q` of 4 bits |
/// | Q5_0 | `d · (q - 16)`, `q` of 5 bits |
/// | Q5_1 | `d · q + m`, `q` of 5 bits |
/// | Q2_K | `d · s_g · q - m · b_g` in group `g` of 16, `q` of 2 bits, `s_g` and `b_g` of 4 bits |
/// | Q3_K | `d · (s_g - 32) · (q - 4)` in group `g` of 16, `q` of 3 bits, `s_g` of 6 bits |
/// | Q4_K | `d · s_g · q - m · b_g` in group `g` of 32, `q` of 4 bits, `s_g` and `b_g` of 6 bits |
/// | Q5_K | as Q4_K, `q` of 5 bits |
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
        TensorType::Q4_1 => blocks(bytes, q4_1),
        TensorType::Q5_0 => blocks(bytes, q5_0),
        TensorType::Q5_1 => blocks(bytes, q5_1),
        TensorType::Q2K => blocks(bytes, q2_k),
        TensorType::Q3K => blocks(bytes, q3_k),
        TensorType::Q4K => blocks(bytes, q4_k),
        TensorType::Q5K => blocks(bytes, q5_k),
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

fn q4_1(block: &[u8; 20], out: &mut Vec<f32>) {
    let (d, m) = (half_at(block, 0), half_at(block, 2));
    let number = |q: u8| d * f32::from(q) + m;
    out.extend(block[4..].iter().map(|byte| number(byte & 15)));
    out.extend(block[4..].iter().map(|byte| number(byte >> 4)));
}

/// Whole numbers of 5 bits: the low four in `low`, ordered as in Q4_0, the fifth one in bit `i` of `high` for number `i`.
fn five_bits<'a>(high: &'a [u8], low: &'a [u8]) -> impl Iterator<Item = u8> + 'a {
    (0..32).map(|i| {
        let four = (low[i % 16] >> (4 * (i / 16))) & 15;
        let fifth = (high[i / 8] >> (i % 8)) & 1;
        four | (fifth << 4)
    })
}

fn q5_0(block: &[u8; 22], out: &mut Vec<f32>) {
    let d = half_at(block, 0);
    let numbers = five_bits(&block[2..6], &block[6..]);
    out.extend(numbers.map(|q| d * (f32::from(q) - 16.0)));
}

fn q5_1(block: &[u8; 24], out: &mut Vec<f32>) {
    let (d, m) = (half_at(block, 0), half_at(block, 2));
    let numbers = five_bits(&block[4..8], &block[8..]);
    out.extend(numbers.map(|q| d * f32::from(q) + m));
}

/// A half block of 128 numbers has 32 bytes; two bits of each are a quarter.
fn q2_k(block: &[u8; 84], out: &mut Vec<f32>) {
    let (groups, quants) = (&block[..16], &block[16..80]);
    let (d, m) = (half_at(block, 80), half_at(block, 82));
    for i in 0..256 {
        let group = groups[i / 16];
        let (step, offset) = (d * f32::from(group & 15), m * f32::from(group >> 4));
        out.push(step * f32::from(two_bits(quants, i)) - offset);
    }
}

/// Two bits of number `i` of 256, of 64 bytes.
fn two_bits(bytes: &[u8], i: usize) -> u8 {
    let (half, within) = (i / 128, i % 128);
    let (quarter, column) = (within / 32, within % 32);
    (bytes[32 * half + column] >> (2 * quarter)) & 3
}

/// The third bit of a number is 0 for those that are below zero.
fn q3_k(block: &[u8; 110], out: &mut Vec<f32>) {
    let (mask, quants, packed) = (&block[..32], &block[32..96], &block[96..108]);
    let d = half_at(block, 108);
    for i in 0..256 {
        let group = i / 16;
        let four = (packed[group % 8] >> (4 * (group / 8))) & 15;
        let two = (packed[8 + group % 4] >> (2 * (group / 4))) & 3;
        let step = d * (f32::from(four | (two << 4)) - 32.0);
        let third = (mask[i % 32] >> (i / 32)) & 1;
        let q = f32::from(two_bits(quants, i) | (third << 2)) - 4.0;
        out.push(step * q);
    }
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

/// As Q4_K; the fifth bits of group `g` are bit `g` of 32 bytes.
fn q5_k(block: &[u8; 176], out: &mut Vec<f32>) {
    let (d, m) = (half_at(block, 0), half_at(block, 2));
    let (packed, high, quants) = (&block[4..16], &block[16..48], &block[48..]);
    for group in 0..8 {
        let (scale, minimum) = scale_and_minimum(packed, group);
        let (step, offset) = (d * scale, m * minimum);
        let bytes = &quants[32 * (group / 2)..][..32];
        out.extend(bytes.iter().zip(high).map(|(byte, high)| {
            let four = (byte >> (4 * (group % 2))) & 15;
            let fifth = (high >> group) & 1;
            step * f32::from(four | (fifth << 4)) - offset
        }));
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
        let q = f32::from(four | (two_bits(high, i) << 4)) - 32.0;
        out.push(d * signed(scales[i / 16]) * q);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn blocks_are_read_as_by_the_python_package() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/fixtures/gguf/blocks.json"
        );
        let golden: Value = serde_json::from_str(&fs_err::read_to_string(path).unwrap()).unwrap();
        let quantized = TensorType::ALL.iter().filter(|ty| ty.block_len() > 1);
        for ty in quantized {
            let block = &golden["blocks"][ty.to_string()];
            let hex = block["bytes"].as_str().unwrap();
            let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
            assert_eq!(bytes.len(), ty.block_bytes(), "{ty}");
            let numbers = block["numbers"].as_array().unwrap();
            let expected: Vec<f64> = numbers.iter().map(|it| it.as_f64().unwrap()).collect();
            let found: Vec<f64> = dequantize(*ty, &bytes).into_iter().map(f64::from).collect();
            assert_eq!(found, expected, "{ty}");
        }
    }

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

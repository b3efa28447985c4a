//! The types of stored tensors.

use std::fmt;

/// A type of stored tensors, of those that are read or written here.
///
/// Numbers are stored in blocks along the rows of a matrix. A block of the first three types is one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TensorType {
    /// 32 bits.
    F32,
    /// 16 bits, up to 65504.
    F16,
    /// 16 bits, with the range of f32.
    BF16,
    /// 32 numbers of 8 bits and one f16 scale.
    Q8_0,
    /// 32 numbers of 4 bits and one f16 scale; read only.
    Q4_0,
    /// 32 numbers of 4 bits, one f16 scale and one f16 minimum; read only.
    Q4_1,
    /// 32 numbers of 5 bits and one f16 scale; read only.
    Q5_0,
    /// 32 numbers of 5 bits, one f16 scale and one f16 minimum; read only.
    Q5_1,
    /// 256 numbers of 2 bits in 16 groups with scales and minima of 4 bits; read only.
    Q2K,
    /// 256 numbers of 3 bits in 16 groups with scales of 6 bits; read only.
    Q3K,
    /// 256 numbers of 4 bits in 8 groups with scales and minima of 6 bits; read only.
    Q4K,
    /// 256 numbers of 5 bits in 8 groups with scales and minima of 6 bits; read only.
    Q5K,
    /// 256 numbers of 6 bits in 16 groups with scales of 8 bits; read only.
    Q6K,
}

/// Types that are not read (`ggml_type`).
const OTHERS: [(u32, &str); 20] = [
    (9, "Q8_1"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (20, "IQ4_NL"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (23, "IQ4_XS"),
    (24, "I8"),
    (25, "I16"),
    (26, "I32"),
    (27, "I64"),
    (28, "F64"),
    (29, "IQ1_M"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (39, "MXFP4"),
    (40, "NVFP4"),
];

impl TensorType {
    /// All types.
    pub const ALL: &[Self] = &[
        Self::F32,
        Self::F16,
        Self::BF16,
        Self::Q8_0,
        Self::Q4_0,
        Self::Q4_1,
        Self::Q5_0,
        Self::Q5_1,
        Self::Q2K,
        Self::Q3K,
        Self::Q4K,
        Self::Q5K,
        Self::Q6K,
    ];

    /// Its number in files (`ggml_type`).
    pub fn id(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q4_0 => 2,
            Self::Q4_1 => 3,
            Self::Q5_0 => 6,
            Self::Q5_1 => 7,
            Self::Q8_0 => 8,
            Self::Q2K => 10,
            Self::Q3K => 11,
            Self::Q4K => 12,
            Self::Q5K => 13,
            Self::Q6K => 14,
            Self::BF16 => 30,
        }
    }

    /// The type with this number.
    pub fn from_id(id: u32) -> Option<Self> {
        Self::ALL.iter().copied().find(|it| it.id() == id)
    }

    /// The name of the type with this number, whether it is read or not, for messages.
    pub(crate) fn describe(id: u32) -> String {
        if let Some(known) = Self::from_id(id) {
            return known.to_string();
        }
        let other = OTHERS.iter().find(|(other, _)| *other == id);
        other.map_or_else(
            || format!("number {id}, which has no name here"),
            |(_, name)| (*name).to_owned(),
        )
    }

    /// The names of all types that are read, for messages.
    pub(crate) fn names() -> String {
        let names: Vec<String> = Self::ALL.iter().map(ToString::to_string).collect();
        names.join(", ")
    }

    /// The number of a file whose matrices have this type (`general.file_type`, `llama_ftype`).
    pub fn file_type(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q4_0 => 2,
            Self::Q4_1 => 3,
            Self::Q8_0 => 7,
            Self::Q5_0 => 8,
            Self::Q5_1 => 9,
            Self::Q2K => 10,
            Self::Q3K => 12,
            Self::Q4K => 15,
            Self::Q5K => 17,
            Self::Q6K => 18,
            Self::BF16 => 32,
        }
    }

    /// Number of numbers in a block.
    pub fn block_len(self) -> usize {
        match self {
            Self::F32 | Self::F16 | Self::BF16 => 1,
            Self::Q8_0 | Self::Q4_0 | Self::Q4_1 | Self::Q5_0 | Self::Q5_1 => 32,
            Self::Q2K | Self::Q3K | Self::Q4K | Self::Q5K | Self::Q6K => 256,
        }
    }

    /// Number of bytes of a block.
    pub fn block_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
            Self::Q8_0 => 2 + 32,
            Self::Q4_0 => 2 + 16,
            Self::Q4_1 => 2 + 2 + 16,
            Self::Q5_0 => 2 + 4 + 16,
            Self::Q5_1 => 2 + 2 + 4 + 16,
            Self::Q2K => 16 + 64 + 2 + 2,
            Self::Q3K => 32 + 64 + 12 + 2,
            Self::Q4K => 2 + 2 + 12 + 128,
            Self::Q5K => 2 + 2 + 12 + 32 + 128,
            Self::Q6K => 128 + 64 + 16 + 2,
        }
    }

    /// Number of bytes of a tensor of this shape, rows first; `None` if its rows are not whole blocks, or there are too many.
    pub fn n_bytes(self, shape: &[u64]) -> Option<u64> {
        let block_len = self.block_len() as u64;
        if !shape.last().is_none_or(|row| row.is_multiple_of(block_len)) {
            return None;
        }
        let numbers = shape.iter().try_fold(1_u64, |n, dim| n.checked_mul(*dim))?;
        (numbers / block_len).checked_mul(self.block_bytes() as u64)
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::BF16 => "BF16",
            Self::Q8_0 => "Q8_0",
            Self::Q4_0 => "Q4_0",
            Self::Q4_1 => "Q4_1",
            Self::Q5_0 => "Q5_0",
            Self::Q5_1 => "Q5_1",
            Self::Q2K => "Q2_K",
            Self::Q3K => "Q3_K",
            Self::Q4K => "Q4_K",
            Self::Q5K => "Q5_K",
            Self::Q6K => "Q6_K",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_names_in_messages() {
        assert_eq!(TensorType::describe(20), "IQ4_NL");
        assert_eq!(TensorType::describe(12), "Q4_K");
        assert!(TensorType::describe(77).contains("77"));
        assert!(TensorType::names().starts_with("F32, F16, BF16, Q8_0, Q4_0, Q4_1"));
        // None is in both lists.
        for (id, name) in OTHERS {
            assert_eq!(TensorType::from_id(id), None, "{name}");
        }
    }
}

//! The numbers and names that every file has.

/// What every file begins with.
pub(crate) const MAGIC: [u8; 4] = *b"GGUF";
/// The version that is written.
pub(crate) const VERSION: u32 = 3;
/// The key of the alignment of tensors in bytes.
pub(crate) const ALIGNMENT_KEY: &str = "general.alignment";
/// The alignment of files without that key, and of written ones.
pub(crate) const ALIGNMENT: u64 = 32;

//! What all fuzz targets share.

mod readers;

use std::cell::OnceCell;
use std::path::Path;

pub use readers::{Answer, Reader, Scratch};

thread_local! {
    static SCRATCH: OnceCell<Scratch> = const { OnceCell::new() };
}

/// Reads an input; only a panic, a crash or too much memory is a finding.
///
/// # Panics
/// If the folder for the files of inputs cannot be made.
pub fn fuzz(reader: Reader, input: &[u8]) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures");
    SCRATCH.with(|scratch| {
        let scratch = scratch.get_or_init(|| Scratch::new(&fixtures).expect("a folder for the inputs"));
        let _ = reader.read(input, scratch);
    });
}

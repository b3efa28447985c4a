//! See `longrope_fuzz::Reader::FactorCsv`.
#![no_main]

use longrope_fuzz::{Reader, fuzz};

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz(Reader::FactorCsv, input));

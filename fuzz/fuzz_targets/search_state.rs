//! See `longrope_fuzz::Reader::SearchState`.
#![no_main]

use longrope_fuzz::{Reader, fuzz};

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz(Reader::SearchState, input));

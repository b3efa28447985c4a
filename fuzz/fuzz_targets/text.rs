//! See `longrope_fuzz::Reader::Text`.
#![no_main]

use longrope_fuzz::{Reader, fuzz};

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz(Reader::Text, input));

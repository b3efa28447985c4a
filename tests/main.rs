//! The program as its users meet it: command lines in, files and messages out.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bench;
mod cli;
mod doctor;
mod errors_input;
mod errors_settings;
mod generate;
mod golden_formats;
mod pipeline;
mod plan_report;
mod resume;
mod support;
mod tasks;
mod tidy;

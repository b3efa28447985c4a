//! Tests of the program through its command line, files and messages.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bench;
mod circles;
mod cli;
mod doctor;
mod errors_input;
mod errors_settings;
mod extend;
mod finetune;
mod finite;
mod generate;
mod golden_formats;
#[cfg(feature = "hub")]
mod hub;
mod pipeline;
mod plan_report;
mod pretrain;
#[cfg(feature = "remote")]
mod remote;
mod resume;
mod resume_old;
mod search_stages;
mod support;
mod tasks;
mod tidy;

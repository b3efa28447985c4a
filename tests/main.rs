//! Tests of the program through its command line, files and messages.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod adapted;
mod bench;
mod circles;
mod cli;
mod cli_defaults;
mod cli_hints;
mod cli_numbers;
mod compare_runs;
mod configs_read;
mod damage;
mod doctor;
mod errors_input;
mod errors_settings;
mod export_for;
mod export_runs;
mod extend;
mod extend_early;
mod extend_held_out;
mod extend_resume;
mod families;
mod finetune;
mod finite;
mod folders;
mod generate;
mod gguf;
mod gguf_read;
mod golden_formats;
#[cfg(feature = "hub")]
mod hub;
mod kept_results;
mod lora_adapters;
mod lora_inputs;
mod measures;
mod next_steps;
mod objective_choice;
mod own_rope;
mod pipeline;
mod places;
mod plan_report;
mod precision;
mod pretrain;
mod provenance;
mod recover;
#[cfg(feature = "remote")]
mod remote;
mod resume;
mod resume_old;
mod resume_training;
mod right_hints;
mod rope_fits;
mod rope_layers;
mod rope_methods;
mod search_stages;
mod skipped;
mod support;
mod system;
mod tasks;
mod text_or_tokens;
mod text_twice;
mod tidy;
mod verdict;
#[cfg(unix)]
mod verify;
mod weights_export;
mod weights_hints;
#[cfg(target_os = "linux")]
mod weights_paths;
mod weights_trained;

//! Loads what the configuration names: models, text, devices and RoPEs.

pub(crate) mod cargo_sources;
mod configuration;
pub(crate) mod device;
pub(crate) mod extendable;
pub(crate) mod gguf;
pub(crate) mod hub;
pub(crate) mod limits;
mod local_folder;
pub(crate) mod memory;
pub(crate) mod model;
pub(crate) mod precision;
pub(crate) mod rope_arg;
pub(crate) mod ropes_and_contexts;
pub(crate) mod shared_text;
mod source;
mod text;

pub(crate) use configuration::{
    configuration, configuration_of_results, configuration_of_run, configuration_over, fetched,
};
pub(crate) use local_folder::{local_folder, place_of_model};
pub(crate) use model::{load_model, load_models, model_config, model_folder, model_name};
pub(crate) use source::{blank_source, names, source};
pub(crate) use text::{
    adds_bos, bos, check_eval_text_is_there, check_files, check_no_tokens, check_text,
    check_text_is_given, check_text_is_there, haystack, load_documents, needle_tokenizer,
    read_documents, read_texts, tokenize,
};

//! Command line arguments and configuration files, merged into one configuration.

pub(crate) mod args;
mod big_number;
pub(crate) mod bounds;
pub(crate) mod changed;
pub(crate) mod config;
mod dependent;
pub(crate) mod device_names;
pub(crate) mod layers;
pub(crate) mod path_text;
pub(crate) mod recipe;
pub(crate) mod recipe_arguments;
mod required;
pub(crate) mod saved;
mod words;

pub(crate) use required::required;

//! Models, texts and benchmarks from the Hugging Face hub, with the feature `hub`.
//!
//! `environment.rs` reads the variables that `huggingface_hub` reads, `cache.rs` knows its cache, `client.rs` asks the
//! hub, `download.rs` fetches one file, and `fetch.rs` what a name stands for.

mod place;

#[cfg(feature = "hub")]
mod cache;
#[cfg(feature = "hub")]
mod client;
#[cfg(feature = "hub")]
mod download;
#[cfg(feature = "hub")]
mod environment;
#[cfg(feature = "hub")]
mod failure;
#[cfg(feature = "hub")]
mod fetch;
#[cfg(feature = "hub")]
mod repository;
#[cfg(feature = "hub")]
mod splits;

#[cfg(not(feature = "hub"))]
#[path = "without.rs"]
mod fetch;

use std::path::{Path, PathBuf};

use anyhow::Result;
use longrope_eval::bench::HubData;
use longrope_model::name_in_hub_cache;

use self::place::TextPlace;

/// The folder of a model of the hub, fetched unless it is in the cache; `None` for an ordinary path.
pub(crate) fn model(model: &Path) -> Option<Result<PathBuf>> {
    place::on_hub(model).map(fetch::model)
}

/// The folder of a model of the hub, if all of it is in the cache; the hub is not asked.
pub(crate) fn in_cache(model: &Path) -> Option<PathBuf> {
    place::on_hub(model).and_then(fetch::cached_model)
}

/// The name of a model whose folder is in the cache of the hub, with its commit: `hf:OWNER/NAME@COMMIT`; `None` for other
/// folders.
pub(crate) fn name_of_cached(folder: &Path) -> Option<String> {
    let (name, commit) = name_in_hub_cache(folder)?;
    Some(format!("{}{name}@{commit}", place::PREFIX))
}

/// Whether a model or a text is named by its place on the hub.
pub(crate) fn is_on_hub(path: &Path) -> bool {
    place::on_hub(path).is_some()
}

/// The name of a model of the hub, `OWNER/NAME`; `None` for a folder.
pub(crate) fn name(model: &Path) -> Option<&str> {
    place::on_hub(model).map(|place| place.split_once('@').map_or(place, |(name, _)| name))
}

/// Refuses a text of the hub that cannot be one, without asking the hub.
pub(crate) fn check_text(path: &Path) -> Result<()> {
    match place::on_hub(path) {
        None => Ok(()),
        Some(name) => {
            TextPlace::parse(name)?;
            fetch::check_text(name)
        }
    }
}

/// The text files of a data set of the hub, fetched unless they are in the cache; `None` for an ordinary path.
pub(crate) fn text_files(path: &Path) -> Option<Result<Vec<PathBuf>>> {
    let name = place::on_hub(path)?;
    Some(TextPlace::parse(name).and_then(|place| fetch::text(name, &place)))
}

/// Whether two texts of the hub have files in common, as far as their names say; false for ordinary paths. The hub is not
/// asked.
pub(crate) fn may_share_text(a: &Path, b: &Path) -> bool {
    let parsed = |path: &Path| TextPlace::parse(place::on_hub(path)?).ok();
    match (parsed(a), parsed(b)) {
        (Some(a), Some(b)) => fetch::may_share_text(&a, &b),
        _ => false,
    }
}

/// The files with questions and examples of a benchmark, fetched unless they are in the cache.
pub(crate) fn bench_files(data: &HubData) -> Result<(Vec<PathBuf>, Option<PathBuf>)> {
    fetch::bench(data)
}

//! The errors of a program that was built without the feature `hub`.

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use longrope_eval::bench::HubData;

use super::place::TextPlace;
use crate::failure::Hint;

pub(super) fn model(name: &str) -> Result<PathBuf> {
    Err(
        anyhow!("model `hf:{name}` is on the Hugging Face hub, but this program was built without the feature `hub`")
            .context(Hint(
                "build with --features hub, or download the model and give its folder".to_owned(),
            )),
    )
}

/// Nothing: without the feature, nothing is looked for in the cache.
pub(super) fn cached_model(_name: &str) -> Option<PathBuf> {
    None
}

pub(super) fn check_text(name: &str) -> Result<()> {
    Err(
        anyhow!("text `hf:{name}` is on the Hugging Face hub, but this program was built without the feature `hub`")
            .context(Hint(
                "build with --features hub, or download the data set and give its files or folder".to_owned(),
            )),
    )
}

pub(super) fn text(name: &str, _place: &TextPlace) -> Result<Vec<PathBuf>> {
    check_text(name).map(|()| Vec::new())
}

/// False: without the feature, no text of the hub is read.
pub(super) fn may_share_text(_a: &TextPlace, _b: &TextPlace) -> bool {
    false
}

pub(super) fn bench(data: &HubData) -> Result<(Vec<PathBuf>, Option<PathBuf>)> {
    Err(anyhow!("there are no questions").context(Hint(format!(
        "give files of questions with --data and of examples with --fewshot ({}), or build with --features hub to fetch \
         them",
        data.describe()
    ))))
}

//! What names of the hub stand for: models, texts and benchmarks, from the cache or fetched into it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use indicatif::HumanBytes;
use longrope_data::counted;
use longrope_eval::bench::HubData;
use longrope_model::{Checkpoint, is_companion};
use serde_json::Value;

use super::cache::CachedRepository;
use super::client::{Client, Info};
use super::download::download;
use super::environment::Environment;
use super::failure::{Failure, offline};
use super::place::{MAIN, TextPlace};
use super::repository::{Kind, Repository};
use super::splits;
use crate::failure::Hint;
use crate::terminal::progress;

/// The weights of a model in one file.
const WEIGHTS: &str = "model.safetensors";
/// What names the files of other models.
const INDEX: &str = "model.safetensors.index.json";

/// The folder of a model, of which `name` follows `hf:`.
pub(super) fn model(name: &str) -> Result<PathBuf> {
    let (id, revision) = name.split_once('@').unwrap_or((name, MAIN));
    let hub = Hub::new(Repository::new(Kind::Model, id, revision));
    let cached = hub.cached_model();
    // A complete model in the cache is used without asking the hub. Not every verb needs a tokenizer.
    if let Some(folder) = &cached
        && (hub.is_offline || folder.join("tokenizer.json").exists())
    {
        return Ok(folder.clone());
    }
    let what = hub.repository.describe();
    if hub.is_offline {
        return Err(offline(&what));
    }
    let info = match (hub.ask_for_info(), cached) {
        (Ok(info), _) => info,
        (Err(Failure::Network(_)), Some(folder)) => return Ok(folder),
        (Err(failure), _) => return Err(failure.explain(&what)),
    };
    let weights = hub.weights(&info)?;
    if weights.is_empty() {
        return Err(no_weights(&hub.repository, &info));
    }
    let mut folder = None;
    for path in hub.fetch_all(&info, |file| {
        weights.contains(file) || is_beside_weights(file)
    })? {
        // Files in subfolders do not lie in the model's folder.
        if path.1.contains('/') {
            continue;
        }
        folder = path.0.parent().map(ToOwned::to_owned);
    }
    folder.context("a file in the hub's cache has no folder")
}

/// The folder of a model in the cache, if its config and its weights are there.
pub(super) fn cached_model(name: &str) -> Option<PathBuf> {
    let (id, revision) = name.split_once('@').unwrap_or((name, MAIN));
    Hub::new(Repository::new(Kind::Model, id, revision)).cached_model()
}

/// The text files of a data set.
pub(super) fn text(name: &str, place: &TextPlace) -> Result<Vec<PathBuf>> {
    let repository = Repository::new(Kind::Dataset, &place.id, &place.revision);
    let hub = Hub::new(repository);
    // A file that is named needs no list of files.
    if !place.path.is_empty()
        && let Some(path) = hub.cache.file(&place.path)
    {
        return Ok(vec![path]);
    }
    if hub.is_offline {
        return hub
            .cached_text(name, place)
            .ok_or_else(|| offline(&format!("text `hf:{name}`")));
    }
    let info = match hub.ask_for_info() {
        Ok(info) => info,
        Err(failure @ Failure::Network(_)) => {
            return match hub.cached_text(name, place) {
                Some(files) => Ok(files),
                None => Err(failure.explain(&hub.repository.describe())),
            };
        }
        Err(failure) => return Err(failure.explain(&hub.repository.describe())),
    };
    let files: Vec<&str> = info.files.iter().map(|file| file.path.as_str()).collect();
    let wanted = splits::text_files(&files, &place.path);
    if wanted.is_empty() {
        return Err(no_text(name, &files));
    }
    let fetched = hub.fetch_all(&info, |file| wanted.binary_search(&file).is_ok())?;
    let mut fetched: Vec<_> = fetched
        .into_iter()
        .map(|(path, file)| (file, path))
        .collect();
    fetched.sort();
    Ok(fetched.into_iter().map(|(_, path)| path).collect())
}

/// Whether two texts have files in common, as far as their names say. Another revision of a data set is taken for the same
/// text.
pub(super) fn may_share_text(a: &TextPlace, b: &TextPlace) -> bool {
    a.id == b.id && splits::may_share(&a.path, &b.path)
}

/// Accepts every text: with the feature, all can be fetched.
#[expect(
    clippy::unnecessary_wraps,
    reason = "programs without the feature refuse it"
)]
pub(super) fn check_text(_name: &str) -> Result<()> {
    Ok(())
}

/// The files of a benchmark.
pub(super) fn bench(data: &HubData) -> Result<(Vec<PathBuf>, Option<PathBuf>)> {
    let hub = Hub::new(Repository::new(Kind::Dataset, data.dataset, MAIN));
    let questions = data.questions.iter().map(|file| hub.get(MAIN, file));
    let questions = questions.collect::<Result<Vec<_>>>()?;
    let examples = data.examples.map(|file| hub.get(MAIN, file)).transpose()?;
    Ok((questions, examples))
}

/// A repository, on the hub and in the cache.
struct Hub {
    client: Client,
    repository: Repository,
    cache: CachedRepository,
    is_offline: bool,
}

impl Hub {
    fn new(repository: Repository) -> Self {
        let environment = Environment::of_process();
        Self {
            client: Client::new(&environment),
            cache: CachedRepository::new(&environment.cache, &repository),
            repository,
            is_offline: environment.is_offline,
        }
    }

    fn ask_for_info(&self) -> Result<Info, Failure> {
        self.client.info(&self.repository)
    }

    /// The folder of the model in the cache, if its config and its weights are there.
    fn cached_model(&self) -> Option<PathBuf> {
        let config = self.cache.file("config.json")?;
        let folder = config.parent()?;
        Checkpoint::open(folder)
            .is_ok()
            .then(|| folder.to_path_buf())
    }

    /// The weight files that are read of a model: the one with all weights, or those that the index names. Repositories may
    /// have the same weights once more, for other programs.
    fn weights(&self, info: &Info) -> Result<BTreeSet<String>> {
        let files = info.files.iter().map(|file| file.path.as_str());
        let all: BTreeSet<String> = files
            .filter(|file| is_weights(file))
            .map(ToOwned::to_owned)
            .collect();
        if all.contains(WEIGHTS) {
            return Ok(BTreeSet::from([WEIGHTS.to_owned()]));
        }
        if !info.files.iter().any(|file| file.path == INDEX) {
            return Ok(all);
        }
        // An index that names none of the files is refused when the model is opened.
        let named = named_files(&self.get(&info.commit, INDEX)?);
        let wanted: BTreeSet<String> = all.intersection(&named).cloned().collect();
        Ok(if wanted.is_empty() { all } else { wanted })
    }

    /// The path of a file in the cache, fetched if it is missing.
    fn get(&self, revision: &str, file: &str) -> Result<PathBuf> {
        let cached = if revision == self.repository.revision {
            self.cache.file(file)
        } else {
            self.cache.file_of(revision, file)
        };
        if let Some(path) = cached {
            return Ok(path);
        }
        let what = format!("`{file}` of {}", self.repository.describe());
        if self.is_offline {
            return Err(offline(&what));
        }
        download(&self.client, &self.repository, &self.cache, revision, file)
            .map_err(|failure| failure.explain(&what))
    }

    /// Fetches the wanted files of a list, all of its commit, unless they are in the cache. Says first how much that is.
    /// Returns their paths in the cache and in the repository.
    fn fetch_all(
        &self,
        info: &Info,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<(PathBuf, String)>> {
        let wanted = info.files.iter().filter(|file| is_wanted(&file.path));
        let wanted: Vec<_> = wanted.collect();
        let is_missing = |path: &str| self.cache.file_of(&info.commit, path).is_none();
        let missing: Vec<_> = wanted
            .iter()
            .filter(|file| is_missing(&file.path))
            .collect();
        if !missing.is_empty() {
            let sizes: Option<Vec<u64>> = missing.iter().map(|file| file.size).collect();
            let size = sizes.map_or_else(
                || "of unknown size".to_owned(),
                |sizes| HumanBytes(sizes.iter().sum()).to_string(),
            );
            progress::line(&format!(
                "downloading {} ({size}) of {}, commit {}",
                counted(missing.len(), "file"),
                self.repository.describe(),
                info.commit
            ));
        }
        let paths = wanted
            .into_iter()
            .map(|file| Ok((self.get(&info.commit, &file.path)?, file.path.clone())));
        let paths = paths.collect::<Result<Vec<_>>>()?;
        self.cache
            .write_ref(&info.commit)
            .map_err(|error| Failure::from(error).explain(&self.repository.describe()))?;
        Ok(paths)
    }

    /// The text files of a data set that are in the cache, with a warning: there may be more on the hub.
    fn cached_text(&self, name: &str, place: &TextPlace) -> Option<Vec<PathBuf>> {
        let files = self.cache.files();
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        let wanted = splits::text_files(&files, &place.path);
        let paths: Vec<PathBuf> = wanted
            .iter()
            .filter_map(|file| self.cache.file(file))
            .collect();
        if paths.is_empty() {
            return None;
        }
        tracing::warn!(
            "the hub cannot be asked for the files of `hf:{name}`: {} in the cache are read",
            counted(paths.len(), "file")
        );
        Some(paths)
    }
}

/// The error for a data set without files that are read.
fn no_text(name: &str, files: &[&str]) -> anyhow::Error {
    const MOST: usize = 5;
    let mut named: Vec<String> = files
        .iter()
        .take(MOST)
        .map(|file| format!("`{file}`"))
        .collect();
    if files.len() > MOST {
        named.push(format!("{} more", files.len() - MOST));
    }
    let found = if named.is_empty() {
        "no files".to_owned()
    } else {
        named.join(", ")
    };
    anyhow!("`hf:{name}` has no text, found {found}").context(Hint(
        "parquet, .jsonl and .txt files are read; a file with another ending is given by its name: hf:OWNER/NAME/FILE"
            .to_owned(),
    ))
}

/// The error for a model without weights that are read.
fn no_weights(repository: &Repository, info: &Info) -> anyhow::Error {
    let is_gguf = |file: &str| {
        let extension = Path::new(file).extension();
        extension.is_some_and(|it| it.eq_ignore_ascii_case("gguf"))
    };
    let mut files = info.files.iter().map(|file| file.path.as_str());
    let hint = match files.find(|file| is_gguf(file)) {
        Some(file) => format!(
            "it has GGUF files: download one, for example with `hf download {} {file} --local-dir .`, and give it as MODEL",
            repository.id
        ),
        None => "convert models in other formats first".to_owned(),
    };
    let what = repository.describe();
    anyhow!("{what} on the hub has no safetensors files for transformers").context(Hint(hint))
}

/// The files that an index names; none if it cannot be read.
fn named_files(index: &Path) -> BTreeSet<String> {
    let json: Option<Value> = fs_err::read(index)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let Some(Value::Object(map)) = json.as_ref().and_then(|json| json.get("weight_map")) else {
        return BTreeSet::new();
    };
    let names = map.values().filter_map(Value::as_str);
    names
        .map(|name| name.trim_start_matches("./").to_owned())
        .collect()
}

/// Whether a file belongs to a model beside its weights: config, tokenizer, chat template, code or licence.
fn is_beside_weights(file: &str) -> bool {
    ["config.json", INDEX].contains(&file) || is_companion(file)
}

/// Whether a file has weights. Files in folders, and consolidated ones, are for other programs.
fn is_weights(file: &str) -> bool {
    file.ends_with(".safetensors") && !file.contains('/') && !file.starts_with("consolidated")
}

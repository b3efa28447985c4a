//! Models and benchmarks from the Hugging Face hub, with the feature `hub`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use longrope_eval::bench::HubData;

use super::gguf;

/// Prefix of a model of the hub in the place of a folder: `hf:OWNER/NAME` or `hf:OWNER/NAME@REVISION`.
const PREFIX: &str = "hf:";

/// The folder of a model. A model of the hub is fetched first and a GGUF file unpacked, unless they are in the cache.
pub(crate) fn model_folder(model: &Path) -> Result<PathBuf> {
    match place(model) {
        None if gguf::is_gguf(model) => gguf::unpacked(model),
        None => Ok(model.to_path_buf()),
        Some(name) => fetch::model(name),
    }
}

/// Whether a model is named by its place on the hub.
pub(crate) fn is_on_hub(model: &Path) -> bool {
    place(model).is_some()
}

/// The name of a model of the hub, `OWNER/NAME`; `None` for a folder.
pub(crate) fn name(model: &Path) -> Option<&str> {
    place(model).map(|place| place.split_once('@').map_or(place, |(name, _)| name))
}

/// What follows `hf:`; `None` for a folder.
fn place(model: &Path) -> Option<&str> {
    model.to_str()?.strip_prefix(PREFIX)
}

/// The files with questions and examples of a benchmark, fetched unless they are in the cache.
pub(crate) fn bench_files(data: &HubData) -> Result<(Vec<PathBuf>, Option<PathBuf>)> {
    fetch::bench(data)
}

#[cfg(not(feature = "hub"))]
mod fetch {
    use std::path::PathBuf;

    use anyhow::{Result, anyhow};
    use longrope_eval::bench::HubData;

    use crate::hint::Hint;

    pub(super) fn model(name: &str) -> Result<PathBuf> {
        Err(
            anyhow!("model `hf:{name}` is on the Hugging Face hub, but this program was built without the feature `hub`")
                .context(Hint(
                    "build with --features hub, or download the model and give its folder"
                        .to_owned(),
                )),
        )
    }

    pub(super) fn bench(data: &HubData) -> Result<(Vec<PathBuf>, Option<PathBuf>)> {
        Err(anyhow!("there are no questions").context(Hint(format!(
            "give files of questions with --data and of examples with --fewshot ({}), or build with --features hub to \
             fetch them",
            data.describe()
        ))))
    }
}

#[cfg(feature = "hub")]
mod fetch {
    use std::path::PathBuf;

    use anyhow::{Context, Error, Result, anyhow};
    use hf_hub::api::Progress;
    use hf_hub::api::sync::{ApiBuilder, ApiError, ApiRepo};
    use hf_hub::{Cache, CacheRepo, Repo, RepoType};
    use indicatif::ProgressBar;
    use longrope_eval::bench::HubData;
    use longrope_model::{Checkpoint, is_companion};

    use crate::hint::Hint;
    use crate::progress;

    /// Number of retries after a broken connection.
    const RETRIES: usize = 3;

    pub(super) fn model(name: &str) -> Result<PathBuf> {
        let (id, revision) = name.split_once('@').unwrap_or((name, "main"));
        let place = Place::new(id, RepoType::Model, revision, format!("model `{id}`"))?;
        // A complete model in the cache is used without asking the hub.
        if let Some(config) = place.cached.get("config.json")
            && let Some(folder) = config.parent()
            && Checkpoint::open(folder).is_ok()
            && folder.join("tokenizer.json").exists()
        {
            return Ok(folder.to_path_buf());
        }
        let info = place
            .repo
            .info()
            .map_err(|error| explain(error, &place.what))?;
        let files: Vec<String> = info
            .siblings
            .into_iter()
            .map(|file| file.rfilename)
            .collect();
        if !files.iter().any(|file| is_weights(file)) {
            return Err(
                anyhow!("{} on the hub has no safetensors files", place.what)
                    .context(Hint("convert models in other formats first".to_owned())),
            );
        }
        let mut folder = None;
        for file in files.iter().filter(|file| is_of_a_model(file)) {
            let path = get(&place, file)?;
            // Files in subfolders do not lie in the model's folder.
            if !file.contains('/') {
                folder = path.parent().map(ToOwned::to_owned);
            }
        }
        folder.context("a file in the hub's cache has no folder")
    }

    pub(super) fn bench(data: &HubData) -> Result<(Vec<PathBuf>, Option<PathBuf>)> {
        let what = format!("data set `{}`", data.dataset);
        let place = Place::new(data.dataset, RepoType::Dataset, "main", what)?;
        let questions = data.questions.iter().map(|file| get(&place, file));
        let questions = questions.collect::<Result<Vec<_>>>()?;
        let examples = data.examples.map(|file| get(&place, file)).transpose()?;
        Ok((questions, examples))
    }

    /// A repository, on the hub and in the cache.
    struct Place {
        repo: ApiRepo,
        cached: CacheRepo,
        what: String,
    }

    impl Place {
        #[expect(
            clippy::disallowed_methods,
            reason = "the program may read the environment"
        )]
        fn new(id: &str, kind: RepoType, revision: &str, what: String) -> Result<Self> {
            let repo = Repo::with_revision(id.to_owned(), kind, revision.to_owned());
            let mut builder = ApiBuilder::from_env().with_retries(RETRIES);
            if let Ok(token) = std::env::var("HF_TOKEN") {
                builder = builder.with_token(Some(token));
            }
            let api = builder.build().context("preparing requests to the hub")?;
            Ok(Self {
                repo: api.repo(repo.clone()),
                cached: Cache::from_env().repo(repo),
                what,
            })
        }
    }

    /// Whether a file belongs to a model: weights, config, tokenizer, chat template, code or licence.
    fn is_of_a_model(file: &str) -> bool {
        let others = ["config.json", "model.safetensors.index.json"];
        is_weights(file) || others.contains(&file) || is_companion(file)
    }

    /// Whether a file has weights. Files in folders are for other programs.
    fn is_weights(file: &str) -> bool {
        file.ends_with(".safetensors") && !file.contains('/')
    }

    /// The path of a file in the cache, fetched if it is missing.
    fn get(place: &Place, file: &str) -> Result<PathBuf> {
        if let Some(path) = place.cached.get(file) {
            return Ok(path);
        }
        let fetched = place
            .repo
            .download_with_progress(file, Bar(progress::bar(file, 1)));
        fetched.map_err(|error| explain(error, &format!("`{file}` of {}", place.what)))
    }

    /// A progress bar over the bytes of one file.
    struct Bar(ProgressBar);

    impl Progress for Bar {
        fn init(&mut self, n_bytes: usize, _file: &str) {
            self.0.set_length(n_bytes as u64);
            self.0.set_position(0);
            self.0.set_message("bytes");
        }

        fn update(&mut self, n_bytes: usize) {
            self.0.inc(n_bytes as u64);
        }

        fn finish(&mut self) {
            self.0.finish_and_clear();
        }
    }

    /// Adds to an error what could not be fetched, and a hint.
    fn explain(error: ApiError, what: &str) -> Error {
        let text = error.to_string();
        let hint = if text.contains("http status: 401") || text.contains("http status: 403") {
            "access is restricted: accept the licence on the hub's page if there is one, and set HF_TOKEN"
        } else if text.contains("http status: 404") {
            "it does not exist on the hub, or it is private: check the name, and set HF_TOKEN if you have access"
        } else if text.contains("http status") {
            "the hub did not send the file: try again later"
        } else {
            "check the network, or give local files or folders; without a network, only files in the cache (HF_HOME) can be used"
        };
        Error::from(error)
            .context(format!("cannot fetch {what} from the Hugging Face hub"))
            .context(Hint(hint.to_owned()))
    }
}

//! GGUF files in the place of a model's folder: unpacked once, into a cache.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result, anyhow};
use longrope_data::replace_folder;
use longrope_gguf::{GgufFile, config_json, write_folder};
use longrope_model::ModelConfig;

use super::hub;
use crate::failure::Hint;

/// Counts the ways in which files were unpacked, so that what an earlier version wrote is not used.
const UNPACKING: u32 = 2;

/// What to do if there is no place for unpacked files.
const NO_PLACE: &str = "GGUF files are unpacked to the user's cache: name a folder that can be written and has enough space \
                        in the environment variable XDG_CACHE_HOME, as an absolute path";

/// Whether a model is given as a GGUF file, which may be missing.
pub(crate) fn is_gguf(model: &Path) -> bool {
    let extension = model.extension();
    extension.is_some_and(|it| it.eq_ignore_ascii_case("gguf"))
        && !model.is_dir()
        && !hub::is_on_hub(model)
}

/// The folder with the model of a GGUF file, in the format of Hugging Face. It is written unless an earlier run has done so
/// since the file was last changed.
pub(crate) fn unpacked(model: &Path) -> Result<PathBuf> {
    let doing = || format!("reading `{}`", model.display());
    let file = GgufFile::open(model).with_context(doing)?;
    let folder = place(model).with_context(doing)?;
    if !folder.join("config.json").is_file() {
        tracing::info!("unpacking `{}` to `{}`", model.display(), folder.display());
        replace_folder(&folder, ".unpacking-", |staging| {
            write_folder(&file, staging)
        })
        .map_err(|error| match error {
            // The file itself was read already.
            longrope_gguf::Error::Io(source) => {
                let doing = format!("unpacking to `{}`", folder.display());
                Error::new(source).context(doing).context(hint())
            }
            other => other.into(),
        })
        .with_context(doing)?;
    }
    Ok(folder)
}

/// The sizes and the RoPE of the model in a GGUF file, from its header alone.
pub(crate) fn model_config(model: &Path) -> Result<ModelConfig> {
    let config = config_json(&GgufFile::open(model)?)?;
    Ok(ModelConfig::from_json(&config, model)?)
}

/// Where a file is unpacked: a folder named after it, its place, its size and the time of its last change.
fn place(model: &Path) -> Result<PathBuf> {
    let path = fs_err::canonicalize(model)?;
    let metadata = fs_err::metadata(&path)?;
    let mut hash = DefaultHasher::new();
    (&path, metadata.len(), metadata.modified().ok()).hash(&mut hash);
    (env!("CARGO_PKG_VERSION"), UNPACKING).hash(&mut hash);
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    Ok(cache()?.join(format!("{stem}-{:016x}", hash.finish())))
}

fn hint() -> Hint {
    Hint(NO_PLACE.to_owned())
}

/// The folder of unpacked files, in the user's cache.
///
/// On Unix, the folder for temporary files is not used: anybody may have put weights there.
#[expect(
    clippy::disallowed_methods,
    reason = "only the program reads the environment, not its libraries"
)]
fn cache() -> Result<PathBuf> {
    let absolute = |name: &str| {
        let path = std::env::var_os(name).map(PathBuf::from)?;
        path.is_absolute().then_some(path)
    };
    let of_user = absolute("XDG_CACHE_HOME")
        .or_else(|| Some(absolute("HOME")?.join(".cache")))
        .or_else(|| (!cfg!(unix)).then(std::env::temp_dir));
    let Some(of_user) = of_user else {
        return Err(anyhow!(
            "the user has no cache: neither XDG_CACHE_HOME nor HOME is an absolute path"
        )
        .context(hint()));
    };
    Ok(of_user.join("longrope").join("gguf"))
}

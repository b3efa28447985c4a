//! GGUF files in the place of a model's folder: unpacked once, into a cache.
//!
//! The cache has one copy of each file. A file that has changed is unpacked to another folder, because a process may still
//! read the earlier copy, which is removed as soon as no process does.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Error, Result, anyhow};
use longrope_data::{remove_leftovers_in, replace_folder, sha256_hex};
use longrope_gguf::{GgufFile, Metadata, config_json, origin_keys, write_folder};
use longrope_model::ModelConfig;

use super::hub;
use crate::failure::Hint;

/// Counts the ways in which files were unpacked, so that what an earlier version wrote is not used.
const UNPACKING: u32 = 4;

/// How the name of a folder begins while a file is unpacked to it.
const PREFIX: &str = ".unpacking-";

/// Characters of each hash in the name of a folder.
const HASH_LEN: usize = 16;

/// Longest part of the name of a file that is in that of its folder, in characters.
const MOST_OF_STEM: usize = 40;

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
    let place = Place::of(model).with_context(doing)?;
    let folder = place.folder();
    remove_leftovers_in(&place.cache, PREFIX);
    if !hold(&folder) {
        tracing::info!("unpacking `{}` to `{}`", model.display(), folder.display());
        let needed = config_of(&file).with_context(doing)?.tensors();
        let write = |staging: &Path| write_folder(&file, &needed, staging);
        replace_folder(&folder, PREFIX, write)
            .map_err(|error| match error {
                // The file itself was read already.
                longrope_gguf::Error::Io(source) => {
                    let doing = format!("unpacking to `{}`", folder.display());
                    Error::new(source).context(doing).context(hint())
                }
                other => other.into(),
            })
            .with_context(doing)?;
        if !hold(&folder) {
            let hint = "the file has changed meanwhile: give the same command again";
            return Err(
                anyhow!("another process has removed `{}`", folder.display())
                    .context(Hint(hint.to_owned())),
            );
        }
    }
    place.remove_earlier_copies();
    Ok(folder)
}

/// The sizes and the RoPE of the model in a GGUF file, from its header alone.
pub(crate) fn model_config(model: &Path) -> Result<ModelConfig> {
    config_of(&GgufFile::open(model)?)
}

fn config_of(file: &GgufFile) -> Result<ModelConfig> {
    let config = config_json(file)?;
    Ok(ModelConfig::from_json(&config, file.path())?)
}

/// The keys that say where a model comes from, with its name, if it is given as a GGUF file; else none.
pub(crate) fn origin(model: &Path) -> Result<Metadata> {
    const NAME: &str = "general.name";
    if !is_gguf(model) {
        return Ok(Metadata::new());
    }
    let doing = || format!("reading `{}`", model.display());
    let mut keys = origin_keys(&GgufFile::open(model).with_context(doing)?);
    if !keys.iter().any(|(key, _)| key == NAME) {
        let stem = model.file_stem().unwrap_or_default().to_string_lossy();
        keys.push((NAME.to_owned(), stem.into_owned().into()));
    }
    Ok(keys)
}

/// Where a file is unpacked.
struct Place {
    cache: PathBuf,
    /// The beginning of the names of all copies of the file: its name, and a hash of its path.
    of_file: String,
    /// The end of the name of this copy: a hash of the size of the file, the time of its last change, and the version.
    of_copy: String,
}

impl Place {
    fn of(model: &Path) -> Result<Self> {
        let path = fs_err::canonicalize(model)?;
        let metadata = fs_err::metadata(&path)?;
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let stem: String = stem.chars().take(MOST_OF_STEM).collect();
        let changed = metadata.modified().ok();
        let version = env!("CARGO_PKG_VERSION");
        let state = format!("{} {changed:?} {version} {UNPACKING}", metadata.len());
        Ok(Self {
            cache: cache()?,
            of_file: format!("{stem}-{}-", hash(path.as_os_str().as_encoded_bytes())),
            of_copy: hash(state.as_bytes()),
        })
    }

    fn folder(&self) -> PathBuf {
        self.cache.join(format!("{}{}", self.of_file, self.of_copy))
    }

    /// Removes the copies of the file as it was earlier, except those that a process reads.
    fn remove_earlier_copies(&self) {
        let entries = fs_err::read_dir(&self.cache).into_iter().flatten();
        for entry in entries.flatten() {
            let name = entry.file_name();
            let of_copy = name.to_str().and_then(|it| it.strip_prefix(&self.of_file));
            let is_earlier = of_copy.is_some_and(|it| it.len() == HASH_LEN && it != self.of_copy);
            if !is_earlier {
                continue;
            }
            // Locked until it is gone, so that nobody begins to read it.
            let Some(_lock) = lock_unless_held(&entry.path()) else {
                continue;
            };
            match fs_err::remove_dir_all(entry.path()) {
                Ok(()) => tracing::info!("removed `{}`", entry.path().display()),
                Err(error) => tracing::warn!("a copy of an earlier file is left: {error}"),
            }
        }
    }
}

fn hash(bytes: &[u8]) -> String {
    let mut hash = sha256_hex(&[bytes]);
    hash.truncate(HASH_LEN);
    hash
}

/// Files in the copies that this process reads. They are locked until the process ends, so that no other one removes them.
static HELD: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// Holds a copy until this process ends. Returns whether it is there. Where files cannot be locked, no copy is removed.
fn hold(folder: &Path) -> bool {
    let path = folder.join("config.json");
    let Ok(config) = fs_err::File::open(&path) else {
        return false;
    };
    let config = config.into_file();
    let _ = config.lock_shared();
    // Another process may have removed it before it was locked.
    if !path.is_file() {
        return false;
    }
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    held.push(config);
    true
}

/// The lock of a copy that no process reads; `None` if one does, or it is no copy.
fn lock_unless_held(folder: &Path) -> Option<File> {
    let config = fs_err::File::open(folder.join("config.json")).ok()?;
    let config = config.into_file();
    config.try_lock().ok()?;
    Some(config)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earlier_copies_go_unless_they_are_read() {
        let cache = tempfile::tempdir().unwrap();
        let of_copy = |text: &str| hash(text.as_bytes());
        let place = Place {
            cache: cache.path().to_owned(),
            of_file: "m-1-".to_owned(),
            of_copy: of_copy("now"),
        };
        let folder = |start: &str, copy: &str| cache.path().join(format!("{start}{copy}"));
        let [dead, read, now, other, longer] = [
            folder("m-1-", &of_copy("dead")),
            folder("m-1-", &of_copy("read")),
            place.folder(),
            folder("m-2-", &of_copy("dead")),
            // Of the file `m-1-x.gguf`.
            folder("m-1-x-2-", &of_copy("dead")),
        ];
        assert!(!hold(&now));
        for folder in [&dead, &read, &now, &other, &longer] {
            fs_err::create_dir(folder).unwrap();
            fs_err::write(folder.join("config.json"), "{}").unwrap();
        }
        assert!(hold(&read));
        place.remove_earlier_copies();
        for (folder, stays) in [
            (&dead, false),
            (&read, true),
            (&now, true),
            (&other, true),
            (&longer, true),
        ] {
            assert_eq!(folder.exists(), stays, "{}", folder.display());
        }
    }
}

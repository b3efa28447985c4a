//! Fetches one file into the cache. A download that was cut off, by a broken connection or the end of the process,
//! resumes where it stopped.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use longrope_data::sha256_of_file;
use ureq::Body;
use ureq::http::Response;

use super::cache::{CachedRepository, is_name, stays_inside};
use super::client::{Client, FileInfo, RETRIES, header, pause};
use super::failure::Failure;
use super::repository::Repository;
use crate::terminal::progress;

/// Fetches a file at a revision into the cache. Returns its path there.
pub(super) fn download(
    client: &Client,
    repository: &Repository,
    cache: &CachedRepository,
    revision: &str,
    file: &str,
) -> Result<PathBuf, Failure> {
    if !stays_inside(file) {
        return Err(Failure::Answer(format!("`{file}` is no path of a file")));
    }
    let info = client.file_info(repository, revision, file)?;
    if !is_name(&info.commit) || !is_name(&info.etag) {
        return Err(Failure::Answer(format!(
            "commit `{}` and etag `{}` are no names",
            info.commit, info.etag
        )));
    }
    let blob = cache.blob(&info.etag);
    let lock = cache.lock(&info.etag)?;
    // Another process may have fetched it, or another file has the same content.
    if !blob.is_file() {
        let bar = progress::bar(file, info.size.unwrap_or(1));
        bar.set_message("bytes");
        let source = Source {
            client,
            repository,
            file,
            info: &info,
        };
        let fetched = source.fetch(&blob, &bar);
        bar.finish_and_clear();
        fetched?;
    }
    let path = cache.link(&info.commit, file, &info.etag)?;
    drop(lock);
    if revision == repository.revision {
        cache.write_ref(&info.commit)?;
    }
    Ok(path)
}

/// A file of the hub whose content is wanted.
struct Source<'a> {
    client: &'a Client,
    repository: &'a Repository,
    file: &'a str,
    info: &'a FileInfo,
}

impl Source<'_> {
    /// Writes the content to `blob`, which appears whole or not at all.
    fn fetch(&self, blob: &Path, bar: &ProgressBar) -> Result<(), Failure> {
        if let Some(folder) = blob.parent() {
            fs_err::create_dir_all(folder)?;
        }
        let incomplete = blob.with_file_name(format!("{}.incomplete", self.info.etag));
        // Small files have no checksum, so what is left of them cannot be trusted.
        if !self.has_checksum() && incomplete.exists() {
            fs_err::remove_file(&incomplete)?;
        }
        let mut was_wrong = false;
        loop {
            self.complete(&incomplete, bar)?;
            match self.check(&incomplete) {
                Ok(()) => break,
                // What an earlier process left may have been damaged.
                Err(failure @ Failure::Checksum { .. }) => {
                    fs_err::remove_file(&incomplete)?;
                    if was_wrong {
                        return Err(failure);
                    }
                    was_wrong = true;
                }
                Err(failure) => return Err(failure),
            }
        }
        fs_err::rename(incomplete, blob)?;
        Ok(())
    }

    /// Adds what is missing to a file. Gives up after failures in a row that brought no further byte.
    fn complete(&self, path: &Path, bar: &ProgressBar) -> Result<(), Failure> {
        let mut file = fs_err::OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)?
            .into_parts()
            .0;
        let mut furthest = file.metadata()?.len();
        let mut n_failures = 0;
        loop {
            let failure = match self.add_to(&mut file, bar) {
                Ok(()) => {
                    file.sync_all()?;
                    return Ok(());
                }
                Err(failure) => failure,
            };
            let length = file.metadata()?.len();
            if length > furthest {
                furthest = length;
                n_failures = 0;
            }
            // A hub that was there a moment ago may come back.
            let may_pass = failure.may_pass() || matches!(failure, Failure::Network(_));
            if !may_pass || n_failures == RETRIES {
                return Err(failure);
            }
            pause(n_failures, &failure);
            n_failures += 1;
        }
    }

    /// One request for what is missing.
    fn add_to(&self, file: &mut File, bar: &ProgressBar) -> Result<(), Failure> {
        let mut start = file.metadata()?.len();
        if let Some(size) = self.info.size {
            bar.set_length(size);
            if start == size {
                return Ok(());
            }
            if start > size {
                start = 0;
            }
        }
        let response = self
            .client
            .content(self.repository, &self.info.commit, self.file, start)?;
        let expected = match place(&response, start) {
            Place::From(0) if start > 0 => {
                start = 0;
                content_length(&response)
            }
            Place::From(_) => content_length(&response).map(|length| start + length),
            Place::Elsewhere => {
                file.set_len(0)?;
                return Err(Failure::WrongPart { start });
            }
        };
        file.set_len(start)?;
        file.seek(SeekFrom::Start(start))?;
        bar.set_position(start);
        let expected = self.info.size.or(expected);
        let found = copy(response, file, start, expected, bar)?;
        match expected {
            Some(expected) if found != expected => {
                if found > expected {
                    file.set_len(0)?;
                }
                Err(Failure::WrongLength { found, expected })
            }
            _ => Ok(()),
        }
    }

    /// Whether the name of the content is its SHA-256, as it is for large files.
    fn has_checksum(&self) -> bool {
        let name = &self.info.etag;
        name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
    }

    /// Checks the content of a file against its checksum, if it has one.
    fn check(&self, path: &Path) -> Result<(), Failure> {
        if !self.has_checksum() {
            return Ok(());
        }
        let expected = &self.info.etag;
        let found = sha256_of_file(path)?;
        if found.eq_ignore_ascii_case(expected) {
            Ok(())
        } else {
            Err(Failure::Checksum {
                found,
                expected: expected.clone(),
            })
        }
    }
}

/// Where an answer begins in the file.
enum Place {
    From(u64),
    /// Not where it was asked for.
    Elsewhere,
}

fn place(response: &Response<Body>, start: u64) -> Place {
    match response.status().as_u16() {
        206 => {
            let range = header(response.headers(), "content-range");
            let from = range
                .and_then(|range| range.trim().strip_prefix("bytes "))
                .and_then(|range| range.split_once('-'))
                .and_then(|(from, _)| from.trim().parse().ok());
            if from == Some(start) {
                Place::From(start)
            } else {
                Place::Elsewhere
            }
        }
        416 => Place::Elsewhere,
        // All of it, whatever was asked for.
        _ => Place::From(0),
    }
}

fn content_length(response: &Response<Body>) -> Option<u64> {
    header(response.headers(), "content-length")?.parse().ok()
}

/// Appends an answer to a file that ends at `start`, up to one byte more than expected. Returns where it ends then.
fn copy(
    response: Response<Body>,
    file: &mut File,
    start: u64,
    expected: Option<u64>,
    bar: &ProgressBar,
) -> Result<u64, Failure> {
    let most = expected.map_or(u64::MAX, |expected| expected.saturating_sub(start) + 1);
    let mut reader = response.into_body().into_reader().take(most);
    let mut buffer = vec![0; 1 << 16];
    let mut end = start;
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(end),
            Ok(n_bytes) => {
                file.write_all(&buffer[..n_bytes])?;
                end += n_bytes as u64;
                bar.set_position(end);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => {
                return Err(Failure::Broken {
                    n_bytes: end,
                    source,
                });
            }
        }
    }
}

//! A file of JSON lines that grows while work is done, and is read again if the work is interrupted.

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::json_files::json_lines;

/// Time between two calls that flush the file to disk. Against a kill, no flush is needed.
const FLUSH_EVERY: Duration = Duration::from_secs(20);

/// The first line.
#[derive(PartialEq, Serialize, Deserialize)]
struct Header {
    format: String,
    version: u32,
}

/// The file. It exists from the first line on.
#[derive(Debug)]
pub(super) struct LineFile {
    path: PathBuf,
    format: &'static str,
    /// The lines that were read, as JSON lines.
    kept: String,
    /// Open for appending after the first new line.
    file: Option<fs_err::File>,
    flushed: Instant,
}

impl LineFile {
    /// Reads the lines that an interrupted run has left. Lines that a kill has cut off or that are damaged are left out, and so
    /// are those of files of another format.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(super) fn open<T: Serialize + DeserializeOwned>(
        path: PathBuf,
        format: &'static str,
    ) -> Result<(Self, Vec<T>)> {
        let mut file = Self {
            path,
            format,
            kept: String::new(),
            file: None,
            flushed: Instant::now(),
        };
        if !file.path.is_file() {
            return Ok((file, Vec::new()));
        }
        // Not as text: one damaged byte is not to hide all lines.
        let bytes = fs_err::read(&file.path)?;
        let mut lines = bytes.split(|byte| *byte == b'\n');
        let header = lines
            .next()
            .and_then(|line| serde_json::from_slice::<Header>(line).ok());
        if header != Some(file.header()) {
            return Ok((file, Vec::new()));
        }
        let lines: Vec<T> = lines
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect();
        file.kept = json_lines(&lines)?;
        Ok((file, lines))
    }

    fn header(&self) -> Header {
        Header {
            format: self.format.to_owned(),
            version: 1,
        }
    }

    /// Appends a line.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn add(&mut self, line: &impl Serialize) -> Result<()> {
        let text = json_lines([line])?;
        let mut file = match self.file.take() {
            Some(file) => file,
            None => self.begin()?,
        };
        file.write_all(text.as_bytes())?;
        if self.flushed.elapsed() >= FLUSH_EVERY {
            file.sync_data()?;
            self.flushed = Instant::now();
        }
        self.file = Some(file);
        Ok(())
    }

    /// Writes the header and the lines that were read, and opens the file for appending.
    fn begin(&self) -> Result<fs_err::File> {
        let text = json_lines([self.header()])? + &self.kept;
        if self.kept.is_empty() {
            // There is nothing to lose. This happens once per generation, so nothing is flushed to disk.
            fs_err::write(&self.path, text)?;
        } else {
            longrope_data::write_atomically(&self.path, text.as_bytes())?;
        }
        Ok(fs_err::OpenOptions::new().append(true).open(&self.path)?)
    }

    /// Removes the file: what its lines say is saved elsewhere.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub(super) fn clear(&mut self) -> Result<()> {
        self.file = None;
        self.kept.clear();
        if self.path.is_file() {
            fs_err::remove_file(&self.path)?;
        }
        Ok(())
    }
}

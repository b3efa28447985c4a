//! Runs a script in a Python interpreter, until it ends or Ctrl-C ends it.

use std::io::{ErrorKind, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow};
use longrope_extend::{Interrupt, Interrupted};

use crate::failure::Hint;
use crate::settings::args::Runtime;

/// Time between two looks at the child.
const POLL: Duration = Duration::from_millis(30);
/// How long the output of an ended child is waited for: a process of its own may keep it open.
const LAST_OUTPUT: Duration = Duration::from_secs(5);
/// Size of the end of stderr that is kept, in bytes.
const TAIL_BYTES: usize = 8192;
/// Lines of stderr that are shown, and their length in characters.
const TAIL_LINES: usize = 12;
const LINE_CHARS: usize = 200;

/// An interpreter for a script.
pub(super) struct Interpreter<'a> {
    pub(super) runtime: Runtime,
    /// A path, or a name in PATH.
    pub(super) python: &'a Path,
    /// Folder of a libllama.
    pub(super) library: Option<&'a Path>,
}

impl Interpreter<'_> {
    /// Runs the script of the program with a request as JSON, of which the answer has at most `most_bytes`. Returns what the
    /// script printed on stdout.
    ///
    /// # Errors
    /// If it cannot be started or fails, or [`Interrupted`].
    pub(super) fn run(
        &self,
        request: &str,
        most_bytes: u64,
        interrupt: &Interrupt,
    ) -> Result<Vec<u8>> {
        let folder = tempfile::tempdir().context("making a folder for the script")?;
        let script_path = folder.path().join(self.runtime.script_file());
        let request_path = folder.path().join("request.json");
        fs_err::write(&script_path, self.runtime.script())?;
        fs_err::write(&request_path, request)?;
        let mut command = Command::new(self.python);
        command
            .arg(&script_path)
            .arg(&request_path)
            .env("HF_HUB_OFFLINE", "1")
            .env("TRANSFORMERS_OFFLINE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(library) = self.library {
            command.env("LLAMA_CPP_LIB_PATH", library);
        }
        let mut child = Running(command.spawn().map_err(|error| self.not_started(error))?);
        let stdout = collected(child.0.stdout.take(), move |pipe| {
            let mut bytes = Vec::new();
            // One byte more than an answer can have is no answer either.
            let _ = pipe.take(most_bytes).read_to_end(&mut bytes);
            bytes
        });
        let stderr = collected(child.0.stderr.take(), tail_of);
        let status = child.wait(interrupt)?;
        let tail = lines_of(&stderr.recv_timeout(LAST_OUTPUT).unwrap_or_default());
        if interrupt.requested() || was_interrupted(status) {
            return Err(Interrupted.into());
        }
        if !status.success() {
            return Err(self.failed(status, &tail));
        }
        tracing::info!("{}:\n{tail}", self.shown());
        let stdout = stdout.recv_timeout(LAST_OUTPUT).unwrap_or_default();
        Ok(stdout)
    }

    /// The command in messages.
    pub(super) fn shown(&self) -> String {
        let script = self.runtime.script_file();
        format!("{} {script}", self.python.display())
    }

    fn not_started(&self, error: std::io::Error) -> Error {
        let hint = match error.kind() {
            ErrorKind::NotFound => format!(
                "install Python 3 with `pip install {}`, or give an interpreter that has them with --python",
                self.runtime.packages()
            ),
            _ => "give the file of an interpreter with --python, for example venv/bin/python"
                .to_owned(),
        };
        let what = format!("starting `{}`", self.shown());
        Error::from(error).context(what).context(Hint(hint))
    }

    fn failed(&self, status: ExitStatus, tail: &str) -> Error {
        let end = if tail.is_empty() {
            "; it printed nothing on stderr".to_owned()
        } else {
            format!("; the end of its stderr:\n{tail}")
        };
        anyhow!("`{}` failed: {status}{end}", self.shown()).context(Hint(self.advice(tail)))
    }

    /// What to do about a failure, by the end of stderr.
    fn advice(&self, tail: &str) -> String {
        let (name, packages) = (self.runtime.name(), self.runtime.packages());
        let python = self.python.display();
        if let Some(module) = missing_module(tail) {
            return format!(
                "Python has no module `{module}`: `{python} -m pip install {packages}`, or give an interpreter that has it with \
                 --python"
            );
        }
        let has = |words: &[&str]| words.iter().any(|word| tail.contains(word));
        if has(&[
            "Shared library",
            "Failed to load shared library",
            "libllama",
        ]) {
            return "give the file or folder of a libllama with --library".to_owned();
        }
        if has(&[
            "Unrecognized configuration class",
            "does not recognize this architecture",
            "trust_remote_code",
        ]) {
            return format!(
                "this version of {name} has no class for the model, and code in its folder is never run: try a newer version, or \
                 another program"
            );
        }
        if has(&["out of memory", "OutOfMemory", "not enough memory"]) {
            return "give shorter sequences with --length, or another --device".to_owned();
        }
        format!("check that {name} loads this model; --print-script shows what was run")
    }
}

/// The module that Python did not find.
fn missing_module(tail: &str) -> Option<&str> {
    let (_, after) = tail.rsplit_once("No module named ")?;
    after.split('\'').nth(1)
}

/// A child that ends with this value.
struct Running(Child);

impl Running {
    /// Waits until the child ends, or ends it after Ctrl-C.
    fn wait(&mut self, interrupt: &Interrupt) -> Result<ExitStatus> {
        loop {
            if let Some(status) = self.0.try_wait().context("waiting for the interpreter")? {
                return Ok(status);
            }
            if interrupt.requested() {
                return Err(Interrupted.into());
            }
            thread::sleep(POLL);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail for a child that has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether a child was ended by Ctrl-C, which a terminal sends to it too.
#[cfg(unix)]
fn was_interrupted(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    const SIGINT: i32 = 2;
    status.signal() == Some(SIGINT)
}

#[cfg(not(unix))]
fn was_interrupted(_: ExitStatus) -> bool {
    false
}

/// Reads a pipe in a thread.
fn collected<P: Send + 'static>(
    pipe: Option<P>,
    read: impl FnOnce(P) -> Vec<u8> + Send + 'static,
) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    if let Some(pipe) = pipe {
        thread::spawn(move || {
            // Nobody waits for it any more if the child was ended.
            let _ = sender.send(read(pipe));
        });
    }
    receiver
}

/// The end of what a pipe gives.
fn tail_of(mut pipe: impl Read) -> Vec<u8> {
    let (mut tail, mut buffer) = (Vec::new(), [0; TAIL_BYTES]);
    while let Ok(n @ 1..) = pipe.read(&mut buffer) {
        tail.extend_from_slice(&buffer[..n]);
        let surplus = tail.len().saturating_sub(TAIL_BYTES);
        tail.drain(..surplus);
    }
    tail
}

/// The last lines, each not too long. A bar that is drawn again and again is one line.
fn lines_of(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.lines().map(|line| {
        let drawn = line.trim_end().rsplit('\r').next().unwrap_or_default();
        drawn.chars().take(LINE_CHARS).collect::<String>()
    });
    let lines: Vec<String> = lines.filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_stderr_is_kept() {
        let lines: Vec<String> = (0..5000).map(|i| format!("line {i}")).collect();
        let tail = lines_of(&tail_of(lines.join("\n").as_bytes()));
        assert_eq!(tail.lines().count(), TAIL_LINES);
        assert!(tail.ends_with("line 4999"), "{tail}");
        assert_eq!(lines_of(b"10%\r50%\r100%\ndone\n"), "100%\ndone");
    }

    #[test]
    fn a_missing_module_is_named() {
        let tail = "Traceback\nModuleNotFoundError: No module named 'torch'";
        assert_eq!(missing_module(tail), Some("torch"));
        assert_eq!(missing_module("OSError"), None);
    }
}

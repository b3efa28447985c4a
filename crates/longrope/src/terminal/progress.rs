//! Progress bars on stderr. They are hidden without a terminal.

use std::io::Write;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::hang_up::has_stderr_hung_up;
use crate::show::escape::{join_names, printable};

/// All bars, drawn through one object so that log lines can be written above them.
fn bars() -> &'static MultiProgress {
    static BARS: OnceLock<MultiProgress> = OnceLock::new();
    BARS.get_or_init(MultiProgress::new)
}

/// A bar over `n` items with the remaining time.
pub(crate) fn bar(what: &str, n: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} {msg} eta {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = bars().add(ProgressBar::new(n).with_style(style));
    bar.set_prefix(printable(what).into_owned());
    bar
}

/// A spinner, for work of unknown length.
pub(crate) fn spinner(what: &str) -> ProgressBar {
    let spinner = bars().add(ProgressBar::new_spinner());
    spinner.set_message(printable(what).into_owned());
    spinner.enable_steady_tick(std::time::Duration::from_millis(120));
    spinner
}

/// A writer to stderr that keeps the bars below the text.
pub(crate) fn stderr_above_bars() -> impl Write {
    AboveBars
}

/// Writes a line to stderr above the bars. Work does not end because nobody reads its progress.
pub(crate) fn line(text: &str) {
    let _ = writeln!(AboveBars, "{}", printable(text));
}

/// Stderr above the bars. Writing to it never fails: who logs would panic if it did.
struct AboveBars;

/// Log lines kept while a dashboard has the terminal; `None` without a dashboard.
static KEPT: Mutex<Option<String>> = Mutex::new(None);

fn kept() -> MutexGuard<'static, Option<String>> {
    // The text is valid even if a writer panicked.
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts to keep log lines instead of writing them to stderr, and hides the bars.
pub(crate) fn keep_log() {
    bars().set_draw_target(ProgressDrawTarget::hidden());
    kept().get_or_insert_default();
}

/// The log lines kept so far.
pub(crate) fn kept_log() -> Vec<String> {
    let kept = kept();
    let lines = kept.as_deref().unwrap_or_default().lines();
    lines.map(str::to_owned).collect()
}

/// Writes the kept log lines to stderr, and further lines directly.
pub(crate) fn release_log() {
    let text = kept().take().unwrap_or_default();
    bars().set_draw_target(ProgressDrawTarget::stderr());
    // Failing to write to stderr is not a reason to stop.
    let _ = AboveBars.write_all(text.as_bytes());
}

impl Write for AboveBars {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(buffer);
        let text = join_names(&text);
        if let Some(kept) = kept().as_mut() {
            kept.push_str(&text);
            return Ok(buffer.len());
        }
        // The bars cannot be drawn anew on a closed terminal.
        if !has_stderr_hung_up() {
            let _ = bars().suspend(|| std::io::stderr().lock().write_all(text.as_bytes()));
        }
        Ok(buffer.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let _ = std::io::stderr().lock().flush();
        Ok(())
    }
}

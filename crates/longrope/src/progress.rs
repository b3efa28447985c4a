//! Progress bars on stderr, silent without a terminal.

use std::io::Write;
use std::sync::OnceLock;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// All bars draw through one object, so that log lines can be written above them.
fn bars() -> &'static MultiProgress {
    static BARS: OnceLock<MultiProgress> = OnceLock::new();
    BARS.get_or_init(MultiProgress::new)
}

/// A bar over `n` things, with the time that is left.
pub(crate) fn bar(what: &str, n: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} {msg} eta {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = bars().add(ProgressBar::new(n).with_style(style));
    bar.set_prefix(what.to_owned());
    bar
}

/// A spinner for work of unknown size.
pub(crate) fn spinner(what: &str) -> ProgressBar {
    let spinner = bars().add(ProgressBar::new_spinner());
    spinner.set_message(what.to_owned());
    spinner.enable_steady_tick(std::time::Duration::from_millis(120));
    spinner
}

/// Writes to stderr without tearing the bars.
pub(crate) fn stderr_above_bars() -> impl Write {
    AboveBars
}

struct AboveBars;

impl Write for AboveBars {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        bars().suspend(|| std::io::stderr().lock().write(buffer))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().lock().flush()
    }
}

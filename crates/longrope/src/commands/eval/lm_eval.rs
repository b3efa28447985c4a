//! `--format lm-eval`: results in the files of lm-evaluation-harness.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use longrope_data::write_atomically;
use longrope_eval::TaskResult;
use longrope_eval::bench::{HarnessFiles, HarnessRun, Prompts, harness_files, sanitized};

use crate::input;
use crate::settings::config::Config;

/// Writes `eval/lm-eval/MODEL--ROPE--CONTEXT/results_TIME.json` and `samples_TASK_TIME.jsonl` into the run folder, one
/// folder for every result. `n_original` is the number of questions in the files, by subject.
pub(crate) fn write(
    config: &Config,
    prompts: &Prompts,
    results: &[TaskResult],
    n_original: &BTreeMap<Option<String>, usize>,
) -> Result<()> {
    let Some(out) = &config.out else {
        return Ok(());
    };
    let secs = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let run = HarnessRun {
        model: input::model_name(config)?,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        date: secs.as_secs_f64(),
        limit: config.bench.limit,
        n_original: n_original.clone(),
    };
    // Two evaluations may end in the same second; the files of one must not replace those of the other.
    let time = format!("{}.{:06}", file_time(secs.as_secs()), secs.subsec_micros());
    for result in results {
        let name = format!("{}--{}--{}", run.model, result.rope, result.context);
        let folder = out.join("eval/lm-eval").join(sanitized(&name));
        write_files(&folder, &time, &harness_files(prompts, result, &run))?;
    }
    Ok(())
}

fn write_files(folder: &Path, time: &str, files: &HarnessFiles) -> Result<()> {
    for (task, samples) in &files.samples {
        let mut lines = String::new();
        for sample in samples {
            lines += &serde_json::to_string(sample)?;
            lines.push('\n');
        }
        let path = folder.join(format!("samples_{task}_{time}.jsonl"));
        write_atomically(&path, lines.as_bytes())?;
    }
    let text = serde_json::to_string_pretty(&files.results)?;
    let path = folder.join(format!("results_{time}.json"));
    Ok(write_atomically(&path, text.as_bytes())?)
}

/// A time (UTC) as part of a file name, `2026-01-31T09-05-00`: that of the harness, which adds its microseconds.
fn file_time(secs: u64) -> String {
    let (days, secs) = (secs / 86_400, secs % 86_400);
    // Days of the civil calendar, by eras of 400 years that begin in March (H. Hinnant, "chrono-compatible low-level date
    // algorithms").
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = match month {
        0..10 => (era * 400 + year, month + 3),
        _ => (era * 400 + year + 1, month - 9),
    };
    let (hour, minute, second) = (secs / 3600, secs / 60 % 60, secs % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}-{minute:02}-{second:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_civil() {
        for (secs, expected) in [
            (0, "1970-01-01T00-00-00"),
            (951_827_696, "2000-02-29T12-34-56"),
            (1_767_225_599, "2025-12-31T23-59-59"),
            (1_772_323_200, "2026-03-01T00-00-00"),
        ] {
            assert_eq!(file_time(secs), expected);
        }
    }
}

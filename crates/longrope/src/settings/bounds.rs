//! The ranges of the keys that count something. What is outside is refused before anything is read or allocated.

use anyhow::{Result, anyhow};
use longrope_eval::{NeedleConfig, NeedleTextConfig};
use toml::{Table, Value};

use crate::failure::Hint;

/// The range of a key, and the reason for its upper end.
struct Bound {
    key: &'static str,
    least: u64,
    most: u64,
    reason: &'static str,
}

const fn bound(key: &'static str, least: u64, most: u64, reason: &'static str) -> Bound {
    Bound {
        key,
        least,
        most,
        reason,
    }
}

/// The longest sequence, in tokens.
pub(crate) const MOST_TOKENS: u64 = 1 << 30;
const SEQUENCE: &str = "attention over a longer sequence would take years";
const CANDIDATES: &str = "all candidates are kept in memory and in the saved state";
const SAMPLES: &str = "every candidate is scored on every sample";
const TRIALS: &str = "every trial is kept in memory and in the results";
const STEPS: &str = "metrics.jsonl gets a line for every step";
const WINDOWS: &str = "all windows of a step are in memory at once";
/// Accumulated batches are computed one after the other.
const BATCHES: &str = "a step of more batches would take days";
const RANK: &str = "no linear map of a supported model is wider";
const SIZES: &str = "no model of this kind is larger";
/// Of counts that nothing is allocated for. TOML has no larger numbers.
const MOST: u64 = i64::MAX as u64;
const NUMBER: &str = "it is the largest whole number of TOML";

/// The keys that count something. `[]` stands for every table of a list.
const BOUNDS: &[Bound] = &[
    bound("contexts", 1, MOST_TOKENS, SEQUENCE),
    bound(
        "eval.windows",
        1,
        1_000_000,
        "every window is placed in advance",
    ),
    bound("eval.stride", 0, MOST_TOKENS, SEQUENCE),
    bound("eval.within", 0, MOST_TOKENS, SEQUENCE),
    bound("search.target", 1, MOST_TOKENS, SEQUENCE),
    bound("search.sample-context", 1, MOST_TOKENS, SEQUENCE),
    bound("search.samples", 1, 100_000, SAMPLES),
    bound("search.population", 0, 100_000, CANDIDATES),
    bound("search.mutations", 0, 100_000, CANDIDATES),
    bound("search.crossovers", 0, 100_000, CANDIDATES),
    bound("search.parents", 0, 100_000, CANDIDATES),
    bound("search.batch-candidates", 0, 100_000, CANDIDATES),
    bound(
        "search.generations",
        0,
        100_000,
        "the history has an entry for every generation",
    ),
    bound(
        "search.max-retries",
        0,
        1_000_000,
        "a proposal is drawn again so often",
    ),
    bound(
        "search.surrogate-pool",
        0,
        10_000,
        "so many proposals are drawn for each one that is measured",
    ),
    bound("search.patience", 0, MOST, NUMBER),
    bound("search.halve-beyond", 0, MOST, NUMBER),
    bound("search.passkey-trials", 0, 1_000_000, TRIALS),
    bound(
        "search.adapt.steps",
        0,
        100_000,
        "the model is trained so many steps for every candidate",
    ),
    bound("search.adapt.window", 2, MOST_TOKENS, SEQUENCE),
    bound("search.adapt.pieces", 2, 65_536, "every piece has a token"),
    bound("search.adapt.batch", 1, 65_536, WINDOWS),
    bound("search.adapt.accumulate", 1, 65_536, BATCHES),
    bound("search.adapt.rank", 1, 65_536, RANK),
    bound(
        "search.adapt.data.shortest-document",
        1,
        MOST_TOKENS,
        SEQUENCE,
    ),
    bound("search.start-tokens", 0, MOST_TOKENS, SEQUENCE),
    bound("search-needle.samples", 0, 100_000, SAMPLES),
    bound(
        "search-needle.digits",
        1,
        NeedleTextConfig::MOST_DIGITS as u64,
        "hidden numbers have 32 bits",
    ),
    bound("generate.max-new-tokens", 0, MOST_TOKENS, SEQUENCE),
    bound("generate.top-k", 0, MOST, NUMBER),
    bound("passkey.trials", 0, 1_000_000, TRIALS),
    bound("needle.trials", 0, 1_000_000, TRIALS),
    bound("needle.needles", 0, 16, "there are 16 names to ask for"),
    bound(
        "needle.digits",
        1,
        NeedleConfig::MOST_DIGITS as u64,
        "values have 64 bits",
    ),
    bound("gain.tail", 1, MOST_TOKENS, SEQUENCE),
    bound("ruler.samples", 1, 1_000_000, TRIALS),
    bound("bench.shots", 0, 10_000, "every prompt holds all examples"),
    bound("bench.limit", 1, MOST, NUMBER),
    bound("train.context", 1, MOST_TOKENS, SEQUENCE),
    bound("train.steps", 1, 1_000_000_000, STEPS),
    bound("train.warmup-steps", 0, 1_000_000_000, STEPS),
    bound("train.batch", 1, 65_536, WINDOWS),
    bound("train.accumulate", 1, 65_536, BATCHES),
    bound("train.eval-every", 1, MOST, NUMBER),
    bound("train.save-every", 1, MOST, NUMBER),
    bound("train.keep", 1, MOST, NUMBER),
    bound(
        "train.eval-windows",
        0,
        1_000_000,
        "every window is placed in advance",
    ),
    bound("train.lora.rank", 1, 65_536, RANK),
    bound("train.data.shortest-document", 1, MOST_TOKENS, SEQUENCE),
    bound("train.skipped.targets", 1, MOST_TOKENS, SEQUENCE),
    bound("train.skipped.pieces", 2, 65_536, "every piece has a token"),
    bound("train.long.context", 1, MOST_TOKENS, SEQUENCE),
    bound("pretrain.eval-every", 1, MOST, NUMBER),
    bound("pretrain.save-every", 1, MOST, NUMBER),
    bound("pretrain.most-crate-bytes", 1, MOST, NUMBER),
    bound("pretrain.model.layers", 1, 10_000, SIZES),
    bound("pretrain.model.hidden", 1, 1_000_000, SIZES),
    bound("pretrain.model.intermediate", 1, 10_000_000, SIZES),
    bound("pretrain.model.vocab", 1, 10_000_000, SIZES),
    bound("pretrain.model.window", 2, MOST_TOKENS, SEQUENCE),
    bound("pretrain.phases[].steps", 0, 1_000_000_000, STEPS),
    bound("pretrain.phases[].warmup-steps", 0, 1_000_000_000, STEPS),
    bound("pretrain.phases[].batch", 0, 65_536, WINDOWS),
    bound("pretrain.phases[].accumulate", 0, 65_536, BATCHES),
    bound("pretrain.phases[].window", 1, MOST_TOKENS, SEQUENCE),
    bound(
        "pretrain.phases[].skipped.targets",
        1,
        MOST_TOKENS,
        SEQUENCE,
    ),
    bound(
        "pretrain.phases[].skipped.pieces",
        2,
        65_536,
        "every piece has a token",
    ),
];

/// Checks the keys of `table` that count something.
///
/// # Errors
/// If one is outside its range. Values of other types are left to deserialization.
pub(crate) fn check(table: &Table) -> Result<()> {
    for bound in BOUNDS {
        for value in values_at(table, bound.key) {
            check_value(bound.key, value, bound)?;
        }
    }
    Ok(())
}

/// Checks a number of a flag that sets no key.
///
/// # Errors
/// If it is outside `least..=most`.
pub(crate) fn check_flag(flag: &str, found: usize, least: u64, most: u64) -> Result<()> {
    let found = found as u64;
    if (least..=most).contains(&found) {
        return Ok(());
    }
    Err(outside(flag, &found.to_string(), least, most, SEQUENCE))
}

/// The values of a key; several if the path leads through lists.
fn values_at<'a>(table: &'a Table, path: &str) -> Vec<&'a Value> {
    let (first, rest) = match path.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (path, None),
    };
    let (name, is_list) = match first.strip_suffix("[]") {
        Some(name) => (name, true),
        None => (first, false),
    };
    match (table.get(name), rest) {
        (Some(value), None) => vec![value],
        (Some(Value::Table(table)), Some(rest)) => values_at(table, rest),
        (Some(Value::Array(items)), Some(rest)) if is_list => items
            .iter()
            .filter_map(Value::as_table)
            .flat_map(|table| values_at(table, rest))
            .collect(),
        _ => Vec::new(),
    }
}

fn check_value(key: &str, value: &Value, bound: &Bound) -> Result<()> {
    let Bound {
        least,
        most,
        reason,
        ..
    } = *bound;
    match value {
        Value::Integer(found) => match u64::try_from(*found) {
            Ok(number) if (least..=most).contains(&number) => Ok(()),
            _ => Err(outside(key, &found.to_string(), least, most, reason)),
        },
        Value::String(text) if text.parse::<i64>().is_ok() => {
            Err(anyhow!("`{key}` is the text \"{text}\", expected a number")
                .context(Hint("leave out the quotes".to_owned())))
        }
        // A number that TOML cannot hold.
        Value::String(text) if is_whole_number(text) => {
            Err(outside(key, text, least, most, reason))
        }
        Value::Array(items) => items
            .iter()
            .try_for_each(|item| check_value(key, item, bound)),
        _ => Ok(()),
    }
}

/// Whether a text is a whole number, of any size and sign.
pub(crate) fn is_whole_number(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn outside(key: &str, found: &str, least: u64, most: u64, reason: &str) -> anyhow::Error {
    let error = anyhow!("`{key}` is {found}, expected {least} to {most}");
    let is_low = found.starts_with('-') || found.parse::<u64>().is_ok_and(|found| found < least);
    error.context(Hint(if is_low && key.starts_with("--") {
        format!("give {least} or more")
    } else if is_low {
        format!("give {least} or more; configs/README.md says what `{key}` counts")
    } else {
        format!("the limit is {most}: {reason}")
    }))
}

#[cfg(test)]
#[path = "bounds_tests.rs"]
mod tests;

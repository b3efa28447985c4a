//! Checks and notations that several tasks share.

use std::cmp::Ordering;

use serde_json::{Value, json};

use crate::error::{Error, Result};

/// Depths as they are written to results.
pub(crate) fn depths_setting(depths: &[f64]) -> Value {
    if depths.is_empty() {
        json!("random")
    } else {
        json!(depths)
    }
}

/// Refuses zero trials, depths outside of `0..=1`, and depths that are given twice, which would have more trials.
pub(crate) fn check(task: &str, trials: usize, depths: &[f64]) -> Result<()> {
    if trials == 0 {
        let found = "0".to_owned();
        return Err(invalid_setting(task, "trials", found, "1 or more"));
    }
    if let Some(depth) = depths.iter().find(|depth| !(0.0..=1.0).contains(*depth)) {
        let (found, expected) = (depth.to_string(), "numbers from 0 to 1");
        return Err(invalid_setting(task, "depths", found, expected));
    }
    let is_repeated = |(i, depth): (usize, &f64)| {
        let earlier = &depths[..i];
        earlier
            .iter()
            .any(|other| other.partial_cmp(depth) == Some(Ordering::Equal))
    };
    if depths.iter().enumerate().any(is_repeated) {
        let texts: Vec<String> = depths.iter().map(ToString::to_string).collect();
        let expected = "every depth once: `trials` is the number of trials at each";
        return Err(invalid_setting(task, "depths", texts.join(","), expected));
    }
    Ok(())
}

/// The error for a setting of a task.
pub(crate) fn invalid_setting(
    task: &str,
    setting: &'static str,
    found: String,
    expected: &'static str,
) -> Error {
    Error::InvalidSetting {
        task: task.to_owned(),
        setting,
        found,
        expected,
    }
}

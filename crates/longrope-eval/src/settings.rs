//! Checks and notations that several tasks share.

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

/// Refuses zero trials and depths outside of `0..=1`.
pub(crate) fn check(task: &str, trials: usize, depths: &[f64]) -> Result<()> {
    if trials == 0 {
        let found = "0".to_owned();
        return Err(invalid_setting(task, "trials", found, "1 or more"));
    }
    match depths.iter().find(|depth| !(0.0..=1.0).contains(*depth)) {
        None => Ok(()),
        Some(depth) => {
            let (found, expected) = (depth.to_string(), "numbers from 0 to 1");
            Err(invalid_setting(task, "depths", found, expected))
        }
    }
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

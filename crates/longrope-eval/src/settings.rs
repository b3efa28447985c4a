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
        return Err(Error::InvalidSetting {
            task: task.to_owned(),
            setting: "trials",
            found: "0".to_owned(),
            expected: "1 or more",
        });
    }
    match depths.iter().find(|depth| !(0.0..=1.0).contains(*depth)) {
        None => Ok(()),
        Some(depth) => Err(Error::InvalidSetting {
            task: task.to_owned(),
            setting: "depths",
            found: depth.to_string(),
            expected: "numbers from 0 to 1",
        }),
    }
}

//! The sliding windows that llama.cpp gives to some layers.

use serde_json::{Map, Value as Json, json};

use super::fields::Fields;
use super::rope::theta;
use crate::error::Result;
use crate::format::Value;
use crate::model::Architecture;

const WINDOW: &str = "attention.sliding_window";
const PATTERN: &str = "attention.sliding_window_pattern";

/// Every how many layers one sees all tokens, if the file states no number.
const PERIOD: u64 = 4;

/// Which layers have a window, and its width in tokens.
pub(super) struct Windows {
    width: u64,
    slides: Vec<bool>,
}

impl Windows {
    /// Those of a model of `n_layers` layers, which are known to be in the file; `None` if no layer has one.
    ///
    /// Of the architectures that are read, llama.cpp uses windows in `olmo2` only: with them, it is OLMo 3, whose layers
    /// with a window rotate without scaling.
    ///
    /// # Reference
    /// `src/models/olmo2.cpp` and `llama_hparams::set_swa_pattern` of llama.cpp; `src/models/phi3.cpp`, which switches them
    /// off.
    pub(super) fn of(
        fields: &Fields,
        architecture: Architecture,
        n_layers: u64,
    ) -> Result<Option<Self>> {
        if architecture != Architecture::Olmo2 {
            return Ok(None);
        }
        let width = fields.count_or(WINDOW, 0)?;
        if width == 0 {
            return Ok(None);
        }
        let period = period(fields, n_layers)?;
        let slides: Vec<bool> = (0..n_layers).map(|layer| slides(layer, period)).collect();
        if !slides.contains(&true) {
            return Ok(None);
        }
        check_theta(fields)?;
        Ok(Some(Self { width, slides }))
    }

    /// Adds the keys that state them.
    pub(super) fn add_to(&self, keys: &mut Map<String, Json>) {
        let kinds = self.slides.iter().map(|slides| {
            if *slides {
                "sliding_attention"
            } else {
                "full_attention"
            }
        });
        let kinds: Vec<&str> = kinds.collect();
        keys.insert("sliding_window".to_owned(), self.width.into());
        keys.insert("layer_types".to_owned(), json!(kinds));
    }
}

/// Whether a layer has a window if every `period`th layer has none; with 0, all have one.
pub(super) fn slides(layer: u64, period: u64) -> bool {
    period == 0 || layer % period < period - 1
}

/// Every how many layers one has no window. llama.cpp does not look into a list.
fn period(fields: &Fields, n_layers: u64) -> Result<u64> {
    match fields.get(PATTERN) {
        None => Ok(PERIOD),
        Some(Value::Array(_)) => {
            let expected = "a whole number, or a list with a window in all layers but every fourth";
            fields.needed(PATTERN, expected, |value| {
                let list = value.as_array()?;
                let stated = list.iter().map(is_true);
                let assumed = (0..n_layers).map(|layer| Some(slides(layer, PERIOD)));
                stated.eq(assumed).then_some(PERIOD)
            })
        }
        Some(_) => fields.count(PATTERN),
    }
}

fn is_true(value: &Value) -> Option<bool> {
    let as_number = || value.as_u64().map(|number| number != 0);
    value.as_bool().or_else(as_number)
}

/// Refuses another base for the layers with a window: llama.cpp rotates all layers with the same.
fn check_theta(fields: &Fields) -> Result<()> {
    const KEY: &str = "rope.freq_base_swa";
    if fields.get(KEY).is_none() {
        return Ok(());
    }
    let used = theta(fields)?;
    let expected = "what `rope.freq_base` is: llama.cpp rotates all layers with that";
    let is_used = |stated: &f64| (stated - used).abs() <= 0.0;
    fields.needed(KEY, expected, |value| value.as_f64().filter(is_used))?;
    Ok(())
}

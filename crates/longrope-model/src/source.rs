//! What a result was measured on, in the form that every file of results has it.

use longrope_data::sha256_hex;
use longrope_rope::RopeSpec;
use serde::{Deserialize, Serialize};

/// What a result was measured on, or a model was trained on: `source` in every file of results.
///
/// Fields that do not apply, and those that older files lack, are empty and not written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultSource {
    /// Version of the program.
    pub tool_version: String,
    /// Folder of the model, as it was given, or its name on the hub with its commit.
    pub model: String,
    /// Fingerprint of the model; see [`Checkpoint::fingerprint`](crate::Checkpoint::fingerprint).
    pub model_fingerprint: String,
    /// Fingerprint of the text or data; `None` if a task makes its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_fingerprint: Option<String>,
    /// Files and folders of the text or data, as they were given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub texts: Vec<String>,
    /// The RoPE of a training. Measurements have one per result instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope: Option<RopeSource>,
    /// Seed of all random choices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Names of the devices that computed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<String>,
    /// Type of the weights in computations: `f32`, `bf16` or `f16`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<String>,
    /// Rounding of rotation angles, if it is not that of `f64`: `compat-f32`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub angles: Option<String>,
    /// Which layers a RoPE is for, if it is not for those that see all tokens only: `all`. Only for models that have another
    /// RoPE in layers with a sliding window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_layers: Option<String>,
}

impl ResultSource {
    /// The precision, if it is not `f32`.
    pub fn half_precision(&self) -> Option<&str> {
        self.precision.as_deref().filter(|name| *name != "f32")
    }

    /// How numbers were computed, in words, if not in `f32` with exact angles.
    pub fn rounding(&self) -> Option<String> {
        let precision = self.half_precision().map(str::to_owned);
        let angles = self
            .angles
            .as_ref()
            .map(|angles| format!("angles {angles}"));
        let parts: Vec<String> = precision.into_iter().chain(angles).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}

/// The RoPE of a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RopeSource {
    /// Its name, as it was given.
    pub name: String,
    /// Its [fingerprint](rope_fingerprint).
    pub fingerprint: String,
}

impl RopeSource {
    /// A RoPE and its name.
    pub fn new(name: impl Into<String>, rope: &RopeSpec) -> Self {
        Self {
            name: name.into(),
            fingerprint: rope_fingerprint(rope),
        }
    }
}

/// SHA-256 that identifies a RoPE, in hexadecimal.
///
/// It covers the spec as compact JSON, so two names of the same RoPE have one fingerprint, and one name that stands for
/// different factors has several.
///
/// ```
/// use longrope_model::rope_fingerprint;
/// use longrope_rope::{Method, RopeScaling, RopeSpec};
///
/// let base = RopeSpec::new(8, 1e4, 256, RopeScaling::None {})?;
/// let yarn = Method::Yarn.spec(&base, 1024)?;
/// assert_eq!(rope_fingerprint(&yarn), rope_fingerprint(&yarn.clone()));
/// assert_ne!(rope_fingerprint(&yarn), rope_fingerprint(&base));
/// # Ok::<(), longrope_rope::Error>(())
/// ```
pub fn rope_fingerprint(rope: &RopeSpec) -> String {
    // A spec is plain data: numbers under string keys.
    let json = serde_json::to_string(rope).unwrap_or_default();
    sha256_hex(&[b"longrope-rope 1\n", json.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_files_are_read_and_the_form_is_pinned() {
        let old = r#"{"tool_version":"0.1.0","model":"m","model_fingerprint":"ab"}"#;
        let source: ResultSource = serde_json::from_str(old).expect("it is valid");
        assert_eq!(serde_json::to_string(&source).expect("plain data"), old);

        let full = ResultSource {
            text_fingerprint: Some("cd".into()),
            texts: vec!["book.txt".into()],
            rope: Some(RopeSource {
                name: "yarn".into(),
                fingerprint: "ef".into(),
            }),
            seed: Some(42),
            devices: vec!["flex".into()],
            precision: Some("f32".into()),
            angles: None,
            rope_layers: None,
            ..source
        };
        let expected = concat!(
            r#"{"tool_version":"0.1.0","model":"m","model_fingerprint":"ab","text_fingerprint":"cd","#,
            r#""texts":["book.txt"],"rope":{"name":"yarn","fingerprint":"ef"},"seed":42,"#,
            r#""devices":["flex"],"precision":"f32"}"#
        );
        assert_eq!(serde_json::to_string(&full).expect("plain data"), expected);
        let read: ResultSource = serde_json::from_str(expected).expect("it is valid");
        assert_eq!(read, full);
        assert_eq!(full.rounding(), None);
        let shared = ResultSource {
            rope_layers: Some("all".into()),
            ..full.clone()
        };
        let json = serde_json::to_string(&shared).expect("plain data");
        assert!(json.ends_with(r#","precision":"f32","rope_layers":"all"}"#));
        let rounded = ResultSource {
            precision: Some("bf16".into()),
            angles: Some("compat-f32".into()),
            ..full
        };
        assert_eq!(
            rounded.rounding().as_deref(),
            Some("bf16, angles compat-f32")
        );
    }
}

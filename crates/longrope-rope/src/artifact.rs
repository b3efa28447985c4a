//! `rope.json`: a rope spec and its provenance.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Names;
use crate::hf::SLIDING;
use crate::{Error, Result, RopeScaling, RopeSpec, json_text};

const FORMAT: &str = "longrope-rope";
/// One rope for all layers.
const VERSION: u32 = 1;
/// With the rope of other layers.
const VERSION_BY_LAYER: u32 = 2;
/// The layers that may have a rope of their own.
const LAYER_TYPES: Names = Names(&[SLIDING]);

/// A rope spec in a file, with its provenance.
///
/// Version 1 has one rope for all layers that rotate. In version 2, layers of the types in `layer_types` have ropes of
/// their own.
///
/// ```json
/// {"format": "longrope-rope", "version": 1, "rotary_dim": 128, "theta": 10000.0, "original_context": 4096,
///  "scaling": {"type": "long-rope", "sets": [..], "attention": {"type": "su"}}, "provenance": {..}}
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RopeArtifact {
    /// Always `longrope-rope`.
    pub format: String,
    /// Version of the format.
    pub version: u32,
    /// See [`RopeSpec::rotary_dim`].
    pub rotary_dim: usize,
    /// See [`RopeSpec::theta`].
    pub theta: f64,
    /// See [`RopeSpec::original_context`].
    pub original_context: usize,
    /// See [`RopeSpec::scaling`].
    pub scaling: RopeScaling,
    /// Ropes of layers that do not share this one, by their type as in `layer_types` of a config. Version 2 has them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub layer_types: BTreeMap<String, RopeSpec>,
    /// Where the factors come from.
    #[serde(default)]
    pub provenance: Provenance,
}

/// Where factors come from. Unknown fields are absent.
///
/// It has no time stamp, so that the same search always gives the same bytes, even if it was interrupted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Provenance {
    /// Version of the program that wrote the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_version: Option<String>,
    /// Identifies the model the factors were searched for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_fingerprint: Option<String>,
    /// Identifies the text that the factors were scored on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text_fingerprint: Option<String>,
    /// Seed of the search.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Search profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// What was minimized.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objective: Option<String>,
    /// Value of the objective for these factors, nats per token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score_nats: Option<f64>,
    /// Number of candidates scored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluations: Option<u64>,
    /// Context the search was for, in tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_context: Option<usize>,
}

impl RopeArtifact {
    /// The artefact of a spec.
    pub fn from_spec(spec: &RopeSpec, provenance: Provenance) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            rotary_dim: spec.rotary_dim,
            theta: spec.theta,
            original_context: spec.original_context,
            scaling: spec.scaling.clone(),
            layer_types: BTreeMap::new(),
            provenance,
        }
    }

    /// The same with the rope of layers with a sliding window, if they have one of their own.
    #[must_use]
    pub fn with_local(mut self, local: Option<&RopeSpec>) -> Self {
        if let Some(local) = local {
            self.version = VERSION_BY_LAYER;
            self.layer_types.insert(SLIDING.to_owned(), local.clone());
        }
        self
    }

    /// The rope of layers with a sliding window, if they have one of their own.
    pub fn local(&self) -> Option<&RopeSpec> {
        self.layer_types.get(SLIDING)
    }

    /// The spec in the artefact. It is valid if the artefact was read from JSON or made from a valid spec.
    pub fn spec(&self) -> RopeSpec {
        RopeSpec {
            rotary_dim: self.rotary_dim,
            theta: self.theta,
            original_context: self.original_context,
            scaling: self.scaling.clone(),
        }
    }

    /// Reads an artefact and checks its spec.
    ///
    /// # Errors
    /// [`Error::ArtifactFormat`] or [`Error::ArtifactVersion`] for another kind of file, [`Error::Json`] for unknown,
    /// missing or ill-typed fields, [`Error::ArtifactLayerTypes`] and [`Error::ArtifactLayerType`] for ropes by layer
    /// type where there can be none, and the errors of [`RopeSpec::validate`].
    pub fn from_json(text: &str) -> Result<Self> {
        let json_error = |source| Error::Json {
            what: "rope artefact",
            source,
        };
        let value: Value = serde_json::from_str(text).map_err(json_error)?;
        if value["format"] != FORMAT {
            return Err(Error::ArtifactFormat {
                found: value["format"].clone(),
                expected: FORMAT,
            });
        }
        if ![VERSION, VERSION_BY_LAYER]
            .iter()
            .any(|known| value["version"] == *known)
        {
            return Err(Error::ArtifactVersion {
                found: value["version"].clone(),
                expected: VERSION_BY_LAYER,
            });
        }
        // Parsed from the text again, so that errors carry line and column.
        let artifact: Self = serde_json::from_str(text).map_err(json_error)?;
        artifact.spec().validate()?;
        if artifact.version < VERSION_BY_LAYER && !artifact.layer_types.is_empty() {
            return Err(Error::ArtifactLayerTypes {
                version: artifact.version,
                expected: VERSION_BY_LAYER,
            });
        }
        for (layer_type, local) in &artifact.layer_types {
            if !LAYER_TYPES.0.contains(&layer_type.as_str()) {
                return Err(Error::ArtifactLayerType {
                    found: layer_type.clone(),
                    expected: LAYER_TYPES,
                });
            }
            local.validate()?;
        }
        Ok(artifact)
    }

    /// The artefact as indented JSON, factors on one line, with a newline at the end.
    pub fn to_json_pretty(&self) -> String {
        match serde_json::to_value(self) {
            Ok(value) => json_text::to_text(&value),
            Err(error) => {
                unreachable!("an artefact is strings and numbers under string keys: {error}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AttentionScale, FactorSet, RescaleFactors};

    const GOLDEN: &str = r#"{
  "format": "longrope-rope",
  "version": 1,
  "rotary_dim": 8,
  "theta": 10000.0,
  "original_context": 256,
  "scaling": {
    "type": "long-rope",
    "sets": [
      {
        "max_context": 256,
        "start_tokens": 0,
        "factors": [1.0, 1.0, 1.0, 1.0]
      },
      {
        "max_context": 1024,
        "start_tokens": 4,
        "factors": [1.0, 1.01, 2.5, 4.0],
        "attention": {
          "type": "constant",
          "value": 1.1
        }
      }
    ],
    "attention": {
      "type": "su"
    }
  },
  "provenance": {
    "tool_version": "0.1.0",
    "seed": 18446744073709551615,
    "profile": "paper",
    "score_nats": 2.25
  }
}
"#;

    fn artifact() -> RopeArtifact {
        let set = |max_context, start_tokens, factors: &[f64], attention| FactorSet {
            max_context,
            start_tokens,
            factors: RescaleFactors::new(factors.to_vec()).unwrap(),
            attention,
        };
        let own = Some(AttentionScale::Constant { value: 1.1 });
        let sets = vec![
            set(256, 0, &[1.0; 4], None),
            set(1024, 4, &[1.0, 1.01, 2.5, 4.0], own),
        ];
        let scaling = RopeScaling::LongRope {
            sets,
            attention: AttentionScale::Su {},
        };
        let spec = RopeSpec::new(8, 10_000.0, 256, scaling).unwrap();
        let provenance = Provenance {
            tool_version: Some("0.1.0".to_owned()),
            seed: Some(u64::MAX),
            profile: Some("paper".to_owned()),
            score_nats: Some(2.25),
            ..Provenance::default()
        };
        RopeArtifact::from_spec(&spec, provenance)
    }

    #[test]
    fn the_file_is_exactly_this() {
        assert_eq!(artifact().to_json_pretty(), GOLDEN);
        assert_eq!(RopeArtifact::from_json(GOLDEN).unwrap(), artifact());
    }

    #[test]
    fn another_kind_of_file_is_named() {
        let error = RopeArtifact::from_json("{}").unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"the rope artefact has `format` null, expected "longrope-rope""#
        );
        let error = RopeArtifact::from_json(&GOLDEN.replace("\"version\": 1", "\"version\": 3"))
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "the rope artefact has `version` 3, expected 2"
        );
    }

    #[test]
    fn version_2_holds_the_rope_of_other_layers() {
        let local = RopeSpec::new(8, 500.0, 256, RopeScaling::None {}).unwrap();
        let both = artifact().with_local(Some(&local));
        let text = both.to_json_pretty();
        assert!(
            text.contains("\"version\": 2") && text.contains("sliding_attention"),
            "{text}"
        );
        let read = RopeArtifact::from_json(&text).unwrap();
        assert_eq!(
            (read.spec(), read.local()),
            (artifact().spec(), Some(&local))
        );
        assert_eq!(artifact().with_local(None), artifact(), "version 1");
        let wrong = text.replace("500.0", "0.5");
        assert!(RopeArtifact::from_json(&wrong).is_err());
    }

    #[test]
    fn ropes_of_other_layers_have_a_version_and_a_known_type() {
        let local = RopeSpec::new(8, 500.0, 256, RopeScaling::None {}).unwrap();
        let text = artifact().with_local(Some(&local)).to_json_pretty();
        let message = |text: String| RopeArtifact::from_json(&text).unwrap_err().to_string();
        assert_eq!(
            message(text.replace("\"version\": 2", "\"version\": 1")),
            "the rope artefact has `layer_types` and `version` 1, expected `version` 2 for ropes by layer type"
        );
        assert_eq!(
            message(text.replace("sliding_attention", "chunked_attention")),
            "`layer_types` of the rope artefact has \"chunked_attention\", expected only `sliding_attention`"
        );
    }

    #[test]
    fn unknown_fields_are_refused() {
        for (from, to) in [
            ("\"seed\"", "\"sed\""),
            ("\"theta\"", "\"base\""),
            ("\"max_context\"", "\"max\""),
        ] {
            let error = RopeArtifact::from_json(&GOLDEN.replace(from, to)).unwrap_err();
            assert!(matches!(error, Error::Json { .. }), "{error}");
        }
    }

    #[test]
    fn the_spec_is_checked() {
        let error =
            RopeArtifact::from_json(&GOLDEN.replace("\"rotary_dim\": 8", "\"rotary_dim\": 10"))
                .unwrap_err();
        assert!(
            matches!(
                error,
                Error::FactorCount {
                    set: 0,
                    found: 4,
                    expected: 5,
                    ..
                }
            ),
            "{error}"
        );
    }

    #[test]
    fn provenance_may_be_absent() {
        let text = r#"{"format":"longrope-rope","version":1,"rotary_dim":8,"theta":1e4,"original_context":256,
            "scaling":{"type":"none"}}"#;
        assert_eq!(
            RopeArtifact::from_json(text).unwrap().provenance,
            Provenance::default()
        );
    }
}

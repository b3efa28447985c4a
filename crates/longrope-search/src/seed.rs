//! The closed-form rescalings that a search may start from.

use serde::{Deserialize, Serialize};

/// A closed-form rescaling that a search may start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Seed {
    /// Position interpolation: every factor is the scale.
    Pi,
    /// NTK-aware: the factors grow geometrically from 1 to the scale.
    Ntk,
    /// Dynamic NTK at the target: as NTK, for the scale that its base has grown by there, within the bounds of the search.
    DynamicNtk,
    /// YaRN: fast pairs unscaled, slow pairs scaled, a ramp between.
    Yarn,
    /// As YaRN, with a ramp that is linear in the factor. The official code starts here.
    LinearRamp,
    /// No rescaling: every factor is 1. Not in the paper. With this seed a search cannot end worse than no rescaling, which
    /// is hard to beat at small scales and for models that extrapolate.
    None,
}

impl Seed {
    /// The seed's name in config files and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pi => "pi",
            Self::Ntk => "ntk",
            Self::DynamicNtk => "dynamic-ntk",
            Self::Yarn => "yarn",
            Self::LinearRamp => "linear-ramp",
            Self::None => "none",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_config_files_say() {
        for seed in [
            Seed::Pi,
            Seed::Ntk,
            Seed::DynamicNtk,
            Seed::Yarn,
            Seed::LinearRamp,
            Seed::None,
        ] {
            let written = serde_json::to_string(&seed).expect("plain data");
            assert_eq!(written, format!("\"{}\"", seed.name()));
        }
    }
}

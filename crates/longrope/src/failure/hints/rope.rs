//! Hints for errors of RoPEs and the files that hold them.

use longrope_rope::Error as E;

const CONFIG: &str = "use the config.json that was published with the weights, or correct it";
const ARTIFACT: &str = "make it again with `longrope search`, or copy it again from its run folder";

/// The hint for an error of `longrope-rope`.
pub(super) fn hint(error: &E) -> Option<String> {
    Some(match error {
        E::FactorCount { .. } => {
            "the factors are for a model with another head size; a list needs one factor per rotated pair, rotary_dim / 2"
                .into()
        }
        E::CsvEmpty { .. } | E::CsvNumber { .. } | E::CsvRowLength { .. } => {
            "a factor CSV has one factor per line, or one row of factors per layer".into()
        }
        E::CsvRowDiffers { .. } => {
            "give the factors of one layer only; this program rotates all layers alike".into()
        }
        E::Factor { .. } => "a factor divides a frequency: 1 keeps it, larger ones slow it down".into(),
        E::MissingKey { .. } => "add this key to config.json; it has no default".into(),
        E::WrongValue { .. } => {
            "correct this key of config.json; a key that has a default may be left out".into()
        }
        E::NotDivisible { .. } | E::ListLength { .. } | E::RotatedPart { .. } => {
            "correct the sizes in config.json; one that is missing has the default of its family in transformers 5.24"
                .into()
        }
        E::UnknownRopeType { .. } | E::LayerTypes { .. } => {
            "this kind of RoPE is not supported; to use another one, replace or remove its section in config.json".into()
        }
        E::NestedConfig { .. } => {
            "a model of text and images is not supported; save its language model as a folder of its own"
                .into()
        }
        E::NoLanguageModel { .. } => {
            "use the config.json that was published with the weights, or that of the language model alone".into()
        }
        E::Json {
            what: "model config",
            ..
        }
        | E::NotAnObject { .. }
        | E::Disagree { .. }
        | E::RotaryDim { .. }
        | E::OriginalContext { .. } => CONFIG.into(),
        E::Number { name, expected, .. } => {
            format!("correct `{name}` where it is set, to {expected}")
        }
        E::NoSets {} | E::SetOrder { .. } => {
            "factor sets are listed from the shortest `max_context` to the longest".into()
        }
        E::MethodParameters { example, .. } => format!("for example --rope {example}"),
        E::NoConfigKey { .. } => {
            "it is for measuring only, with `eval`, `compare` and `generate`".into()
        }
        E::UnknownMethod { .. } => "--rope takes one of these names, or a file".into(),
        E::Json { .. } | E::ArtifactLayerTypes { .. } | E::ArtifactLayerType { .. } => ARTIFACT.into(),
        E::ArtifactFormat { .. } => {
            "give the rope.json of a search, or a config.json, which has no `format`".into()
        }
        E::ArtifactVersion { .. } => {
            "use the version of longrope that wrote the file, or search again with this one".into()
        }
        E::RefusedFamily { .. } => {
            "book/src/reference/models.md lists the families that are supported".into()
        }
        E::UnknownActivation { .. } => "use a model with one of these activations".into(),
        E::UnknownFamily { .. } => {
            "doctor knows the rules of the runtimes for these model types only".into()
        }
        E::NotWritable { .. } => {
            "use factors with --rope: the rope.json of a search, or a factor CSV".into()
        }
        _ => return None,
    })
}

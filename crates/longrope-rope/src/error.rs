//! Errors: what is wrong, where, the value found and what was expected.

use std::fmt;

/// Result of the fallible functions of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that can be wrong with a rope spec, its factors or the files that hold them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The rotated part of a head cannot be split into pairs.
    #[error("`rotary_dim` is {found}, expected an even number of at least {minimum}")]
    RotaryDim {
        /// The value given.
        found: usize,
        /// The smallest valid value; the NTK rules divide by `rotary_dim - 2`.
        minimum: usize,
    },
    /// The original context is too small to be scaled.
    #[error("`original_context` is {found}, expected at least 2 tokens")]
    OriginalContext {
        /// The value given.
        found: usize,
    },
    /// A number is outside the range that its formula allows.
    #[error("`{name}` is {found}, expected {expected}")]
    Number {
        /// The field that holds the number.
        name: &'static str,
        /// The value given.
        found: f64,
        /// What the formula requires.
        expected: &'static str,
    },
    /// A rescale factor cannot divide a frequency.
    #[error("rescale factor {index} is {found}, expected a finite number above 0")]
    Factor {
        /// Index of the pair, from 0.
        index: usize,
        /// The value given.
        found: f64,
    },
    /// A factor set has the wrong number of factors.
    #[error(
        "factor set {set} (`max_context` {max_context}) has {found} factors, expected {expected} (`rotary_dim` / 2)"
    )]
    FactorCount {
        /// Index of the set, from 0.
        set: usize,
        /// The context the set is for.
        max_context: usize,
        /// Number of factors.
        found: usize,
        /// Number of pairs.
        expected: usize,
    },
    /// A LongRoPE scaling without any factor set.
    #[error("`sets` of the LongRoPE scaling is empty, expected at least one factor set")]
    NoSets {},
    /// Factor sets are not ordered by context.
    #[error(
        "factor set {set} has `max_context` {found}, expected more than {previous}, the `max_context` of the set before it"
    )]
    SetOrder {
        /// Index of the set, from 0.
        set: usize,
        /// Its context.
        found: usize,
        /// The context of the set before it, 0 for the first set.
        previous: usize,
    },
    /// No scaling method has this name.
    #[error("`{found}` is not a rope method, expected one of {expected}")]
    UnknownMethod {
        /// The name given.
        found: String,
        /// The known names.
        expected: Names,
    },
    /// The parameters of a method are missing or cannot be read.
    #[error("RoPE `{found}`: expected {expected}")]
    MethodParameters {
        /// The text given.
        found: String,
        /// What the method needs.
        expected: &'static str,
        /// A text that is right.
        example: &'static str,
    },
    /// A text is not valid JSON of its format.
    #[error("the {what} is not valid")]
    Json {
        /// What the text was read as.
        what: &'static str,
        /// The parser's error, with line and column.
        #[source]
        source: serde_json::Error,
    },
    /// A file is of another kind.
    #[error("the rope artefact has `format` {found}, expected \"{expected}\"")]
    ArtifactFormat {
        /// The value found, as JSON; `null` when the key is missing.
        found: serde_json::Value,
        /// The value this crate writes.
        expected: &'static str,
    },
    /// A file was written by another version of the format.
    #[error("the rope artefact has `version` {found}, expected {expected}")]
    ArtifactVersion {
        /// The value found, as JSON; `null` when the key is missing.
        found: serde_json::Value,
        /// The version this crate reads and writes.
        expected: u32,
    },
    /// A `rope.json` of version 1 has ropes by layer type, which only version 2 has.
    #[error(
        "the rope artefact has `layer_types` and `version` {version}, expected `version` {expected} for ropes by layer type"
    )]
    ArtifactLayerTypes {
        /// The version found.
        version: u32,
        /// The version that has them.
        expected: u32,
    },
    /// A `rope.json` has a rope for an unknown type of layers.
    #[error("`layer_types` of the rope artefact has {found:?}, expected only {expected}")]
    ArtifactLayerType {
        /// The type found.
        found: String,
        /// The known types.
        expected: Names,
    },
    /// A factor table holds no number.
    #[error("the factor table holds no numbers")]
    CsvEmpty {},
    /// A field of a factor table is not a number.
    #[error("the factor table has `{found}` in line {line}, column {column}, expected a number")]
    CsvNumber {
        /// Line of the text, from 1.
        line: u64,
        /// Field of the line, from 1.
        column: usize,
        /// The field's text.
        found: String,
    },
    /// Rows of a factor table differ in length.
    #[error(
        "the factor table has {found} numbers in line {line}, expected {expected} as in the rows above"
    )]
    CsvRowLength {
        /// Line of the text, from 1.
        line: u64,
        /// Numbers in the line.
        found: usize,
        /// Numbers in the first row.
        expected: usize,
    },
    /// A layers × pairs table holds different factors for different layers.
    #[error(
        "the factor table has {found} in line {line}, column {column}, expected {expected} as in the first row: \
         every layer shares one set of factors"
    )]
    CsvRowDiffers {
        /// Line of the text, from 1.
        line: u64,
        /// Field of the line, from 1.
        column: usize,
        /// The value there.
        found: f64,
        /// The value of the first row.
        expected: f64,
    },
    /// A model config has no value for a key that the frequencies depend on.
    #[error("the model config has no `{key}`")]
    MissingKey {
        /// The key, with the section it belongs to.
        key: String,
    },
    /// A model config is JSON, but has no keys.
    #[error("the model config is {found}, expected an object")]
    NotAnObject {
        /// What was found.
        found: &'static str,
    },
    /// A key of a model config has a value of another type, or outside its range.
    #[error("`{key}` of the model config is {}, expected {expected}", shown(found))]
    WrongValue {
        /// The key, with the section it belongs to.
        key: String,
        /// The value found.
        found: serde_json::Value,
        /// What was expected.
        expected: &'static str,
    },
    /// A list of a model config has another length than the sizes say.
    #[error("`{key}` of the model config has {found} entries, expected {expected}")]
    ListLength {
        /// The key, with the section it belongs to.
        key: String,
        /// Number of entries.
        found: usize,
        /// The number that the sizes ask for: rotated pairs, or layers.
        expected: usize,
    },
    /// Two sizes of a model config do not fit together.
    #[error(
        "`{key}` of the model config is {found}, expected a multiple of `{by}`, which is {divisor}"
    )]
    NotDivisible {
        /// The size.
        key: &'static str,
        /// Its value, or its default if it is missing.
        found: usize,
        /// The size that has to divide it.
        by: &'static str,
        /// Its value, or its default if it is missing.
        divisor: usize,
    },
    /// The rotated part of the heads of a model config cannot be split into pairs.
    #[error(
        "the model config rotates {found} dimensions of a head (`head_dim` {head_dim} × `partial_rotary_factor` \
         {partial}, rounded down), expected an even number of at least 2"
    )]
    RotatedPart {
        /// Rotated dimensions.
        found: usize,
        /// Dimensions of a head.
        head_dim: usize,
        /// The rotated share.
        partial: f64,
    },
    /// A model config names a RoPE type that this crate does not know.
    #[error("`{key}` of the model config is {found:?}, expected one of {expected}")]
    UnknownRopeType {
        /// The key that names the type.
        key: String,
        /// The type named.
        found: String,
        /// The known types.
        expected: Names,
    },
    /// The family of a model config is not known.
    #[error("`model_type` of the model config is {found:?}, expected one of {expected}")]
    UnknownFamily {
        /// The family.
        found: String,
        /// The known families.
        expected: Names,
    },
    /// The family is known, but not supported.
    #[error("`model_type` of the model config is {found:?}, which is not supported: {reason}")]
    RefusedFamily {
        /// The family.
        found: String,
        /// Why it is not supported.
        reason: &'static str,
    },
    /// The activation of a model config is unknown.
    #[error("`{key}` of the model config is {found:?}, expected one of {expected}")]
    UnknownActivation {
        /// The key.
        key: &'static str,
        /// The activation.
        found: String,
        /// The known activations.
        expected: Names,
    },
    /// A model config describes more than a language model, whose own config is nested in it.
    #[error(
        "`model_type` of the model config is {found:?}, a model whose language part ({inner:?}) is described in \
         `{section}`; expected one of {expected} at the top level"
    )]
    NestedConfig {
        /// The family.
        found: String,
        /// The key that holds the config of the language model.
        section: &'static str,
        /// The family of the language model.
        inner: String,
        /// The known families.
        expected: Names,
    },
    /// A model config is that of a model of text and images, without the config of its language model.
    #[error(
        "`model_type` of the model config is {found:?}, a model of text and images, but `{section}`, which describes its \
         language model, is missing or no object; a language model alone has the `model_type` {inner:?}"
    )]
    NoLanguageModel {
        /// The family.
        found: String,
        /// The key that should hold the config of the language model.
        section: &'static str,
        /// The family of such a language model.
        inner: &'static str,
    },
    /// Two sizes disagree.
    #[error(
        "`{first}` and `{second}` of the model config disagree: {first_value} and {second_value}"
    )]
    Disagree {
        /// One spelling of the key.
        first: String,
        /// The other spelling.
        second: String,
        /// Value of the first.
        first_value: String,
        /// Value of the second.
        second_value: String,
    },
    /// A model config gives different kinds of layers different frequencies.
    #[error(
        "`{section}` of the model config is split by layer type (`{layer_type}`), expected one rope for all layers"
    )]
    LayerTypes {
        /// The section.
        section: &'static str,
        /// The first layer type found in it.
        layer_type: String,
    },
    /// A family of models can load no equivalent of a scaling.
    #[error(
        "a `{scaling}` scaling cannot be written for `model_type` \"{model_type}\", which loads only longrope"
    )]
    NotWritable {
        /// The scaling.
        scaling: &'static str,
        /// The family.
        model_type: String,
    },
    /// A scaling that no config.json can express.
    #[error("a `{scaling}` scaling cannot be written into a config.json, which has no key for it")]
    NoConfigKey {
        /// The scaling.
        scaling: &'static str,
    },
}

/// Longest JSON value that a message shows in full, in characters.
const SHOWN: usize = 60;

/// A JSON value for a message, cut if it is long.
fn shown(value: &serde_json::Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= SHOWN {
        return text;
    }
    let start: String = text.chars().take(SHOWN).collect();
    format!("{start}..")
}

/// A list of names to choose from, shown as `a`, `b`, `c`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Names(pub &'static [&'static str]);

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, name) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}`{name}`")?;
        }
        Ok(())
    }
}

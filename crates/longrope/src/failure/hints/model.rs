//! Hints for errors of checkpoints, adapters and exports.

use longrope_model::{Damage, Error as E, LoraError};

use super::system::io_hint;
use super::{model_folder, rope};

/// What to do about numbers that are not finite.
pub(super) const NOT_FINITE: &str = "a model whose weights are finite has finite losses: copy the weights again, or load \
                                     them as f32 if they were converted to f16";

const GENERATION_CONFIG: &str =
    "use the generation_config.json that was published with the weights, correct it, or remove it";

/// The hint for an error of `longrope-model`.
pub(super) fn hint(error: &E) -> Option<String> {
    of_folder(error)
        .or_else(|| of_export(error))
        .or_else(|| of_computing(error))
}

/// Errors of the folder of a model.
fn of_folder(error: &E) -> Option<String> {
    Some(match error {
        E::NotAFolder { path } | E::ModelNotFound { path } => model_folder::for_no_folder(path),
        E::FileMissing { folder, .. } => model_folder::for_folder(folder),
        E::Index { .. } => {
            "download model.safetensors.index.json again: it lists every tensor with a file in the same folder".into()
        }
        E::LfsPointer { .. } => {
            "the repository was cloned without its large files: run `git lfs pull` there, or download the file".into()
        }
        E::TensorMissing { .. } => "the file belongs to another model: copy or download it again".into(),
        E::ShardMissing { .. } => "download the missing shard again, next to the others".into(),
        E::Damaged { damage, .. } => match damage {
            Damage::TooLong => {
                "something was added to the end of the file: copy or download it again"
            }
            Damage::Tensor => "use weights with tensors of other types, or those that config.json is for",
            Damage::Quantized => {
                "the weights are quantized, which is not supported: use the original model with F32, F16 or BF16 weights"
            }
            Damage::Header => "the file is damaged, or of another kind: copy or download it again",
            _ => "the file is probably truncated: copy or download it again",
        }
        .into(),
        E::Weights { folder, report } => model_folder::for_misfit(folder, report),
        E::Config { source, .. } => return rope::hint(source),
        E::Rope { source, .. } if matches!(**source, longrope_rope::Error::NoConfigKey { .. }) => {
            return rope::hint(source);
        }
        E::Rope { source, .. } if matches!(**source, longrope_rope::Error::NotWritable { .. }) => {
            "choose another --rope, for example yarn, or factors from longrope search".into()
        }
        E::GenerationConfig { .. } => GENERATION_CONFIG.into(),
        E::Json { path, .. } if path.ends_with("generation_config.json") => GENERATION_CONFIG.into(),
        E::Json { path, .. } if path.ends_with("model.safetensors.index.json") => {
            "download the file again, or give the whole weights as model.safetensors".into()
        }
        E::Rope { .. } | E::Json { .. } => {
            "use the config.json that was published with the weights, or correct it".into()
        }
        E::Io(error) => io_hint(error),
        E::Unsupported { .. } => "this kind of model is not supported".into(),
        _ => return None,
    })
}

/// Errors of weights and files that are written.
fn of_export(error: &E) -> Option<String> {
    Some(match error {
        E::Gguf(error) => return super::gguf::hint(error),
        E::OutputExists { path } | E::OutputKept { path, .. } if path.extension().is_some_and(|it| it == "gguf") => {
            "choose another file; --force replaces only GGUF files".into()
        }
        E::OutputExists { path } if longrope_model::is_replaceable(path) => {
            "choose another folder, or replace it with --force".into()
        }
        E::OutputExists { .. } | E::OutputKept { .. } => {
            "choose another folder; --force replaces only folders that longrope export wrote".into()
        }
        E::WeightOverflow { .. } => {
            "use --dtype bf16, which has the range of f32, or --dtype keep".into()
        }
        E::WeightNotFinite { .. } => {
            "copy or download the weights again, or convert them again without overflow; --force exports them as they are"
                .into()
        }
        E::ShardSize { .. } => "for example 5GB, 500MB or 2GiB".into(),
        E::Write { .. } => "free some disk space, or choose another --out".into(),
        E::WrittenSize { .. } => {
            "this is a fault of longrope; without --dtype and --max-shard-size, files are copied as they are".into()
        }
        _ => return None,
    })
}

/// Errors of running and training a model.
fn of_computing(error: &E) -> Option<String> {
    Some(match error {
        E::TokenOutOfVocabulary { .. } => {
            "the token ids come from the tokenizer of another model".into()
        }
        E::TensorTooLarge { dtype: "f32", .. } => {
            "--set precision=bf16, or train.precision=bf16 for a training, halves it; with --device cuda or vulkan the same card may allow larger buffers"
                .into()
        }
        E::TensorTooLarge { .. } => {
            "with --device cuda or vulkan the same card may allow larger buffers; --device flex has no limit".into()
        }
        E::Lora(error) => return lora_hint(error),
        E::NotFinite { .. } => NOT_FINITE.into(),
        E::GroupedTraining => "choose another --rope; selfextend is for measuring only".into(),
        E::StreamedTraining => "use the default, weights = \"resident\"".into(),
        E::EmptyPrompt => {
            "give a prompt of at least one token; the tokenizer makes none of an empty text".into()
        }
        E::CacheFull { capacity, .. } => format!("give a shorter prompt, up to {capacity} tokens"),
        E::UnequalLengths { .. } => "sequences of one batch need equally many tokens".into(),
        E::NothingToScore { .. } => "give a window with at least two tokens".into(),
        // Not an error of the input: E::Stopped.
        _ => return None,
    })
}

/// The hint for adapters that do not fit.
pub(super) fn lora_hint(error: &LoraError) -> Option<String> {
    Some(match error {
        LoraError::ZeroRank => "set `train.lora.rank` to 1 or more; 8 is its default".into(),
        LoraError::UnknownTarget { known, .. } | LoraError::NoTarget { known } => format!(
            "leave train.lora.target-modules out for all linear maps of attention; this model has [{}]",
            quoted(known)
        ),
        LoraError::UnknownSaved { known, .. } => format!(
            "names in train.modules-to-save are as in PEFT; this model has [{}]",
            quoted(known)
        ),
        LoraError::AdapterAndSaved { .. } => {
            "remove it from train.modules-to-save or from train.lora.target-modules".into()
        }
        LoraError::PeftType { .. } | LoraError::UnsupportedKey { .. } => {
            "only plain LoRA can be loaded; merge the adapters with PEFT first".into()
        }
        LoraError::ConfigKey { .. }
        | LoraError::Shape { .. }
        | LoraError::UnusedTensors { .. }
        | LoraError::TiedHead { .. } => {
            "the adapters belong to another model, or their files were edited; a run resumes from the state before if \
             this one is removed"
                .into()
        }
        _ => return None,
    })
}

fn quoted(names: &[impl AsRef<str>]) -> String {
    let quoted: Vec<String> = names
        .iter()
        .map(|name| format!("\"{}\"", name.as_ref()))
        .collect();
    quoted.join(", ")
}

//! Hints for errors of checkpoints, adapters and exports.

use longrope_model::{Error as E, LoraError};

use super::system::io_hint;

/// The hint for an error of `longrope-model`.
pub(super) fn hint(error: &E) -> Option<String> {
    Some(match error {
        E::NotAFolder { .. } | E::FileMissing { .. } => {
            "give the folder that holds config.json, tokenizer.json and the safetensors files"
                .into()
        }
        E::ShardMissing { .. } => "download the missing shard again, next to the others".into(),
        E::Damaged { .. } => "the file is probably truncated: copy or download it again".into(),
        E::Weights { .. } => {
            "config.json and the weights belong to different models, or one of them was edited"
                .into()
        }
        E::OutputExists { .. } => "choose another folder, or replace it with --force".into(),
        E::TokenOutOfVocabulary { .. } => {
            "the token ids come from the tokenizer of another model".into()
        }
        E::ConfigKey { .. } | E::Rope { .. } | E::Json { .. } => {
            "use the config.json that was published with the weights, or correct it".into()
        }
        E::Io(error) => io_hint(error),
        E::WeightOverflow { .. } => {
            "use --dtype bf16, which has the range of f32, or --dtype keep".into()
        }
        E::ShardSize { .. } => "for example 5GB, 500MB or 2GiB".into(),
        E::Unsupported { .. } => "this kind of model is not supported".into(),
        E::Write { .. } => "free some disk space, or choose another --out".into(),
        E::Lora(error) => return lora_hint(error),
        E::StreamedTraining => "use the default, weights = \"resident\"".into(),
        E::EmptyPrompt => "give a prompt with at least one character".into(),
        E::CacheFull { capacity, .. } => format!("give a shorter prompt, up to {capacity} tokens"),
        E::UnequalLengths { .. } => "sequences of one batch need equally many tokens".into(),
        E::NothingToScore { .. } => "give a window with at least two tokens".into(),
        _ => return None,
    })
}

/// The hint for adapters that do not fit.
pub(super) fn lora_hint(error: &LoraError) -> Option<String> {
    Some(
        match error {
            LoraError::ZeroRank => "set `train.lora.rank` to 1 or more; 8 is its default",
            LoraError::UnknownTarget { .. } => {
                "name linear maps as in train.lora.target-modules = [\"q_proj\", \"v_proj\"]"
            }
            LoraError::PeftType { .. } | LoraError::UnsupportedKey { .. } => {
                "only plain LoRA can be loaded; merge the adapters with PEFT first"
            }
            LoraError::ConfigKey { .. } => {
                "use the adapter_config.json that was saved with the adapters"
            }
            LoraError::Shape { .. } | LoraError::UnusedTensors { .. } => {
                "the adapters belong to another model, or their files were edited"
            }
            _ => return None,
        }
        .to_owned(),
    )
}

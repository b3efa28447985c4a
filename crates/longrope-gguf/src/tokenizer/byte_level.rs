//! Byte-level BPE: which pre-tokenizer of llama.cpp cuts texts in the same way.

use serde_json::Value as Json;

use super::pre::{PreTokenizer, split_pattern};
use super::vocabulary::wrong;
use crate::error::Result;
use crate::loss::Loss;

/// The parts of the pre-tokenizer, one after the other.
fn parts(json: &Json) -> Vec<&Json> {
    let pre = &json["pre_tokenizer"];
    match pre["pretokenizers"].as_array() {
        Some(list) => list.iter().collect(),
        None if pre.is_null() => Vec::new(),
        None => vec![pre],
    }
}

/// Whether tokens are spelled in the alphabet of bytes of GPT-2.
pub(super) fn is_byte_level(json: &Json) -> bool {
    parts(json).iter().any(|part| part["type"] == "ByteLevel")
}

/// One step of cutting.
#[derive(PartialEq)]
enum Step<'a> {
    Digits,
    Split(&'a str),
    Gpt2,
}

/// The pre-tokenizer of llama.cpp that cuts texts in the same way.
pub(super) fn pre_tokenizer(json: &Json, losses: &mut Vec<Loss>) -> Result<PreTokenizer> {
    check_normalizer(json, losses)?;
    let mut steps = Vec::new();
    for part in parts(json) {
        steps.extend(step(part)?);
    }
    let ignores_merges = json["model"]["ignore_merges"] == true;
    let is_same = |pre: &&PreTokenizer| {
        let expected: Vec<Step> = match split_pattern(**pre) {
            Some(pattern) => vec![Step::Split(pattern)],
            None if **pre == PreTokenizer::SmolLm => vec![Step::Digits, Step::Gpt2],
            None => vec![Step::Gpt2],
        };
        steps == expected && pre.ignores_merges() == ignores_merges
    };
    let found = PreTokenizer::ALL.iter().find(is_same).copied();
    found.ok_or_else(|| {
        let is_known = if ignores_merges {
            " with `ignore_merges`"
        } else {
            ""
        };
        wrong(format!(
            "llama.cpp is not known to have its pre-tokenizer{is_known}: {}",
            json["pre_tokenizer"]
        ))
    })
}

/// The step that a part stands for; `None` if it cuts nothing.
fn step(part: &Json) -> Result<Option<Step<'_>>> {
    let unknown = || wrong(format!("its pre-tokenizer has the part {part}"));
    match part["type"].as_str() {
        Some("Digits") if part["individual_digits"] == true => Ok(Some(Step::Digits)),
        Some("ByteLevel") if part["add_prefix_space"] == true => Err(wrong(
            "its pre-tokenizer puts a space in front of every text, which llama.cpp does not"
                .to_owned(),
        )),
        // The regular expression is used unless it is switched off.
        Some("ByteLevel") => Ok((part["use_regex"] != false).then_some(Step::Gpt2)),
        Some("Split") if part["behavior"] == "Isolated" && part["invert"] != true => {
            let pattern = part["pattern"]["Regex"].as_str().ok_or_else(unknown)?;
            Ok(Some(Step::Split(pattern)))
        }
        _ => Err(unknown()),
    }
}

/// llama.cpp does not normalize texts for byte-level BPE. NFC changes nothing in nearly all texts.
fn check_normalizer(json: &Json, losses: &mut Vec<Loss>) -> Result<()> {
    let normalizer = &json["normalizer"];
    if normalizer.is_null() {
        return Ok(());
    }
    if normalizer["type"] == "NFC" {
        losses.push(Loss::Normalization {
            normalizer: "NFC".to_owned(),
        });
        return Ok(());
    }
    Err(wrong(format!("llama.cpp has no normalizer {normalizer}")))
}

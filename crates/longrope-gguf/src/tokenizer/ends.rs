//! Tokens that end a text for llama.cpp: those that keys name, and those that it knows by their text (`llama-vocab.cpp`).

use std::collections::BTreeSet;

/// Keys of tokens that end a text: of a text, of a turn and of a message.
pub(crate) const END_KEYS: [&str; 3] = ["eos_token_id", "eot_token_id", "eom_token_id"];

/// Texts of ends of texts, turns and messages.
const KNOWN: [&str; 12] = [
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "<end_of_utterance>",
];

/// Texts of further ends, which only newer versions know.
const KNOWN_TO_NEWER: [&str; 8] = [
    "</s>",
    "<eos>",
    "[EOS]",
    "[EOT]",
    "<turn|>",
    "<|tool_response>",
    "<|flush|>",
    "<|calls|>",
];

/// The tokens between files of code, and after them, which end a text as well: for each kind its key, and the texts that
/// count without the key. There is one token of a kind.
pub(crate) const OF_CODE: [(&str, &[&str]); 3] = [
    (
        "fim_pad_token_id",
        &["<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", CODE_PAD],
    ),
    (
        "fim_rep_token_id",
        &[
            "<|fim_repo|>",
            "<|repo_name|>",
            "<fim-repo>",
            "<REPO>",
            "<reponame>",
        ],
    ),
    ("fim_sep_token_id", &["<|file_sep|>"]),
];

/// The text of a token of code that only newer versions know.
const CODE_PAD: &str = "[PAD]";

/// The tokens at which llama.cpp ends a text, of a vocabulary with these `texts` and of a file with these `keys` and their
/// tokens. Keys that name a token outside the vocabulary do not count.
///
/// If several tokens are of one kind of [`OF_CODE`] and there is no key, llama.cpp takes any. Here it is the first.
pub(crate) fn end_ids(texts: &[&str], keys: &[(&str, usize)]) -> BTreeSet<usize> {
    let named = |key: &str| {
        let mut ids = keys.iter().filter(|it| it.0 == key && it.1 < texts.len());
        ids.next().map(|it| it.1)
    };
    let mut found: BTreeSet<usize> = END_KEYS.iter().filter_map(|key| named(key)).collect();
    for (key, known) in OF_CODE {
        let by_text = || texts.iter().position(|text| known.contains(text));
        found.extend(named(key).or_else(by_text));
    }
    let is_known = |text: &str| KNOWN.contains(&text) || KNOWN_TO_NEWER.contains(&text);
    found.extend((0..texts.len()).filter(|id| is_known(texts[*id])));
    let has = |text: &str| found.iter().any(|id| texts[*id] == text);
    let has_calls = has("<|call|>") || has("<|calls|>");
    let end_is_inside = has_calls && (has("<|return|>") || has("<|flush|>"));
    let has_tools = has("<|tool_response>");
    found.retain(|id| match texts[*id] {
        // In these formats, it only ends a part of an answer.
        "<|end|>" => !end_is_inside,
        "</s>" => !has_tools,
        _ => true,
    });
    found
}

/// Whether every version of llama.cpp knows a token with this text as an end, if [`end_ids`] has it without a key.
pub(super) fn is_sure(texts: &[&str], text: &str) -> bool {
    let is_only_one = |known: &[&str]| texts.iter().filter(|it| known.contains(it)).count() == 1;
    KNOWN.contains(&text)
        || OF_CODE
            .iter()
            .any(|(_, known)| known.contains(&text) && text != CODE_PAD && is_only_one(known))
}

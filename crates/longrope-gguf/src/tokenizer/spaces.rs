//! Spaces beside added tokens, and names of models that llama.cpp takes for Phi-3.

use serde_json::Value as Json;

use crate::loss::Loss;

/// Tokens of Phi-3 after which llama.cpp keeps spaces.
const KEPT_AFTER: [&str; 3] = ["<unk>", "<s>", "<|endoftext|>"];

/// Tokens that llama.cpp looks up for Phi-3. It does not load a vocabulary without one of them.
const LOOKED_UP: [&str; 4] = ["</s>", "<unk>", "<s>", "<|endoftext|>"];

/// Where the name of Phi-3 is in that of a model. llama.cpp knows it by this (`llama-vocab.cpp`).
fn phi3_at(model_name: &str) -> Option<usize> {
    let name = model_name.to_ascii_lowercase();
    name.find("phi-3").or_else(|| name.find("phi3"))
}

/// Whether llama.cpp leaves out the spaces after an added token. It does so for Phi-3. No key says it.
pub(crate) fn strips_after(model_name: &str, text: &str) -> bool {
    phi3_at(model_name).is_some() && !KEPT_AFTER.contains(&text)
}

/// Another name for a model that llama.cpp would take for Phi-3 and not load. `texts` are those of all tokens.
pub(super) fn other_name(
    model_name: &str,
    texts: &[String],
    losses: &mut Vec<Loss>,
) -> Option<String> {
    phi3_at(model_name)?;
    let is_missing = |token: &&str| !texts.iter().any(|text| text == *token);
    let token = LOOKED_UP.into_iter().find(is_missing)?;
    let mut name = model_name.to_owned();
    while let Some(at) = phi3_at(&name) {
        let end = at + "phi".len();
        let dash = usize::from(name[end..].starts_with('-'));
        name.replace_range(end..end + dash, "_");
    }
    losses.push(Loss::Name {
        name: model_name.to_owned(),
        written: name.clone(),
        token,
    });
    Some(name)
}

/// Added tokens with spaces beside them that llama.cpp treats otherwise.
pub(super) fn lost_spaces(tokenizer: &Json, model_name: &str) -> Option<Loss> {
    let added = tokenizer["added_tokens"].as_array()?.iter();
    let differs = |token: &&Json| {
        let text = token["content"].as_str().unwrap_or_default();
        token["lstrip"] == true || (token["rstrip"] == true) != strips_after(model_name, text)
    };
    let lost: Vec<&Json> = added.filter(differs).collect();
    let first = lost.first()?["content"].as_str().unwrap_or_default();
    Some(Loss::Spaces {
        n_tokens: lost.len(),
        first: first.to_owned(),
    })
}

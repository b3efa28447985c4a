//! The RoPEs and the contexts that a configuration lists.

use anyhow::{Result, anyhow};
use longrope_extend::PplCell;
use longrope_model::Decoder;

use super::rope_arg::RopeArg;
use crate::failure::Hint;
use crate::settings::config::Config;

/// A RoPE and its name in tables.
#[derive(Clone, Debug)]
pub(crate) struct NamedRope {
    pub(crate) name: String,
    pub(crate) rope: RopeArg,
}

/// The longest of the configured contexts.
pub(crate) fn longest_context(config: &Config) -> Result<usize> {
    config.contexts.iter().copied().max().ok_or_else(|| {
        anyhow!("`--contexts` is missing")
            .context(Hint("for example --contexts 256,512,1024".to_owned()))
    })
}

/// The configured contexts, each once.
pub(crate) fn contexts(config: &Config) -> Vec<usize> {
    distinct(&config.contexts)
}

/// The names of the configured RoPEs, each once; by default the one in config.json.
pub(crate) fn rope_names(config: &Config) -> Vec<String> {
    match config.rope.as_slice() {
        [] => vec!["checkpoint".to_owned()],
        names => distinct(names),
    }
}

/// The configured RoPE; `None` if there is none.
///
/// # Errors
/// If there are several. The message says that `taker` takes one.
pub(crate) fn only_rope<'c>(config: &'c Config, taker: &str) -> Result<Option<&'c str>> {
    match config.rope.as_slice() {
        [] => Ok(None),
        [name] => Ok(Some(name.as_str())),
        names => Err(
            anyhow!("`--rope` names {} RoPEs, {taker} takes one", names.len())
                .context(Hint(format!("give one --rope{}", example(&names[0])))),
        ),
    }
}

/// A RoPE as an example of a flag, at the end of a sentence; empty for a name that cannot be written as one word.
fn example(name: &str) -> String {
    if name.is_empty() || name.contains([' ', '`', '\'', '"']) {
        return String::new();
    }
    format!(", for example --rope {name}")
}

/// The values in order, without those that were there before: nothing is measured twice because it is named twice.
pub(crate) fn distinct<T: Clone + PartialEq>(values: &[T]) -> Vec<T> {
    let mut found: Vec<T> = Vec::with_capacity(values.len());
    for value in values {
        if !found.contains(value) {
            found.push(value.clone());
        }
    }
    found
}

/// Parses a list of RoPEs.
pub(crate) fn named_ropes(
    names: &[String],
    decoder: &Decoder,
    target: usize,
) -> Result<Vec<NamedRope>> {
    names
        .iter()
        .map(|name| {
            let rope = RopeArg::parse(name, decoder.config(), target)?;
            Ok(NamedRope {
                name: name.clone(),
                rope,
            })
        })
        .collect()
}

/// Cells for every RoPE at every context, ordered by RoPE, then by context.
pub(crate) fn ppl_cells(ropes: &[NamedRope], contexts: &[usize]) -> Result<Vec<PplCell>> {
    let mut cells = Vec::with_capacity(ropes.len() * contexts.len());
    for named in ropes {
        for &context in contexts {
            cells.push(PplCell {
                rope: named.name.clone(),
                context,
                spec: named.rope.spec(context)?,
            });
        }
    }
    Ok(cells)
}

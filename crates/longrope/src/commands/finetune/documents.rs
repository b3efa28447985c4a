//! How the documents of a training begin.

use std::path::Path;

use longrope_data::{TokenDocument, Tokenizer, document_bos};
use serde_json::{Map, Value};

use crate::settings::config::Config;

/// The setting of a run whose documents lack the beginning-of-text token of the model.
const WITHOUT_BOS: &str = "without-bos";

/// How the documents of a training begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DocumentStart {
    /// The token to put before every document.
    pub(super) bos: Option<u32>,
    /// The token that the `config.json` of the model names.
    of_model: Option<u32>,
}

impl DocumentStart {
    /// That of a training of the model in `base`: with the token if its texts have it.
    ///
    /// A training that has begun keeps what it began with, which its `run.json` says, `begun`. Earlier versions put the token
    /// before every document.
    pub(super) fn of(
        config: &Config,
        base: &Path,
        of_model: Option<u32>,
        documents: &[TokenDocument],
        begun: Option<&Value>,
    ) -> Self {
        let bos = match begun {
            Some(begun) => of_model.filter(|_| begun.get(WITHOUT_BOS).is_none()),
            None if of_model.is_none() => None,
            None => {
                // A tokenizer that cannot be read is an error where it is needed.
                let of_text = || Tokenizer::from_model_dir(base).ok();
                let tokenizer = config.tokens.is_none().then(of_text).flatten();
                document_bos(of_model, tokenizer.as_ref(), documents)
            }
        };
        Self { bos, of_model }
    }

    /// Adds what must be the same to resume.
    pub(super) fn record(self, fixed: &mut Map<String, Value>) {
        if self.bos != self.of_model {
            fixed.insert(WITHOUT_BOS.to_owned(), true.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_training_keeps_the_beginnings_that_it_began_with() {
        let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/tiny-llama-256");
        let config = Config::default();
        let start = |of_model, begun: Option<&Value>| {
            DocumentStart::of(&config, &base, of_model, &[], begun)
        };
        let recorded = |start: DocumentStart| {
            let mut fixed = Map::new();
            start.record(&mut fixed);
            Value::Object(fixed)
        };
        // The tokenizer puts token 0 before a text.
        assert_eq!(recorded(start(Some(0), None)), json!({}));
        assert_eq!(start(Some(0), None).bos, Some(0));
        assert_eq!(recorded(start(None, None)), json!({}));
        let without = start(Some(1), None);
        assert_eq!(without.bos, None);
        assert_eq!(start(Some(1), Some(&recorded(without))), without);
        // As an earlier version began.
        for begun in [Value::Null, json!({})] {
            assert_eq!(start(Some(1), Some(&begun)).bos, Some(1));
        }
    }

    #[test]
    fn token_ids_say_themselves_how_they_begin() {
        let config = Config {
            tokens: Some("tokens.json".into()),
            ..Config::default()
        };
        let document = TokenDocument {
            source: String::new(),
            tokens: vec![1, 2],
        };
        let bos = |id| {
            let nowhere = Path::new("nowhere");
            DocumentStart::of(
                &config,
                nowhere,
                Some(id),
                std::slice::from_ref(&document),
                None,
            )
            .bos
        };
        assert_eq!((bos(1), bos(2)), (Some(1), None));
    }
}

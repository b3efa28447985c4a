//! What a run does as the earlier version that began it.

use longrope_data::TokenDocument;
use serde_json::Value;

/// The setting of a run whose windows have the angles of their own length, and whose documents begin at position 0.
const ANGLES: &str = "window-angles";
/// The setting of a run whose generated documents have no begin and end tokens of other documents in the middle.
const FILLER: &str = "generated-filler";

/// What a run does as the earlier version that began it; by default nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AsBefore {
    /// Windows of two lengths share one RoPE, and the positions of a window do not begin again with its documents, also where
    /// the RoPE treats the first tokens of a text differently or queries grow with their position.
    pub angles: bool,
    /// The filler of generated documents keeps the begin and end tokens of the documents that it is taken from.
    pub filler: bool,
}

impl AsBefore {
    /// Everything is as before.
    pub const ALL: Self = Self {
        angles: true,
        filler: true,
    };

    /// What a run with these recorded settings does; `None` stands for a run that begins now.
    ///
    /// A new run in which nothing would differ records nothing: both ways are the same for it.
    pub fn of(begun: Option<&Value>) -> Self {
        let lacks = |name: &str| begun.is_some_and(|begun| begun.get(name).is_none());
        Self {
            angles: lacks(ANGLES),
            filler: lacks(FILLER),
        }
    }

    /// Adds what must be the same to resume, of a run in which angles or fillers differ from those before.
    pub(super) fn record(self, angles_differ: bool, fillers_differ: bool, settings: &mut Value) {
        if angles_differ && !self.angles {
            settings[ANGLES] = "of each length and document".into();
        }
        if fillers_differ && !self.filler {
            settings[FILLER] = "without begin and end tokens".into();
        }
    }
}

/// Whether documents have begin or end tokens.
pub(super) fn have_ends(documents: &[TokenDocument], bos: Option<u32>, eos: Option<u32>) -> bool {
    documents
        .iter()
        .any(|document| document.without_ends(bos, eos).len() < document.tokens.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_run_goes_on_as_it_began() {
        let recorded = |as_before: AsBefore, differ: bool| {
            let mut settings = json!({"seed": 1});
            as_before.record(differ, differ, &mut settings);
            settings
        };
        let now = AsBefore::of(None);
        assert_eq!(now, AsBefore::default());
        let begun = recorded(now, true);
        assert_eq!(AsBefore::of(Some(&begun)), now);
        assert_eq!(recorded(AsBefore::of(Some(&begun)), true), begun);
        // As an earlier version began; version 0.1 recorded nothing at all.
        for begun in [json!({"seed": 1}), Value::Null] {
            assert_eq!(AsBefore::of(Some(&begun)), AsBefore::ALL);
        }
        assert_eq!(recorded(AsBefore::ALL, true), json!({"seed": 1}));
        assert_eq!(recorded(now, false), json!({"seed": 1}));
    }

    #[test]
    fn documents_have_the_ends_that_are_put_there() {
        let document = |tokens: &[u32]| TokenDocument {
            source: String::new(),
            tokens: tokens.to_vec(),
        };
        let have = |tokens: &[u32]| have_ends(&[document(tokens)], Some(0), Some(9));
        assert!(have(&[0, 1]) && have(&[1, 9]));
        assert!(!have(&[1, 0, 9, 1]) && !have(&[]));
        assert!(!have_ends(&[document(&[0, 9])], None, None));
    }
}

//! Text that a search does not see, to judge its winner on.

use std::collections::HashMap;

use longrope_data::TokenDocument;
use serde::{Deserialize, Serialize};

/// Windows that a search holds out text for, if the text allows.
const WANTED_WINDOWS: usize = 2;
/// Share of the text that is held out at least, if the text allows.
const LEAST_SHARE: f64 = 0.1;
/// Share of the text that is held out at most, if nothing else is asked for.
const MOST_SHARE: f64 = 0.5;

/// The share of the text that a search holds out, 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub enum HeldOutShare {
    /// A tenth, or more until two windows fit, but at most half.
    #[default]
    Auto,
    /// This share, from 0 (nothing) to below 1.
    Share(f64),
}

/// The share in a configuration: a number or `"auto"`.
#[derive(Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected \"auto\" or a number from 0 to below 1"
)]
enum Written {
    Number(f64),
    Word(String),
}

impl TryFrom<Written> for HeldOutShare {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        match written {
            Written::Word(word) if word == "auto" => Ok(Self::Auto),
            Written::Number(share) if (0.0..1.0).contains(&share) => Ok(Self::Share(share)),
            Written::Word(found) => Err(refused(&format!("`{found}`"))),
            Written::Number(found) => Err(refused(&found.to_string())),
        }
    }
}

fn refused(found: &str) -> String {
    format!(
        "the share of held-out text is {found}, expected \"auto\" or a number from 0 to below 1"
    )
}

impl From<HeldOutShare> for Written {
    fn from(share: HeldOutShare) -> Self {
        match share {
            HeldOutShare::Auto => Self::Word("auto".to_owned()),
            HeldOutShare::Share(share) => Self::Number(share),
        }
    }
}

impl HeldOutShare {
    /// Nothing is held out.
    pub const NOTHING: Self = Self::Share(0.0);

    /// Divides documents for windows of `context` tokens; `None` if nothing is held out, or the text is too short for it.
    ///
    /// Whole documents are held out, from the last one on, as long as the search keeps the larger part and a document
    /// of `context` tokens. If they have fewer than two windows, the last part of the longest document is held out
    /// instead. What is held out of a document is held out of its copies too.
    pub(crate) fn split(self, documents: &[TokenDocument], context: usize) -> Option<Split> {
        let kinds = kinds(documents);
        let n_kinds = kinds.iter().max().map_or(0, |last| last + 1);
        if n_kinds == documents.len() {
            return self.split_distinct(documents, context);
        }
        let mut distinct: Vec<TokenDocument> = Vec::with_capacity(n_kinds);
        for (document, kind) in documents.iter().zip(&kinds) {
            if *kind == distinct.len() {
                distinct.push(document.clone());
            }
        }
        let split = self.split_distinct(&distinct, context)?;
        // In order: the search keeps the first of the distinct documents, or all of them, one without its end.
        let search = documents.iter().zip(&kinds).filter_map(|(document, kind)| {
            Some(TokenDocument {
                source: document.source.clone(),
                tokens: split.search.get(*kind)?.tokens.clone(),
            })
        });
        Some(Split {
            search: search.collect(),
            held_out: split.held_out,
        })
    }

    /// As [`Self::split`], for documents of which none is a copy of another.
    fn split_distinct(self, documents: &[TokenDocument], context: usize) -> Option<Split> {
        let total: usize = documents.iter().map(|document| document.tokens.len()).sum();
        let (share, most) = match self {
            Self::Auto => (LEAST_SHARE, MOST_SHARE),
            Self::Share(share) => (share, share.max(MOST_SHARE)),
        };
        if share <= 0.0 || context == 0 {
            return None;
        }
        let size = Size {
            context,
            wanted: tokens(share, total).max(match self {
                Self::Auto => WANTED_WINDOWS * context,
                Self::Share(_) => context,
            }),
            most: tokens(most, total),
        };
        let whole = size.whole_documents(documents);
        if whole
            .as_ref()
            .is_some_and(|split| split.n_windows(context) >= WANTED_WINDOWS)
        {
            return whole;
        }
        let cut = size.end_of_longest(documents);
        let n_windows = |split: &Option<Split>| split.as_ref().map_or(0, |s| s.n_windows(context));
        if n_windows(&cut) > n_windows(&whole) {
            cut
        } else {
            whole
        }
    }
}

/// For each document, the number of distinct documents before the first one with its tokens: copies have the same number.
fn kinds(documents: &[TokenDocument]) -> Vec<usize> {
    let mut first: HashMap<&[u32], usize> = HashMap::new();
    let mut kinds = Vec::with_capacity(documents.len());
    for document in documents {
        let next = first.len();
        kinds.push(*first.entry(&document.tokens).or_insert(next));
    }
    kinds
}

/// A share of a number of tokens.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a count is a count"
)]
fn tokens(share: f64, total: usize) -> usize {
    (share * total as f64).ceil() as usize
}

/// How much is held out.
struct Size {
    context: usize,
    wanted: usize,
    most: usize,
}

impl Size {
    /// The last documents, as many as are wanted; `None` if they have no window.
    fn whole_documents(&self, documents: &[TokenDocument]) -> Option<Split> {
        let n_windows = |document: &TokenDocument| document.tokens.len() / self.context;
        let (mut held, mut windows, mut first) = (0, 0, documents.len());
        for (index, document) in documents.iter().enumerate().rev() {
            let enough = held >= self.wanted && windows >= WANTED_WINDOWS;
            let rest_has_room = documents[..index].iter().any(|other| n_windows(other) > 0);
            if enough || !rest_has_room || held + document.tokens.len() > self.most {
                break;
            }
            held += document.tokens.len();
            windows += n_windows(document);
            first = index;
        }
        (windows > 0).then(|| Split {
            search: documents[..first].to_vec(),
            held_out: documents[first..].to_vec(),
        })
    }

    /// The last part of the longest document; `None` if that has no window.
    fn end_of_longest(&self, documents: &[TokenDocument]) -> Option<Split> {
        let (longest, document) = documents
            .iter()
            .enumerate()
            .max_by_key(|(_, document)| document.tokens.len())?;
        let length = document.tokens.len();
        // Half of the document at most, and in whole windows if it is little.
        let most = self.most.min(length / 2);
        let held = if self.wanted <= most {
            self.wanted
        } else {
            most / self.context * self.context
        };
        if held < self.context {
            return None;
        }
        let (before, after) = document.tokens.split_at(length - held);
        let mut search = documents.to_vec();
        search[longest].tokens = before.to_vec();
        Some(Split {
            search,
            held_out: vec![TokenDocument {
                source: document.source.clone(),
                tokens: after.to_vec(),
            }],
        })
    }
}

/// The text of a search, in two parts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Split {
    /// What the search sees.
    pub(crate) search: Vec<TokenDocument>,
    /// What it does not see.
    pub(crate) held_out: Vec<TokenDocument>,
}

impl Split {
    fn n_windows(&self, context: usize) -> usize {
        let windows = self.held_out.iter();
        windows
            .map(|document| document.tokens.len() / context)
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(n_tokens: usize) -> TokenDocument {
        TokenDocument {
            source: n_tokens.to_string(),
            tokens: (0_u32..).take(n_tokens).collect(),
        }
    }

    /// Lengths of the documents of the search and of the held-out ones. Documents of the same number are copies.
    fn lengths_of(
        documents: &[(u32, usize)],
        share: HeldOutShare,
        context: usize,
    ) -> (Vec<usize>, Vec<usize>) {
        let documents = documents.iter().map(|(number, n_tokens)| TokenDocument {
            source: number.to_string(),
            tokens: (number * 10_000..).take(*n_tokens).collect(),
        });
        let documents: Vec<TokenDocument> = documents.collect();
        let of = |documents: &[TokenDocument]| documents.iter().map(|d| d.tokens.len()).collect();
        match share.split(&documents, context) {
            Some(split) => (of(&split.search), of(&split.held_out)),
            None => (of(&documents), Vec::new()),
        }
    }

    /// [`lengths_of`] documents of which none is a copy.
    fn lengths(lengths: &[usize], share: HeldOutShare, context: usize) -> (Vec<usize>, Vec<usize>) {
        let documents: Vec<(u32, usize)> = (0..).zip(lengths.iter().copied()).collect();
        lengths_of(&documents, share, context)
    }

    #[test]
    fn whole_documents_are_held_out_if_there_are_several() {
        let auto = HeldOutShare::Auto;
        assert_eq!(lengths(&[50; 10], auto, 10), (vec![50; 9], vec![50]));
        // Two windows of 30 are in two documents.
        assert_eq!(lengths(&[50; 10], auto, 30), (vec![50; 8], vec![50; 2]));
        // A document that is too short for a window does not count.
        let (search, held_out) = lengths(&[100, 100, 100, 5], auto, 50);
        assert_eq!((search, held_out), (vec![100, 100], vec![100, 5]));
    }

    #[test]
    fn of_one_long_document_the_last_part_is_held_out() {
        let auto = HeldOutShare::Auto;
        assert_eq!(lengths(&[1000], auto, 100), (vec![800], vec![200]));
        assert_eq!(lengths(&[5000], auto, 100), (vec![4500], vec![500]));
        // The search keeps half; one window is better than none.
        assert_eq!(lengths(&[350], auto, 100), (vec![250], vec![100]));
        assert_eq!(lengths(&[150], auto, 100), (vec![150], vec![]));
        let documents = [document(1000)];
        let split = auto.split(&documents, 100).unwrap();
        assert_eq!(
            split.held_out[0].tokens[0], 800,
            "it is the end of the text"
        );
    }

    #[test]
    fn copies_of_held_out_text_are_held_out_too() {
        let auto = HeldOutShare::Auto;
        let lengths = |documents: &[(u32, usize)]| lengths_of(documents, auto, 100);
        // Both documents without the last part of the first.
        let copies = [(1, 1000), (1, 1000)];
        assert_eq!(lengths(&copies), (vec![800, 800], vec![200]));
        // The last document is a copy of the first: the one between them is held out.
        let around = [(1, 500), (2, 400), (1, 500)];
        assert_eq!(lengths(&around), (vec![500, 500], vec![400]));
        // Copies of what is held out are not searched.
        let last = [(1, 500), (2, 300), (2, 300)];
        assert_eq!(lengths(&last), (vec![500], vec![300]));
    }

    #[test]
    fn a_share_can_be_given_and_nothing_held_out() {
        let share = HeldOutShare::Share;
        assert_eq!(lengths(&[1000], share(0.3), 100), (vec![700], vec![300]));
        assert_eq!(lengths(&[1000], share(0.0), 100), (vec![1000], vec![]));
        assert_eq!(lengths(&[], HeldOutShare::Auto, 100), (vec![], vec![]));
    }

    #[test]
    fn configurations_say_auto_or_a_share() {
        let read = |text: &str| serde_json::from_str::<HeldOutShare>(text);
        assert_eq!(read("\"auto\"").unwrap(), HeldOutShare::Auto);
        assert_eq!(read("0").unwrap(), HeldOutShare::NOTHING);
        assert_eq!(read("0.25").unwrap(), HeldOutShare::Share(0.25));
        for text in ["1.5", "-0.1", "\"all\""] {
            let error = read(text).unwrap_err().to_string();
            assert!(
                error.contains("\"auto\" or a number from 0 to below 1"),
                "{error}"
            );
        }
        assert_eq!(
            serde_json::to_string(&HeldOutShare::Auto).unwrap(),
            "\"auto\""
        );
    }
}

//! Documents that occur among others.

use std::collections::HashSet;
use std::hash::Hash;

/// Number of documents that are also among `others`, by their contents, whatever files they are in.
pub(crate) fn n_copies<'a, T: Hash + Eq + ?Sized + 'a>(
    documents: impl IntoIterator<Item = &'a T>,
    others: impl IntoIterator<Item = &'a T>,
) -> usize {
    let others: HashSet<&T> = others.into_iter().collect();
    let documents = documents.into_iter();
    documents
        .filter(|document| others.contains(document))
        .count()
}

//! A repository of the hub: its addresses and its folder in the cache.

use std::fmt::Write;

/// What a repository holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Model,
    Dataset,
}

/// A repository at a revision.
#[derive(Clone, Debug)]
pub(super) struct Repository {
    pub(super) kind: Kind,
    /// `OWNER/NAME`.
    pub(super) id: String,
    /// A branch, a tag or a commit.
    pub(super) revision: String,
}

impl Repository {
    pub(super) fn new(kind: Kind, id: &str, revision: &str) -> Self {
        Self {
            kind,
            id: id.to_owned(),
            revision: revision.to_owned(),
        }
    }

    /// What it is, for messages.
    pub(super) fn describe(&self) -> String {
        match self.kind {
            Kind::Model => format!("model `{}`", self.id),
            Kind::Dataset => format!("data set `{}`", self.id),
        }
    }

    /// The name of its folder in the cache.
    pub(super) fn folder(&self) -> String {
        let kind = match self.kind {
            Kind::Model => "models",
            Kind::Dataset => "datasets",
        };
        format!("{kind}--{}", self.id.replace('/', "--"))
    }

    /// The path of the list of its files, with their sizes.
    pub(super) fn info_path(&self) -> String {
        let kind = match self.kind {
            Kind::Model => "models",
            Kind::Dataset => "datasets",
        };
        let (id, revision) = (encoded(&self.id, true), encoded(&self.revision, false));
        format!("/api/{kind}/{id}/revision/{revision}?blobs=true")
    }

    /// The path of a file at a revision.
    pub(super) fn file_path(&self, revision: &str, file: &str) -> String {
        let kind = match self.kind {
            Kind::Model => "",
            Kind::Dataset => "datasets/",
        };
        let (id, revision) = (encoded(&self.id, true), encoded(revision, false));
        format!("/{kind}{id}/resolve/{revision}/{}", encoded(file, true))
    }
}

/// Whether a revision is a whole commit, which never changes.
pub(super) fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Percent-encodes what may not stand in a part of an address (RFC 3986, section 2.3).
fn encoded(text: &str, keeps_slashes: bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        let is_kept = byte.is_ascii_alphanumeric()
            || b"-._~".contains(&byte)
            || (byte == b'/' && keeps_slashes);
        if is_kept {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_encoded() {
        let repository = Repository::new(Kind::Dataset, "o/n", "refs/pr/1");
        assert_eq!(repository.folder(), "datasets--o--n");
        assert_eq!(
            repository.info_path(),
            "/api/datasets/o/n/revision/refs%2Fpr%2F1?blobs=true"
        );
        assert_eq!(
            repository.file_path("main", "a b/é.txt"),
            "/datasets/o/n/resolve/main/a%20b/%C3%A9.txt"
        );
        let model = Repository::new(Kind::Model, "o/m", "main");
        assert_eq!(model.file_path("v#1", "x?"), "/o/m/resolve/v%231/x%3F");
    }
}

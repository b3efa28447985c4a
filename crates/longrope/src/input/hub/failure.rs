//! What can go wrong between this program and a hub.

use std::io;
use std::time::Duration;

use anyhow::{Error, anyhow};

use crate::failure::Hint;

/// Why something of the hub could not be fetched.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The hub answered, but not with what was asked for.
    #[error("http status: {code}{}", words(message.as_deref()))]
    Status {
        code: u16,
        /// What the hub says about it.
        message: Option<String>,
        /// When to ask again.
        wait: Option<Duration>,
    },

    /// There was no answer.
    #[error("no answer from the hub")]
    Network(#[source] Box<ureq::Error>),

    /// The connection broke in the middle of an answer.
    #[error("the connection broke after {n_bytes} bytes")]
    Broken {
        n_bytes: u64,
        #[source]
        source: io::Error,
    },

    /// The answer ended too early.
    #[error("the hub sent {found} bytes, expected {expected}")]
    WrongLength { found: u64, expected: u64 },

    /// The answer is another part of the file than was asked for.
    #[error("the hub did not send the part of the file from byte {start}")]
    WrongPart { start: u64 },

    /// The answer cannot be understood.
    #[error("the answer of the hub cannot be used: {0}")]
    Answer(String),

    /// What was received is not what the hub promised.
    #[error("the content has the SHA-256 {found}, expected {expected}")]
    Checksum { found: String, expected: String },

    /// A file of the cache cannot be written or read.
    #[error(transparent)]
    Disk(#[from] io::Error),
}

fn words(message: Option<&str>) -> String {
    message.map_or_else(String::new, |message| format!(", `{message}`"))
}

impl Failure {
    /// Whether the same request may work a moment later.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Status { code, .. } => matches!(code, 408 | 429 | 500..=599),
            Self::Network(error) => match &**error {
                ureq::Error::Io(error) => error.kind() != io::ErrorKind::ConnectionRefused,
                ureq::Error::Timeout(_) | ureq::Error::Protocol(_) => true,
                _ => false,
            },
            Self::Broken { .. } | Self::WrongLength { .. } | Self::WrongPart { .. } => true,
            Self::Answer(_) | Self::Checksum { .. } | Self::Disk(_) => false,
        }
    }

    /// How long the hub wants to be left alone.
    pub(super) fn wait(&self) -> Option<Duration> {
        match self {
            Self::Status { wait, .. } => *wait,
            _ => None,
        }
    }

    /// The error with what could not be fetched, and a hint.
    pub(super) fn explain(self, what: &str) -> Error {
        let hint = match &self {
            Self::Status {
                code: 401 | 403, ..
            } => {
                "access is restricted: accept the licence on the hub's page if there is one, and set HF_TOKEN"
            }
            Self::Status { code: 404, .. } => {
                "it does not exist on the hub, or it is private: check the name, and set HF_TOKEN if you have access"
            }
            Self::Status { code: 429, .. } => {
                "the hub limits the number of requests: wait some minutes, or set HF_TOKEN, which raises the limit"
            }
            Self::Status { .. } => {
                "the hub did not send it: try again later; what was downloaded is kept"
            }
            Self::Network(_) => {
                "check the network, or give local files or folders; without a network, only files in the cache \
                 (HF_HOME, HF_HUB_CACHE) can be used"
            }
            Self::Broken { .. } | Self::WrongLength { .. } | Self::WrongPart { .. } => {
                "run the command again: the download resumes where it stopped"
            }
            Self::Answer(_) => "check HF_ENDPOINT: it is the address of a hub or of a mirror",
            Self::Checksum { .. } => {
                "run the command again; if it fails again, the file on the hub or its mirror is damaged"
            }
            Self::Disk(_) => {
                "check the free space and the permissions of the cache (HF_HOME, HF_HUB_CACHE)"
            }
        };
        Error::from(self)
            .context(format!("cannot fetch {what} from the Hugging Face hub"))
            .context(Hint(hint.to_owned()))
    }
}

/// The error for what is not in the cache while the hub may not be asked.
pub(super) fn offline(what: &str) -> Error {
    anyhow!("{what} is not in the cache of the hub, and HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE forbids to fetch it")
        .context(Hint(
            "unset these variables, or give local files or folders; HF_HOME and HF_HUB_CACHE say where the cache is"
                .to_owned(),
        ))
}

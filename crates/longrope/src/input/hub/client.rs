//! Requests to the hub.

use std::time::Duration;

use serde::Deserialize;
use ureq::config::RedirectAuthHeaders;
use ureq::http::{HeaderMap, Response};
use ureq::{Agent, Body};

use super::environment::Environment;
use super::failure::Failure;
use super::repository::Repository;

/// Failures in a row after which a request is given up.
pub(super) const RETRIES: u32 = 4;

/// Time to wait for a connection, for the beginning of an answer, or for its next bytes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes of the longest list of files.
const MAX_LIST_BYTES: u64 = 1 << 28;

/// A hub, and who asks it.
pub(super) struct Client {
    following: Agent,
    not_following: Agent,
    endpoint: String,
    token: Option<String>,
}

/// The files of a repository.
#[derive(Debug, Deserialize)]
pub(super) struct Info {
    /// The commit that the revision stands for.
    #[serde(rename = "sha")]
    pub(super) commit: String,
    #[serde(rename = "siblings")]
    pub(super) files: Vec<ListedFile>,
}

/// A file of a repository.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ListedFile {
    /// Its path in the repository.
    #[serde(rename = "rfilename")]
    pub(super) path: String,
    /// Its bytes, which mirrors may not tell.
    #[serde(default)]
    pub(super) size: Option<u64>,
}

/// What the hub says of a file before it sends it.
#[derive(Debug)]
pub(super) struct FileInfo {
    pub(super) commit: String,
    /// The name of its content.
    pub(super) etag: String,
    pub(super) size: Option<u64>,
}

impl Client {
    pub(super) fn new(environment: &Environment) -> Self {
        let agent = |redirects| {
            Agent::config_builder()
                .http_status_as_error(false)
                .max_redirects(redirects)
                .redirect_auth_headers(RedirectAuthHeaders::SameHost)
                // Places in a file are places in what is sent.
                .accept_encoding("identity")
                .user_agent(concat!("longrope/", env!("CARGO_PKG_VERSION")))
                .timeout_connect(Some(PATIENCE))
                .timeout_recv_response(Some(PATIENCE))
                .timeout_per_read(Some(PATIENCE))
                .build()
                .new_agent()
        };
        Self {
            following: agent(10),
            not_following: agent(0),
            endpoint: environment.endpoint.clone(),
            token: environment.token(),
        }
    }

    /// The files of a repository.
    pub(super) fn info(&self, repository: &Repository) -> Result<Info, Failure> {
        let address = format!("{}{}", self.endpoint, repository.info_path());
        patiently(|| {
            let mut response = self.get(&address, None)?;
            let body = response.body_mut().with_config().limit(MAX_LIST_BYTES);
            let text = body.read_to_string().map_err(network)?;
            serde_json::from_str(&text)
                .map_err(|error| Failure::Answer(format!("the list of files: {error}")))
        })
    }

    /// What the hub says of a file at a revision.
    pub(super) fn file_info(
        &self,
        repository: &Repository,
        revision: &str,
        file: &str,
    ) -> Result<FileInfo, Failure> {
        let address = format!("{}{}", self.endpoint, repository.file_path(revision, file));
        patiently(|| self.ask_for_file(&address))
    }

    /// Follows redirects of the hub, such as those of renamed repositories, up to the answer that names the content. It may
    /// itself lead to where the content is.
    fn ask_for_file(&self, address: &str) -> Result<FileInfo, Failure> {
        const MAX_HOPS: usize = 5;
        let mut address = address.to_owned();
        for _ in 0..MAX_HOPS {
            let mut request = self.not_following.head(&address);
            if let Some(token) = self.token_for(&address) {
                request = request.header("Authorization", token);
            }
            let response = request.call().map_err(network)?;
            let is_redirect = response.status().is_redirection();
            let headers = response.headers();
            let next = header(headers, "location").filter(|_| is_redirect);
            match next {
                Some(next) if next.starts_with('/') => address = self.origin() + next,
                Some(next) if header(headers, "x-repo-commit").is_none() => {
                    next.clone_into(&mut address);
                }
                _ if is_redirect || response.status().is_success() => {
                    return file_info(headers, is_redirect);
                }
                _ => return Err(refused(&response)),
            }
        }
        Err(Failure::Answer("it leads in a circle".to_owned()))
    }

    /// The content of a file at a commit, from a byte.
    pub(super) fn content(
        &self,
        repository: &Repository,
        commit: &str,
        file: &str,
        start: u64,
    ) -> Result<Response<Body>, Failure> {
        let address = format!("{}{}", self.endpoint, repository.file_path(commit, file));
        let range = (start > 0).then(|| format!("bytes={start}-"));
        self.get(&address, range)
    }

    fn get(&self, address: &str, range: Option<String>) -> Result<Response<Body>, Failure> {
        let mut request = self.following.get(address);
        if let Some(token) = self.token_for(address) {
            request = request.header("Authorization", token);
        }
        if let Some(range) = range {
            request = request.header("Range", range);
        }
        let response = request.call().map_err(network)?;
        // A range that does not exist is for the caller to mend.
        if response.status().is_success() || response.status().as_u16() == 416 {
            Ok(response)
        } else {
            Err(refused(&response))
        }
    }

    /// The token goes to the hub only.
    fn token_for(&self, address: &str) -> Option<String> {
        let is_hub = address
            .strip_prefix(&self.origin())
            .is_some_and(|rest| rest.starts_with('/'));
        let token = self.token.as_ref().filter(|_| is_hub)?;
        Some(format!("Bearer {token}"))
    }

    /// Scheme and host of the hub.
    fn origin(&self) -> String {
        let host = self.endpoint.find("://").map_or(0, |at| at + 3);
        let end = self.endpoint[host..].find('/');
        let end = end.map_or(self.endpoint.len(), |at| host + at);
        self.endpoint[..end].to_owned()
    }
}

/// Asks again, with longer and longer pauses, as long as the failure may pass.
fn patiently<T>(mut ask: impl FnMut() -> Result<T, Failure>) -> Result<T, Failure> {
    let mut n_failures = 0;
    loop {
        match ask() {
            Err(failure) if failure.may_pass() && n_failures < RETRIES => {
                pause(n_failures, &failure);
                n_failures += 1;
            }
            answer => return answer,
        }
    }
}

/// Waits after a failure: as long as the hub asks for, else twice as long as the time before.
pub(super) fn pause(n_failures: u32, failure: &Failure) {
    const FIRST: Duration = Duration::from_millis(300);
    const LONGEST: Duration = Duration::from_mins(1);
    let doubled = FIRST * 2_u32.pow(n_failures.min(10));
    let time = failure.wait().unwrap_or(doubled).min(LONGEST);
    tracing::debug!(%failure, ?time, "asking the hub again");
    std::thread::sleep(time);
}

pub(super) fn network(error: ureq::Error) -> Failure {
    Failure::Network(Box::new(error))
}

pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn refused(response: &Response<Body>) -> Failure {
    let headers = response.headers();
    let seconds = header(headers, "retry-after").and_then(|text| text.trim().parse().ok());
    Failure::Status {
        code: response.status().as_u16(),
        message: header(headers, "x-error-message").map(ToOwned::to_owned),
        wait: seconds.map(Duration::from_secs),
    }
}

/// Reads the headers that say what a file is. If they lead to another place, the length is that of the answer itself.
fn file_info(headers: &HeaderMap, is_redirect: bool) -> Result<FileInfo, Failure> {
    let required = |names: &[&str]| {
        let found = names.iter().find_map(|name| header(headers, name));
        found.ok_or_else(|| Failure::Answer(format!("it has no header `{}`", names[0])))
    };
    let etag = required(&["x-linked-etag", "etag"])?;
    let etag = etag.trim_start_matches("W/").trim_matches('"');
    let size = header(headers, "x-linked-size");
    let size = size.or_else(|| header(headers, "content-length").filter(|_| !is_redirect));
    Ok(FileInfo {
        commit: required(&["x-repo-commit"])?.to_owned(),
        etag: etag.to_owned(),
        size: size.and_then(|size| size.parse().ok()),
    })
}

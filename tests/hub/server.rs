//! A hub, served by a thread of the test.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use longrope_data::sha256_hex;
use serde_json::json;

/// The commit of all repositories.
pub(super) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// The names of revisions that stand for it.
const REVISIONS: [&str; 3] = ["main", "v1", COMMIT];

/// What goes wrong with an answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// Any request: this status, and when to ask again.
    Refused(u16, Option<u32>),
    /// The content ends after some bytes, with the connection.
    HangsUp(usize),
    /// The content stops after some bytes, and the connection stays.
    Stops(usize),
    /// The answer says that there are only so many bytes.
    Short(usize),
    /// The whole content, whatever was asked for.
    Whole,
    /// The content from byte 0, as an answer for a part.
    WrongPart,
}

/// A hub that serves the files of a folder until the test ends.
pub(super) struct Hub {
    pub(super) address: String,
    shared: Arc<Shared>,
}

struct Shared {
    root: PathBuf,
    requests: Mutex<Vec<String>>,
    faults: Mutex<VecDeque<Fault>>,
}

impl Hub {
    pub(super) fn serve(root: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            root,
            requests: Mutex::default(),
            faults: Mutex::default(),
        });
        let served = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = Arc::clone(&served);
                // Clients may hang up at any moment.
                std::thread::spawn(move || drop(answer(&mut stream.unwrap(), &shared)));
            }
        });
        Self { address, shared }
    }

    /// What goes wrong with the next answers, in this order. Faults of contents wait for a request for one.
    pub(super) fn spoil(&self, faults: &[Fault]) {
        self.shared.faults.lock().unwrap().extend(faults);
    }

    /// The requests since the last call: method, path, range and token.
    pub(super) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.shared.requests.lock().unwrap())
    }
}

/// One request.
struct Request {
    method: String,
    path: String,
    start: Option<usize>,
}

/// Answers one request and hangs up.
fn answer(stream: &mut TcpStream, shared: &Shared) -> std::io::Result<()> {
    let request = read_request(stream, shared);
    let is_content = request.method == "GET" && !request.path.starts_with("/api/");
    let fault = {
        let mut faults = shared.faults.lock().unwrap();
        let fits = match faults.front() {
            Some(Fault::Refused(..)) => true,
            Some(_) => is_content,
            None => false,
        };
        fits.then(|| faults.pop_front()).flatten()
    };
    if let Some(Fault::Refused(status, wait)) = fault {
        let wait = wait.map_or(String::new(), |wait| format!("Retry-After: {wait}\r\n"));
        return respond(stream, &format!("{status} Refused"), &wait, b"");
    }
    if let Some(rest) = request.path.strip_prefix("/api/") {
        return answer_info(stream, shared, rest);
    }
    match content(&shared.root, &request.path) {
        None => respond(stream, "404 Not Found", "", b""),
        Some(content) if request.method == "HEAD" => {
            let head = format!(
                "HTTP/1.1 200 OK\r\n{}Content-Length: {}\r\nConnection: close\r\n\r\n",
                names(&request.path, &content),
                content.len()
            );
            stream.write_all(head.as_bytes())
        }
        Some(content) => answer_content(stream, &content, request.start, fault),
    }
}

fn answer_content(
    stream: &mut TcpStream,
    content: &[u8],
    start: Option<usize>,
    fault: Option<Fault>,
) -> std::io::Result<()> {
    let start = start.filter(|_| !matches!(fault, Some(Fault::Whole)));
    let part = match (start, fault) {
        (Some(_), Some(Fault::WrongPart)) | (None, _) => content,
        (Some(start), _) => match content.get(start..).filter(|part| !part.is_empty()) {
            Some(part) => part,
            None => return respond(stream, "416 Range Not Satisfiable", "", b""),
        },
    };
    let part = match fault {
        Some(Fault::Short(n_bytes)) => &part[..n_bytes.min(part.len())],
        _ => part,
    };
    let from = content.len() - part.len();
    let mut head = match start {
        Some(_) if matches!(fault, Some(Fault::Short(_))) => {
            "HTTP/1.1 206 Partial Content\r\n".to_owned()
                + &format!(
                    "Content-Range: bytes {}-/{}\r\n",
                    start.unwrap(),
                    content.len()
                )
        }
        Some(_) => format!(
            "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {from}-{}/{}\r\n",
            content.len() - 1,
            content.len()
        ),
        None => "HTTP/1.1 200 OK\r\n".to_owned(),
    };
    let _ = write!(
        head,
        "Content-Length: {}\r\nConnection: close\r\n\r\n",
        part.len()
    );
    stream.write_all(head.as_bytes())?;
    match fault {
        Some(Fault::HangsUp(n_bytes)) => stream.write_all(&part[..n_bytes.min(part.len())]),
        Some(Fault::Stops(n_bytes)) => {
            stream.write_all(&part[..n_bytes.min(part.len())])?;
            stream.flush()?;
            std::thread::sleep(Duration::from_mins(1));
            Ok(())
        }
        _ => stream.write_all(part),
    }
}

fn read_request(stream: &TcpStream, shared: &Shared) -> Request {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let request = lines.next().unwrap().unwrap();
    let headers = lines
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty());
    let headers: Vec<(String, String)> = headers
        .filter_map(|line| {
            let (name, value) = line.split_once(": ")?;
            Some((name.to_ascii_lowercase(), value.to_owned()))
        })
        .collect();
    let header = |wanted: &str| {
        let found = headers.iter().find(|(name, _)| name == wanted);
        found.map_or("", |(_, value)| value.as_str())
    };
    let mut words = request.split(' ').map(ToOwned::to_owned);
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let (range, token) = (header("range"), header("authorization"));
    let line = format!("{method} {path} {range} {token}");
    shared
        .requests
        .lock()
        .unwrap()
        .push(line.trim_end().to_owned());
    let start = range.strip_prefix("bytes=");
    Request {
        method,
        path,
        start: start.map(|range| range.trim_end_matches('-').parse().unwrap()),
    }
}

fn answer_info(stream: &mut TcpStream, shared: &Shared, path: &str) -> std::io::Result<()> {
    let (id, revision) = path.split_once("/revision/").unwrap();
    let id = id.trim_start_matches("models/");
    let folder = shared.root.join(id);
    let revision = revision.trim_end_matches("?blobs=true");
    if !folder.is_dir() || !REVISIONS.contains(&revision) {
        return respond(
            stream,
            "404 Not Found",
            "X-Error-Message: Repository not found\r\n",
            b"",
        );
    }
    let mut files = Vec::new();
    list(&folder, "", &mut files);
    let files = files.iter().map(|file| {
        let size = fs_err::metadata(folder.join(file)).unwrap().len();
        json!({"rfilename": file, "size": size})
    });
    let info = json!({"sha": COMMIT, "siblings": files.collect::<Vec<_>>()});
    respond(stream, "200 OK", "", info.to_string().as_bytes())
}

fn list(folder: &Path, prefix: &str, files: &mut Vec<String>) {
    for entry in fs_err::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() {
            list(&entry.path(), &format!("{path}/"), files);
        } else {
            files.push(path);
        }
    }
}

/// The content of `/ID/resolve/REVISION/FILE`.
fn content(root: &Path, path: &str) -> Option<Vec<u8>> {
    let (id, rest) = path[1..].split_once("/resolve/")?;
    let (revision, file) = rest.split_once('/')?;
    let file = file.replace("%20", " ");
    let content = fs_err::read(root.join(id).join(file)).ok()?;
    REVISIONS.contains(&revision).then_some(content)
}

/// The headers that name a content: large files by their SHA-256, others by a weak tag, as web servers do.
fn names(path: &str, content: &[u8]) -> String {
    let hash = sha256_hex(&[content]);
    let large = [".safetensors", ".parquet", ".jsonl"];
    let tags = if large.iter().any(|ending| path.ends_with(ending)) {
        let size = content.len();
        format!("ETag: \"other\"\r\nX-Linked-Etag: \"{hash}\"\r\nX-Linked-Size: {size}\r\n")
    } else {
        format!("ETag: W/\"{}\"\r\n", &hash[..40])
    };
    format!("{tags}X-Repo-Commit: {COMMIT}\r\n")
}

fn respond(
    stream: &mut TcpStream,
    status: &str,
    headers: &str,
    body: &[u8],
) -> std::io::Result<()> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)
}

//! Models and benchmarks from a hub, served by a thread of the test.
//!
//! These tests need the feature: `cargo test --features hub`.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::support::{Outcome, Workplace};

/// A commit of the hub.
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Serves the files of a folder like the hub, until the test ends. Returns the address.
fn serve(root: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            answer(&mut stream.unwrap(), &root);
        }
    });
    address
}

/// Answers one request and hangs up.
fn answer(stream: &mut TcpStream, root: &Path) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let request = lines.next().unwrap().unwrap();
    let path = request.split(' ').nth(1).unwrap().to_owned();
    let header = lines
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty());
    let range = header
        .filter_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("range").then(|| value.to_owned())
        })
        .last();
    let (status, headers, body) = if let Some(id) = path.strip_prefix("/api/models/") {
        let id = id.trim_end_matches("/revision/main");
        let files = fs_err::read_dir(root.join(id)).unwrap();
        let files = files.map(|it| json!({"rfilename": it.unwrap().file_name().to_str().unwrap()}));
        let info = json!({"sha": COMMIT, "siblings": files.collect::<Vec<_>>()});
        ("200 OK", String::new(), info.to_string().into_bytes())
    } else if let Ok(content) = fs_err::read(root.join(path[1..].replace("/resolve/main", ""))) {
        let range = range.unwrap();
        let (from, to) = range.trim_start_matches("bytes=").split_once('-').unwrap();
        let from: usize = from.parse().unwrap();
        let to = to.parse().map_or(content.len(), |last: usize| last + 1);
        let headers = format!(
            "ETag: \"{}\"\r\nX-Repo-Commit: {COMMIT}\r\nContent-Range: bytes {from}-{}/{}\r\n",
            path.replace('/', "-"),
            to - 1,
            content.len()
        );
        ("206 Partial Content", headers, content[from..to].to_vec())
    } else {
        ("404 Not Found", String::new(), Vec::new())
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&body).unwrap();
}

/// A hub with the checkpoint `o/m` and the questions of ARC.
fn workplace() -> Workplace {
    let here = Workplace::with_model();
    fs_err::create_dir_all(here.path("hub/o")).unwrap();
    here.checkpoint("../bench/checkpoint", "hub/o/m");
    here.write("hub/o/m/README.md", "a model");
    here.checkpoint("../bench/data", "data");
    let folder = here.path("hub/datasets/allenai/ai2_arc/ARC-Easy");
    fs_err::create_dir_all(&folder).unwrap();
    for (name, file) in [
        ("train", "arc-train.parquet"),
        ("test", "arc-train.parquet"),
    ] {
        let to = folder.join(format!("{name}-00000-of-00001.parquet"));
        fs_err::copy(here.path("data").join(file), to).unwrap();
    }
    here
}

/// Runs a command line with this hub and a cache of its own.
fn run(here: &Workplace, hub: &str, line: &str) -> Outcome {
    let cache = here.path("cache");
    let variables = [
        ("HF_ENDPOINT", hub),
        ("HF_HOME", cache.to_str().unwrap()),
        ("HF_TOKEN", "secret"),
    ];
    here.run_with(line, &variables)
}

#[test]
fn models_and_benchmarks_are_fetched_once() {
    let here = workplace();
    let hub = serve(here.path("hub"));
    let line = "eval bench --model hf:o/m --bench arc-easy --limit 3 --shots 2 --json";
    let fetched = run(&here, &hub, line).worked();
    let inspected = run(&here, &hub, "inspect hf:o/m").worked();
    assert!(inspected.contains("hf:o/m"), "{inspected}");
    assert!(
        !here
            .path("cache/hub/models--o--m")
            .join("snapshots")
            .join(COMMIT)
            .join("README.md")
            .exists()
    );
    // Nobody listens there: all comes from the cache.
    let offline = "http://127.0.0.1:9";
    assert_eq!(
        strip_times(&run(&here, offline, line).worked()),
        strip_times(&fetched)
    );
    let local = "eval bench --model hub/o/m --bench arc-easy --limit 3 --shots 2 --json \
        --data data/arc-train.parquet --fewshot data/arc-train.parquet";
    assert_eq!(
        strip_times(&run(&here, offline, local).worked())["results"],
        strip_times(&fetched)["results"]
    );
}

/// A report without times, which differ between runs.
fn strip_times(json: &str) -> serde_json::Value {
    let mut value: serde_json::Value = serde_json::from_str(json).unwrap();
    value["results"][0]["elapsed_secs"] = json!(0);
    value
}

#[test]
fn errors_name_what_cannot_be_fetched() {
    let here = workplace();
    let hub = serve(here.path("hub"));
    let outcome = run(&here, &hub, "eval bench --model hf:o/m --bench hellaswag");
    assert_eq!(outcome.code, Some(1));
    for words in [
        "cannot fetch `data/validation-00000-of-00001.parquet` of data set `Rowan/hellaswag`",
        "404",
        "hint: it does not exist on the hub",
    ] {
        assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
    }
    let outcome = run(&here, "http://127.0.0.1:9", "inspect hf:o/other@v2");
    assert_eq!(outcome.code, Some(1));
    for words in [
        "cannot fetch model `o/other`",
        "hint: check the network, or give local files",
    ] {
        assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
    }
}

#[test]
fn a_model_of_the_hub_is_exported_with_what_belongs_to_it() {
    let here = workplace();
    here.write("hub/o/m/LICENSE", "terms");
    here.write("hub/o/m/chat_template.jinja", "{{ messages }}");
    let hub = serve(here.path("hub"));
    let line = "export --model hf:o/m --rope pi --target 512 --out x";
    run(&here, &hub, line).worked();
    for name in ["LICENSE", "chat_template.jinja", "model.safetensors"] {
        assert_eq!(
            fs_err::read(here.path("x").join(name)).unwrap(),
            fs_err::read(here.path("hub/o/m").join(name)).unwrap(),
            "{name}"
        );
    }
    let card = here.read("x/README.md");
    assert!(card.starts_with("---\nbase_model: o/m\n"), "{card}");
    run(&here, "http://127.0.0.1:9", "inspect x").worked();
}

//! Downloads that are cut off, and hubs that answer wrongly.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use longrope_data::sha256_hex;

use super::server::{COMMIT, Fault, Hub};
use super::{run, workplace};
use crate::support::Workplace;

const WEIGHTS: &str = "hub/o/m/model.safetensors";

/// The weights as they are in the cache.
fn fetched(here: &Workplace) -> Vec<u8> {
    let folder = format!("cache/hub/models--o--m/snapshots/{COMMIT}");
    fs_err::read(here.path(&folder).join("model.safetensors")).unwrap()
}

/// Where the weights are collected.
fn incomplete(here: &Workplace) -> PathBuf {
    let name = sha256_hex(&[&weights(here)]);
    here.path("cache/hub/models--o--m/blobs")
        .join(format!("{name}.incomplete"))
}

fn weights(here: &Workplace) -> Vec<u8> {
    fs_err::read(here.path(WEIGHTS)).unwrap()
}

/// The ranges of the requests for the weights; empty for the whole file.
fn ranges(hub: &Hub) -> Vec<String> {
    let requests = hub.requests().into_iter();
    let ranges = requests.filter_map(|request| {
        let rest = request
            .strip_prefix("GET ")?
            .split_once("model.safetensors")?
            .1;
        let words: Vec<&str> = rest.split_whitespace().collect();
        Some(
            words
                .first()
                .filter(|it| it.starts_with("bytes="))
                .copied()
                .unwrap_or("")
                .to_owned(),
        )
    });
    ranges.collect()
}

#[test]
fn a_connection_that_breaks_goes_on_where_it_broke() {
    let here = workplace();
    let hub = Hub::serve(here.path("hub"));
    hub.spoil(&[Fault::HangsUp(1000); 3]);
    run(&here, &hub.address, "inspect hf:o/m").worked();
    assert_eq!(fetched(&here), weights(&here));
    assert!(!incomplete(&here).exists());
}

#[test]
fn a_killed_download_goes_on_where_it_stopped() {
    let here = workplace();
    let hub = Hub::serve(here.path("hub"));
    for name in fs_err::read_dir(here.path("hub/o/m")).unwrap() {
        let path = name.unwrap().path();
        let keep = ["model.safetensors", "config.json", "tokenizer.json"];
        if !keep.contains(&path.file_name().unwrap().to_str().unwrap()) {
            fs_err::remove_file(path).unwrap();
        }
    }
    // The other files first, so that the fault meets the weights.
    run(&here, &hub.address, "inspect hf:o/m").worked();
    let blob = incomplete(&here).with_extension("");
    fs_err::remove_file(&blob).unwrap();
    hub.requests();
    hub.spoil(&[Fault::Stops(1500)]);
    let mut command = here.command("inspect hf:o/m");
    let cache = here.path("cache");
    command
        .env("HF_ENDPOINT", &hub.address)
        .env("HF_HOME", cache)
        .stdout(Stdio::null());
    let mut child = command.spawn().unwrap();
    let begun = Instant::now();
    while fs_err::metadata(incomplete(&here)).map_or(0, |it| it.len()) < 1500 {
        assert!(begun.elapsed() < Duration::from_mins(1), "nothing comes");
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    run(&here, &hub.address, "inspect hf:o/m").worked();
    assert_eq!(fetched(&here), weights(&here));
    assert_eq!(ranges(&hub), ["", "bytes=1500-"]);
}

#[test]
fn what_is_there_is_not_trusted_but_checked() {
    let here = workplace();
    let hub = Hub::serve(here.path("hub"));
    let good = weights(&here);
    let half = good.len() / 2;
    let damaged = vec![7; half];
    let longer = [&good[..], b"more"].concat();
    let from_half = format!("bytes={half}-");
    let cases: [(&[u8], &[Fault], &[&str]); 7] = [
        (&good[..half], &[], &[&from_half]),
        (&good, &[], &[]),
        (&longer, &[], &[""]),
        (&damaged, &[], &[&from_half, ""]),
        (&good[..half], &[Fault::Whole], &[&from_half]),
        (&good[..half], &[Fault::WrongPart], &[&from_half, ""]),
        (
            &good[..half],
            &[Fault::Short(10)],
            &[&from_half, &format!("bytes={}-", half + 10)],
        ),
    ];
    run(&here, &hub.address, "inspect hf:o/m").worked();
    let path = incomplete(&here);
    for (content, faults, expected) in cases {
        fs_err::remove_file(path.with_extension("")).unwrap();
        fs_err::write(&path, content).unwrap();
        hub.requests();
        hub.spoil(faults);
        run(&here, &hub.address, "inspect hf:o/m").worked();
        assert_eq!(fetched(&here), good, "{faults:?}");
        assert_eq!(ranges(&hub), expected, "{faults:?}");
        assert!(!path.exists(), "{faults:?}");
    }
}

#[test]
fn a_hub_that_is_busy_is_asked_again() {
    let here = workplace();
    let hub = Hub::serve(here.path("hub"));
    hub.spoil(&[
        Fault::Refused(503, None),
        Fault::Refused(429, Some(0)),
        Fault::Refused(500, Some(0)),
        Fault::Refused(502, Some(0)),
    ]);
    run(&here, &hub.address, "inspect hf:o/m").worked();
    assert_eq!(fetched(&here), weights(&here));
}

#[test]
fn a_hub_that_stays_wrong_is_given_up_with_a_hint() {
    let here = workplace();
    let hub = Hub::serve(here.path("hub"));
    for (fault, words, hint) in [
        (
            Fault::Refused(503, Some(0)),
            "http status: 503",
            "try again later",
        ),
        (
            Fault::Refused(429, Some(0)),
            "http status: 429",
            "set HF_TOKEN",
        ),
        (Fault::Short(0), "the hub sent", "resumes where it stopped"),
        (
            Fault::HangsUp(0),
            "the connection broke",
            "resumes where it stopped",
        ),
    ] {
        hub.spoil(&[fault; 5]);
        let outcome = run(&here, &hub.address, "inspect hf:o/m");
        // A line that says what is downloaded may come before the error.
        let message = outcome.stderr;
        assert_eq!(outcome.code, Some(1), "{message}");
        assert!(message.contains(words), "{message}");
        assert!(message.contains(hint), "{message}");
        assert!(message.contains("model `o/m`"), "{message}");
    }
    run(&here, &hub.address, "inspect hf:o/m").worked();
}

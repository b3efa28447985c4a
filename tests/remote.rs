//! Devices of another process. These tests need the feature: `cargo test --features remote`.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::resume::{SEARCH, assert_same, start};
use crate::support::Workplace;

/// A `longrope worker`, stopped when the test ends.
struct Worker {
    process: Child,
    /// The device, as for `--device`.
    device: String,
}

impl Worker {
    /// Starts a worker and waits until it listens.
    fn start(here: &Workplace) -> Self {
        let mut process = here
            .command("worker --listen 127.0.0.1:0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = process.stdout.as_mut().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let (served, url) = line.trim().split_once(" on ").unwrap();
        assert_eq!(served, "serving flex");
        let device = format!("remote:{url}");
        Self { process, device }
    }

    /// Kills the worker, without a chance to close connections.
    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_search_on_a_remote_device_gives_the_same_bytes() {
    let here = Workplace::with_model();
    here.run(&format!("{SEARCH} --out local")).worked();
    let worker = Worker::start(&here);
    let device = &worker.device;
    for (out, devices) in [
        ("alone", format!("--device {device}")),
        ("both", format!("--device flex --device {device}#0")),
    ] {
        let outcome = here.run(&format!("{SEARCH} --out {out} {devices}"));
        assert!(
            !outcome.stderr.contains("WARN"),
            "{out}: {}",
            outcome.stderr
        );
        outcome.worked();
        assert_same(&here, "local", out);
    }
}

#[test]
fn a_comparison_on_a_remote_device_gives_the_same_table() {
    let here = Workplace::with_model();
    let compare = "compare --model m --tokens tokens.json --contexts 32,64,128";
    let local = here.run(compare).worked();
    let worker = Worker::start(&here);
    let remote = here.run(&format!("{compare} --device {}", worker.device));
    assert_eq!(remote.worked(), local);
}

#[test]
fn a_search_survives_the_loss_of_a_remote_device() {
    let here = Workplace::with_model();
    here.run(&format!("{SEARCH} --out local")).worked();
    let mut worker = Worker::start(&here);
    let line = format!("{SEARCH} --device flex --device {}", worker.device);
    let search = start(&here, &line, "run", 4);
    worker.kill();
    let output = search.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("failed and is no longer used"), "{stderr}");
    assert_same(&here, "local", "run");
}

#[test]
fn a_search_that_lost_its_only_device_can_be_resumed_on_another() {
    let here = Workplace::with_model();
    here.run(&format!("{SEARCH} --out local")).worked();
    let mut worker = Worker::start(&here);
    let line = format!("{SEARCH} --device {}", worker.device);
    let search = start(&here, &line, "run", 4);
    worker.kill();
    let output = search.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("error: no device is left"), "{stderr}");
    assert!(
        stderr.contains("longrope search --resume --out run"),
        "{stderr}"
    );
    here.run("search --resume --out run --device flex").worked();
    assert_same(&here, "local", "run");
}

#[test]
fn addresses_are_checked() {
    let here = Workplace::with_model();
    let line = "eval ppl --model m --tokens tokens.json --contexts 64 --device remote:host";
    insta::assert_snapshot!(here.fails(line), @r"
    error: device `remote:host` has no address
    hint: write --device remote:ws://HOST:PORT, or remote:ws://HOST:PORT#1 for the second device there
    ");
    let message = here.fails("worker --listen 256.0.0.1:3000");
    assert!(
        message.contains("listening on `256.0.0.1:3000`"),
        "{message}"
    );
}

#[test]
fn a_worker_reachable_from_other_machines_prints_a_warning() {
    let here = Workplace::new();
    let mut process = here
        .command("worker --listen 0.0.0.0:0")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let stderr = process.stderr.as_mut().unwrap();
    BufReader::new(stderr).read_line(&mut line).unwrap();
    process.kill().unwrap();
    process.wait().unwrap();
    assert!(
        line.contains("can be reached from other machines"),
        "{line}"
    );
}

#[test]
fn a_training_that_loses_a_remote_device_resumes_without_it() {
    let here = Workplace::with_model();
    let line = "finetune --model m --tokens tokens.json --rope yarn --context 64 --steps 40 --dashboard off \
        --set train.accumulate=2 --set train.save-every=100 --set train.warmup-steps=2 --out run";
    let mut worker = Worker::start(&here);
    let mut run = here.start(&format!("{line} --device flex --device {}", worker.device));
    let metrics = here.path("run/metrics.jsonl");
    let lines = || fs_err::read_to_string(&metrics).map_or(0, |text| text.lines().count());
    let started = Instant::now();
    // The header is a line too.
    while lines() < 4 {
        assert!(started.elapsed() < Duration::from_mins(2), "no progress");
        assert!(run.try_wait().unwrap().is_none(), "it is over already");
        std::thread::sleep(Duration::from_millis(5));
    }
    worker.kill();
    assert_eq!(run.wait().unwrap().code(), Some(2), "a fault of a device");
    // Every step that was made is saved.
    let n_steps = lines() - 1;
    assert!(here.path(&format!("run/step-{n_steps:06}")).is_dir());
    here.run("finetune --resume --out run --dashboard off --device flex")
        .worked();
    assert_eq!(here.training_metrics("run/metrics.jsonl").len(), 40);
}

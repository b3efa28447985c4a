//! What the system does to the program: terminals that are closed, files that may not grow, readers that are gone.

#[cfg(target_os = "linux")]
use std::process::Child;
#[cfg(unix)]
use std::process::Command;
use std::process::Stdio;
#[cfg(target_os = "linux")]
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
use serde_json::Value;

#[cfg(target_os = "linux")]
use crate::resume::SEARCH;
use crate::support::Workplace;

/// Starts a command line in a terminal of its own; `None` if the system has no `script` to make one. The terminal is closed
/// when the child is killed.
#[cfg(target_os = "linux")]
fn in_terminal(here: &Workplace, line: &str) -> Option<Child> {
    let program = env!("CARGO_BIN_EXE_longrope");
    // The outer shell outlives the terminal, to say how the program ended.
    let shell = format!(
        "stty rows 30 cols 100; trap : HUP; sh -c 'echo $$ > pid; exec \"{program}\" {line}'; echo $? > code"
    );
    let mut terminal = Command::new("script");
    terminal
        .args(["-qec", &shell, "/dev/null"])
        .current_dir(here.path(""))
        .env("SHELL", "/bin/sh")
        .env("TERM", "xterm-256color")
        .env("XDG_CACHE_HOME", here.path("cache"))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    terminal.spawn().ok()
}

/// Waits until something is so. Returns whether it came to be.
#[cfg(target_os = "linux")]
fn waited_for(is_so: impl Fn() -> bool) -> bool {
    let started = Instant::now();
    while !is_so() {
        if started.elapsed() > Duration::from_mins(1) {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}

/// Starts a command line in a terminal, and closes the terminal as soon as the work `has_begun`. The exit code.
#[cfg(target_os = "linux")]
fn code_after_closing(
    here: &Workplace,
    line: &str,
    has_begun: impl Fn() -> bool,
) -> Option<String> {
    let mut terminal = in_terminal(here, line)?;
    let has_begun = waited_for(has_begun);
    terminal.kill().unwrap();
    terminal.wait().unwrap();
    assert!(has_begun, "no progress");
    let code = || fs_err::read_to_string(here.path("code")).unwrap_or_default();
    let is_over = waited_for(|| code().ends_with('\n'));
    if !is_over {
        let pid = here.read("pid");
        let _ = Command::new("kill").args(["-KILL", pid.trim()]).status();
    }
    assert!(is_over, "it goes on without its terminal");
    Some(code().trim().to_owned())
}

#[cfg(target_os = "linux")]
#[test]
fn a_closed_terminal_stops_a_search_with_a_dashboard() {
    let here = Workplace::with_model();
    let line = SEARCH.replace("generations=24", "generations=5000");
    let state = here.path("run/search/state.json");
    let has_begun = || {
        let text = fs_err::read_to_string(&state).unwrap_or_default();
        let state: Value = serde_json::from_str(&text).unwrap_or_default();
        state["history"].as_array().is_some_and(|it| !it.is_empty())
    };
    let Some(code) = code_after_closing(&here, &format!("{line} --out run"), has_begun) else {
        return;
    };
    assert_eq!(code, "130");
    assert!(!here.path("run/rope.json").exists());
    let state = here.read_json("run/search/state.json");
    assert!(!state["history"].as_array().unwrap().is_empty());
    // The folder is free.
    here.run("search --resume --out run --seed 7")
        .refused_with("`seed` was 42 and is 7");
}

#[cfg(target_os = "linux")]
#[test]
fn a_search_that_ignores_a_closed_terminal_goes_on() {
    let here = Workplace::with_model();
    let line = SEARCH.replace("generations=24", "generations=48");
    let program = env!("CARGO_BIN_EXE_longrope");
    let mut search = Command::new("sh")
        .args([
            "-c",
            &format!("trap '' HUP; exec \"{program}\" {line} --out run"),
        ])
        .current_dir(here.path(""))
        .env("XDG_CACHE_HOME", here.path("cache"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let has_begun = waited_for(|| here.path("run/metrics.jsonl").exists());
    let is_over = here.path("run/rope.json").exists();
    let _ = Command::new("kill")
        .args(["-HUP", &search.id().to_string()])
        .status();
    let status = search.wait().unwrap();
    assert!(has_begun, "no progress");
    assert!(!is_over, "signalled too late");
    assert!(status.success(), "it ended with {status}");
    assert!(here.path("run/rope.json").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn a_closed_terminal_stops_a_training_with_a_dashboard() {
    let here = Workplace::with_model();
    let line = "finetune --model m --tokens tokens.json --context 64 --steps 100000 --out run \
        --set train.batch=1 --set train.warmup-steps=1 --set train.save-every=100000";
    let metrics = here.path("run/metrics.jsonl");
    let has_begun = || fs_err::read_to_string(&metrics).is_ok_and(|text| text.lines().count() > 3);
    let Some(code) = code_after_closing(&here, line, has_begun) else {
        return;
    };
    assert_eq!(code, "130");
    assert!(!here.path("run/model").exists());
    let names = fs_err::read_dir(here.path("run")).unwrap();
    let mut names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(names.any(|name| name.starts_with("step-")), "nothing saved");
}

#[cfg(unix)]
#[test]
fn a_file_that_may_not_grow_is_an_error_with_a_hint() {
    let here = Workplace::with_model();
    let program = env!("CARGO_BIN_EXE_longrope");
    let line = format!("ulimit -f 1; exec \"{program}\" export m --rope yarn --target 128 --out e");
    let output = Command::new("sh")
        .args(["-c", &line])
        .current_dir(here.path(""))
        .output()
        .unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(
        message.contains("hint: files may not be so large here"),
        "{message}"
    );
    assert!(!here.path("e").exists());
}

#[test]
fn a_recipe_ends_though_nobody_reads_what_it_generates() {
    let here = Workplace::with_tokenizer();
    here.write(
        "recipe.toml",
        "model = \"t\"\nout = \"run\"\n[[stage]]\nverb = \"generate\"\n\
         generate = { prompts = [\"fn main\"], max-new-tokens = 3 }\n\
         [[stage]]\nname = \"again\"\nverb = \"generate\"\n\
         generate = { prompts = [\"fn\", \"use\"], max-new-tokens = 3 }\n",
    );
    let mut command = here.command("extend --config recipe.toml");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut recipe = command.spawn().unwrap();
    drop(recipe.stdout.take());
    let output = recipe.wait_with_output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{message}");
    for name in ["01-generate/generate.json", "02-again/done.json"] {
        assert!(here.path(&format!("run/{name}")).is_file(), "{name}");
    }
}

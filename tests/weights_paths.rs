//! Model folders whose names are not UTF-8.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::support::{TINY_SEARCH, Workplace};

const NAME: &[u8] = b"caf\xe9";

/// Runs a command line on the model with that name.
fn run(here: &Workplace, line: &str) {
    run_with(here, line, &["--model"], NAME);
}

/// Runs a command line with further words, the last of which is a path.
fn run_with(here: &Workplace, line: &str, words: &[&str], path: &[u8]) {
    let mut command = here.command(line);
    command.args(words).arg(OsStr::from_bytes(path));
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{line}\n{stderr}");
}

#[test]
fn a_model_may_have_a_name_that_is_not_utf8() {
    let here = Workplace::with_model();
    let folder = here.path("m").with_file_name(OsStr::from_bytes(NAME));
    fs_err::rename(here.path("m"), folder).unwrap();
    run(&here, "inspect");
    run(&here, "plan --context 32 --memory 1");
    run(
        &here,
        "eval ppl --tokens tokens.json --contexts 32 --windows 1",
    );
    run(&here, "compare --tokens tokens.json --contexts 32");
    run(&here, "export --rope pi --target 64 --out x");
    let finetune = "finetune --tokens tokens.json --context 32 --steps 2 --dashboard off --out run \
        --set train.warmup-steps=0";
    run(&here, finetune);
    // The configuration in the run folder names it too.
    for name in ["run/step-000002", "run/model"] {
        fs_err::remove_dir_all(here.path(name)).unwrap();
    }
    here.run("finetune --resume --out run --dashboard off")
        .worked();
}

#[test]
fn a_run_may_have_a_name_that_is_not_utf8() {
    let here = Workplace::with_model();
    let search = format!("{TINY_SEARCH} --target 64 --set search.generations=0");
    run_with(&here, &search, &["--out"], NAME);
    let rope = [NAME, b"/rope.json"].concat();
    let again = format!("{search} --out again");
    run_with(&here, &again, &["--init"], &rope);
    let measure = "eval ppl m --tokens tokens.json --contexts 64 --windows 1";
    run_with(&here, measure, &["--rope"], &rope);
    run_with(&here, "export --out x", &[], NAME);
    run_with(&here, "export m --out y", &["--rope"], &rope);
    assert_eq!(here.read("x/README.md"), here.read("y/README.md"));
    let train = "finetune m --tokens tokens.json --context 32 --steps 1 --dashboard off --json \
        --set train.warmup-steps=0 --set train.eval-windows=0";
    run_with(&here, train, &["--out"], b"trained-\xe9");
}

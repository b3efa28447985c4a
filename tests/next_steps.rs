//! Every verb ends with command lines that go on from there.

use crate::support::{TINY_SEARCH, Workplace};

/// The command lines on stderr, without the name of the program.
fn next(stderr: &str) -> Vec<String> {
    let mut lines = stderr.lines().skip_while(|line| *line != "next:");
    lines.next();
    let steps = lines.map_while(|line| line.strip_prefix("  longrope "));
    steps.map(str::to_owned).collect()
}

/// Runs a command line that has to work; what it says to do next.
fn after(here: &Workplace, line: &str) -> Vec<String> {
    let outcome = here.run(line);
    let steps = next(&outcome.stderr);
    assert!((1..=3).contains(&steps.len()), "{line}: {}", outcome.stderr);
    outcome.worked();
    steps
}

#[test]
fn the_next_steps_of_a_search_work() {
    let here = Workplace::with_model();
    let search = format!("{TINY_SEARCH} --set search.generations=2 --target 64 --out run");
    let steps = after(&here, &search);
    assert_eq!(steps[2], "report run");
    let trains = "finetune m --tokens tokens.json --rope run/rope.json --out run-trained";
    assert_eq!(steps[1], trains);
    // The measurement, the training and the page: in order, with the paths as printed.
    after(&here, &steps[0]);
    let trained = after(
        &here,
        &format!("{trains} --steps 2 --set train.warmup-steps=1 --dashboard off"),
    );
    assert!(
        trained[0].starts_with("eval ppl run-trained/model --tokens tokens.json"),
        "{trained:?}"
    );
    after(&here, &trained[0]);
    let curves = after(&here, &steps[2]);
    for line in curves {
        here.run(&line).worked();
    }
    assert!(here.path("run/metrics.csv").is_file());
}

#[test]
fn other_verbs_say_what_is_next_too() {
    let here = Workplace::with_model();
    for (line, expected) in [
        ("inspect m", "plan m --context 128"),
        ("doctor m", "compare m --text TEXT --contexts 32,128"),
        (
            "plan m --context 64 --memory 1",
            "search m --text TEXT --target 64 --out runs/factors",
        ),
        (
            "eval ppl m --tokens tokens.json --contexts 64",
            "search m --tokens tokens.json --target 64 --out runs/factors",
        ),
        (
            "compare m --tokens tokens.json --contexts 64 --out run",
            "report run",
        ),
        ("export m --rope yarn --target 64 --out long", "doctor long"),
    ] {
        let steps = after(&here, line);
        assert!(
            steps.iter().any(|step| step == expected),
            "{line}: {steps:?}"
        );
    }
}

#[test]
fn output_for_programs_has_no_next_steps() {
    let here = Workplace::with_model();
    for line in [
        "inspect m --json",
        "eval ppl m --tokens tokens.json --contexts 64 --json",
        "plan m --context 64 --memory 1 --json",
    ] {
        let outcome = here.run(line);
        assert_eq!(outcome.stderr, "", "{line}");
        outcome.worked();
    }
}

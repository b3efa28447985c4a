//! What the program says about itself, and how its streams and exit codes behave.

use insta::assert_snapshot;

use crate::support::Workplace;

#[test]
fn help_of_the_program() {
    let help = Workplace::new().run("--help").worked();
    assert_snapshot!(help, @"");
}

#[test]
fn help_of_search() {
    let help = Workplace::new().run("search --help").worked();
    assert_snapshot!(help, @"");
}

#[test]
fn help_of_eval_ppl() {
    let help = Workplace::new().run("eval ppl --help").worked();
    assert_snapshot!(help, @"");
}

#[test]
fn every_verb_has_help_that_fits_a_terminal() {
    let here = Workplace::new();
    for verb in [
        "demo", "inspect", "search", "compare", "eval", "eval ppl", "export",
    ] {
        let help = here.run(&format!("{verb} --help")).worked();
        assert!(help.contains("Usage: longrope "), "{help}");
        let widest = help.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(100), "{help}");
    }
}

#[test]
fn the_version_is_that_of_the_workspace() {
    let version = Workplace::new().run("--version").worked();
    assert_eq!(
        version,
        concat!("longrope ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn a_wrong_flag_is_the_users_input() {
    let outcome = Workplace::new().run("eval ppl --contexs 32");
    assert_eq!(outcome.code, Some(1));
    assert!(
        outcome.stderr.contains("'--contexts'"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn flags_that_exclude_each_other_are_refused() {
    let here = Workplace::new();
    for flags in ["--windows 2 --stride 16", "--text a.txt --tokens b.json"] {
        let outcome = here.run(&format!("eval ppl --model m --contexts 32 {flags}"));
        assert_eq!(outcome.code, Some(1), "{flags}");
        assert!(outcome.stderr.contains("cannot be used with"), "{flags}");
    }
}

#[test]
fn results_go_to_stdout_and_nothing_else_does() {
    let here = Workplace::with_model();
    let line = "eval ppl --model m --tokens tokens.json --contexts 32 --json";
    let plain = here.run(line);
    assert_eq!(plain.stderr, "");
    assert_eq!(plain.stdout.lines().count(), 1);
    assert!(plain.stdout.starts_with('{'), "{}", plain.stdout);
    let verbose = here.run(&format!("{line} -vv"));
    assert_eq!(verbose.stdout.lines().count(), 1);
}

#[test]
fn inspection_is_readable() {
    let here = Workplace::with_model();
    let text = here.run("inspect m").worked();
    assert_snapshot!(text, @"");
}

#[test]
fn later_layers_of_configuration_win() {
    let here = Workplace::with_model();
    here.write("a.toml", "contexts = [16]\n[eval]\nwindows = 3\n");
    let line = "eval ppl --model m --tokens tokens.json --config a.toml --json";
    let measured = |line: &str| {
        let json = here.compute_json(line);
        let result = &json["results"][0];
        (result["context"].clone(), result["n_windows"].clone())
    };
    assert_eq!(measured(line), (16.into(), 3.into()));
    let line = format!("{line} --set eval.windows=4 --set contexts=[24]");
    assert_eq!(measured(&line), (24.into(), 4.into()));
    let line = format!("{line} --contexts 32 --windows 5");
    assert_eq!(measured(&line), (32.into(), 5.into()));
}

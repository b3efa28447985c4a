//! Most verbs end with command lines that go on from there.

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
    // Without a verdict, the factors are what is trained.
    let search = format!(
        "{TINY_SEARCH} --set search.generations=2 --set search.held-out=0 --target 64 --out run"
    );
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
fn a_model_trained_for_a_longer_context_is_measured_there_whatever_it_claims() {
    let here = Workplace::with_model();
    let trained = "finetune m --tokens tokens.json --rope dynamic-ntk --context 64 --steps 1 --out run \
        --set train.batch=1 --set train.warmup-steps=0 --dashboard off";
    let steps = after(&here, trained);
    // As in transformers, that is the original context.
    assert_eq!(here.inspection("run/model")["max_context"], 32);
    let measures =
        "eval ppl run/model --tokens tokens.json --contexts 32,64 --rope checkpoint --out run";
    assert_eq!(steps[0], measures);
    after(&here, measures);
}

#[test]
fn other_verbs_say_what_is_next_too() {
    let here = Workplace::with_model();
    for (line, expected) in [
        ("inspect m", "plan m --context 128"),
        ("doctor m", "compare m --tokens TOKENS --contexts 32,128"),
        (
            "plan m --context 64 --memory 1",
            "search m --tokens TOKENS --target 64 --out runs/factors",
        ),
        (
            "plan m --context 64 --memory 1 --device ndarray",
            "search m --tokens TOKENS --target 64 --out runs/factors --device ndarray",
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

/// A search of a second.
const SHORT: &str = "--samples 1 --set search.population=4 --set search.parents=2 --set search.mutations=1 \
    --set search.crossovers=1 --set search.generations=0 --set search.seeds=[\"none\"]";

/// Runs a suggestion, with what it leaves open filled in.
fn run_suggestion(here: &Workplace, step: &str) {
    let mut line = step
        .replace("TOKENS", "tokens.json")
        .replace("TEXT", "text.txt");
    if line.starts_with("search ") {
        line = format!("{line} {SHORT}");
    }
    if line.starts_with("verify ") {
        // The other program is not installed.
        line.push_str(" --print-script");
    }
    here.run(&line).worked();
}

/// Suggestions after verbs on all kinds of models are accepted.
#[test]
fn nothing_is_suggested_that_would_be_refused() {
    let within = Workplace::of_family("gemma3_text");
    let steps = next(
        &within
            .run("eval ppl m --tokens tokens.json --contexts 64")
            .stderr,
    );
    assert_eq!(steps, ["plan m --context 512"]);
    for family in ["cohere2", "gemma3", "mistral3", "minicpm"] {
        let here = Workplace::of_family(family);
        for line in [
            "inspect m",
            "doctor m",
            "plan m --context 64",
            "plan m --context 256",
            "eval ppl m --tokens tokens.json --contexts 64 --windows 1",
            "eval ppl m --tokens tokens.json --contexts 256 --windows 1",
            "compare m --tokens tokens.json --contexts 256 --windows 1",
            "export m --rope none --out plain --force",
        ] {
            let outcome = here.run(line);
            let steps = next(&outcome.stderr);
            outcome.worked();
            let searches = steps.iter().any(|step| step.starts_with("search "));
            assert!(!(searches && family == "cohere2"), "{line}: {steps:?}");
            for step in &steps {
                run_suggestion(&here, step);
            }
        }
    }
}

#[test]
fn continuations_lead_to_passkeys_that_fit() {
    let here = Workplace::with_tokenizer();
    let steps = after(&here, "generate t --prompt fn --max-new-tokens 4");
    assert_eq!(steps, ["eval passkey t --contexts 256 --rope checkpoint"]);
    // Its window is 256, so there is nothing to search.
    let steps = after(&here, "eval passkey t --contexts 256 --trials 1");
    assert_eq!(steps, ["plan t --context 1024"]);
}

#[test]
fn a_search_that_needs_streamed_weights_says_so() {
    let here = Workplace::with_tokenizer();
    let plan = |memory: f64| {
        next(
            &here
                .run(&format!("plan t --context 1024 --memory {memory}"))
                .stderr,
        )
    };
    let search = "search t --text TEXT --target 1024 --out runs/factors";
    let streamed = format!("{search} --set weights=streamed");
    assert_eq!(plan(1.0), [search]);
    let json = here
        .run("plan t --context 1024 --mode search --json")
        .worked();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let peak = json["plans"][0]["peak_bytes"].as_f64().unwrap();
    let gib = 1_073_741_824.0;
    assert_eq!(plan(0.99 * peak / 0.95 / gib), [streamed]);
    assert_eq!(plan(1e-6), [""; 0]);
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

//! Tasks with trials: passkeys, needles and RULER.

use serde_json::Value;

use crate::support::Workplace;

fn values(report: &Value) -> Vec<f64> {
    let results = report["results"].as_array().unwrap();
    let value = |result: &Value| result["value"].as_f64().unwrap();
    results.iter().map(value).collect()
}

#[test]
fn passkeys_are_found_inside_the_window_and_lost_beyond() {
    let here = Workplace::with_tokenizer();
    let line = "eval passkey --model t --rope none pi --contexts 256,512 --trials 3 --json";
    let report = here.compute_json(line);
    // PI is none at the original context.
    let [none, _, pi, pi_beyond] = values(&report)[..] else {
        panic!("{report}")
    };
    assert!(none > 0.99 && pi > 0.99 && pi_beyond < 0.01, "{report}");
    let trial = &report["results"][0]["trials"][1];
    assert_eq!(trial["expected"], trial["answer"]);
    assert_eq!(trial["n_prompt_tokens"], 250);
}

#[test]
fn generated_and_teacher_forced_answers_agree() {
    let here = Workplace::with_tokenizer();
    let line = "eval passkey --model t --rope none --contexts 256,280 --trials 4 --seed 3 --json";
    let forced = here.compute_json(line);
    let generated = here.compute_json(&format!("{line} --set passkey.protocol=generated"));
    assert_eq!(values(&forced), values(&generated));
}

#[test]
fn contexts_without_room_are_refused() {
    let here = Workplace::with_tokenizer();
    let message = here.fails("eval passkey --model t --contexts 64");
    assert!(
        message.contains("`passkey` does not fit into 64 tokens") && message.contains("127"),
        "{message}"
    );
    let message = here.fails("eval passkey --model t --contexts 256 --resume");
    assert!(message.contains("--out"), "{message}");
}

#[test]
fn depths_that_are_given_twice_are_refused() {
    let here = Workplace::with_tokenizer();
    for task in ["passkey", "needle", "needle --kind association"] {
        let line = format!("eval {task} --model t --contexts 500 --trials 2 --depths");
        here.run(&format!("{line} 0.5,1,0.5"))
            .refused_with("`depths` is 0.5,1,0.5, expected every depth once");
        let message = here.fails(&format!("{line} 9"));
        assert!(
            message.contains("`depths` is 9, expected numbers from 0 to 1")
                && message.contains("hint: give another value with --depths"),
            "{message}"
        );
    }
}

/// Needles in the words that the tiny model was trained on. The evaluation is long enough to be stopped in the middle.
const GRID: &str = "eval needle --model t --rope yarn --contexts 200,256 --depths 0,1 --trials 3 \
    --config needle.toml";
const NEEDLE: &str = r#"[needle]
needle = "The pass key is {value}. Remember it. {value} is the pass key."
prompt = "{haystack}\nWhat is the pass key? The pass key is"
digits = 5
"#;

/// The results of a report without times.
fn timeless(mut report: Value) -> Value {
    for result in report["results"].as_array_mut().unwrap() {
        result.as_object_mut().unwrap().remove("elapsed_secs");
    }
    report
}

#[test]
fn a_stopped_grid_resumes_to_the_same_results() {
    let here = Workplace::with_tokenizer();
    here.write("needle.toml", NEEDLE);
    let table = here.compute(&format!("{GRID} --out whole"));
    assert!(table.contains("100% ████"), "{table}");
    assert!(
        here.read("whole/eval/needle.svg")
            .contains("depth of the needle")
    );

    let state = here.path("part/eval/needle.state.json");
    let mut run = here.start(&format!("{GRID} --out part"));
    let started = std::time::Instant::now();
    while !state.exists() {
        assert!(
            started.elapsed() < std::time::Duration::from_mins(1),
            "no progress"
        );
        assert!(run.try_wait().unwrap().is_none(), "it is over already");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    run.kill().unwrap();
    run.wait().unwrap();
    let begun = here.fails(&format!("{GRID} --out part"));
    assert!(begun.contains("--resume"), "{begun}");
    let other = here.fails(&format!("{GRID} --out part --resume --seed 7"));
    let words = "was made with other settings: `seed` was 42 and is 7\n";
    assert!(
        other.contains(words) && !other.contains("--limit"),
        "{other}"
    );
    let line = GRID.replace("--depths 0,1", "--depths 0.5");
    let other = here.fails(&format!("{line} --out part --resume"));
    let words = "`needle.depths` was [0.0,1.0] and is [0.5]";
    assert!(other.contains(words), "{other}");
    here.compute(&format!("{GRID} --out part --resume"));
    assert!(!state.exists(), "it is finished");
    let read = |name: &str| timeless(here.read_json(name));
    assert_eq!(
        read("part/eval/needle.json"),
        read("whole/eval/needle.json")
    );
}

#[test]
fn a_finished_evaluation_resumes_to_its_results() {
    let here = Workplace::with_tokenizer();
    let line = "eval passkey --model t --rope none pi --contexts 256,300 --trials 2 --out run";
    // A folder that is not there is a mistake.
    let message = here.fails(&format!("{line} --resume"));
    assert!(message.contains("no evaluation to resume"), "{message}");
    let shown = here.compute(line);
    let results = || timeless(here.read_json("run/eval/passkey.json"));
    let before = results();
    assert_eq!(here.compute(&format!("{line} --resume")), shown);
    assert_eq!(results(), before);
    assert!(!here.path("run/eval/passkey.state.json").exists());
    let other = here.fails(&format!("{line} --resume --seed 7"));
    let words = "was made with other settings: `seed` was 42 and is 7\n";
    assert!(other.contains(words), "{other}");
    assert_eq!(results(), before);
    let more = line.replace("--trials 2", "--trials 3");
    let other = here.fails(&format!("{more} --resume"));
    let words = "other settings: `passkey.trials` was 2 and is 3\n";
    assert!(other.contains(words), "{other}");
    assert_eq!(results(), before);
}

#[test]
fn an_evaluation_that_has_not_begun_begins_in_the_folder_of_a_run() {
    let here = Workplace::with_tokenizer();
    let line = |task: &str| {
        format!("eval {task} --model t --contexts 256 --trials 1 --depths 0 --out run")
    };
    here.run(&line("passkey")).worked();
    let begun = here.run(&format!("{} --resume", line("needle")));
    let notice = "no evaluation to resume, neither `run/eval/needle.json` nor its state";
    assert!(begun.stderr.contains(notice), "{}", begun.stderr);
    begun.worked();
    assert!(here.path("run/eval/needle.json").is_file());
}

#[test]
fn ruler_runs_the_tasks_with_available_data() {
    let here = Workplace::with_tokenizer();
    let line = "eval ruler --model t --contexts 512 --samples 1 --tasks fwe,niah_single_1";
    let report = here.compute_json(&format!("{line} --json"));
    let results = report["results"].as_array().unwrap();
    let names: Vec<&str> = results
        .iter()
        .map(|it| it["task"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["ruler/fwe", "ruler/niah_single_1"]);
    let trial = &results[1]["trials"][0];
    assert!(trial["n_prompt_tokens"].as_u64().unwrap() <= 512 - 128);
    assert_eq!(results[1]["metric"], "string_match_all");
    let message = here.fails("eval ruler --model t --contexts 512 --tasks niah_single_2");
    assert!(message.contains("needs a text"), "{message}");
    let message = here.fails("eval ruler --model t --contexts 512 --tasks niah");
    assert!(message.contains("niah_multivalue"), "{message}");
}

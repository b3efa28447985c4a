//! `longrope plan` and `longrope report`

use crate::support::{TINY_SEARCH, Workplace, number, repository};

#[test]
fn a_plan_shows_what_fits_and_suggests_changes() {
    let here = Workplace::with_model();
    let json = serde_json::from_str::<serde_json::Value>(
        &here.run("plan m --context 64 --json --memory 1").worked(),
    )
    .unwrap();
    let plans = json["plans"].as_array().unwrap();
    let modes: Vec<&str> = plans
        .iter()
        .map(|plan| plan["mode"].as_str().unwrap())
        .collect();
    assert_eq!(modes, ["eval", "search", "lora", "full"]);
    assert!(plans.iter().all(|plan| plan["fits"] == true), "{json}");
    let text = here
        .run("plan m --context 100000000 --mode eval --memory 1")
        .worked();
    assert!(text.contains("does not fit"), "{text}");
    assert!(text.contains("a context of up to"), "{text}");
    assert!(text.contains(" on flex at "), "{text}");
    let message = here.fails("plan m --context 64 --device tpu");
    assert!(message.contains("device `tpu` is unknown"), "{message}");
}

#[test]
fn a_plan_names_what_fits_and_nothing_after_what_does_not() {
    let here = Workplace::with_model();
    let next = |line: &str| {
        let run = here.run(line);
        let next = run.stderr.clone();
        (run.worked(), next)
    };
    // The flags stay as they were given.
    let (_, steps) = next("plan m --context 32 --mode lora --memory 1");
    let expected = "longrope plan m --context 128 --mode lora --memory 1";
    assert!(steps.contains(expected), "{steps}");
    let (text, steps) = next("plan m --context 32 --mode lora --memory 0.01");
    assert!(
        text.contains("does not fit") && !text.contains("context fits"),
        "{text}"
    );
    assert!(!steps.contains("next:"), "{steps}");
    // What was typed is recognised.
    for memory in ["0.01", "0.05", "23.75"] {
        let line = format!("plan m --context 32 --mode eval --memory {memory}");
        let (text, _) = next(&line);
        assert!(text.contains(&format!("memory {memory} GiB;")), "{text}");
    }
}

#[test]
fn a_plan_for_a_gpu_is_in_half_precision() {
    let here = Workplace::with_tokenizer();
    let peaks = [
        (
            "flex",
            "longrope finetune --set train.precision=bf16, which trains weights in half precision",
        ),
        (
            "cuda:0",
            "longrope finetune --set train.offload=true, which keeps the inputs of layers in the memory of the host",
        ),
    ]
    .map(|(device, expected)| {
        let plan = format!("plan t --context 8192 --mode full --device {device} --memory");
        let json = here.run(&format!("{plan} 1 --json")).worked();
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        let peak = number(&json, "/plans/0/peak_bytes");
        // A bit less memory than is needed, of which a plan uses 95%.
        let gib = 0.99 * peak / 0.95 / f64::from(1 << 30);
        let text = here.run(&format!("{plan} {gib}")).worked();
        assert!(text.contains(expected), "{text}");
        peak
    });
    assert!(peaks[1] < peaks[0], "{peaks:?}");
    // What is not known to train in half precision is planned in f32.
    for device in ["remote:ws://localhost:1", "wgpu:cpu"] {
        let plan = format!("plan t --context 8192 --mode full --device {device} --memory 1 --json");
        let json = here.run(&plan).worked();
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        let difference = number(&json, "/plans/0/peak_bytes") - peaks[0];
        assert!(difference.abs() < 1.0, "{device}: {difference}");
        assert_eq!(json["plans"][0]["half_precision"], false, "{device}");
    }
}

#[test]
fn a_report_is_one_self_contained_page() {
    let here = Workplace::with_model();
    let search = format!("{TINY_SEARCH} --set search.generations=2 --target 64 --out run");
    here.compute(&search);
    let line = "eval ppl --model m --tokens tokens.json --contexts 32,64 --rope none run/rope.json";
    let results = here.compute(&format!("{line} --json"));
    here.write("run/ppl.json", results);
    here.run("report run").worked();
    let page = here.read("run/report.html");
    for part in [
        "<!DOCTYPE html>",
        "viewport",
        "Perplexity by context",
        "Rescale factors",
        "Best text loss by generation",
        "Summary",
        "Provenance",
    ] {
        assert!(page.contains(part), "{part}");
    }
    // Nothing is fetched: the only address is the XML namespace of SVG.
    let addresses = page.matches("http").count();
    assert_eq!(
        addresses,
        page.matches("http://www.w3.org/2000/svg").count()
    );
    assert!(!page.contains("<script"));
    let json = here.read_json("run/report.json");
    assert_eq!(json["format"], "longrope-report");
    let evaluation = &json["evaluations"][0];
    assert_eq!(evaluation["perplexities"].as_array().unwrap().len(), 4);
    // A second report does not read the first one as results.
    here.run("report run").worked();
    assert_eq!(here.read_json("run/report.json"), json);
}

#[test]
fn a_folder_without_results_is_refused() {
    let here = Workplace::with_model();
    let message = here.fails("report m");
    assert!(message.contains("holds no results to report"), "{message}");
    assert!(here.fails("report nowhere").contains("does not exist"));
}

#[test]
fn a_folder_in_the_place_of_a_csv_file_is_named() {
    let here = Workplace::with_model();
    here.run("finetune m --tokens tokens.json --context 32 --steps 1 --out run")
        .worked();
    fs_err::create_dir(here.path("table")).unwrap();
    let message = here.fails("report run --csv table");
    assert!(message.contains("cannot replace `"), "{message}");
    assert!(message.contains("table`: "), "{message}");
    assert!(message.contains("hint: this is a folder"), "{message}");
}

/// The text of a page without its tags, one line per element.
fn text(page: &str) -> String {
    let body = page.split("<body>").nth(1).unwrap();
    let mut text = String::new();
    for part in body.split('<') {
        let (_, shown) = part.split_once('>').unwrap_or_default();
        if !shown.trim().is_empty() {
            text.push_str(shown.trim());
            text.push('\n');
        }
    }
    text
}

#[test]
fn an_objective_is_never_compared_with_a_loss() {
    let here = Workplace::with_tokenizer();
    let text_of_model = fs_err::read_to_string(repository().join("CONTRIBUTING.md")).unwrap();
    here.write("text.md", text_of_model);
    here.compute(
        "search --model t --text text.md --target 320 --objective combined --samples 1 --out run \
         --set search.population=6 --set search.parents=2 --set search.mutations=1 \
         --set search.crossovers=1 --set search.generations=1 --set search.passkey-trials=2 \
         --set search-needle.samples=1 --set search.needle-weight=0.9 --dashboard off",
    );
    let result = here.read_json("run/search/result.json");
    assert!((number(&result, "/needle_weight") - 0.9).abs() < 1e-12);
    here.run("report run").worked();
    let page = text(&here.read("run/report.html"));
    let nats = |value: f64| format!("\n{value:.4}\n");
    let (text_loss, answer_loss) = (
        number(&result, "/searched/nll_nats"),
        number(&result, "/searched/answer_nats"),
    );
    let objective = number(&result, "/best_nats");
    for (value, name) in [
        (text_loss, "text loss, nats/token"),
        (answer_loss, "answer loss, nats/token"),
        (objective, "objective, nats/token"),
    ] {
        assert!(page.contains(name), "{name} in {page}");
        assert!(page.contains(&nats(value)), "{name} {value} in {page}");
    }
    assert!(page.contains("passkeys found"), "{page}");
    assert!(page.contains("Best objective by generation"), "{page}");
    // The gain is in the loss on text, and no perplexity is made of an objective.
    for method in result["baselines"].as_array().unwrap() {
        let loss = number(method, "/nll_nats");
        let gain = format!("\n{:+.4}\n", loss - text_loss);
        assert!(page.contains(&gain), "{gain} in {page}");
        let name = method["method"].as_str().unwrap();
        let own = 0.1 * loss + 0.9 * number(method, "/answer_nats");
        assert!(
            page.contains(&format!("{name}: {own:.3}")),
            "{name} {own} in {page}"
        );
        assert!(!page.contains(&format!("{name}: {loss:.3}\n")), "{page}");
    }
    assert!(
        !page.contains(&format!("{:.3}\n", objective.exp())),
        "{page}"
    );
    // The figure of the search itself names the same quantity.
    assert!(
        here.read("run/history.svg")
            .contains("objective [nats per token]")
    );
}

#[test]
fn evaluations_of_other_models_and_texts_have_tables_of_their_own() {
    let here = Workplace::with_model();
    here.checkpoint("llama-f16", "other");
    here.tokens("more.json", 900);
    let ppl = "eval ppl --contexts 32,64 --windows 2 --out run";
    here.compute(&format!(
        "{ppl} --model m --tokens tokens.json --rope none yarn"
    ));
    here.compute("compare --model other --tokens more.json --contexts 32,64 --windows 2 --out run");
    here.run("report run").worked();
    let json = here.read_json("run/report.json");
    let models: Vec<&str> = json["evaluations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|evaluation| evaluation["source"]["model"].as_str().unwrap())
        .collect();
    assert_eq!(models, ["other", "m"]);
    let page = text(&here.read("run/report.html"));
    assert_eq!(page.matches("Perplexity by context\n").count(), 2, "{page}");
    for model in models {
        assert!(page.contains(&format!("Model\n{model}\n")), "{page}");
    }
}

#[test]
fn numbers_of_a_training_have_units_and_few_digits() {
    let here = Workplace::with_model();
    let line = "finetune --model m --tokens tokens.json --context 64 --steps 4 --out run --dashboard off \
        --set train.learning-rate=0.00005000000000000004 --set train.warmup-steps=1";
    here.compute(line);
    here.run("report run").worked();
    let page = text(&here.read("run/report.html"));
    for expected in [
        "tokens per second",
        "MiB",
        "train.learning-rate\n0.00005\n",
        "steps",
    ] {
        assert!(page.contains(expected), "{expected} in {page}");
    }
    for wrong in ["0000000004", "search.", "pretrain", "peak_memory"] {
        assert!(!page.contains(wrong), "{wrong} in {page}");
    }
}

#[test]
fn curves_go_to_other_programs() {
    let here = Workplace::new();
    here.rust_text();
    here.write(
        "tiny.toml",
        "[pretrain]\nmodel = { layers = 1, hidden = 32, heads = 2, kv-heads = 1, intermediate = 48, vocab = 300, window = 64 }\n\
         held-out = [\"held.txt\"]\neval-every = 1\nsave-every = 2\n\
         [[pretrain.phases]]\nname = \"first\"\nsteps = 2\nbatch = 2\nwindow = 48\nlearning-rate = 1e-2\nshares = { copying = 1.0 }\n\
         [[pretrain.phases]]\nname = \"mix\"\nsteps = 2\nbatch = 2\nwindow = 64\nlearning-rate = 1e-2\nshares = { text = 1.0 }\n",
    );
    here.compute("pretrain --config tiny.toml --text text.txt --json --out run");
    let csv = here.run("report run --csv -").worked();
    let rows: Vec<&str> = csv.lines().collect();
    assert!(rows[0].starts_with("event,"), "{csv}");
    assert!(rows[0].contains(",total_step"), "{csv}");
    assert!(rows[1].contains(",first,1,"), "{csv}");
    assert_eq!(rows.len(), 9, "{csv}");
    assert!(!here.path("run/report.html").exists());
    here.run("report run --csv out/curves.csv --tensorboard out/board")
        .worked();
    assert_eq!(here.read("out/curves.csv"), csv);
    // The table alone is on stdout.
    let both = here.run("report run --csv - --tensorboard out/again");
    assert!(
        both.stderr.contains("wrote 1 event file"),
        "{}",
        both.stderr
    );
    assert_eq!(both.worked(), csv);
    let events = fs_err::read(here.path("out/board/events.out.tfevents.0.longrope")).unwrap();
    for tag in ["brain.Event:2", "train/loss", "eval/perplexity_64"] {
        let there = events
            .windows(tag.len())
            .any(|bytes| bytes == tag.as_bytes());
        assert!(there, "{tag}");
    }
    // Both phases are one curve of four steps on the page and in the history of the model.
    let state = here.read_json("run/model/trainer_state.json");
    assert_eq!(
        (&state["global_step"], &state["max_steps"]),
        (&4.into(), &4.into())
    );
    here.run("report run").worked();
    let page = text(&here.read("run/report.html"));
    for expected in [
        "A small model was trained from scratch",
        "held out, 48 tokens",
        "held out, 64 tokens",
    ] {
        assert!(page.contains(expected), "{expected} in {page}");
    }
    let evaluated = Workplace::with_model();
    evaluated.compute("eval ppl --model m --tokens tokens.json --contexts 32 --out run");
    evaluated
        .run("report run --csv -")
        .refused_with("no metrics.jsonl with curves");
}

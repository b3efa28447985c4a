//! From a checkpoint to an extended checkpoint, verb by verb, with a model of two layers.

use longrope_rope::RopeArtifact;
use serde_json::{Value, json};

use crate::support::{TINY_SEARCH, Workplace, number, repository, token_ids};

/// Losses of tokens are written as f32.
const SAME_SUM: f64 = 1e-6;
/// The same sequences in another batch: f32 rounding on the device, averaged over a hundred tokens.
const SAME_TOKENS: f64 = 1e-6;
/// Two backends on the same tokens, and transformers: f32 rounding through two layers.
const SAME_MODEL: f64 = 1e-5;

const PPL: &str = "eval ppl --tokens tokens.json --json";

/// Mean losses of all results, in order.
fn losses(report: &Value) -> Vec<f64> {
    let results = report["results"].as_array().unwrap();
    results
        .iter()
        .map(|result| number(result, "/nll_nats"))
        .collect()
}

fn assert_close(a: &[f64], b: &[f64], tolerance: f64) {
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        assert!((a - b).abs() <= tolerance, "{a} and {b}");
    }
}

/// A finished search for 128 tokens in `run`, on two documents, each of which is one sample.
fn searched(flags: &str) -> Workplace {
    let here = Workplace::with_model();
    let ids = token_ids(256);
    here.write("tokens.json", json!([ids[..128], ids[128..]]).to_string());
    here.compute(&format!(
        "{TINY_SEARCH} --set search.generations=3 --target 128 --out run {flags}"
    ));
    here
}

#[test]
fn compare_has_every_method_at_every_context() {
    let here = Workplace::with_model();
    let report = here.compute_json(
        "compare --model m --tokens tokens.json --contexts 32,64,128 --windows 2 --json",
    );
    let cells: Vec<(String, u64)> = report["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| {
            let rope = result["rope"].as_str().unwrap().to_owned();
            (rope, result["context"].as_u64().unwrap())
        })
        .collect();
    let mut expected = Vec::new();
    for rope in ["none", "pi", "ntk", "dynamic-ntk", "yarn"] {
        expected.extend([32, 64, 128].map(|context| (rope.to_owned(), context)));
    }
    assert_eq!(cells, expected);
    // within the original window there is nothing to scale
    let within: Vec<f64> = losses(&report).into_iter().step_by(3).collect();
    assert_close(&within, &[within[0]; 5], 0.0);
}

#[test]
fn losses_equal_those_of_transformers() {
    let here = Workplace::with_model();
    let expected = here.read_json("m/expected.json");
    here.write("tokens.json", expected["tokens"].to_string());
    for (case, method) in [("default", "none"), ("linear", "pi"), ("yarn", "yarn")] {
        let case = expected["cases"]
            .as_array()
            .unwrap()
            .iter()
            .find(|it| it["name"] == case && it["n_tokens"] == 128)
            .unwrap();
        let nll: Vec<f64> = case["nll_nats"]
            .as_array()
            .unwrap()
            .iter()
            .map(|nll| nll.as_f64().unwrap())
            .collect();
        let mean = nll.iter().sum::<f64>() / nll.len() as f64;
        let report = here.compute_json(&format!(
            "{PPL} --model m --contexts 128 --rope {method} --windows 1"
        ));
        assert_eq!(report["results"][0]["n_tokens"], 127);
        assert_close(&losses(&report), &[mean], SAME_MODEL);
    }
}

#[test]
fn a_method_can_be_scaled_for_a_fixed_context() {
    let here = Workplace::with_model();
    let line = format!("{PPL} --model m --windows 1");
    let fixed = here.compute_json(&format!("{line} --contexts 64,128 --rope yarn@128"));
    let scaled = here.compute_json(&format!("{line} --contexts 64,128 --rope yarn"));
    let (fixed, scaled) = (losses(&fixed), losses(&scaled));
    assert!(
        (fixed[0] - scaled[0]).abs() > 1e-4,
        "{} {}",
        fixed[0],
        scaled[0]
    );
    assert_close(&fixed[1..], &scaled[1..], f64::EPSILON);
}

#[test]
fn losses_per_token_add_up_to_the_result() {
    let here = Workplace::with_model();
    let report = here.compute_json(&format!(
        "{PPL} --model m --contexts 32,128 --rope pi yarn --per-token out/tokens.jsonl"
    ));
    let lines = here.read_json_lines("out/tokens.jsonl");
    let ids = token_ids(600);
    let mut n_lines = 0;
    for result in report["results"].as_array().unwrap() {
        let own: Vec<&Value> = lines
            .iter()
            .filter(|line| line["rope"] == result["rope"] && line["context"] == result["context"])
            .collect();
        assert_eq!(Some(own.len() as u64), result["n_tokens"].as_u64());
        let sum: f64 = own.iter().map(|line| number(line, "/nll_nats")).sum();
        let mean = sum / own.len() as f64;
        assert_close(&[mean], &[number(result, "/nll_nats")], SAME_SUM);
        assert_close(
            &[mean.exp()],
            &[number(result, "/ppl")],
            SAME_SUM * mean.exp(),
        );
        n_lines += own.len();
    }
    assert_eq!(n_lines, lines.len());
    for line in &lines {
        let at = line["window_start"].as_u64().unwrap() + line["position"].as_u64().unwrap();
        let at = usize::try_from(at).unwrap();
        assert_eq!(line["token"], ids[at], "token {at} of the document");
    }
}

#[test]
fn sliding_windows_score_every_token_once() {
    let here = Workplace::with_model();
    let report = here.compute_json(&format!(
        "{PPL} --model m --contexts 64 --stride 24 --per-token tokens.jsonl"
    ));
    let mut scored: Vec<u64> = here
        .read_json_lines("tokens.jsonl")
        .iter()
        .map(|line| line["window_start"].as_u64().unwrap() + line["position"].as_u64().unwrap())
        .collect();
    scored.sort_unstable();
    assert_eq!(scored, (1..600).collect::<Vec<u64>>());
    assert_eq!(report["results"][0]["n_tokens"], 599);
    assert_eq!(report["results"][0]["stride"], 24);
}

#[test]
fn contexts_within_one_length_score_the_same_tokens() {
    let here = Workplace::with_model();
    let line = "eval ppl --model m --tokens tokens.json --contexts 32,128 --windows 2 --within 128";
    let report = here.compute_json(&format!("{line} --json --per-token tokens.jsonl"));
    let scored = |context: u64| -> Vec<u64> {
        let lines = here.read_json_lines("tokens.jsonl");
        let of_context = lines.iter().filter(|line| line["context"] == context);
        let place = |line: &Value, key: &str| line[key].as_u64().unwrap();
        of_context
            .map(|line| place(line, "window_start") + place(line, "position"))
            .collect()
    };
    // Two windows of 128 in 600 tokens, without the first token of each window.
    let expected = |context: u64| -> Vec<u64> {
        let outer = (0..128).chain(472..600);
        outer.filter(|at| (at % 472) % context != 0).collect()
    };
    for context in [32, 128] {
        assert_eq!(scored(context), expected(context), "{context}");
    }
    assert_eq!(report["results"][0]["within"], 128);
    let table = here.run(line).worked();
    let expected =
        "2 to 8 windows per context, not overlapping, all within windows of 128, up to 254";
    assert!(table.contains(expected), "{table}");
}

#[test]
fn text_goes_through_the_tokenizer_of_the_checkpoint() {
    let here = Workplace::with_tokenizer();
    here.write(
        "a.txt",
        "It was the best of times, it was the worst of times. ".repeat(12),
    );
    let line = "eval ppl --model t --text a.txt --contexts 64 --windows 2 --json";
    let report = here.compute_json(line);
    let ppl = number(&report, "/results/0/ppl");
    assert!((1.0..1024.0).contains(&ppl), "{ppl}"); // the vocabulary has 1024 words
    let cached = format!("{line} --set data.cache=cache");
    for _ in 0..2 {
        assert_close(&losses(&here.compute_json(&cached)), &losses(&report), 0.0);
    }
    assert!(here.path("cache").is_dir());
}

#[test]
fn a_search_writes_its_files() {
    let here = searched("");
    let artifact = RopeArtifact::from_json(&here.read("run/rope.json")).unwrap();
    let spec = artifact.spec();
    assert_eq!((spec.rotary_dim, spec.original_context), (16, 32));
    assert_eq!(spec.max_context(), 128);
    assert_eq!(artifact.provenance.target_context, Some(128));

    let result = here.read_json("run/search/result.json");
    let best = number(&result, "/best_nats");
    let metrics = here.read_json_lines("run/metrics.jsonl");
    assert_eq!(
        metrics.len(),
        1 + 1 + 3,
        "a header, the first population, then generations"
    );
    assert_close(&[number(&metrics[3], "/best_nats")], &[best], 0.0);
    assert_eq!(artifact.provenance.score_nats, Some(best));
    let plain = &result["baselines"][0];
    assert_eq!(plain["method"], "none");
    assert!(best <= number(plain, "/nll_nats"), "plain RoPE is a seed");

    for name in ["run/factors.svg", "run/history.svg"] {
        let svg = here.read(name);
        assert!(svg.starts_with("<svg"), "{name}");
        assert!(svg.trim_end().ends_with("</svg>"), "{name}");
    }
    assert!(here.read("run/config.toml").contains("generations = 3"));
}

#[test]
fn the_score_of_a_search_is_a_perplexity() {
    let here = searched("");
    let best = number(&here.read_json("run/search/result.json"), "/best_nats");
    let report = here.compute_json(&format!(
        "{PPL} --model m --contexts 128 --windows 1 --rope run/rope.json"
    ));
    assert_eq!(report["results"][0]["n_windows"], 2);
    assert_close(&losses(&report), &[best], SAME_TOKENS);
}

#[test]
fn short_texts_keep_the_plain_rope() {
    let here = searched("");
    let report = here.compute_json(&format!(
        "{PPL} --model m --contexts 31,32 --rope run/rope.json none"
    ));
    let losses = losses(&report);
    assert_close(&losses[..2], &losses[2..], 0.0);
}

#[test]
fn a_search_starts_from_given_factors() {
    let here = searched("");
    let best = number(&here.read_json("run/search/result.json"), "/best_nats");
    here.compute(&format!(
        "{TINY_SEARCH} --set search.generations=0 --target 128 --out again \
         --init run/rope.json --seed 7"
    ));
    let again = number(&here.read_json("again/search/result.json"), "/best_nats");
    assert!(again <= best, "{again} from {best}");
}

#[test]
fn an_exported_checkpoint_computes_as_the_searched_rope() {
    let here = searched("--set search.start-tokens=[0]");
    let said = here
        .run("export --model m --rope run/rope.json --out extended")
        .worked();
    assert!(said.contains("128 tokens"), "{said}");
    let source = fs_err::read(here.path("m/model.safetensors")).unwrap();
    let exported = fs_err::read(here.path("extended/model.safetensors")).unwrap();
    assert!(source == exported, "the weights are copied");

    let contexts = "--contexts 32,33,128 --windows 1";
    let ours = here.compute_json(&format!("{PPL} --model m {contexts} --rope run/rope.json"));
    for theirs in [
        "--model extended --rope checkpoint",
        "--model m --rope extended",
        "--model m --rope extended/rope.json",
    ] {
        let theirs = here.compute_json(&format!("{PPL} {contexts} {theirs}"));
        assert_close(&losses(&theirs), &losses(&ours), SAME_TOKENS);
    }
    let inspected = here.inspection("extended");
    assert_eq!(inspected["max_context"], 128);
}

#[test]
fn exports_can_change_the_type_and_the_size_of_weight_files() {
    let here = Workplace::with_model();
    let export = "export --model m --rope yarn --target 64";
    let said = here
        .run(&format!(
            "{export} --out small --dtype bf16 --max-shard-size 8kB"
        ))
        .worked();
    assert!(said.contains("weights as bf16"), "{said}");
    let index = here.read_json("small/model.safetensors.index.json");
    let (before, after) = (here.inspection("m"), here.inspection("small"));
    assert_eq!(before["n_parameters"], after["n_parameters"]);
    let n_parameters = after["n_parameters"].as_u64().unwrap();
    assert_eq!(index["metadata"]["total_size"], 2 * n_parameters);
    assert_eq!(here.read_json("small/config.json")["dtype"], "bfloat16");
    here.compute(&format!("{PPL} --model small --contexts 64 --windows 1"));

    let outcome = here.run(&format!("{export} --out x --dtype f8"));
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("bf16"), "{}", outcome.stderr);
}

#[test]
fn what_config_json_cannot_express_is_a_warning_and_kept_in_rope_json() {
    let here = searched("--set search.start-tokens=[8]");
    let outcome = here.run("export --model m --rope run/rope.json --out extended");
    assert!(outcome.stderr.contains("WARN"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("unscaled"), "{}", outcome.stderr);
    outcome.worked();
    assert_eq!(
        here.read_json("extended/rope.json"),
        here.read_json("run/rope.json")
    );
}

#[test]
fn export_replaces_a_folder_only_with_force() {
    let here = Workplace::with_model();
    let line = "export --model m --rope yarn --target 64 --out extended";
    here.run(line).worked();
    here.fails(line);
    here.run(&line.replace("64", "128")).refused();
    here.run(&format!("{} --force", line.replace("64", "128")))
        .worked();
    assert_eq!(here.inspection("extended")["max_context"], 128);
}

#[test]
fn factors_can_come_from_csv() {
    let here = Workplace::with_model();
    let factors = ["1", "1", "1.25", "1.5", "2", "2.5", "3", "4"];
    let row = factors.join(",");
    here.write("column.csv", factors.join("\n"));
    here.write("layers.csv", format!("{row}\n{row}\n"));
    let numbers: Vec<f64> = factors
        .iter()
        .map(|factor| factor.parse().unwrap())
        .collect();
    let set = json!({"max_context": 128, "start_tokens": 0, "factors": numbers});
    let rope = json!({
        "format": "longrope-rope", "version": 1,
        "rotary_dim": 16, "theta": 10000.0, "original_context": 32,
        "scaling": {"type": "long-rope", "sets": [set], "attention": {"type": "su"}},
    });
    here.write("rope.json", rope.to_string());
    let report = here.compute_json(&format!(
        "{PPL} --model m --contexts 128 --rope rope.json column.csv layers.csv none"
    ));
    let losses = losses(&report);
    assert_close(&losses[1..3], &[losses[0]; 2], 0.0);
    assert!((losses[3] - losses[0]).abs() > 1e-3, "{losses:?}");
}

#[test]
fn several_workers_give_the_results_of_one() {
    let here = Workplace::with_model();
    let compare = "compare --model m --tokens tokens.json --contexts 32,64,128 --json";
    let measure = |devices: &str| -> Vec<Value> {
        let stdout = here.run(&format!("{compare} {devices}")).worked();
        let mut report: Value = serde_json::from_str(&stdout).unwrap();
        let results = report["results"].as_array_mut().unwrap();
        for result in &mut *results {
            result.as_object_mut().unwrap().remove("elapsed_secs");
        }
        std::mem::take(results)
    };
    let one = measure("--device flex");
    assert_eq!(one.len(), 5 * 3);
    assert_eq!(measure("--device flex --device flex --device flex"), one);
}

#[test]
fn both_backends_of_the_cpu_agree() {
    if !cfg!(feature = "ndarray") {
        return;
    }
    let here = Workplace::with_model();
    let measure = |device: &str| {
        let line = format!("{PPL} --model m --contexts 32,128 --rope yarn --device {device}");
        let report: Value = serde_json::from_str(&here.run(&line).worked()).unwrap();
        losses(&report)
    };
    assert_close(&measure("flex"), &measure("ndarray"), SAME_MODEL);
}

#[test]
fn a_folder_of_text_is_read_in_the_order_of_its_paths() {
    let here = Workplace::with_tokenizer();
    fs_err::create_dir(here.path("text")).unwrap();
    for name in ["b.txt", "a.md"] {
        let text = fs_err::read_to_string(repository().join("ARCHITECTURE.md")).unwrap();
        here.write(&format!("text/{name}"), text);
    }
    here.compute(
        "eval ppl --model t --text text --contexts 64 --windows 1 --per-token tokens.jsonl",
    );
    let lines = here.read_json_lines("tokens.jsonl");
    let mut sources: Vec<&str> = lines
        .iter()
        .filter_map(|it| it["source"].as_str())
        .collect();
    sources.dedup();
    assert_eq!(sources, ["text/a.md", "text/b.txt"]);
}

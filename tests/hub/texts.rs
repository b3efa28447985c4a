//! Texts of data sets of the hub, and Parquet files as text.

use serde_json::Value;

use super::server::{COMMIT, Hub};
use super::{NOWHERE, run};
use crate::support::{Workplace, repository};

const PPL: &str = "eval ppl t --contexts 64 --json --text";

/// A folder with the checkpoint `t`, and a hub with the data set `o/texts`.
fn workplace() -> Workplace {
    let here = Workplace::with_tokenizer();
    here.rust_text();
    let text = here.read("text.txt");
    let (first, second) = text.split_at(text.len() / 2);
    fs_err::create_dir_all(here.path("hub/datasets/o/texts/data")).unwrap();
    fs_err::create_dir_all(here.path("hub/datasets/o/texts/other")).unwrap();
    let file = |name: &str| format!("hub/datasets/o/texts/{name}");
    here.write(&file("README.md"), "not text");
    here.write(&file("LICENSE.txt"), "not text");
    here.parquet(
        &file("data/train-00001-of-00002.parquet"),
        "text",
        &[second],
    );
    let line = serde_json::json!({"text": first});
    here.write(
        &file("data/train-00000-of-00002.jsonl"),
        format!("{line}\n"),
    );
    here.write(&file("data/test.jsonl"), "not JSON");
    here.parquet(&file("other/a b.parquet"), "body", &[first]);
    here.write("first.txt", first);
    here.write("second.txt", second);
    here
}

/// The results of a report, without times.
fn results(json: &str) -> Value {
    let mut report: Value = serde_json::from_str(json).unwrap();
    for result in report["results"].as_array_mut().unwrap() {
        result["elapsed_secs"] = Value::Null;
    }
    report["results"].take()
}

#[test]
fn parquet_files_and_folders_with_them_are_text() {
    let here = workplace();
    let expected = here.run(&format!("{PPL} first.txt second.txt")).worked();
    fs_err::create_dir(here.path("folder")).unwrap();
    let [first, second] = ["first.txt", "second.txt"].map(|name| here.read(name));
    here.parquet("folder/a.parquet", "body", &[&first, " ", &second]);
    here.write("folder/b.bin", "not text");
    for path in ["folder", "folder/a.parquet"] {
        let line = format!("{PPL} {path} --set data.text-field=body");
        let found = here.run(&line).worked();
        assert_eq!(results(&found), results(&expected), "{path}");
    }
    here.run(&format!("{PPL} folder"))
        .refused_with("no column `text`, found `body`");
}

#[test]
fn the_training_split_of_a_data_set_is_fetched_once_and_read_in_the_order_of_names() {
    let here = workplace();
    let hub = Hub::serve(here.path("hub"));
    let expected = here.run(&format!("{PPL} first.txt second.txt")).worked();
    let fetched = run(&here, &hub.address, &format!("{PPL} hf:o/texts"));
    assert!(
        fetched.stderr.contains("downloading 2 files ("),
        "{}",
        fetched.stderr
    );
    let words = format!("of data set `o/texts`, commit {COMMIT}");
    assert!(fetched.stderr.contains(&words), "{}", fetched.stderr);
    let fetched = fetched.worked();
    assert_eq!(results(&fetched), results(&expected));
    let report: Value = serde_json::from_str(&fetched).unwrap();
    assert!(report.to_string().contains("\"hf:o/texts\""), "{report}");
    let requests = hub.requests();
    assert_eq!(
        requests
            .iter()
            .filter(|it| it.starts_with("GET /datasets/"))
            .count(),
        2
    );
    let again = run(&here, &hub.address, &format!("{PPL} hf:o/texts"));
    assert!(!again.stderr.contains("downloading"), "{}", again.stderr);
    assert_eq!(results(&again.worked()), results(&expected));
    assert_eq!(hub.requests().len(), 1, "only the list of files");
    // Without the hub, the files in the cache are read, and that is said.
    for revision in ["", "@main", &format!("@{COMMIT}")] {
        let cached = run(&here, NOWHERE, &format!("{PPL} hf:o/texts{revision}"));
        assert!(
            cached.stderr.contains("2 files in the cache are read"),
            "{}",
            cached.stderr
        );
        assert_eq!(results(&cached.worked()), results(&expected));
    }
}

#[test]
fn files_and_folders_of_a_data_set_can_be_named_and_mixed_with_others() {
    let here = workplace();
    let hub = Hub::serve(here.path("hub"));
    let expected = here.run(&format!("{PPL} first.txt second.txt")).worked();
    let line = format!(
        "{PPL} hf:o/texts@v1/data/train-00000-of-00002.jsonl second.txt --set data.cache=tokens"
    );
    let found = run(&here, &hub.address, &line).worked();
    assert_eq!(results(&found), results(&expected));
    assert!(here.path("tokens").is_dir());
    let expected = here.run(&format!("{PPL} first.txt")).worked();
    for place in ["hf:o/texts/other", "hf:datasets/o/texts/other/"] {
        let line = format!("{PPL} {place} --set data.text-field=body");
        let found = run(&here, &hub.address, &line).worked();
        assert_eq!(results(&found), results(&expected), "{place}");
    }
}

#[test]
fn texts_that_are_not_there_are_named() {
    let here = workplace();
    let hub = Hub::serve(here.path("hub"));
    fs_err::create_dir_all(here.path("hub/datasets/o/none")).unwrap();
    here.write("hub/datasets/o/none/a.csv", "a");
    for (place, words) in [
        ("hf:o/none", "`hf:o/none` has no text, found `a.csv`"),
        ("hf:o/texts/nothing", "`hf:o/texts/nothing` has no text"),
        ("hf:o/missing", "cannot fetch data set `o/missing`"),
        ("hf:o/texts@v9", "cannot fetch data set `o/texts`"),
        ("hf:o/texts/a/../../b", "does not name a data set"),
    ] {
        let line = format!("{PPL} {place}");
        run(&here, &hub.address, &line).refused_with(words);
    }
    run(&here, NOWHERE, &format!("{PPL} hf:o/texts")).refused_with("check the network");
}

#[test]
fn a_recipe_is_planned_without_its_texts_and_trainings_take_them() {
    let here = workplace();
    let hub = Hub::serve(here.path("hub"));
    let recipe = r#"model = "t"
text = ["hf:o/texts"]

[[stage]]
name = "a"
verb = "ppl"
rope = ["none"]
contexts = [64]

[[stage]]
name = "b"
verb = "finetune"
rope = ["pi"]
train = { context = 512, eval-text = ["hf:o/texts/other/a b.parquet"] }
"#;
    here.write("recipe.toml", recipe);
    let line = "extend --config recipe.toml --out x --dry-run";
    run(&here, &hub.address, line).worked();
    assert!(hub.requests().is_empty());
    let wrong = recipe.replace("hf:o/texts\"", "hf:o/../texts\"");
    here.write("wrong.toml", wrong);
    let line = "extend --config wrong.toml --out x --dry-run";
    run(&here, &hub.address, line).refused_with("does not name a data set");
    let tiny = repository().join("configs/pretrain-tiny.toml");
    let line = format!(
        "pretrain --config {} --text hf:o/texts --out p --set pretrain.held-out=['hf:o/none']",
        tiny.display()
    );
    run(&here, &hub.address, &line).refused_with("cannot fetch data set `o/none`");
}

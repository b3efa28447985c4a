//! The JSON that other programs read: its keys, their order and the kinds of their values.

use insta::assert_snapshot;
use serde_json::Value;

use crate::support::{TINY_SEARCH, Workplace};

/// A line for every key of a JSON value, with the kind of its value; strings and numbers that
/// identify a format are shown. A list is described by its first item.
fn shape(value: &Value) -> String {
    let mut lines = Vec::new();
    describe("", value, &mut lines);
    lines.join("\n")
}

fn describe(path: &str, value: &Value, lines: &mut Vec<String>) {
    let text = match value {
        Value::Object(object) => {
            for (key, value) in object {
                let dot = if path.is_empty() { "" } else { "." };
                describe(&format!("{path}{dot}{key}"), value, lines);
            }
            return;
        }
        Value::Array(items) => {
            match items.first() {
                Some(item) => describe(&format!("{path}[]"), item, lines),
                None => lines.push(format!("{path}: empty")),
            }
            return;
        }
        _ if matches!(path, "format" | "version" | "scaling.type") => value.to_string(),
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "boolean".to_owned(),
        Value::String(_) => "string".to_owned(),
        Value::Number(number) if number.is_f64() => "real".to_owned(),
        Value::Number(_) => "whole".to_owned(),
    };
    lines.push(format!("{path}: {text}"));
}

#[test]
fn inspection() {
    let here = Workplace::with_model();
    assert_snapshot!(shape(&here.inspection("m")), @"");
}

#[test]
fn evaluation() {
    let here = Workplace::with_model();
    let json = here.compute_json(
        "eval ppl --model m --tokens tokens.json --contexts 32 --per-token tokens.jsonl --json",
    );
    assert_snapshot!(shape(&json), @"");
    assert_snapshot!(shape(&here.read_json_lines("tokens.jsonl")[0]), @"");
}

#[test]
fn files_of_a_search() {
    let here = Workplace::with_model();
    let flags = "--set search.generations=1 --target 128 --out run --json";
    let printed = here.compute_json(&format!("{TINY_SEARCH} {flags}"));
    assert_eq!(printed, here.read_json("run/search/result.json"));
    assert_snapshot!(shape(&printed), @"");
    assert_snapshot!(shape(&here.read_json_lines("run/metrics.jsonl")[0]), @"");
    assert_snapshot!(shape(&here.read_json("run/rope.json")), @"");
    let state = here.read_json("run/search/state.json");
    assert_eq!(state["format"], "longrope-search-state");
    assert_eq!(state["version"], 1);
}

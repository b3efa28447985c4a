//! The state as a file: its header is pinned, and errors name the damage.

use longrope_rope::AttentionScale;
use longrope_search::{Candidate, Error, FnObjective, Outcome, Search, SearchConfig, SearchState};
use serde_json::{Value, json};

use crate::analytic::{SMALL, loss, small_config};

fn state() -> SearchState {
    let mut search = Search::new(SMALL, small_config(), 9).expect("valid");
    let mut objective = FnObjective::new(1, |candidate: &Candidate, _| {
        Outcome::Loss(loss(candidate, 4.0))
    });
    for _ in 0..2 {
        search.step(&mut objective).expect("a formula cannot stop");
    }
    search.state().clone()
}

/// The state with one place changed.
fn damaged(pointer: &str, value: Value) -> Result<SearchState, Error> {
    let mut document: Value =
        serde_json::from_str(&state().to_json().expect("plain data")).expect("own output");
    *document
        .pointer_mut(pointer)
        .expect("the state has this place") = value;
    SearchState::from_json(&document.to_string())
}

#[test]
fn the_header_is_pinned() {
    let json = state().to_json().expect("plain data");
    let expected = concat!(
        r#"{"format":"longrope-search-state","version":2,"#,
        r#""problem":{"rotary_dim":16,"theta":10000.0,"original_context":256,"target_context":1024},"#,
        r#""config":{"operators":"windows","population":16,"mutations":5,"crossovers":5,"mutation-prob":0.3,"generations":6,"parents":8,"#,
        r#""max-retries":20,"halve-beyond":524288,"max-factor-ratio":1.25,"max-factor-extra":0.0,"critical-unscaled":0,"step":0.01,"#,
        r#""start-tokens":[0,2,4,8,12,16,20,24,28,32,64,128,256],"attention":{"type":"seeds"},"#,
        r#""seeds":["pi","ntk","yarn","none","dynamic-ntk"],"yarn-beta-fast":32.0,"yarn-beta-slow":1.0,"racing-strictness":0.0,"#,
        r#""smooth-share":0.0,"difference-share":0.0,"surrogate-pool":1,"batch-candidates":32},"#,
        r#""init":[],"seed":9,"rng":{"seed":["#,
    );
    assert_eq!(&json[..expected.len()], expected);
    let document: Value = serde_json::from_str(&json).expect("own output");
    let keys: Vec<&str> = document
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect();
    let rest = ["rng", "n_samples", "population", "seeds", "history", "memo"];
    assert_eq!(keys[6..], rest);
}

#[test]
fn foreign_and_newer_files_are_called_that() {
    let foreign = SearchState::from_json(r#"{"format":"longrope-rope","version":1}"#);
    assert!(
        matches!(&foreign, Err(Error::StateFormat { found, .. }) if found == r#""longrope-rope""#),
        "{foreign:?}"
    );
    let bare = SearchState::from_json("{}");
    assert!(matches!(&bare, Err(Error::StateFormat { found, .. }) if found == "missing"));
    let newer =
        SearchState::from_json(r#"{"format":"longrope-search-state","version":3,"unknown":[]}"#);
    assert!(matches!(&newer, Err(Error::StateVersion { found, expected: 2 }) if found == "3"));
}

#[test]
fn a_file_cut_short_is_not_json() {
    let json = state().to_json().expect("plain data");
    let cut = SearchState::from_json(&json[..json.len() / 2]);
    assert!(matches!(cut, Err(Error::StateJson { .. })));
    assert!(matches!(
        damaged("/memo/0/score", json!("high")),
        Err(Error::StateJson { .. })
    ));
}

#[test]
fn the_null_that_version_0_1_wrote_for_an_infinite_score_is_read() {
    let read = damaged("/memo/3/score", Value::Null).expect("an old state");
    assert!(read.scored()[3].score.is_infinite());
    let read = damaged("/history/1/median", Value::Null).expect("an old state");
    assert!(read.history()[1].median.is_infinite());
    assert!(!read.to_json().expect("plain data").contains("null"));
}

#[test]
fn one_start_token_is_none() {
    let config = SearchConfig {
        start_tokens: vec![8, 1, 0, 2],
        ..small_config()
    };
    let space = config.space(&SMALL).expect("valid");
    let init = space.nearest(&[2.0; 8], 1, AttentionScale::None {});
    let init = init.expect("finite");
    assert_eq!(init.start_tokens, 1, "as an older rope.json may have it");
    let search = Search::with_init(SMALL, config, vec![init], 9).expect("valid");
    assert_eq!(search.state().config().start_tokens, [8, 0, 2]);
    let start = &search.space().start_tokens();
    assert_eq!(*start, [8, 0, 2]);
}

#[test]
fn a_state_with_one_start_token_continues_as_it_began() {
    let old = damaged(
        "/config/start-tokens",
        json!([0, 1, 2, 4, 8, 12, 16, 20, 24, 28, 32, 64, 128, 256]),
    );
    let mut document = serde_json::to_value(old.expect("an old state")).expect("plain data");
    document["memo"][0]["candidate"]["start_tokens"] = json!(1);
    let state = SearchState::from_json(&document.to_string()).expect("an old state");
    let search = Search::resume(state).expect("an old state");
    assert!(search.space().start_tokens().contains(&1));
}

#[test]
fn parts_that_do_not_fit_are_named() {
    let cases = [
        ("memo", "/memo/0/candidate/steps/0", json!(99)),
        ("memo", "/memo/0/candidate/start_tokens", json!(3)),
        ("memo", "/memo/0/generation", json!(7)),
        ("population", "/population/0", json!(100_000)),
        ("population", "/population", json!([])),
        ("history", "/history/1/index", json!(4)),
        ("n_samples", "/n_samples", Value::Null),
        ("n_samples", "/n_samples", json!(u64::MAX)),
        ("n_samples", "/n_samples", json!(0)),
        ("memo", "/memo/0/n_samples", json!(u64::MAX)),
        ("history", "/history/0/evaluations", json!(u64::MAX)),
        ("history", "/history/1/sample_evaluations", json!(3)),
        ("history", "/history/0/dropped", json!(u64::MAX)),
        ("history", "/history/0/memo_hits", json!(u64::MAX)),
        ("history", "/history/1/proposals", json!(u64::MAX)),
        ("history", "/history/0/policy_trials", json!(u64::MAX)),
        ("config", "/config/generations", json!(u64::MAX)),
        ("config", "/config/mutations", json!(u64::MAX)),
    ];
    for (expected, pointer, value) in cases {
        let result = damaged(pointer, value);
        assert!(
            matches!(&result, Err(Error::StateCorrupt { field, .. }) if *field == expected),
            "{pointer}: {result:?}"
        );
    }
    assert!(matches!(
        damaged("/config/population", json!(0)),
        Err(Error::InvalidConfig {
            key: "population",
            ..
        })
    ));
    let twice = serde_json::to_value(&state().scored()[1]).expect("plain data");
    assert!(matches!(
        damaged("/memo/0", twice),
        Err(Error::StateCorrupt { field: "memo", .. })
    ));
}

use super::*;

#[test]
fn assignments_reach_into_sections_and_know_types() {
    let table = assignment_table("search.population=32").unwrap();
    assert_eq!(table["search"]["population"].as_integer(), Some(32));
    let table = assignment_table("device=flex").unwrap();
    assert_eq!(table["device"].as_str(), Some("flex"));
    let table = assignment_table("contexts=[1, 2]").unwrap();
    assert_eq!(table["contexts"].as_array().unwrap().len(), 2);
    assert!(assignment_table("seed").is_err());
}

#[test]
fn later_layers_win_key_by_key() {
    let mut base: Table =
        toml::from_str("seed = 1\n[search]\npopulation = 8\nparents = 4").unwrap();
    merge(&mut base, assignment_table("search.parents=2").unwrap());
    assert_eq!(base["search"]["population"].as_integer(), Some(8));
    assert_eq!(base["search"]["parents"].as_integer(), Some(2));
}

#[test]
fn numbers_beyond_those_of_toml_are_kept() {
    let table = assignment_table("seed=18446744073709551615").unwrap();
    assert_eq!(deserialize(table).unwrap().seed, u64::MAX);
    for text in [
        "contexts=[256, 9223372036854775808]",
        "search.target=9223372036854775808",
        "train.steps=18446744073709551615",
        "passkey.trials=-9223372036854775809",
    ] {
        let error = deserialize(assignment_table(text).unwrap()).unwrap_err();
        let message = format!("{error:#}");
        assert!(
            message.contains("9223372036854775808") || message.contains("expected"),
            "{message}"
        );
        assert!(message.contains("expected"), "{message}");
    }
}

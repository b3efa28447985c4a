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

#[test]
fn text_and_tokens_replace_each_other_in_later_layers() {
    let text = || toml::from_str::<Table>("text = ['a.txt']").unwrap();
    let tokens = || toml::from_str::<Table>("tokens = 't.json'").unwrap();
    for (first, later, is_text) in [(tokens(), text(), true), (text(), tokens(), false)] {
        let mut base = first;
        merge_layer(&mut base, later, "x").unwrap();
        let config = deserialize(base).unwrap();
        assert_eq!(
            (config.tokens.is_none(), config.text.len() == 1),
            (is_text, is_text)
        );
    }
    // Saved configurations name an empty list.
    let saved = "text = []\ntokens = 't.json'";
    let mut base = text();
    merge_layer(&mut base, toml::from_str(saved).unwrap(), "x").unwrap();
    assert!(deserialize(base).unwrap().tokens.is_some());
    // An empty list removes nothing.
    let mut base = tokens();
    merge_layer(&mut base, assignment_table("text=[]").unwrap(), "x").unwrap();
    assert!(deserialize(base).unwrap().tokens.is_some());

    let mut both = text();
    merge(&mut both, tokens());
    let error = merge_layer(&mut Table::new(), both.clone(), "the flags").unwrap_err();
    let message = format!("{error:#}");
    assert!(
        message.contains("the flags: `text` and `tokens` are both set"),
        "{message}"
    );
    as_it_was_read(&mut both);
    assert_eq!(both, tokens());
    let set = ["tokens=t.json", "text=['a.txt']"].map(str::to_owned);
    assert_eq!(assignments(&set).unwrap().len(), 2);
}

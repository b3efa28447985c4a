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

#[test]
fn a_value_in_the_place_of_a_section_is_refused() {
    for (set, words) in [
        (
            &["eval=3", "eval.windows=4"][..],
            "`--set eval=3`: `eval` is 3, expected a section",
        ),
        (
            &["search=fast"][..],
            "`--set search=fast`: `search` is \"fast\", expected a section",
        ),
    ] {
        let set: Vec<String> = set.iter().map(|&word| word.to_owned()).collect();
        let message = format!("{:#}", assignments(&set).unwrap_err());
        assert!(message.contains(words), "{message}");
    }
    // A section may be set as a whole, and a nested table may have another form.
    for set in [
        "eval={ windows = 4 }",
        "search.attention.type=seeds",
        "rope=[]",
    ] {
        assignments(&[set.to_owned()]).unwrap();
    }
    let recipe: Table = toml::from_str("search = 'fast'").unwrap();
    assert!(merge_layer(&mut Table::new(), recipe, "stage `find`").is_err());
}

#[test]
fn blanks_around_a_value_are_left_out() {
    for (assignment, expected) in [
        ("eval.bos = none", "none"),
        (" eval.bos =\tnone\n", "none"),
        ("eval.bos = \" none\"", " none"),
    ] {
        let table = assignment_table(assignment).unwrap();
        assert_eq!(table["eval"]["bos"].as_str(), Some(expected));
    }
}

#[test]
fn no_line_of_a_value_is_lost() {
    for text in ["1\nsecond = 2", "true\n[section]"] {
        let table = assignment_table(&format!("needle.needle={text}")).unwrap();
        assert_eq!(table["needle"]["needle"].as_str(), Some(text));
    }
    let table = assignment_table("contexts=[1,\n2]").unwrap();
    assert_eq!(table["contexts"].as_array().unwrap().len(), 2);
}

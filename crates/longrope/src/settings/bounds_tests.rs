use super::*;

fn refused(text: &str) -> String {
    let table: Table = text.parse().unwrap();
    format!("{:#}", check(&table).unwrap_err())
}

#[test]
fn counts_outside_their_range_are_refused_with_a_reason() {
    for (text, expected) in [
        ("contexts = [256, 2000000000]", "`contexts` is 2000000000"),
        (
            "contexts = ['18446744073709551615']",
            "18446744073709551615",
        ),
        ("search = { population = 1000000000 }", "search.population"),
        ("train = { lora = { rank = 1000000000 } }", "lora.rank"),
        ("train = { batch = 0 }", "expected 1 to 65536"),
        ("search = { samples = 0 }", "`search.samples` is 0"),
        ("passkey = { trials = -3 }", "`passkey.trials` is -3"),
        (
            "pretrain = { phases = [{ batch = 70000 }] }",
            "phases[].batch",
        ),
        (
            "pretrain = { phases = [{ accumulate = 70000 }] }",
            "phases[].accumulate",
        ),
        (
            "pretrain = { phases = [{ skipped = { targets = [64, 2000000000] } }] }",
            "phases[].skipped.targets",
        ),
        (
            "pretrain = { phases = [{ skipped = { pieces = 70000 } }] }",
            "phases[].skipped.pieces",
        ),
    ] {
        let message = refused(text);
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn flags_without_a_key_are_not_looked_for_in_the_table_of_keys() {
    let message = format!("{:#}", check_flag("--length", 0, 1, 10).unwrap_err());
    assert!(message.contains("give 1 or more"), "{message}");
    assert!(!message.contains("README"), "{message}");
    let message = refused("gain = { tail = 0 }");
    assert!(message.contains("README"), "{message}");
}

#[test]
fn digits_have_the_ranges_of_their_tasks() {
    for (text, expected) in [
        ("search-needle = { digits = 10 }", "expected 1 to 9"),
        ("search-needle = { digits = 0 }", "expected 1 to 9"),
        ("needle = { digits = 19 }", "expected 1 to 18"),
        ("needle = { digits = 0 }", "expected 1 to 18"),
    ] {
        let message = refused(text);
        assert!(message.contains(expected), "{message}");
    }
    let table: Table = "search-needle = { digits = 9 }\nneedle = { digits = 18 }"
        .parse()
        .unwrap();
    check(&table).unwrap();
}

#[test]
fn defaults_are_within_their_ranges() {
    let config = crate::settings::config::Config::default();
    let table: Table = config.to_toml().unwrap().parse().unwrap();
    check(&table).unwrap();
    for bound in BOUNDS {
        assert!(bound.least <= bound.most, "{}", bound.key);
    }
}

#[test]
fn every_bound_is_of_a_known_key() {
    // A value of a wrong type, so that a known key is answered with its type and an unknown one with its name.
    for bound in BOUNDS {
        let mut value = Value::from("x");
        for part in bound.key.rsplit('.') {
            let (name, is_list) = match part.strip_suffix("[]") {
                Some(name) => (name, true),
                None => (part, false),
            };
            if is_list {
                value = Value::Array(vec![value]);
            }
            value = Value::Table(Table::from_iter([(name.to_owned(), value)]));
        }
        let Value::Table(table) = value else { continue };
        let error = table
            .try_into::<crate::settings::config::Config>()
            .unwrap_err();
        assert!(
            !error.to_string().contains("unknown field"),
            "{}: {error}",
            bound.key
        );
    }
}

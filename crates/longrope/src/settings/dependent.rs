//! Defaults that depend on other keys: a default that contradicts a key that was set gives way, and the user is told.

use longrope_data::counted;
use longrope_search::Seed;
use toml::{Table, Value};

use super::config::{Config, Profile, SearchSection};

/// Default of `needle.needles` for needles that are told apart.
const SEVERAL: usize = 4;

/// Sets the keys whose defaults contradict the keys of `table`. Returns a line about each.
///
/// Keys that are both set are not changed: their contradiction is an error.
pub(crate) fn adjust(table: &mut Table) -> Vec<String> {
    let mut told = Vec::new();
    set_needles(table);
    let warmup = Config::default().train.warmup_steps;
    if let Some(steps) = count(table, "train", "steps")
        && count(table, "train", "warmup-steps").is_none()
        && steps < warmup
    {
        let why = counted(steps, "step");
        told.push(format!(
            "`train.warmup-steps` is {steps} instead of its default {warmup}, because the training has {why}"
        ));
        set(table, "train", "warmup-steps", steps);
    }
    let defaults = search_defaults(table).evolution;
    match (
        count(table, "search", "population"),
        count(table, "search", "parents"),
    ) {
        (Some(population), None) if (1..defaults.parents).contains(&population) => {
            told.push(format!(
                "`search.parents` is {population} instead of its default {}, because the population is {population}",
                defaults.parents
            ));
            set(table, "search", "parents", population);
        }
        (None, Some(parents)) if parents > defaults.population => {
            told.push(format!(
                "`search.population` is {parents} instead of its default {}, because it has {}",
                defaults.population,
                counted(parents, "parent")
            ));
            set(table, "search", "population", parents);
        }
        _ => {}
    }
    drop_a_seed(table, &defaults.seeds, &mut told);
    told
}

/// Kinds of needles that are told apart need several of them.
fn set_needles(table: &mut Table) {
    let kind = table.get("needle").and_then(|needle| needle.get("kind"));
    let kind = kind.and_then(Value::as_str);
    let is_told_apart = matches!(kind, Some("association" | "ordinal"));
    if is_told_apart && count(table, "needle", "needles").is_none() {
        set(table, "needle", "needles", SEVERAL);
    }
}

/// Leaves out the last default seed if the population is one too small for all seeds and the candidate of `search.init`.
fn drop_a_seed(table: &mut Table, defaults: &[Seed], told: &mut Vec<String>) {
    let Some(population) = count(table, "search", "population") else {
        return;
    };
    let is_set = |key: &str| {
        table
            .get("search")
            .is_some_and(|search| search.get(key).is_some())
    };
    let needed = defaults.len() + usize::from(is_set("init"));
    let Some((last, rest)) = defaults.split_last() else {
        return;
    };
    if is_set("seeds") || *last != Seed::DynamicNtk || population + 1 != needed {
        return;
    }
    told.push(format!(
        "`search.seeds` is without {}, because the population is {population}",
        last.name()
    ));
    let rest: Vec<Value> = rest.iter().map(|seed| seed.name().into()).collect();
    if let Some(Value::Table(search)) = table.get_mut("search") {
        search.insert("seeds".to_owned(), rest.into());
    }
}

/// The defaults of the profile that `table` names; of the default profile if it names an unknown one.
fn search_defaults(table: &Table) -> SearchSection {
    let profile = table
        .get("search")
        .and_then(|search| search.get("profile"))
        .and_then(|profile| profile.clone().try_into::<Profile>().ok());
    profile.unwrap_or(Profile::Paper).section()
}

/// A count that is set.
fn count(table: &Table, section: &str, key: &str) -> Option<usize> {
    let number = table.get(section)?.get(key)?.as_integer()?;
    usize::try_from(number).ok()
}

fn set(table: &mut Table, section: &str, key: &str, count: usize) {
    if let Some(Value::Table(section)) = table.get_mut(section) {
        section.insert(key.to_owned(), super::big_number::value(count as u64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adjusted(text: &str) -> (Table, Vec<String>) {
        let mut table: Table = text.parse().unwrap();
        let told = adjust(&mut table);
        (table, told)
    }

    #[test]
    fn defaults_give_way_to_keys_that_are_set() {
        let (table, told) = adjusted("train = { steps = 10 }\nsearch = { population = 4 }");
        assert_eq!(table["train"]["warmup-steps"].as_integer(), Some(10));
        assert_eq!(table["search"]["parents"].as_integer(), Some(4));
        assert_eq!(table["search"]["seeds"].as_array().unwrap().len(), 4);
        assert_eq!(told.len(), 3, "{told:?}");
        let (table, told) = adjusted("search = { parents = 100 }");
        assert_eq!(table["search"]["population"].as_integer(), Some(100));
        assert_eq!(told.len(), 1, "{told:?}");
    }

    #[test]
    fn needles_that_are_told_apart_are_several() {
        for (text, expected) in [
            ("needle = { kind = 'ordinal' }", Some(4)),
            ("needle = { kind = 'association', needles = 1 }", Some(1)),
            ("needle = { kind = 'number' }", None),
        ] {
            let (table, told) = adjusted(text);
            assert_eq!(
                (count(&table, "needle", "needles"), told.len()),
                (expected, 0)
            );
        }
    }

    #[test]
    fn nothing_changes_without_a_contradiction_or_where_both_keys_are_set() {
        for text in [
            "seed = 1",
            "train = { steps = 100 }",
            "train = { steps = 10, warmup-steps = 20 }",
            "search = { population = 64 }",
            "search = { population = 8, parents = 100 }",
            "search = { population = 0 }",
        ] {
            let (table, told) = adjusted(text);
            assert_eq!(table, text.parse::<Table>().unwrap());
            assert!(told.is_empty(), "{told:?}");
        }
    }
}

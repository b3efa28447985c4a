use longrope_search::SearchConfig;

use super::search::ObjectiveSetting;
use super::*;

#[test]
fn what_is_written_is_read_back() {
    let mut config = Config {
        contexts: vec![256, 512],
        ..Config::default()
    };
    config.search.run.target = Some(2048);
    config.search.evolution.population = 32;
    config.search.run.adapt.steps = 4;
    let text = config.to_toml().unwrap();
    assert_eq!(toml::from_str::<Config>(&text).unwrap(), config);
    assert!(text.contains("population = 32"), "{text}");
}

#[test]
fn a_profile_sets_what_is_not_set() {
    let text = "[search]\nprofile = \"v2\"\npopulation = 8\nparents = 4";
    let search = toml::from_str::<Config>(text).unwrap().search;
    assert_eq!(search.run.objective, ObjectiveSetting::Needle);
    assert_eq!(
        search.evolution.operators,
        longrope_search::Operators::Critical
    );
    assert_eq!(search.evolution.population, 8);
    let official = toml::from_str::<Config>("[search]\nprofile = \"official\"").unwrap();
    assert_eq!(official.search.evolution, SearchConfig::official(false));
    let error = toml::from_str::<Config>("[search]\nprofile = \"v3\"").unwrap_err();
    assert!(error.to_string().contains("official"), "{error}");
}

#[test]
fn unknown_keys_are_refused_in_every_section() {
    for text in ["sead = 1", "[data]\nfield = 1", "[search]\npopulatoin = 3"] {
        let error = toml::from_str::<Config>(text).unwrap_err().to_string();
        assert!(error.contains("unknown field"), "{error}");
    }
}

#[test]
fn an_adaptation_without_steps_has_no_effect() {
    let unread = |text: &str| {
        let config = toml::from_str::<Config>(text).unwrap();
        config.search.unread(false)
    };
    assert_eq!(
        unread("[search]\nadapt = { pieces = 7, rank = 8 }"),
        [
            "`search.adapt.pieces` has no effect while `search.adapt.steps` is 0, which trains nothing"
        ]
    );
    let on = unread("[search]\nadapt = { steps = 2, window = 128 }");
    assert_eq!(on, [""; 0]);
}

//! The variables of `huggingface_hub`.

use super::server::{COMMIT, Hub};
use super::{NOWHERE, workplace};

#[test]
fn the_cache_is_where_variables_say() {
    let here = workplace();
    let hub = Hub::serve(here.path("hub"));
    let place = here.path("place");
    let place = place.to_str().unwrap();
    for (name, inside) in [
        ("HF_HUB_CACHE", ""),
        ("HUGGINGFACE_HUB_CACHE", ""),
        ("HF_HOME", "hub/"),
        ("XDG_CACHE_HOME", "huggingface/hub/"),
    ] {
        // An address may end with a slash, and empty variables are as if they were not set.
        let endpoint = format!("{}/", hub.address);
        let mut variables = vec![("HF_HUB_CACHE", ""), ("HF_ENDPOINT", &endpoint)];
        variables.push((name, place));
        here.run_with("inspect hf:o/m", &variables).worked();
        let config = format!("place/{inside}models--o--m/snapshots/{COMMIT}/config.json");
        assert!(here.path(&config).is_file(), "{name}");
        fs_err::remove_dir_all(place).unwrap();
    }
}

#[test]
fn the_token_comes_from_a_variable_or_a_file_and_goes_to_the_hub() {
    let here = workplace();
    let hub = Hub::serve(here.path("hub"));
    here.write("mine", "of-file\n");
    let (home, file) = (here.path("home"), here.path("mine"));
    let (home, file) = (home.to_str().unwrap(), file.to_str().unwrap());
    for (variables, token) in [
        (vec![("HF_TOKEN", "new"), ("HF_TOKEN_PATH", file)], "new"),
        (vec![("HUGGING_FACE_HUB_TOKEN", "old")], "old"),
        (vec![("HF_TOKEN", ""), ("HF_TOKEN_PATH", file)], "of-file"),
        (vec![], "of-home"),
    ] {
        fs_err::create_dir(home).unwrap();
        here.write("home/token", "of-home");
        let common = [("HF_HOME", home), ("HF_ENDPOINT", &hub.address)];
        let variables = [&common[..], &variables].concat();
        here.run_with("inspect hf:o/m", &variables).worked();
        let requests = hub.requests();
        assert!(requests.len() > 3, "{requests:?}");
        let ending = format!("Bearer {token}");
        assert!(
            requests.iter().all(|it| it.ends_with(&ending)),
            "{requests:?}"
        );
        fs_err::remove_dir_all(home).unwrap();
    }
}

#[test]
fn offline_only_the_cache_is_used() {
    let here = workplace();
    let hub = Hub::serve(here.path("hub"));
    let home = here.path("home");
    let online = [
        ("HF_HOME", home.to_str().unwrap()),
        ("HF_ENDPOINT", &hub.address),
    ];
    for (name, value) in [("HF_HUB_OFFLINE", "1"), ("TRANSFORMERS_OFFLINE", "yes")] {
        let offline = [&online[..], &[(name, value)]].concat();
        for line in [
            "inspect hf:o/m",
            "eval bench --model hub/o/m --bench arc-easy",
            "eval ppl hub/o/m --contexts 16 --text hf:o/texts",
            "eval ppl hub/o/m --contexts 16 --text hf:o/texts/a.txt",
        ] {
            let message = here.run_with(line, &offline).refused();
            assert!(
                message.contains("is not in the cache of the hub"),
                "{message}"
            );
            assert!(message.contains("HF_HUB_OFFLINE"), "{message}");
        }
    }
    assert!(hub.requests().is_empty());
    here.run_with("inspect hf:o/m", &online).worked();
    assert!(!hub.requests().is_empty());
    let offline = [&online[..], &[("HF_HUB_OFFLINE", "ON")]].concat();
    here.run_with("inspect hf:o/m", &offline).worked();
    assert!(hub.requests().is_empty());
}

#[test]
fn a_commit_is_found_in_the_cache_by_itself() {
    let here = workplace();
    let hub = Hub::serve(here.path("hub"));
    let home = here.path("home");
    let home = ("HF_HOME", home.to_str().unwrap());
    let online = [home, ("HF_ENDPOINT", hub.address.as_str())];
    here.run_with("inspect hf:o/m@v1", &online).worked();
    let nowhere = [home, ("HF_ENDPOINT", NOWHERE)];
    here.run_with(&format!("inspect hf:o/m@{COMMIT}"), &nowhere)
        .worked();
    // The branch was not asked for yet.
    here.run_with("inspect hf:o/m", &nowhere).refused();
    let refs = here.path("home/hub/models--o--m/refs");
    fs_err::remove_dir_all(&refs).unwrap();
    here.run_with(&format!("inspect hf:o/m@{COMMIT}"), &nowhere)
        .worked();
    here.run_with("inspect hf:o/m@v2", &online)
        .refused_with("Repository not found");
    assert!(!refs.exists());
}

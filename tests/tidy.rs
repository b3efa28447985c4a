//! Checks of rules about the repository.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use longrope_search::{SearchConfig, SearchProblem, field_names};
use toml::{Table, Value};

use crate::circles::circles_of_all_crates;
use crate::support::{Workplace, repository};

/// Maximum length of a source file. Few files are longer than [`USUAL_LINES`].
const MOST_LINES: usize = 700;
const USUAL_LINES: usize = 400;

/// Files in a folder with this extension, recursively and sorted by path.
fn files(folder: impl AsRef<Path>, ending: &str) -> Vec<PathBuf> {
    let folder = folder.as_ref();
    let mut found = Vec::new();
    let mut folders = vec![repository().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            // The fuzz targets have a target folder of their own.
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no .{ending} in {}", folder.display());
    found
}

fn read(path: impl AsRef<Path>) -> String {
    fs_err::read_to_string(repository().join(path)).unwrap()
}

fn sources() -> Vec<(PathBuf, String)> {
    ["crates", "tests", "examples", "fuzz"]
        .into_iter()
        .flat_map(|folder| files(folder, "rs"))
        .map(|path| (path.clone(), read(path)))
        .collect()
}

/// The manifest of every crate.
fn manifests() -> Vec<PathBuf> {
    let crates = fs_err::read_dir(repository().join("crates")).unwrap();
    let mut found: Vec<PathBuf> = crates
        .map(|entry| entry.unwrap().path().join("Cargo.toml"))
        .filter(|path| path.is_file())
        .collect();
    found.sort();
    found
}

fn manifest(path: impl AsRef<Path>) -> Table {
    read(path).parse().unwrap()
}

#[test]
fn source_files_are_short() {
    let sources = sources();
    let lines = |text: &str| text.lines().count();
    for (path, text) in &sources {
        assert!(lines(text) <= MOST_LINES, "{} is too long", path.display());
    }
    let long = sources
        .iter()
        .filter(|it| lines(&it.1) > USUAL_LINES)
        .count();
    assert!(long * 10 <= sources.len(), "{long} of {}", sources.len());
}

/// What a file uses of its own crate never leads back to it.
#[test]
fn no_file_imports_itself_in_a_circle() {
    let (circles, n_arrows) = circles_of_all_crates();
    let circles = circles.join("\n\n");
    assert!(circles.is_empty(), "files import each other:\n\n{circles}");
    // The reader of imports works: there are hundreds.
    assert!(n_arrows > 500, "{n_arrows}");
}

#[test]
fn nothing_is_left_unfinished() {
    // In pieces, or this file would be found.
    let words = ["todo", "unimplemented", "dbg"].map(|word| format!("{word}!("));
    for (path, text) in sources() {
        for word in &words {
            assert!(!text.contains(word), "{word} in {}", path.display());
        }
    }
}

#[test]
fn every_example_is_a_target() {
    let manifest = manifest("crates/longrope/Cargo.toml");
    let mut listed: Vec<&str> = manifest["example"]
        .as_array()
        .unwrap()
        .iter()
        .map(|example| example["path"].as_str().unwrap())
        .collect();
    listed.sort_unstable();
    let folder = repository().join("examples");
    let there: Vec<String> = files("examples", "rs")
        .iter()
        // What lies deeper is shared by examples.
        .filter(|path| path.parent() == Some(&folder))
        .map(|path| format!("../../examples/{}", path.file_name().unwrap().display()))
        .collect();
    assert_eq!(listed, there);
}

/// Dependencies that only select features of other libraries.
const FEATURE_ONLY: [&str; 3] = ["memchr", "cubecl", "longrope-kernels"];

#[test]
fn every_dependency_is_used() {
    for path in manifests() {
        let folder = path.parent().unwrap();
        let code = |folders: &[&str]| -> String {
            let folders = folders.iter().map(|name| folder.join(name));
            let there = folders.filter(|folder| folder.is_dir());
            there
                .flat_map(|folder| files(folder, "rs"))
                .map(read)
                .collect()
        };
        let manifest = manifest(&path);
        let own = code(&["src"]);
        // The tests and examples of the program lie at the top of the repository.
        let all = code(&["src", "tests", "benches", "../../tests", "../../examples"]);
        for (section, code) in [("dependencies", &own), ("dev-dependencies", &all)] {
            let Some(Value::Table(section)) = manifest.get(section) else {
                continue;
            };
            for name in section.keys() {
                let used = code.contains(&format!("{}::", name.replace('-', "_")));
                assert!(
                    used || FEATURE_ONLY.contains(&name.as_str()),
                    "{} does not use `{name}`",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn every_crate_can_be_published() {
    for path in manifests() {
        let package = manifest(&path)["package"].clone();
        for key in ["description", "readme", "keywords", "categories", "license"] {
            assert!(package.get(key).is_some(), "{}: {key}", path.display());
        }
        // What a package includes at compile time lies inside it.
        let source = path.parent().unwrap().join("src");
        for file in files(&source, "rs") {
            let own = file.strip_prefix(&source).unwrap();
            let depth = own.components().count();
            let outside = format!("(\"{}", "../".repeat(depth + 1));
            let text = read(&file);
            for line in text.lines().filter(|line| line.contains("include_")) {
                assert!(!line.contains(&outside), "{}: {line}", file.display());
            }
        }
    }
}

#[test]
fn every_module_of_these_tests_is_declared() {
    for path in files("tests", "rs") {
        let name = path.file_stem().unwrap().display().to_string();
        let known = ["main", "mod"].contains(&name.as_str());
        let beside = ["main.rs", "mod.rs"].map(|main| path.with_file_name(main));
        let main = beside.map(|path| fs_err::read_to_string(path).unwrap_or_default());
        assert!(
            known || main.concat().contains(&format!("mod {name};")),
            "{name}"
        );
    }
}

#[test]
fn the_changelog_has_this_version() {
    let version = env!("CARGO_PKG_VERSION");
    assert!(read("CHANGELOG.md").contains(&format!("\n## [{version}]")));
}

#[test]
fn crates_are_described_in_one_place_word_by_word() {
    let list = read("crates/README.md");
    let manifests = manifests();
    for path in &manifests {
        let manifest = manifest(path);
        let (name, description) = (
            manifest["package"]["name"].as_str().unwrap(),
            manifest["package"]["description"].as_str().unwrap(),
        );
        let row = format!("| `{name}` | {description} |");
        assert!(list.contains(&row), "crates/README.md lacks: {row}");
    }
    assert_eq!(list.matches("\n| `").count(), manifests.len());
}

/// The verb that a configuration is for: that of the first command line in its comments.
fn verb_of(text: &str) -> &str {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix('#'));
    let words = lines.find_map(|line| line.trim().strip_prefix("longrope "));
    words
        .and_then(|words| words.split(' ').next())
        .expect("a command line")
}

#[test]
fn every_configuration_is_understood() {
    let here = Workplace::new();
    here.rust_text();
    for path in files("configs", "toml") {
        let file = path.canonicalize().unwrap();
        let file = file.display();
        match verb_of(&read(&path)) {
            "pretrain" => {
                // The device is opened when everything has been checked.
                let message = here.fails(&format!(
                    "pretrain --config {file} --device nothing --out {}",
                    path.file_stem().unwrap().display(),
                ));
                assert!(message.contains("device `nothing`"), "{message}");
            }
            // `extend::every_bundled_recipe_is_valid` puts their inputs in place.
            "extend" => {}
            verb => {
                // A model that is not there is looked for when the configuration has been read.
                let message = here.fails(&format!(
                    "{verb} --config {file} --model nowhere --text text.txt --device flex --out run"
                ));
                assert!(message.contains("`nowhere` does not exist"), "{message}");
                if verb == "search" {
                    spans_a_space(&path);
                }
            }
        }
    }
}

/// The search of a configuration is valid.
fn spans_a_space(path: &Path) {
    let mut section = match manifest(path).remove("search") {
        Some(Value::Table(section)) => section,
        other => panic!("{}: [search] is {other:?}", path.display()),
    };
    let target = section.remove("target").expect("it has a target");
    let target = target.as_integer().expect("a number of tokens");
    // The program has read the file already, so what is left out here is no typing error.
    section.retain(|key, _| field_names::<SearchConfig>().contains(&key));
    let config: SearchConfig = section.try_into().expect("keys of a search");
    let problem = SearchProblem {
        rotary_dim: 64,
        theta: 10_000.0,
        original_context: 256,
        target_context: target.try_into().expect("not negative"),
    };
    config.space(&problem).expect("a valid search");
}

/// Rows of the table of keys in `configs/README.md`: key, and default if there is one.
fn documented_keys() -> Vec<(String, Option<String>)> {
    let text = read("configs/README.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        let (key, rest) = row.split_once('`').unwrap();
        let default = rest.split('|').nth(1).unwrap().trim().trim_matches('`');
        let default = (default != "none").then(|| default.to_owned());
        (key.to_owned(), default)
    })
    .collect()
}

/// Tables that a resolved configuration leaves out while they have their defaults.
#[test]
fn documented_tables_that_are_left_out_are_the_defaults() {
    let here = Workplace::with_model();
    let keys = [
        ("search", "adapt"),
        ("train", "skipped"),
        ("train", "distill"),
    ];
    let documented = documented_keys();
    let set = keys.map(|(section, key)| {
        let key = format!("{section}.{key}");
        let row = documented.iter().find(|row| row.0 == key).unwrap();
        format!(" --set {key}={}", row.1.as_ref().unwrap().replace(' ', ""))
    });
    let line = "search --model m --tokens tokens.json --target 64 --samples 1 --out run \
        --set search.generations=0 --set search.population=5 --set search.parents=5";
    here.run(&(line.to_owned() + &set.concat())).worked();
    let resolved: Table = here.read("run/config.toml").parse().unwrap();
    for (section, key) in keys {
        assert_eq!(resolved[section].get(key), None, "{section}.{key}");
    }
}

/// A value of the type of a key that has no default.
fn value_of(key: &str) -> &'static str {
    const NUMBERS: [&str; 12] = [
        "search.target",
        "search.patience",
        "search.critical-min",
        "search.critical-max",
        "train.context",
        "search.sample-context",
        "eval.stride",
        "eval.within",
        "bench.shots",
        "bench.limit",
        "generate.top-k",
        "gain.tail",
    ];
    match key {
        "generate.top-p" | "train.learning-rate" | "eval.threshold" => "0.5",
        "pretrain.config" => "{}",
        "train.long" => "{context=512,share=0.1}",
        key if NUMBERS.contains(&key) => "1",
        _ => "nowhere",
    }
}

#[test]
fn the_table_of_keys_is_true() {
    let here = Workplace::with_model();
    // Resolved with as few settings as a search needs, and no generation.
    let set = "--model m --tokens tokens.json --target 64 --samples 1 --out run";
    here.run(&format!(
        "search {set} --set search.generations=0 --set search.population=5 --set search.parents=5"
    ))
    .worked();
    let settings = [
        "model",
        "tokens",
        "out",
        "search.target",
        "search.samples",
        "search.generations",
        "search.population",
        "search.parents",
    ];
    let resolved: Table = here.read("run/config.toml").parse().unwrap();
    let mut found: Vec<(String, Value)> = Vec::new();
    for (key, value) in resolved {
        match value {
            Value::Table(section) => {
                found.extend(section.into_iter().map(|(k, v)| (format!("{key}.{k}"), v)));
            }
            value => found.push((key, value)),
        }
    }
    let documented = documented_keys();
    for (key, value) in found {
        let row = documented.iter().find(|row| row.0 == key);
        let Some((_, default)) = row else {
            panic!("`{key}` is not in the table");
        };
        if !settings.contains(&key.as_str()) {
            let default: Table = format!("x = {}", default.as_deref().unwrap())
                .parse()
                .unwrap();
            assert_eq!(default["x"], value, "{key}");
        }
    }
    // Conversely, a file with every documented default is accepted.
    let lines = |section: &str| -> String {
        documented
            .iter()
            .filter_map(|(key, default)| {
                let (own, key) = key.split_once('.').unwrap_or(("", key));
                (own == section).then(|| Some(format!("{key} = {}\n", default.as_ref()?)))?
            })
            .collect()
    };
    let mut file = lines("");
    for section in [
        "data",
        "eval",
        "compare",
        "search",
        "search-needle",
        "recover",
        "generate",
        "pretrain",
        "passkey",
        "needle",
        "train",
        "ruler",
        "gain",
        "bench",
    ] {
        write!(file, "[{section}]\n{}", lines(section)).unwrap();
    }
    here.write("defaults.toml", file);
    here.rust_text();
    let message = here
        .fails("search --config defaults.toml --model nowhere --text text.txt --target 64 --out x");
    assert!(message.contains("`nowhere` does not exist"), "{message}");
    // Keys without a default are known too.
    for (key, default) in documented {
        if default.is_none() {
            let value = value_of(&key);
            let line = format!(
                "search --target 64 --text text.txt --out x --set {key}={value} --model nowhere"
            );
            let message = here.fails(&line);
            assert!(message.contains("`nowhere` does not exist"), "{message}");
        }
    }
}

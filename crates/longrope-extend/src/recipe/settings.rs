//! The settings of a stage: what its verb reads, and what they take from other stages of the run.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::plan::{Verb, split_folder, stage_name};

/// The key of the folder of the stage.
const OUT: &str = "out";

/// The key of the model.
const MODEL: &str = "model";

/// The key of the folder of the token cache.
const CACHE: &str = "data.cache";

/// Keys that are paths, or lists in which there may be some. All other values are compared as they are.
const PATH_KEYS: [&str; 15] = [
    MODEL,
    "text",
    "tokens",
    OUT,
    "rope",
    CACHE,
    "eval.reference",
    "compare.methods",
    "search.init",
    "train.eval-text",
    "bench.data",
    "bench.fewshot",
    "generate.prompt-files",
    "ruler.squad",
    "ruler.hotpotqa",
];

/// Keys that change no result: where it is computed, and whether the memory is checked before.
const OF_THE_MACHINE: [&str; 2] = ["device", "force"];

/// The settings of a stage.
pub(super) struct Settings {
    table: Table,
    /// The folder of the run, as the settings name it.
    run: PathBuf,
}

impl Settings {
    /// Reads `stage.toml`; `None` if it is not valid.
    pub(super) fn read(text: &str) -> Option<Self> {
        let table: Table = text.parse().ok()?;
        let out = table.get(OUT).and_then(Value::as_str).unwrap_or_default();
        let run = Path::new(out).parent().unwrap_or(Path::new("")).to_owned();
        Some(Self { table, run })
    }

    /// What makes the results of a verb: the keys that it reads. Paths in the folder of the run are relative to it and have
    /// the names of stages, so that neither its name nor the number of a stage is a setting.
    pub(super) fn of_verb(&self, verb: Verb) -> Table {
        let mut read = self.table.clone();
        read.retain(|key, value| {
            if let Value::Table(section) = value {
                section.retain(|name, _| is_read(verb, &format!("{key}.{name}")));
                // Nothing of it is read.
                if section.is_empty() {
                    return false;
                }
            }
            is_read(verb, key)
        });
        let read = read.iter();
        read.map(|(key, value)| (key.clone(), self.relative(key, value)))
            .collect()
    }

    /// What a verb takes from other stages: paths relative to the folder of the run.
    pub(super) fn inputs(&self, verb: Verb) -> BTreeSet<String> {
        let paths = self.paths(verb).into_iter();
        paths.filter_map(|(_, path)| self.inside(path)).collect()
    }

    /// The model, if it does not come from another stage.
    pub(super) fn given_model(&self) -> Option<&str> {
        let model = self.table.get(MODEL)?.as_str()?;
        self.inside(model).is_none().then_some(model)
    }

    /// What a verb reads besides the model and what comes from other stages. Names that are no paths may be among them.
    pub(super) fn given_files(&self, verb: Verb) -> BTreeSet<String> {
        let paths = self.paths(verb).into_iter();
        paths
            .filter(|(key, path)| {
                // A cache changes with use, and changes no result.
                key != MODEL && key != CACHE && self.inside(path).is_none()
            })
            .map(|(_, path)| path.to_owned())
            .collect()
    }

    /// All paths that a verb reads, each with its key, without the folder of the stage.
    fn paths(&self, verb: Verb) -> Vec<(String, &str)> {
        let mut found = Vec::new();
        for (key, value) in &self.table {
            collect(key, value, &mut found);
        }
        found.retain(|(key, _)| key != OUT && is_read(verb, key));
        found
    }

    /// A value with its paths relative to the folder of the run.
    fn relative(&self, key: &str, value: &Value) -> Value {
        match value {
            Value::Table(section) => {
                let values = section.iter().map(|(name, value)| {
                    let value = self.relative(&format!("{key}.{name}"), value);
                    (name.clone(), value)
                });
                Value::Table(values.collect())
            }
            Value::Array(items) => {
                Value::Array(items.iter().map(|item| self.relative(key, item)).collect())
            }
            Value::String(text) if PATH_KEYS.contains(&key) => {
                let by_name = self.inside(text).map(|path| by_name(&path));
                Value::String(by_name.unwrap_or_else(|| text.clone()))
            }
            other => other.clone(),
        }
    }

    /// A path relative to the folder of the run; `None` if it is not in there.
    fn inside(&self, path: &str) -> Option<String> {
        if self.run.as_os_str().is_empty() {
            return None;
        }
        let rest = Path::new(path).strip_prefix(&self.run).ok()?;
        let rest: PathBuf = rest.components().collect();
        let is_inside = !rest.as_os_str().is_empty();
        is_inside.then(|| rest.to_string_lossy().into_owned())
    }
}

/// Whether the results of a verb depend on a key, or on a section of keys.
fn is_read(verb: Verb, key: &str) -> bool {
    verb.reads(key) && !OF_THE_MACHINE.contains(&key)
}

/// Adds the paths in a value, with their keys.
fn collect<'a>(key: &str, value: &'a Value, found: &mut Vec<(String, &'a str)>) {
    match value {
        Value::Table(section) => {
            for (name, value) in section {
                collect(&format!("{key}.{name}"), value, found);
            }
        }
        Value::Array(items) => {
            for item in items {
                collect(key, item, found);
            }
        }
        Value::String(text) if PATH_KEYS.contains(&key) => {
            found.push((key.to_owned(), text.as_str()));
        }
        _ => {}
    }
}

/// A path in the folder of the run, with the name of a stage in place of its folder.
fn by_name(path: &str) -> String {
    let (folder, rest) = split_folder(path);
    format!("{}{rest}", stage_name(folder).unwrap_or(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_verb(text: &str, verb: Verb) -> Table {
        Settings::read(text).unwrap().of_verb(verb)
    }

    #[test]
    fn the_name_of_the_run_folder_is_no_setting() {
        let settings = |run: &str| {
            let text = format!(
                "model = \"{run}02-train/model\"\nout = \"{run}03-measure\"\ntext = [\"run.txt\"]\n"
            );
            of_verb(&text, Verb::Ppl)
        };
        let expected = settings("run/");
        assert_eq!(expected["model"].as_str(), Some("train/model"));
        for other in ["./run/", "/somewhere/run/", "run//"] {
            assert_eq!(settings(other), expected, "{other}");
        }
    }

    #[test]
    fn the_number_of_a_stage_is_no_setting() {
        let settings = |train: &str, measure: &str| {
            let text = format!(
                "model = \"run/{train}/model\"\nout = \"run/{measure}\"\nrope = [\"07-rope.json\"]\n"
            );
            of_verb(&text, Verb::Ppl)
        };
        let expected = settings("02-train", "03-measure");
        assert_eq!(settings("03-train", "04-measure"), expected);
        assert_ne!(settings("02-other", "03-measure"), expected);
        // Outside of the folder of the run, numbers stay.
        assert_eq!(expected["rope"][0].as_str(), Some("07-rope.json"));
    }

    #[test]
    fn only_keys_that_are_paths_are_relative() {
        let settings = |run: &str, words: &str| {
            let text = format!(
                "out = \"{run}/01-a\"\nrope = [\"none\", \"{run}/01-find/rope.json\"]\n\n\
                 [generate]\nprompts = [\"{words}\"]\n"
            );
            of_verb(&text, Verb::Generate)
        };
        // A text that begins like the folder is still a text, on one line or on several.
        let expected = settings("run", "run/ is a folder");
        assert_eq!(settings("moved", "run/ is a folder"), expected);
        assert_ne!(settings("run", "moved/ is a folder"), expected);
        let prompts = &expected["generate"]["prompts"];
        assert_eq!(prompts[0].as_str(), Some("run/ is a folder"));
        // Nor does it matter how a value is written.
        let rewritten = "rope = [\n    'none',\n    'run/01-find/rope.json',\n]\nout = 'run/01-a'\n\
                         generate.prompts = ['run/ is a folder']\n";
        assert_eq!(of_verb(rewritten, Verb::Generate), expected);
    }

    #[test]
    fn a_change_of_what_a_verb_does_not_read_is_none() {
        let settings = |population: u32, windows: u32, verb| {
            let text = format!(
                "seed = 1\ndevice = \"d{population}\"\n\n[eval]\nwindows = {windows}\n\n[search]\npopulation = {population}\n\n\
                 [search.attention]\ntype = \"none\"\n\n[[search.more]]\na = 1\n\n[search-needle]\ndigits = 5\n\n[train]\nsteps = 1\n"
            );
            of_verb(&text, verb)
        };
        let expected: Table = "seed = 1\n[eval]\nwindows = 2\n".parse().unwrap();
        assert_eq!(settings(8, 2, Verb::Ppl), expected);
        assert_ne!(settings(8, 2, Verb::Ppl), settings(8, 3, Verb::Ppl));
        assert_ne!(settings(8, 2, Verb::Search), settings(9, 2, Verb::Search));
        let trained = settings(8, 2, Verb::Finetune);
        assert_eq!(trained, settings(9, 2, Verb::Finetune));
        assert!(trained.contains_key("train") && !trained.contains_key("search"));
    }

    #[test]
    fn a_change_of_what_only_other_verbs_read_is_none() {
        let settings = |factor: u32, verb| {
            let text = format!(
                "seed = 1\nrope = [\"yarn@{factor}\"]\ncontexts = [{factor}]\n\n[eval]\nreference = \"yarn@{factor}\"\n\n\
                 [compare]\nmethods = [\"pi@{factor}\"]\n\n[gain]\ntail = {factor}\n"
            );
            of_verb(&text, verb)
        };
        assert_eq!(settings(2, Verb::Search), settings(4, Verb::Search));
        // Nothing of `eval` is left for a search, as if the section were not there.
        let seed: Table = "seed = 1\n".parse().unwrap();
        assert_eq!(settings(2, Verb::Search), seed);
        let of_export = settings(2, Verb::Export);
        let mut keys: Vec<&str> = of_export.keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["rope", "seed"]);
        for verb in [Verb::Ppl, Verb::Compare, Verb::Finetune, Verb::Recover] {
            assert_ne!(settings(2, verb), settings(4, verb), "{verb:?}");
        }
        assert!(!settings(2, Verb::Ppl).contains_key("compare"));
        let settings = |bos: &str| {
            let text = format!("[eval]\nbos = \"{bos}\"\nwindows = 8\n\n[search]\ntarget = 64\n");
            of_verb(&text, Verb::Search)
        };
        // It tokenizes text.
        assert_ne!(settings("none"), settings("document"));
        let expected: Table = "eval.bos = \"none\"\nsearch.target = 64\n".parse().unwrap();
        assert_eq!(settings("none"), expected);
    }

    #[test]
    fn inputs_are_the_paths_in_the_run_folder() {
        let settings = Settings::read(
            "model = \"r/02-train/model\"\nout = \"r/04-more\"\nrope = [\"yarn\", \"r/01-find/rope.json\"]\n\
             text = [\"r.txt\"]\n[search]\ninit = \"r/01-find/rope.json\"\n[generate]\nprompts = [\"r/03-x\"]\n",
        )
        .unwrap();
        let inputs = |verb| settings.inputs(verb).into_iter().collect::<Vec<_>>();
        assert_eq!(
            inputs(Verb::Generate),
            ["01-find/rope.json", "02-train/model"]
        );
        assert_eq!(inputs(Verb::Search), inputs(Verb::Ppl));
        let settings = Settings::read("model = \"m\"\nout = \"04-more\"\n").unwrap();
        assert!(settings.inputs(Verb::Ppl).is_empty());
    }

    #[test]
    fn what_does_not_come_from_other_stages_is_given() {
        let read = |model: &str| {
            Settings::read(&format!(
                "model = \"{model}\"\nout = \"r/02-measure\"\nrope = [\"yarn\", \"r/01-find/rope.json\"]\n\
                 text = [\"book.txt\"]\n[bench]\ndata = [\"b\"]\n"
            ))
            .unwrap()
        };
        let settings = read("m");
        assert_eq!(settings.given_model(), Some("m"));
        assert_eq!(read("r/01-train/model").given_model(), None);
        let files = |verb| settings.given_files(verb).into_iter().collect::<Vec<_>>();
        assert_eq!(files(Verb::Ppl), ["book.txt", "yarn"]);
        assert_eq!(files(Verb::Bench), ["b", "yarn"]);
    }
}

//! Hints for a run that would be continued with other settings than it was begun with: one hint for all that differ.

use std::path::Path;

use longrope_eval::ChangedSetting;

use super::context_folder::context_of;

/// What a setting is about, as far as it matters for what to do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum About {
    /// A value of the configuration.
    Value,
    Steps,
    Text,
    Tokenizer,
    Model,
    Start,
    Rope,
    /// How earlier versions tokenized generated documents.
    Spaces,
}

impl About {
    fn of(change: &ChangedSetting) -> Self {
        match change.name.as_str() {
            "train.steps" => Self::Steps,
            "text" | "tokens" | "train.eval-text" | "pretrain.held-out" => Self::Text,
            "tokenizer" => Self::Tokenizer,
            "model" | "original_context" | "rotary_dim" => Self::Model,
            "search.init" => Self::Start,
            "rope" => Self::Rope,
            "generated-documents" => Self::Spaces,
            _ => Self::Value,
        }
    }

    /// An input of the run; `None` for what is no input.
    fn input(self) -> Option<&'static str> {
        match self {
            Self::Text => Some("the text"),
            Self::Tokenizer => Some("the tokenizer.json"),
            Self::Model => Some("the model"),
            Self::Start => Some("the factors of `search.init`"),
            Self::Rope => Some("the RoPE"),
            Self::Value | Self::Steps | Self::Spaces => None,
        }
    }
}

/// What the settings that differ are about, each once.
fn about(changes: &[ChangedSetting]) -> Vec<About> {
    let mut found = Vec::new();
    for about in changes.iter().map(About::of) {
        if !found.contains(&about) {
            found.push(about);
        }
    }
    found
}

/// The inputs among them, in a sentence; `None` if there are none.
fn inputs(about: &[About]) -> Option<String> {
    let names = about.iter().copied().filter_map(About::input);
    let names: Vec<String> = names.map(str::to_owned).collect();
    (!names.is_empty()).then(|| in_a_sentence(&names))
}

/// Keys that name an input. With other names, flags have changed it; else, what is behind the name.
const NAMES: [&str; 6] = [
    "model",
    "text",
    "tokens",
    "rope",
    "search.init",
    "train.eval-text",
];

/// Whether flags have changed a setting.
fn is_of_flags(change: &ChangedSetting) -> bool {
    match About::of(change) {
        About::Value | About::Steps => true,
        _ => change.values.is_some() && NAMES.contains(&change.name.as_str()),
    }
}

/// What to do about a run of a verb. `path` is the file or folder that has its settings.
pub(super) fn of_run(path: &Path, changes: &[ChangedSetting]) -> String {
    let about = about(changes);
    if let [only] = about.as_slice() {
        return of_one(path, *only);
    }
    let (of_flags, others): (Vec<_>, Vec<_>) = changes.iter().cloned().partition(is_of_flags);
    let mut ways = Vec::new();
    if !of_flags.is_empty() {
        ways.push(other_flags(path));
    }
    ways.extend(inputs(&self::about(&others)).map(|inputs| {
        format!("restore {inputs} that the run was begun with, which its config.toml names")
    }));
    if about.contains(&About::Spaces) {
        ways.push(SPACES.to_owned());
    }
    ways.join("; and ")
}

/// What to do about documents of an earlier version.
const SPACES: &str = "an earlier version put a space before every piece of these documents: resume with that version, or start \
                      again with another --out";

fn of_one(path: &Path, about: About) -> String {
    match about {
        About::Value => return other_flags(path),
        About::Steps => {
            "a training keeps its number of steps, which its learning rates depend on: resume without --steps, or train its model \
             further in another --out"
        }
        About::Text => "restore the text that the run was begun with; its paths are in config.toml",
        About::Tokenizer => {
            "restore the tokenizer.json that the run was begun with; the path of the model is in config.toml"
        }
        About::Model => {
            "restore the model that the run was begun with; its path is in config.toml. (Earlier versions read some GGUF files in \
             another way: resume with that version, or start again with another --out.)"
        }
        About::Start => {
            "resume without --init; the factors that config.toml names must be those that the search was begun with"
        }
        About::Rope => {
            "resume without --rope; the RoPE that config.toml names must be the one that the run was begun with"
        }
        About::Spaces => SPACES,
    }
    .to_owned()
}

/// For settings that flags have changed, or damage to the state of a search: settings that the run recorded were
/// compared before.
fn other_flags(path: &Path) -> String {
    let without = "resume without these flags";
    if !path.ends_with("search/state.json") {
        return format!("{without}: the settings of the run are in its config.toml");
    }
    let again = context_of(path).map_or_else(
        || "start again with another --out".to_owned(),
        |folder| {
            let folder = folder.display();
            format!("remove `{folder}` and resume, to have this context done again")
        },
    );
    format!("{without}; without any, the file is damaged: restore it from a copy, or {again}")
}

/// What to do about a stage of a recipe, or else to run it again.
pub(super) fn of_stage(changes: &[ChangedSetting]) -> String {
    let about = about(changes);
    if let [only] = about.as_slice() {
        return of_one_in_stage(*only).to_owned();
    }
    let values = about
        .iter()
        .any(|it| matches!(it, About::Value | About::Steps));
    let inputs = inputs(&about);
    let inputs = inputs.map(|inputs| {
        format!("{inputs} that the stage was begun with, which its config.toml names")
    });
    let mut ways = Vec::new();
    let values = values.then(|| "the old values in the recipe".to_owned());
    let restored: Vec<String> = values.into_iter().chain(inputs).collect();
    if !restored.is_empty() {
        ways.push(format!("restore {}", restored.join(", and ")));
    }
    if about.contains(&About::Spaces) {
        ways.push(of_one_in_stage(About::Spaces).to_owned());
    }
    ways.join("; and ")
}

fn of_one_in_stage(about: About) -> &'static str {
    match about {
        About::Value | About::Steps => "restore the old values in the recipe",
        About::Text => {
            "restore the text that the stage was begun with, whose paths are in its config.toml"
        }
        About::Tokenizer => "restore the tokenizer.json that the stage was begun with",
        About::Model => "restore the model that the stage was begun with",
        About::Start => "restore the factors that the stage was begun with",
        About::Rope => {
            "restore the RoPE that the stage was begun with: `rope` in the recipe, or the factors that it names"
        }
        About::Spaces => {
            "resume with the earlier version, which put a space before every piece of these documents"
        }
    }
}

/// Names as a list in a sentence.
pub(super) fn in_a_sentence(names: &[String]) -> String {
    match names {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        names => names.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(names: &[&str]) -> Vec<ChangedSetting> {
        let change = |name: &&str| ChangedSetting {
            name: (*name).to_owned(),
            values: None,
        };
        names.iter().map(change).collect()
    }

    #[test]
    fn one_hint_covers_all_settings_that_differ() {
        for (names, expected) in [
            (
                &["seed", "search.population"][..],
                "restore the old values in the recipe",
            ),
            (
                &["seed", "train.steps"],
                "restore the old values in the recipe",
            ),
            (
                &["rope", "seed", "text"],
                "restore the old values in the recipe, and the RoPE and the text that the stage was begun with, which its \
                 config.toml names",
            ),
            (
                &["model", "text"],
                "restore the model and the text that the stage was begun with, which its config.toml names",
            ),
        ] {
            assert_eq!(of_stage(&changed(names)), expected);
        }
        let run = |names: &[&str]| of_run(Path::new("run"), &changed(names));
        assert_eq!(
            run(&["text", "seed"]),
            "resume without these flags: the settings of the run are in its config.toml; and restore the text that the run was \
             begun with, which its config.toml names"
        );
        assert!(run(&["train.steps"]).contains("resume without --steps"));
        // Other names are of flags too.
        let mut both = changed(&["seed", "text"]);
        both[1].values = Some(("a.txt".to_owned(), "b.txt".to_owned()));
        assert_eq!(
            of_run(Path::new("run"), &both),
            "resume without these flags: the settings of the run are in its config.toml"
        );
        assert!(run(&["generated-documents", "text"]).ends_with(SPACES));
    }
}

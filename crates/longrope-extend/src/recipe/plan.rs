//! Stages, and where they take their inputs from.

use std::path::{MAIN_SEPARATOR, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::RecipeError;

/// One stage of a recipe.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage<S> {
    /// Its name, unique in the recipe and part of its folder's name.
    pub name: String,
    /// What it does.
    pub verb: Verb,
    /// The stage whose model it takes. By default the last one that trains.
    pub model_from: Source,
    /// The stage whose factors it takes. By default the last one that makes some.
    pub rope_from: Source,
    /// Further settings.
    pub settings: S,
}

/// The word that recipes have for [`Source::Base`]; no stage can have this name.
const BASE: &str = "base";

/// Where a stage takes a model or factors from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// The last stage before it that makes some.
    #[default]
    Last,
    /// No stage: the recipe's own model, or no factors.
    Base,
    /// The stage of this name.
    Stage(String),
}

impl Source {
    /// What `model-from` and `rope-from` say: `base`, or the name of a stage; `None` if the key is missing.
    pub fn named(name: Option<String>) -> Self {
        match name {
            None => Self::Last,
            Some(name) if name == BASE => Self::Base,
            Some(name) => Self::Stage(name),
        }
    }
}

/// What a stage does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Verb {
    /// Searches rescale factors.
    Search,
    /// Searches factors for short contexts.
    Recover,
    /// Trains the model.
    Finetune,
    /// Measures perplexity.
    Ppl,
    /// Measures passkey retrieval.
    Passkey,
    /// Compares methods.
    Compare,
    /// Measures the retrieval of facts from a long text.
    Needle,
    /// Runs the tasks of RULER.
    Ruler,
    /// Runs a benchmark of short questions.
    Bench,
    /// Continues prompts.
    Generate,
    /// Writes a checkpoint.
    Export,
    /// Writes a page about all stages so far.
    Report,
}

impl Verb {
    /// All verbs.
    pub const ALL: [Self; 12] = [
        Self::Search,
        Self::Recover,
        Self::Finetune,
        Self::Ppl,
        Self::Passkey,
        Self::Compare,
        Self::Needle,
        Self::Ruler,
        Self::Bench,
        Self::Generate,
        Self::Export,
        Self::Report,
    ];

    /// Its name in recipes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Search => "search",
            Self::Recover => "recover",
            Self::Finetune => "finetune",
            Self::Ppl => "ppl",
            Self::Passkey => "passkey",
            Self::Compare => "compare",
            Self::Needle => "needle",
            Self::Ruler => "ruler",
            Self::Bench => "bench",
            Self::Generate => "generate",
            Self::Export => "export",
            Self::Report => "report",
        }
    }

    /// Whether it divides its work among several devices.
    pub fn uses_several_devices(self) -> bool {
        matches!(
            self,
            Self::Search | Self::Recover | Self::Finetune | Self::Ppl | Self::Compare
        )
    }

    /// Whether it measures any number of RoPEs, one beside the other.
    pub fn measures_ropes(self) -> bool {
        matches!(
            self,
            Self::Ppl | Self::Passkey | Self::Needle | Self::Ruler | Self::Bench | Self::Compare
        )
    }

    /// Whether it reads this section or key of the settings. Those that are not known here are read by all but a page, which
    /// is about other stages.
    pub fn reads(self, key: &str) -> bool {
        if self == Self::Report {
            return false;
        }
        let section = key.split_once('.').map_or(key, |(section, _)| section);
        match section {
            "search" | "search-needle" => self.reads_of_search(key),
            "train" => self == Self::Finetune,
            "recover" | "compare" | "passkey" | "needle" | "ruler" | "bench" | "generate" => {
                self.name() == section
            }
            "pretrain" | "gain" => false,
            "eval" => self.reads_of_measurements(key),
            "contexts" => self.measures_ropes() || matches!(self, Self::Recover | Self::Finetune),
            "rope" => self != Self::Search,
            "text" | "tokens" => self.takes_text(),
            _ => true,
        }
    }

    /// Whether it reads this key of the searches. A recovery is told its factors and its contexts elsewhere.
    fn reads_of_search(self, key: &str) -> bool {
        match key {
            "search.target" | "search.init" | "search.stage" | "search.adapt" => {
                self == Self::Search
            }
            _ => self.makes_factors(),
        }
    }

    /// Whether it reads this key of `eval`. What tokenizes text asks how texts begin.
    fn reads_of_measurements(self, key: &str) -> bool {
        match key {
            "eval" | "eval.bos" | "eval.protocol" => self.takes_text() || self.measures_ropes(),
            _ => self.measures_ropes(),
        }
    }

    fn makes_factors(self) -> bool {
        matches!(self, Self::Search | Self::Recover)
    }

    /// Whether it takes text, to search, train or measure on it or to fill its own with it.
    fn takes_text(self) -> bool {
        !matches!(
            self,
            Self::Bench | Self::Generate | Self::Export | Self::Report
        )
    }

    fn makes_model(self) -> bool {
        self == Self::Finetune
    }
}

/// Where a stage takes its inputs from, and where it puts its results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The folder of the stage.
    pub folder: PathBuf,
    /// Checkpoint folder of the trained model it takes; `None` for the recipe's own model.
    pub model: Option<PathBuf>,
    /// The `rope.json` it takes; `None` if it takes none.
    pub rope: Option<PathBuf>,
    /// Index of the stage that makes those factors.
    pub rope_stage: Option<usize>,
}

/// Whether a text may be a part of a folder's name, and stays one.
fn is_name(text: &str) -> bool {
    let is_odd = |c: char| c.is_control() || matches!(c, '/' | '\\');
    !text.trim().is_empty() && text.trim() == text && !text.contains(is_odd)
}

/// Written into the folder of a stage when it is done.
pub(super) const DONE_FILE: &str = "done.json";
/// The settings of a stage, written into its folder when it begins.
pub(super) const SETTINGS_FILE: &str = "stage.toml";

/// The name of the folder of a stage. Numbers begin at 1.
pub fn folder_name(number: usize, name: &str) -> String {
    format!("{number:02}-{name}")
}

/// The name of the stage of a folder; `None` if the folder's name does not begin with a number.
pub(super) fn stage_name(folder: &str) -> Option<&str> {
    let (number, name) = folder.split_once('-')?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(name)
}

/// A path in the folder of the run: the name of the folder of its stage, and the rest with the separator.
pub(super) fn split_folder(path: &str) -> (&str, &str) {
    path.split_at(path.find(MAIN_SEPARATOR).unwrap_or(path.len()))
}

/// Assigns every stage a folder in `out` and determines the sources of its model and factors.
///
/// # Errors
/// If a name cannot be part of the name of a folder or is `base`, two stages have the same name, or a stage takes inputs from a stage that does not make them.
pub fn plan<S>(stages: &[Stage<S>], out: &Path) -> Result<Vec<Place>, RecipeError> {
    let folder = |index: usize| out.join(folder_name(index + 1, &stages[index].name));
    let mut places = Vec::with_capacity(stages.len());
    for (index, stage) in stages.iter().enumerate() {
        if !is_name(&stage.name) {
            return Err(RecipeError::BadName {
                name: stage.name.clone(),
                number: index + 1,
            });
        }
        if stage.name == BASE {
            return Err(RecipeError::NamedBase { number: index + 1 });
        }
        let earlier = &stages[..index];
        if earlier.iter().any(|other| other.name == stage.name) {
            return Err(RecipeError::SameName {
                name: stage.name.clone(),
            });
        }
        let source = |from: &Source, makes: fn(Verb) -> bool, what: &'static str| match from {
            Source::Base => Ok(None),
            Source::Last => Ok(earlier.iter().rposition(|other| makes(other.verb))),
            Source::Stage(name) => earlier
                .iter()
                .position(|other| other.name == *name && makes(other.verb))
                .map(Some)
                .ok_or_else(|| RecipeError::NoSource {
                    stage: stage.name.clone(),
                    from: name.clone(),
                    what,
                }),
        };
        let model = source(&stage.model_from, Verb::makes_model, "a model")?;
        let factors = source(&stage.rope_from, Verb::makes_factors, "factors")?;
        // A search starts from factors only if the recipe says so.
        let takes_factors = stage.verb != Verb::Search || stage.rope_from != Source::Last;
        let rope_stage = factors.filter(|_| takes_factors);
        places.push(Place {
            folder: folder(index),
            model: model.map(|stage| folder(stage).join("model")),
            rope: rope_stage.map(|stage| folder(stage).join("rope.json")),
            rope_stage,
        });
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(name: &str, verb: Verb) -> Stage<()> {
        Stage {
            name: name.to_owned(),
            verb,
            model_from: Source::Last,
            rope_from: Source::Last,
            settings: (),
        }
    }

    #[test]
    fn inputs_come_from_the_last_stage_that_makes_them() {
        let mut stages = vec![
            stage("find", Verb::Search),
            stage("train", Verb::Finetune),
            stage("further", Verb::Search),
            stage("again", Verb::Search),
            stage("measure", Verb::Ppl),
        ];
        stages[3].rope_from = Source::named(Some("find".to_owned()));
        stages[3].model_from = Source::named(Some("base".to_owned()));
        let places = plan(&stages, Path::new("run")).unwrap();
        let path = |text: &str| Some(PathBuf::from(text));
        let models: Vec<_> = places.iter().map(|place| place.model.clone()).collect();
        let trained = path("run/02-train/model");
        assert_eq!(models, [None, None, trained.clone(), None, trained]);
        let ropes: Vec<_> = places.iter().map(|place| place.rope.clone()).collect();
        let found = path("run/01-find/rope.json");
        let last = path("run/04-again/rope.json");
        assert_eq!(ropes, [None, found.clone(), None, found, last]);
        assert_eq!(places[3].rope_stage, Some(0));
    }

    #[test]
    fn a_verb_reads_what_its_results_depend_on() {
        let readers = |key: &str| -> Vec<&'static str> {
            let readers = Verb::ALL.into_iter().filter(|verb| verb.reads(key));
            readers.map(Verb::name).collect()
        };
        assert_eq!(readers("compare"), ["compare"]);
        assert_eq!(readers("compare.methods"), ["compare"]);
        assert_eq!(readers("gain.tail"), [""; 0]);
        assert_eq!(readers("search.samples"), ["search", "recover"]);
        assert_eq!(readers("search.target"), ["search"]);
        assert_eq!(readers("search.adapt"), ["search"]);
        assert_eq!(readers("train.steps"), ["finetune"]);
        let measured = ["ppl", "passkey", "compare", "needle", "ruler", "bench"];
        assert_eq!(readers("eval.reference"), measured);
        // Whatever tokenizes text.
        for key in ["eval", "eval.bos", "eval.protocol"] {
            let expected = [&["search", "recover", "finetune"][..], &measured].concat();
            assert_eq!(readers(key), expected, "{key}");
        }
        let expected = [&["recover", "finetune"][..], &measured].concat();
        assert_eq!(readers("contexts"), expected);
        let of_rope = readers("rope");
        assert!(!of_rope.contains(&"search") && of_rope.contains(&"export"));
        // A page reads nothing but the other stages.
        assert_eq!(readers("seed").len(), Verb::ALL.len() - 1);
    }

    #[test]
    fn a_folder_has_the_name_of_its_stage() {
        for name in ["train", "1-a", "8x"] {
            assert_eq!(stage_name(&folder_name(7, name)), Some(name));
        }
        for folder in ["train", "a-1", "-a", "7"] {
            assert_eq!(stage_name(folder), None);
        }
        assert_eq!(split_folder("01-a"), ("01-a", ""));
        let path = format!("01-a{MAIN_SEPARATOR}model");
        assert_eq!(split_folder(&path).0, "01-a");
    }

    #[test]
    fn names_stay_inside_the_folder_of_the_run() {
        for name in ["", " ", "a/../../b", "..\\b", "a\n", " a"] {
            let error = plan(&[stage(name, Verb::Ppl)], Path::new("run")).unwrap_err();
            assert!(matches!(error, RecipeError::BadName { number: 1, .. }));
        }
        plan(&[stage("train 8x, v1.5", Verb::Ppl)], Path::new("run")).unwrap();
    }

    #[test]
    fn no_stage_has_the_name_of_the_recipes_own_model() {
        let stages = [stage("find", Verb::Search), stage("base", Verb::Finetune)];
        let error = plan(&stages, Path::new("run")).unwrap_err();
        assert_eq!(error, RecipeError::NamedBase { number: 2 });
        plan(&[stage("Base", Verb::Ppl)], Path::new("run")).unwrap();
    }

    #[test]
    fn recipes_that_contradict_themselves_are_refused() {
        let twice = [stage("a", Verb::Search), stage("a", Verb::Ppl)];
        assert!(matches!(
            plan(&twice, Path::new("run")),
            Err(RecipeError::SameName { .. })
        ));
        // A measurement makes no factors, and neither does a later stage.
        for from in ["measure", "later"] {
            let mut stages = [
                stage("measure", Verb::Ppl),
                stage("train", Verb::Finetune),
                stage("later", Verb::Search),
            ];
            stages[1].rope_from = Source::Stage(from.to_owned());
            let error = plan(&stages, Path::new("run")).unwrap_err();
            assert!(error.to_string().contains(from), "{error}");
        }
    }
}

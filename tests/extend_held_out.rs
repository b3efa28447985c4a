//! A recipe that measures on text that it trains on is told so before anything runs.

use crate::support::Workplace;

/// A measurement, a training on the same text, and a measurement of the trained model.
const RECIPE: &str = r#"
model = "m"
text = ["books"]
out = "run"
contexts = [32]

[train]
context = 64
steps = 1
warmup-steps = 0

[[stage]]
name = "before"
verb = "ppl"

[[stage]]
name = "train"
verb = "finetune"
rope = ["yarn"]

[[stage]]
name = "after"
"#;

/// What a dry run of `recipe`, which goes on with these keys of stage `after`, says about the text that this stage measures
/// on.
fn told(here: &Workplace, recipe: &str, after: &str) -> Vec<String> {
    here.write("recipe.toml", format!("{recipe}{after}\n"));
    let outcome = here.run("extend --config recipe.toml --dry-run");
    let about = |line: &str| {
        let (_, rest) = line.split_once("stage `after` measures on text")?;
        let numbers = ": its numbers do not show how the model does on other text";
        Some(rest.split_once(numbers)?.0.trim().to_owned())
    };
    let told: Vec<String> = outcome.stderr.lines().filter_map(about).collect();
    // Nothing is said of others.
    let n_all = outcome.stderr.matches("measures on text").count();
    assert_eq!(n_all, told.len(), "{}", outcome.stderr);
    outcome.worked();
    told
}

fn workplace() -> Workplace {
    let here = Workplace::with_model();
    fs_err::create_dir(here.path("books")).unwrap();
    for name in ["books/a.txt", "books/b.txt", "books/c.json", "other.txt"] {
        here.write(name, "Once upon a time.");
    }
    here
}

const TRAINED_ON: &str = "that stage `train` trains on";

#[test]
fn text_that_the_measured_model_is_trained_on_is_named() {
    let here = workplace();
    for after in [
        "verb = \"ppl\"",
        "verb = \"compare\"",
        "verb = \"ppl\"\ntext = [\"other.txt\", \"books/a.txt\"]",
        "verb = \"ppl\"\ntext = [\"./books/../books\"]",
    ] {
        assert_eq!(told(&here, RECIPE, after), [TRAINED_ON], "{after}");
    }
    // The next training measures on it.
    let after = "verb = \"finetune\"\nrope = [\"yarn\"]\ntext = [\"other.txt\"]\ntrain = { eval-text = [\"books/b.txt\"] }";
    let expected = format!("(`train.eval-text`) {TRAINED_ON}");
    assert_eq!(told(&here, RECIPE, after), [expected]);
}

#[test]
fn other_text_another_model_and_other_measurements_are_not() {
    let here = workplace();
    for after in [
        "verb = \"ppl\"\ntext = [\"other.txt\"]",
        // It is not read with the folder.
        "verb = \"ppl\"\ntext = [\"books/c.json\"]",
        "verb = \"ppl\"\ntokens = \"tokens.json\"",
        "verb = \"ppl\"\nmodel-from = \"base\"",
        "verb = \"passkey\"",
        "verb = \"search\"\nsearch = { target = 64 }",
    ] {
        assert_eq!(told(&here, RECIPE, after), [""; 0], "{after}");
    }
    // A training on generated documents alone reads no text.
    let generated = RECIPE.replace(
        "context = 64\n",
        "context = 64\ndata = { text = 0.0, copying = 1.0 }\n",
    );
    assert_eq!(told(&here, &generated, "verb = \"ppl\""), [""; 0]);
    let sources = RECIPE.replace("\"books\"", "\"sources:training\"");
    let on = |text: &str| format!("verb = \"ppl\"\ntext = [\"sources:{text}\"]");
    assert_eq!(told(&here, &sources, &on("training")), [TRAINED_ON]);
    for held_out in ["held-out", "regex-syntax"] {
        assert_eq!(told(&here, &sources, &on(held_out)), [""; 0], "{held_out}");
    }
}

#[test]
fn all_trainings_that_made_a_model_count() {
    let here = workplace();
    let further = "verb = \"finetune\"\nrope = [\"yarn\"]\ntext = [\"other.txt\"]\n\n[[stage]]\nname = \"after\"\n";
    let recipe = RECIPE.replace(
        "name = \"after\"\n",
        &format!("name = \"further\"\n{further}"),
    );
    let on = |text: &str| format!("verb = \"ppl\"\ntext = [{text}]");
    assert_eq!(told(&here, &recipe, &on("\"books\"")), [TRAINED_ON]);
    assert_eq!(
        told(&here, &recipe, &on("\"other.txt\"")),
        ["that stage `further` trains on"]
    );
    assert_eq!(
        told(&here, &recipe, &on("\"books/b.txt\", \"other.txt\"")),
        ["that stages `train` and `further` train on"]
    );
    // The first one alone made this model.
    let of_first = format!("{}\nmodel-from = \"train\"", on("\"other.txt\""));
    assert_eq!(told(&here, &recipe, &of_first), [""; 0]);
}

use longrope_extend::recipe::plan;

use super::*;

fn configs(text: &str) -> Result<Vec<StageConfig>> {
    let (base, stages) = parse(text)?;
    let recipe = Recipe {
        text: text.to_owned(),
        base,
        out: PathBuf::from("run"),
        stages,
    };
    let places = plan(&recipe.stages, &recipe.out)?;
    stage_configs(&recipe, &places)
}

const RECIPE: &str = r#"
    model = "base"
    [[stage]]
    name = "find"
    verb = "search"
    search = { target = 1024 }
    [[stage]]
    name = "train"
    verb = "finetune"
    train = { steps = 3 }
    [[stage]]
    name = "further"
    verb = "search"
    rope-from = "find"
    search = { target = 4096 }
    [[stage]]
    verb = "ppl"
    contexts = [4096]
"#;

#[test]
fn inputs_come_from_the_stages_before() {
    let configs = configs(RECIPE).unwrap();
    let model = |index: usize| configs[index].table["model"].as_str().unwrap();
    assert_eq!((model(0), model(1)), ("base", "base"));
    let trained = "run/02-train/model";
    assert_eq!((model(2), model(3)), (trained, trained));
    let rope = |index: usize| configs[index].table["rope"][0].as_str().unwrap();
    assert_eq!(rope(1), "run/01-find/rope.json");
    assert_eq!(rope(3), "run/03-further/rope.json");
    let init = configs[2].table["search"]["init"].as_str();
    assert_eq!(init, Some("run/01-find/rope.json"));
    assert!(configs[0].table["search"].get("init").is_none());
}

#[test]
fn verbs_for_one_device_take_the_first_that_is_shared() {
    let recipe = RECIPE.replace("model = \"base\"", "device = [\"flex\", \"ndarray\"]");
    let passkey = "[[stage]]\nverb = \"passkey\"\ncontexts = [4096]";
    let stages = configs(&format!("{recipe}{passkey}")).unwrap();
    assert_eq!(stages[3].config.device.names().unwrap().len(), 2);
    assert_eq!(stages[4].config.device.only().unwrap(), "flex");
    let own = format!("{recipe}{passkey}\ndevice = [\"flex\", \"flex\"]");
    let error = configs(&own).err().unwrap();
    let cause = error.root_cause().to_string();
    assert_eq!(cause, "2 devices are given, expected one: flex, flex");
    assert!(format!("{error:#}").contains("stage `passkey`"));
}

#[test]
fn mistakes_are_found_before_anything_runs() {
    for (from, to, message) in [
        ("verb = \"ppl\"", "verb = \"pll\"", "verb `pll` is unknown"),
        (
            "rope-from = \"find\"",
            "rope-from = \"fund\"",
            "`fund` is not an earlier stage",
        ),
        ("steps = 3", "step = 3", "unknown field"),
        (
            "target = 4096",
            "target = 4096, stage = \"ratios\", sample-context = 1024",
            "expected more than 1024, the context of the factors",
        ),
    ] {
        let error = configs(&RECIPE.replace(from, to)).err().unwrap();
        let chain = format!("{error:#}");
        assert!(chain.contains(message), "{chain}");
    }
}

#[test]
fn text_of_a_stage_replaces_tokens_of_the_recipe() {
    let recipe = RECIPE.replace("model = \"base\"", "model = \"base\"\ntokens = \"t.json\"");
    let of_ppl = recipe.replace("contexts = [4096]", "contexts = [4096]\ntext = [\"a.txt\"]");
    let stages = configs(&of_ppl).unwrap();
    let tokens = |index: usize| stages[index].config.tokens.is_some();
    assert_eq!((tokens(1), tokens(3)), (true, false));
    let both = recipe.replace("tokens =", "text = [\"a.txt\"]\ntokens =");
    let error = format!("{:#}", configs(&both).err().unwrap());
    assert!(
        error.contains("the keys for all stages: `text` and `tokens`"),
        "{error}"
    );
}

#[test]
fn ropes_of_all_stages_are_measured_beside_those_that_are_found() {
    let recipe = RECIPE.replace(
        "model = \"base\"",
        "model = \"base\"\nrope = [\"none\", \"yarn\"]",
    );
    let stages = configs(&recipe).unwrap();
    let ropes = |index: usize| stages[index].config.rope.clone();
    // A training takes one.
    assert_eq!(ropes(1), ["run/01-find/rope.json"]);
    assert_eq!(ropes(3), ["none", "yarn", "run/03-further/rope.json"]);
    let own = recipe.replace("contexts = [4096]", "contexts = [4096]\nrope = [\"pi\"]");
    assert_eq!(configs(&own).unwrap()[3].config.rope, ["pi"]);
    let none = recipe.replace(
        "contexts = [4096]",
        "contexts = [4096]\nrope-from = \"base\"",
    );
    assert_eq!(configs(&none).unwrap()[3].config.rope, ["none", "yarn"]);
}

#[test]
fn a_stage_that_is_called_base_is_refused() {
    let error = configs(&RECIPE.replace("\"find\"", "\"base\"")).err();
    let message = error.unwrap().to_string();
    assert!(
        message.contains("the name of stage 1 is `base`"),
        "{message}"
    );
}

#[test]
fn the_text_of_a_recipe_has_the_arguments_of_the_command_line() {
    let mut base: Table = toml::from_str(RECIPE).unwrap();
    base.remove("stage");
    base.insert("model".to_owned(), "other".into());
    let text = with_keys(RECIPE, &base).unwrap();
    let (keys, stages) = parse(&text).unwrap();
    assert_eq!(keys, base);
    assert_eq!(stages, parse(RECIPE).unwrap().1);
    let recipe: Table = toml::from_str(&text).unwrap();
    let folders = ["01-find", "02-train", "03-further", "04-ppl"];
    assert_eq!(stage_folders(&recipe), folders);
}

#[test]
fn a_stage_for_one_rope_takes_the_first_of_the_recipe_and_not_of_its_own() {
    let ropes = |own: &str| {
        let text = format!(
            "model = 'm'\nrope = ['a', 'b']\n[[stage]]\nverb = 'export'\n{own}\n[[stage]]\nverb = 'ppl'\ncontexts = [64]"
        );
        let stages = configs(&text).unwrap();
        [0, 1].map(|index: usize| stages[index].config.rope.clone())
    };
    let [taken, measured] = ropes("");
    assert_eq!(taken, ["a"]);
    assert_eq!(measured, ["a", "b"]);
    let [own, _] = ropes("rope = ['c', 'd']");
    assert_eq!(own, ["c", "d"]);
}

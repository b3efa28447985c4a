//! Exports of the folders of runs, and what their model cards say.

use crate::support::{TINY_SEARCH, Workplace};

const TRAIN: &str = "finetune --model m --tokens tokens.json --rope run/rope.json --steps 1 --context 64 --dashboard off \
    --set train.eval-windows=0 --set train.warmup-steps=0";

#[test]
fn the_folder_of_a_search_is_exported_with_its_winner() {
    let here = Workplace::with_model();
    here.run(&format!(
        "{TINY_SEARCH} --target 128 --out run --dashboard off"
    ))
    .worked();
    here.run("export m --rope run/rope.json --out a").worked();
    here.run("export run --out b").worked();
    for file in ["config.json", "rope.json", "README.md"] {
        assert_eq!(
            here.read(&format!("a/{file}")),
            here.read(&format!("b/{file}"))
        );
    }
    let card = here.read("b/README.md");
    assert!(
        card.contains("## How it was extended\n\n- Factors searched for 128 tokens"),
        "{card}"
    );
    // What was measured, how, and how certain it is.
    let line =
        "eval ppl --model m --tokens tokens.json --contexts 32 --windows 4 --rope none --json";
    let results = here.compute(line);
    here.write("run/ppl.json", results);
    here.run("export run --out e").worked();
    let card = here.read("e/README.md");
    let header = "| model | RoPE | context | what | result | 95% interval | n |\n";
    assert!(card.contains(header), "{card}");
    let row = "| none | 32 | perplexity (protocol longrope) | ";
    let row = card.lines().find(|line| line.contains(row)).unwrap();
    assert!(row.ends_with(" | 4 windows |"), "{row}");
    assert!(row.contains(" to "), "{row}");
    let mut inside = here.command("export ../m --rope rope.json --out ../f");
    let output = inside.current_dir(here.path("run")).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(here.read("f/README.md").contains(row), "{card}");
    // A RoPE that is given besides is taken.
    here.run("export run --rope yarn --target 64 --out c")
        .worked();
    assert_eq!(
        here.read_json("c/config.json")["rope_parameters"]["rope_type"],
        "yarn"
    );
    here.run("export m --out d")
        .refused_with("`--rope` is missing");
}

#[test]
fn a_training_run_is_exported_with_the_rope_it_was_trained_under() {
    let here = Workplace::with_model();
    here.run(&format!(
        "{TINY_SEARCH} --target 128 --out run --dashboard off"
    ))
    .worked();
    here.run(&format!("{TRAIN} --lora --out trained")).worked();
    here.run("export trained --out x").worked();
    let [exported, trained] =
        ["x", "trained/model"].map(|it| here.read_json(&format!("{it}/config.json")));
    assert_eq!(exported["rope_parameters"], trained["rope_parameters"]);
    assert_eq!(exported["max_position_embeddings"], 128);

    let shown = here.run("export trained --adapter --out a").worked();
    assert!(shown.contains("base_rope.json"), "{shown}");
    let snippet = here.read_json("a/base_rope.json");
    assert_eq!(snippet["rope_parameters"], trained["rope_parameters"]);
    assert!(here.read("a/README.md").contains("library_name: peft"));
    assert!(here.path("a/adapter_model.safetensors").is_file());
    here.run("export trained --adapter --out a")
        .refused_with("exists");
    here.run("export run --adapter --out b")
        .refused_with("is not the folder of a training run");
}

#[test]
fn damaged_adapters_are_not_exported() {
    let here = Workplace::with_model();
    let train = TRAIN.replace("run/rope.json --steps 1", "yarn --steps 2");
    here.run(&format!(
        "{train} --lora --set train.save-every=1 --out trained"
    ))
    .worked();
    let weights = |folder: &str| {
        let path = here.path(folder).join("adapter_model.safetensors");
        fs_err::read(path).unwrap()
    };
    let (first, last) = ("trained/step-000001/adapter", "trained/step-000002/adapter");
    let before = weights(first);
    let damaged = weights(last);
    let cut = &damaged[..damaged.len() / 2];
    here.write(&format!("{last}/adapter_model.safetensors"), cut);
    let exported = here.run("export trained --adapter --out a");
    assert!(
        exported
            .stderr
            .contains("`trained/step-000002` is not whole"),
        "{}",
        exported.stderr
    );
    assert!(exported.worked().contains("trained/step-000001/adapter"));
    assert!(weights("a") == before);
    here.write(&format!("{first}/adapter_model.safetensors"), "overwritten");
    let refused = here.run("export trained --adapter --out b");
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(!here.path("b").exists());
}

#[test]
fn adapters_of_a_training_that_is_not_over_are_not_exported() {
    let here = Workplace::with_model();
    let train = TRAIN.replace("run/rope.json", "yarn");
    here.run(&format!("{train} --lora --out trained")).worked();
    fs_err::remove_dir_all(here.path("trained/model")).unwrap();
    for state in ["kept", "removed"] {
        if state == "removed" {
            fs_err::remove_dir_all(here.path("trained/step-000001")).unwrap();
        }
        let message = here.fails("export trained --adapter --out a");
        assert!(
            message.contains("the run in `trained` has no `trained/model` yet"),
            "{state}: {message}"
        );
        assert!(
            message.contains("end it with --resume"),
            "{state}: {message}"
        );
    }
}

//! The model that a fine-tuning ends with, and saved states that do not fit it.

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

use crate::support::{Workplace, number};

const FINETUNE: &str = "finetune --model m --tokens tokens.json --context 64 --steps 4 --dashboard off \
    --set train.batch=2 --set train.warmup-steps=1 --set train.save-every=2 --set train.recompute=false";

fn perplexity(here: &Workplace, line: &str) -> f64 {
    let line = format!("eval ppl --tokens tokens.json --contexts 64 --windows 2 --json {line}");
    number(&here.compute_json(&line), "/results/0/ppl")
}

#[test]
fn a_trained_model_says_which_rope_it_was_trained_under() {
    let here = Workplace::with_model();
    here.run("export --model m --rope pi --target 64 --out pi")
        .worked();
    for (rope, kind) in [
        ("yarn", "yarn"),
        ("pi/rope.json", "linear"),
        ("ntk", "longrope"),
        ("llama3", "llama3"),
    ] {
        for lora in ["", "--lora"] {
            let out = format!("run-{kind}{lora}");
            here.run(&format!("{FINETUNE} --rope {rope} {lora} --out {out}"))
                .worked();
            let config = here.read_json(&format!("{out}/model/config.json"));
            assert_eq!(config["rope_parameters"]["rope_type"], kind, "{config}");
            assert_eq!(config["max_position_embeddings"], 64);
            // Methods and factors for longer contexts start from the base model.
            assert_eq!(config["rope_theta"], 10000.0);
            assert_eq!(config["original_max_position_embeddings"], 32);
            assert_eq!(here.inspection(&format!("{out}/model"))["max_context"], 64);
            let own = perplexity(&here, &format!("--model {out}/model"));
            let given = perplexity(&here, &format!("--model {out}/model --rope {rope}"));
            let saved = perplexity(
                &here,
                &format!("--model {out}/model --rope {out}/model/rope.json"),
            );
            assert!((own - given).abs() < 1e-4 * given, "{own} {given}");
            assert!((saved - given).abs() < 1e-9 * given, "{saved} {given}");
            let plain = perplexity(&here, &format!("--model {out}/model --rope none"));
            assert!((plain - given).abs() > 1e-3, "{plain} {given}");
        }
    }
}

#[test]
fn a_model_trained_under_its_own_rope_keeps_its_config() {
    let here = Workplace::with_model();
    let line = FINETUNE.replace("--context 64", "--context 32");
    here.run(&format!("{line} --out run")).worked();
    assert_eq!(
        here.read("run/model/config.json"),
        here.read("m/config.json")
    );
}

#[test]
fn a_rope_that_the_family_cannot_write_is_refused_before_training() {
    let here = Workplace::with_model();
    here.checkpoint("../families/phi3-longrope", "p");
    let line = FINETUNE.replace("--model m", "--model p");
    let message = here.fails(&format!("{line} --rope dynamic-ntk --out run"));
    assert!(message.contains("choose another --rope"), "{message}");
    assert!(!here.path("run/step-000002").exists());
}

#[test]
fn training_never_replaces_a_model_it_did_not_make() {
    let here = Workplace::with_model();
    fs_err::create_dir(here.path("work")).unwrap();
    fs_err::rename(here.path("m"), here.path("work/model")).unwrap();
    let line = FINETUNE.replace("--model m", "--model work/model");
    here.run(&format!("{line} --out work"))
        .refused_with("not of a run, such as `model`");
    assert_eq!(here.inspection("work/model")["n_layers"], 2);
    fs_err::create_dir_all(here.path("other/model")).unwrap();
    here.write("other/model/notes.txt", "precious");
    here.run(&format!("{line} --out other"))
        .refused_with("not of a run, such as `model`");
    assert_eq!(here.read("other/model/notes.txt"), "precious");
}

/// Writes a safetensors file again with other tensors.
fn rewrite(here: &Workplace, name: &str, edit: impl Fn(&str, Vec<usize>) -> (String, Vec<usize>)) {
    let bytes = fs_err::read(here.path(name)).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let written: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, tensor)| {
            let (name, shape) = edit(name, tensor.shape().to_vec());
            let n_bytes = 4 * shape.iter().product::<usize>();
            (name, shape, vec![0; n_bytes])
        })
        .collect();
    let views = written.iter().map(|(name, shape, bytes)| {
        (
            name,
            TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap(),
        )
    });
    safetensors::serialize_to_file(views, None, &here.path(name)).unwrap();
}

/// Changes the name and the shape of a tensor.
type Edit = fn(&str, Vec<usize>) -> (String, Vec<usize>);

#[test]
fn optimizer_states_of_other_shapes_are_refused() {
    let here = Workplace::with_model();
    here.run(&format!("{FINETUNE} --rope yarn --out run"))
        .worked();
    let file = "run/step-000004/optimizer.safetensors";
    let whole = fs_err::read(here.path(file)).unwrap();
    // A state without checksums, so that the content itself is checked.
    let state = "run/step-000004/state.json";
    let mut without: Value = here.read_json(state);
    without.as_object_mut().unwrap().remove("sha256").unwrap();
    here.write(state, without.to_string());
    let edits: [Edit; 5] = [
        |name, shape| (name.to_owned(), vec![shape[0] + 1]),
        |name, shape| (name.to_owned(), vec![shape[0], 1]),
        |name, _| (name.to_owned(), vec![0]),
        |name, shape| (name.replace("exp_avg_sq", "other"), shape),
        |name, shape| (name.replace("model.layers.1", "model.layers.7"), shape),
    ];
    for edit in edits {
        here.write(file, &whole);
        rewrite(&here, file, edit);
        let message = here.fails("finetune --resume --out run --dashboard off");
        assert!(message.contains("optimizer.safetensors"), "{message}");
    }
    here.write(file, &whole);
    here.run("finetune --resume --out run --dashboard off")
        .worked();
}

#[test]
fn adapters_of_another_rank_are_refused_before_memory_is_allocated() {
    let here = Workplace::with_model();
    here.run(&format!("{FINETUNE} --rope yarn --lora --out run"))
        .worked();
    let file = "run/step-000004/adapter/adapter_config.json";
    let whole = here.read(file);
    for rank in [4_u64, 1_000_000_000, 1 << 62, u64::MAX] {
        let mut config: Value = serde_json::from_str(&whole).unwrap();
        config["r"] = rank.into();
        here.write(file, config.to_string());
        here.fails("finetune --resume --out run --dashboard off");
    }
}

//! Damaged checkpoints give errors that name the problem, and never panics.

use std::path::Path;

use longrope_model::{Decoder, Error, WeightProblem};
use safetensors::Dtype;
use serde_json::Value;

use crate::support::{copy, device, load, store, stored};

fn refuse(folder: &Path) -> Error {
    Decoder::load(folder, device()).unwrap_err()
}

fn edit_config(folder: &Path, edit: impl FnOnce(&mut Value)) {
    let path = folder.join("config.json");
    let mut config = serde_json::from_str(&fs_err::read_to_string(&path).unwrap()).unwrap();
    edit(&mut config);
    fs_err::write(&path, config.to_string()).unwrap();
}

#[test]
fn every_tensor_of_the_wrong_shape_is_listed() {
    let folder = copy("llama-gqa-tied");
    edit_config(folder.path(), |config| {
        config["intermediate_size"] = 40.into();
    });
    let Error::Weights { report, .. } = refuse(folder.path()) else {
        panic!("a weight report")
    };
    assert_eq!(report.problems.len(), 6, "{report}"); // three matrices in each of two layers
    assert!(report.problems.contains(&WeightProblem::WrongShape {
        name: "model.layers.1.mlp.down_proj.weight".into(),
        found: vec![32, 48],
        expected: vec![32, 40],
    }));
}

#[test]
fn missing_and_unexpected_tensors_are_told_apart() {
    let folder = copy("llama-gqa-tied");
    edit_config(folder.path(), |config| {
        config["num_hidden_layers"] = 3.into();
    });
    let Error::Weights { report, .. } = refuse(folder.path()) else {
        panic!("a weight report")
    };
    assert_eq!(report.problems.len(), 9, "{report}");
    assert!(report.problems.iter().all(
        |p| matches!(p, WeightProblem::Missing { name, .. } if name.starts_with("model.layers.2."))
    ));

    let folder = copy("llama-gqa-tied");
    edit_config(folder.path(), |config| {
        config["num_hidden_layers"] = 1.into();
    });
    let Error::Weights { report, .. } = refuse(folder.path()) else {
        panic!("a weight report")
    };
    assert!(report.problems.iter().all(|p| matches!(p, WeightProblem::Unexpected { name, .. } if name.starts_with("model.layers.1."))));
}

#[test]
fn tensors_beside_the_decoder_are_left_alone() {
    let folder = copy("llama-gqa-tied");
    let needed = stored(folder.path());
    let with = |name: &str| {
        let mut tensors = needed.clone();
        tensors.insert(name.to_owned(), (Dtype::F32, vec![2], vec![0; 8]));
        store(folder.path(), &tensors);
        Decoder::load(folder.path(), device())
    };
    for name in [
        "score.weight",
        "v_head.summary.bias",
        "model.layers.0.self_attn.rotary_emb.inv_freq",
        "model.rotary_emb.cos_cached",
        "model.layers.0.self_attn.masked_bias",
    ] {
        assert!(with(name).is_ok(), "{name}");
    }
    // With these, a program that knows them would compute something else.
    for unexpected in [
        "model.layers.0.self_attn.q_proj.bias",
        "model.embed_norm.weight",
        "lm_head.bias",
    ] {
        let Err(Error::Weights { report, .. }) = with(unexpected) else {
            panic!("a weight report about {unexpected}")
        };
        let [WeightProblem::Unexpected { name, .. }] = report.problems.as_slice() else {
            panic!("{report}")
        };
        assert_eq!(name, unexpected);
    }
    // Beside a missing tensor, they may be it.
    let mut renamed = needed.clone();
    let norm = renamed.remove("model.norm.weight").unwrap();
    renamed.insert("norm.weight".to_owned(), norm);
    store(folder.path(), &renamed);
    let Error::Weights { report, .. } = refuse(folder.path()) else {
        panic!("a weight report")
    };
    assert_eq!(report.problems.len(), 2, "{report}");
}

#[test]
fn a_file_that_was_cut_off_says_how_long_it_should_be() {
    let folder = copy("llama-gqa-tied");
    let path = folder.path().join("model.safetensors");
    let bytes = fs_err::read(&path).unwrap();
    for n in [0, 7, 100, bytes.len() / 2, bytes.len() - 1] {
        fs_err::write(&path, &bytes[..n]).unwrap();
        let error = refuse(folder.path());
        assert!(matches!(&error, Error::Damaged { .. }), "{n}: {error}");
        assert!(
            error.to_string().contains(&format!("{n} bytes")) || n == 100,
            "{n}: {error}"
        );
    }
    fs_err::write(&path, [bytes.as_slice(), b"x"].concat()).unwrap();
    assert!(matches!(refuse(folder.path()), Error::Damaged { .. }));
}

#[test]
fn noise_in_the_header_is_no_panic() {
    let folder = copy("llama-gqa-tied");
    let path = folder.path().join("model.safetensors");
    let bytes = fs_err::read(&path).unwrap();
    let mut n_errors = 0;
    for at in (0..600).step_by(7) {
        let mut noisy = bytes.clone();
        noisy[at] ^= 0x55;
        fs_err::write(&path, &noisy).unwrap();
        // Most changes give an error. Some only change a name that is not read. None may panic.
        n_errors += usize::from(Decoder::load(folder.path(), device()).is_err());
    }
    assert!(n_errors > 60, "{n_errors} of 86");
}

#[test]
fn a_missing_shard_is_named_with_what_it_held() {
    let folder = copy("llama-sharded-bf16");
    let shard = "model-00002-of-00004.safetensors";
    fs_err::remove_file(folder.path().join(shard)).unwrap();
    let error = refuse(folder.path());
    assert!(
        matches!(&error, Error::ShardMissing { shard: s, n_tensors, .. } if s == shard && *n_tensors > 0),
        "{error}"
    );
}

#[test]
fn missing_files_are_named() {
    let folder = copy("llama-gqa-tied");
    fs_err::remove_file(folder.path().join("model.safetensors")).unwrap();
    assert!(
        matches!(refuse(folder.path()), Error::FileMissing { file, .. } if file == "model.safetensors")
    );
    fs_err::remove_file(folder.path().join("config.json")).unwrap();
    assert!(
        matches!(refuse(folder.path()), Error::FileMissing { file, .. } if file == "config.json")
    );
    assert!(matches!(
        refuse(&folder.path().join("nowhere")),
        Error::ModelNotFound { .. }
    ));
}

#[test]
fn a_config_that_is_no_json_says_where() {
    let folder = copy("llama-gqa-tied");
    fs_err::write(folder.path().join("config.json"), "{\n \"model_type\": ").unwrap();
    let error = refuse(folder.path());
    let Error::Json { source, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(source.line(), 2);
}

#[test]
fn fingerprints_tell_checkpoints_apart() {
    use longrope_model::Checkpoint;
    let folder = copy("llama-gqa-tied");
    let fingerprint = || {
        Checkpoint::open(folder.path())
            .unwrap()
            .fingerprint()
            .unwrap()
    };
    let before = fingerprint();
    assert_eq!(before, fingerprint());
    let path = folder.path().join("model.safetensors");
    let mut bytes = fs_err::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs_err::write(&path, bytes).unwrap();
    assert_ne!(before, fingerprint());
    assert_eq!(load("llama-gqa-tied").config().n_layers, 2);
}

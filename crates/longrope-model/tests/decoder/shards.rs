//! Which file a tensor is read from, and heads that are stored beside the flag that ties them.

use std::path::Path;

use longrope_model::{Checkpoint, Decoder, Error, WeightProblem};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    Stored, copy, device, edit_json, export_rewritten, fixture, losses, store, store_as, stored,
};

const INDEX: &str = "model.safetensors.index.json";
const EMBEDDINGS: &str = "model.embed_tokens.weight";

/// Losses of some tokens under the checkpoint's own RoPE.
fn measured(folder: &Path) -> Vec<f32> {
    let decoder = Decoder::load(folder, device()).unwrap();
    let tokens: Vec<u32> = (0..24).map(|i| (i * 7) % 97).collect();
    losses(&decoder, &decoder.config().rope, &tokens)
}

fn sharded() -> TempDir {
    copy("llama-sharded-bf16")
}

fn edit_index(folder: &Path, edit: impl FnOnce(&mut Value)) {
    edit_json(&folder.join(INDEX), edit);
}

/// Tensors that differ from those of the checkpoint, under the same names.
fn others(folder: &Path) -> Stored {
    let mut all = stored(folder);
    for (_, _, bytes) in all.values_mut() {
        bytes.rotate_left(2);
    }
    all
}

#[test]
fn a_tensor_is_read_from_the_file_that_the_index_names() {
    let folder = sharded();
    let before = measured(folder.path());
    let wrong = others(folder.path());
    for name in ["aa.safetensors", "zz.safetensors"] {
        store_as(folder.path(), name, &wrong);
        edit_index(folder.path(), |index| {
            index["weight_map"]["extra"] = name.into();
        });
        assert_eq!(measured(folder.path()), before, "{name}");
    }
}

#[test]
fn a_whole_file_is_used_alone_even_beside_an_index() {
    let folder = sharded();
    let whole = tempfile::tempdir().unwrap();
    fs_err::copy(
        folder.path().join("config.json"),
        whole.path().join("config.json"),
    )
    .unwrap();
    store(whole.path(), &others(folder.path()));
    let expected = measured(whole.path());
    assert_ne!(measured(folder.path()), expected);
    store(folder.path(), &others(&fixture("llama-sharded-bf16")));
    assert_eq!(measured(folder.path()), expected);
    // The index does not matter then, even if it is damaged.
    fs_err::write(folder.path().join(INDEX), "{").unwrap();
    assert_eq!(measured(folder.path()), expected);
}

#[test]
fn needed_tensors_that_are_not_where_the_index_says_are_named() {
    let folder = sharded();
    let norm = "model.norm.weight";
    edit_index(folder.path(), |index| {
        index["weight_map"][norm] = "model-00001-of-00004.safetensors".into();
    });
    let Err(Error::Weights { report, .. }) = Decoder::load(folder.path(), device()) else {
        panic!("a weight report")
    };
    assert_eq!(
        report.problems,
        [WeightProblem::NotInFile {
            name: norm.into(),
            file: "model-00001-of-00004.safetensors".into(),
        }]
    );
    // Not listed at all: taken from the one file that has it, as transformers does.
    edit_index(folder.path(), |index| {
        index["weight_map"].as_object_mut().unwrap().remove(norm);
    });
    assert_eq!(
        measured(folder.path()),
        measured(&fixture("llama-sharded-bf16"))
    );
    // Two files have it, and the index does not say which counts.
    store_as(folder.path(), "zz.safetensors", &others(folder.path()));
    edit_index(folder.path(), |index| {
        index["weight_map"]["extra"] = "zz.safetensors".into();
    });
    let error = Decoder::load(folder.path(), device()).unwrap_err();
    assert!(matches!(error, Error::Index { .. }), "{error}");
    assert!(error.to_string().contains(norm), "{error}");
}

#[test]
fn an_index_cannot_name_files_outside_the_folder() {
    let place = tempfile::tempdir().unwrap();
    let inside = place.path().join("model");
    fs_err::rename(sharded().keep(), &inside).unwrap();
    let name = "model-00001-of-00004.safetensors";
    fs_err::rename(inside.join(name), place.path().join(name)).unwrap();
    let absolute = place.path().join(name).to_str().unwrap().to_owned();
    for outside in [format!("../{name}"), format!("sub/../../{name}"), absolute] {
        edit_index(&inside, |index| {
            for file in index["weight_map"].as_object_mut().unwrap().values_mut() {
                if *file == *name || file.as_str().unwrap().contains("..") {
                    *file = json!(outside);
                }
            }
        });
        let error = Checkpoint::open(&inside).unwrap_err();
        assert!(matches!(error, Error::Index { .. }), "{error}");
        assert!(error.to_string().contains(&outside), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn links_to_files_elsewhere_are_followed_as_in_the_cache_of_the_hub() {
    let blobs = sharded();
    let snapshot = tempfile::tempdir().unwrap();
    for entry in fs_err::read_dir(blobs.path()).unwrap() {
        let path = entry.unwrap().path();
        fs_err::os::unix::fs::symlink(&path, snapshot.path().join(path.file_name().unwrap()))
            .unwrap();
    }
    assert_eq!(measured(snapshot.path()), measured(blobs.path()));
}

#[test]
fn a_shard_that_is_a_folder_is_missing() {
    let folder = sharded();
    let shard = folder.path().join("model-00002-of-00004.safetensors");
    fs_err::remove_file(&shard).unwrap();
    fs_err::create_dir(&shard).unwrap();
    let error = Checkpoint::open(folder.path()).unwrap_err();
    assert!(matches!(error, Error::ShardMissing { .. }), "{error}");
}

#[test]
fn a_pointer_of_git_lfs_is_recognised() {
    let folder = copy("llama-gqa-tied");
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n";
    fs_err::write(folder.path().join("model.safetensors"), pointer).unwrap();
    let error = Checkpoint::open(folder.path()).unwrap_err();
    assert!(matches!(error, Error::LfsPointer { .. }), "{error}");
}

#[test]
fn a_million_layers_are_counted_and_not_listed() {
    let folder = copy("llama-gqa-tied");
    edit_json(&folder.path().join("config.json"), |config| {
        config["num_hidden_layers"] = 1_000_000.into();
    });
    let Err(error) = Decoder::load(folder.path(), device()) else {
        panic!("an error")
    };
    if let Error::Weights { report, .. } = error {
        assert!(report.problems.len() < 1000, "{}", report.problems.len());
        assert!(report.n_unlisted > 8_000_000, "{}", report.n_unlisted);
    }
}

/// A tied checkpoint with a head; `rotated` makes it differ from the embeddings.
fn with_head(rotated: bool) -> TempDir {
    let folder = copy("llama-gqa-tied");
    let mut tensors = stored(folder.path());
    let mut head = tensors[EMBEDDINGS].clone();
    if rotated {
        head.2.rotate_left(4);
    }
    tensors.insert("lm_head.weight".to_owned(), head);
    store(folder.path(), &tensors);
    folder
}

#[test]
fn a_head_that_differs_from_the_embeddings_is_used_although_the_flag_ties_them() {
    let own = with_head(true);
    let untied = with_head(true);
    edit_json(&untied.path().join("config.json"), |config| {
        config["tie_word_embeddings"] = false.into();
    });
    let expected = measured(untied.path());
    assert_eq!(measured(own.path()), expected);
    let tied = measured(&fixture("llama-gqa-tied"));
    assert_ne!(expected, tied);
    assert_eq!(measured(with_head(false).path()), tied);

    let decoder = Decoder::load(own.path(), device()).unwrap();
    assert!(!decoder.config().tied_embeddings);
    // Weights that are written keep it, and so do all kinds of export.
    let place = tempfile::tempdir().unwrap();
    let written = place.path().join("written.safetensors");
    decoder.write_weights(&written).unwrap();
    let written = Checkpoint::open_file(&written).unwrap();
    assert!(written.tensors().contains_key("lm_head.weight"));
    for (name, rewrite) in [("copied", false), ("rewritten", true)] {
        let target = place.path().join(name);
        export_rewritten(own.path(), &target, rewrite);
        assert_eq!(measured(&target), expected, "{name}");
        let config = fs_err::read_to_string(target.join("config.json")).unwrap();
        let config: Value = serde_json::from_str(&config).unwrap();
        assert_eq!(config["tie_word_embeddings"], false, "{name}");
    }
}

#[test]
fn a_head_of_another_shape_beside_the_flag_is_an_error() {
    let folder = with_head(false);
    let mut tensors = stored(folder.path());
    let head = tensors.get_mut("lm_head.weight").unwrap();
    head.1[0] -= 1;
    head.2.truncate(4 * head.1[0] * head.1[1]);
    store(folder.path(), &tensors);
    let error = Decoder::load(folder.path(), device()).unwrap_err();
    assert!(matches!(error, Error::Weights { .. }), "{error}");
}

#[test]
fn the_bias_of_a_tied_head_counts() {
    let (tied, untied) = (copy("../decoders/phi"), copy("../decoders/phi"));
    let mut tensors = stored(tied.path());
    let embeddings = tensors[EMBEDDINGS].clone();
    tensors.insert("lm_head.weight".to_owned(), embeddings);
    store(untied.path(), &tensors);
    tensors.remove("lm_head.weight");
    store(tied.path(), &tensors);
    for (folder, flag) in [(&tied, true), (&untied, false)] {
        edit_json(&folder.path().join("config.json"), |config| {
            config["tie_word_embeddings"] = flag.into();
        });
    }
    let load = |folder: &TempDir| Decoder::load(folder.path(), device()).unwrap();
    let (decoder, other) = (load(&tied), load(&untied));
    let tokens: Vec<u32> = (0..24).map(|i| (i * 7) % 61).collect();
    let measured = |decoder: &Decoder| losses(decoder, &decoder.config().rope, &tokens);
    assert_eq!(measured(&decoder), measured(&other));

    let place = tempfile::tempdir().unwrap();
    let written = place.path().join("written.safetensors");
    decoder.write_weights(&written).unwrap();
    let written = Checkpoint::open_file(&written).unwrap();
    assert!(written.tensors().contains_key("lm_head.bias"));
    assert!(!written.tensors().contains_key("lm_head.weight"));
}

#[test]
fn a_head_of_its_own_is_exported_untied_where_only_the_class_ties() {
    let own = copy("../decoders/smollm3");
    let mut tensors = stored(own.path());
    let mut head = tensors[EMBEDDINGS].clone();
    head.2.rotate_left(4);
    tensors.insert("lm_head.weight".to_owned(), head);
    store(own.path(), &tensors);
    edit_json(&own.path().join("config.json"), |config| {
        config
            .as_object_mut()
            .unwrap()
            .remove("tie_word_embeddings");
    });
    let place = tempfile::tempdir().unwrap();
    let target = place.path().join("out");
    export_rewritten(own.path(), &target, true);
    let config = fs_err::read_to_string(target.join("config.json")).unwrap();
    let config: Value = serde_json::from_str(&config).unwrap();
    assert_eq!(config["tie_word_embeddings"], false);
}

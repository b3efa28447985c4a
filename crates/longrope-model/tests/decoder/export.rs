//! Exporting checkpoints.

use std::cell::Cell;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use half::bf16;
use longrope_model::{
    Checkpoint, Decoder, EXPORT_PREFIX, Error, ExportOptions, FloatType, ModelConfig, ShouldStop,
    export_gguf, export_hf,
};
use longrope_rope::{AttentionScale, FactorSet, RescaleFactors, RopeScaling, RopeSpec};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    CHECKPOINTS, FAMILIES, copy, device, edit_json, fixture, gguf_options, losses, store, stored,
};

fn extended(base: &RopeSpec) -> RopeSpec {
    let set = |max_context, step: f64| FactorSet {
        max_context,
        start_tokens: 0,
        factors: RescaleFactors::new((0..8).map(|i| 1.0 + step * f64::from(i)).collect()).unwrap(),
        attention: None,
    };
    let sets = vec![set(32, 0.0), set(128, 0.5)];
    let scaling = RopeScaling::LongRope {
        sets,
        attention: AttentionScale::Su {},
    };
    RopeSpec {
        scaling,
        ..base.plain()
    }
    .validated()
    .unwrap()
}

fn options(overwrite: bool) -> ExportOptions<'static> {
    ExportOptions {
        overwrite,
        ..ExportOptions::new(128)
    }
}

/// Options that rewrite the weights.
fn rewrite(dtype: impl Into<Option<FloatType>>, shard_size: &str) -> ExportOptions<'static> {
    ExportOptions {
        dtype: dtype.into(),
        shard_size: Some(shard_size.parse().unwrap()),
        ..options(false)
    }
}

/// Exports without changing the RoPE.
fn export(source: &Path, target: &Path, options: ExportOptions<'_>) -> Result<(), Error> {
    let config = ModelConfig::from_folder(source).unwrap();
    let options = ExportOptions {
        target_context: config.max_context,
        ..options
    };
    export_hf(source, target, &config.rope, options).map(|_| ())
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs_err::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs_err::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn an_exported_checkpoint_computes_the_same() {
    for name in ["llama-gqa-tied", "llama-sharded-bf16"] {
        let source = Decoder::load(&fixture(name), device()).unwrap();
        let spec = extended(&source.config().rope);
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("deep/extended");
        export_hf(&fixture(name), &target, &spec, options(false)).unwrap();
        let exported = Decoder::load(&target, device()).unwrap();
        assert_eq!(exported.config().max_context, 128);
        assert_eq!(exported.config().rope.original_context, 32);
        for n in [32, 33, 128] {
            let tokens: Vec<u32> = (0..n).map(|i| (i * 7) % 97).collect();
            let expected = losses(&source, &spec, &tokens);
            let found = losses(&exported, &exported.config().rope, &tokens);
            for (x, y) in found.iter().zip(&expected) {
                assert!((x - y).abs() < 1e-5, "{name} at {n}: {x} is not {y}");
            }
        }
    }
}

#[test]
fn weights_are_copied_byte_for_byte() {
    let name = "llama-sharded-bf16";
    let place = tempfile::tempdir().unwrap();
    let target = place.path().join("out");
    let source = Decoder::load(&fixture(name), device()).unwrap();
    export_hf(
        &fixture(name),
        &target,
        &extended(&source.config().rope),
        options(false),
    )
    .unwrap();
    for file in Checkpoint::open(&fixture(name)).unwrap().files() {
        let copy = target.join(file.file_name().unwrap());
        assert_eq!(fs_err::read(file).unwrap(), fs_err::read(copy).unwrap());
    }
}

/// A checkpoint, and a place for exports of it.
fn source_and_place() -> (PathBuf, TempDir) {
    let place = tempfile::tempdir().unwrap();
    let source = place.path().join("source");
    fs_err::rename(copy("llama-gqa-tied").keep(), &source).unwrap();
    (source, place)
}

#[test]
fn only_folders_that_an_export_has_written_are_replaced() {
    let (source, place) = source_and_place();
    let target = place.path().join("out");
    fs_err::create_dir(&target).unwrap();
    fs_err::write(target.join("config.json"), "{}").unwrap();
    fs_err::write(target.join("mine.txt"), "precious").unwrap();
    let refused = export(&source, &target, options(false));
    assert!(matches!(refused, Err(Error::OutputExists { .. })));
    let refused = export(&source, &target, options(true));
    assert!(matches!(refused, Err(Error::OutputKept { .. })));
    // The list of another program, or a damaged one, is none of ours.
    for list in [
        "",
        "{}",
        r#"{"format": "other", "version": 1, "files": ["mine.txt"]}"#,
    ] {
        fs_err::write(target.join("longrope-export.json"), list).unwrap();
        let refused = export(&source, &target, options(true));
        assert!(matches!(refused, Err(Error::OutputKept { .. })), "{list}");
    }
    assert_eq!(
        names(&target),
        ["config.json", "longrope-export.json", "mine.txt"]
    );

    // A file and the folders around the source are no places for an export.
    let file = place.path().join("file");
    fs_err::write(&file, "precious").unwrap();
    export(&source, &place.path().join("sub/deeper"), options(false)).unwrap();
    for target in [
        file.as_path(),
        source.as_path(),
        place.path(),
        Path::new("/"),
    ] {
        let refused = export(&source, target, options(true));
        assert!(
            matches!(refused, Err(Error::OutputKept { .. })),
            "{}",
            target.display()
        );
    }
    assert!(Checkpoint::open(&source).is_ok() && file.is_file());

    // An empty folder may be filled.
    let empty = place.path().join("empty");
    fs_err::create_dir(&empty).unwrap();
    assert!(export(&source, &empty, options(false)).is_err());
    export(&source, &empty, options(true)).unwrap();
    assert!(Decoder::load(&empty, device()).is_ok());
}

#[test]
fn an_export_cannot_replace_its_own_source_even_if_it_was_exported() {
    let (source, place) = source_and_place();
    let first = place.path().join("first");
    export(&source, &first, options(false)).unwrap();
    let before = names(&first);
    let refused = export(&first, &first, options(true));
    assert!(matches!(refused, Err(Error::OutputKept { .. })));
    assert_eq!(names(&first), before);
    export(&first, &place.path().join("second"), options(false)).unwrap();
}

#[test]
fn files_that_no_export_wrote_stay_when_an_export_is_replaced() {
    let (source, place) = source_and_place();
    let target = place.path().join("out");
    export(&source, &target, rewrite(None, "8kB")).unwrap();
    let first = names(&target);
    fs_err::create_dir_all(target.join("mine/deep")).unwrap();
    fs_err::write(target.join("mine/deep/notes.txt"), "precious").unwrap();
    fs_err::write(target.join("model.gguf"), "converted").unwrap();
    export(&source, &target, options(true)).unwrap();
    let read = |name: &str| fs_err::read_to_string(target.join(name)).unwrap();
    assert_eq!(read("mine/deep/notes.txt"), "precious");
    assert_eq!(read("model.gguf"), "converted");
    // The shards of the first export are gone.
    assert!(first.iter().any(|name| name.contains("-of-")), "{first:?}");
    assert!(names(&target).iter().all(|name| !name.contains("-of-")));
    assert!(Decoder::load(&target, device()).is_ok());

    // A file of the user's in the place of a new one is not replaced.
    fs_err::write(source.join("vocab.json"), "{}").unwrap();
    fs_err::write(target.join("vocab.json"), "mine").unwrap();
    let refused = export(&source, &target, options(true));
    assert!(matches!(refused, Err(Error::OutputKept { .. })));
    assert_eq!(read("vocab.json"), "mine");
    assert_eq!(names(place.path()), ["out", "source"]);
}

#[cfg(unix)]
#[test]
fn a_link_to_an_export_is_followed_and_links_inside_stay_links() {
    use fs_err::os::unix::fs::symlink;

    let (source, place) = source_and_place();
    let [target, link, other] = ["out", "link", "other"].map(|name| place.path().join(name));
    export(&source, &target, options(false)).unwrap();
    fs_err::create_dir(&other).unwrap();
    fs_err::write(other.join("notes.txt"), "precious").unwrap();
    symlink(&other, target.join("elsewhere")).unwrap();
    symlink(&target, &link).unwrap();
    export(&source, &link, options(true)).unwrap();
    assert!(link.is_symlink() && target.join("elsewhere").is_symlink());
    assert!(other.join("notes.txt").is_file());
    // A link to nothing is not written through.
    let nothing = place.path().join("nothing");
    symlink(place.path().join("missing"), &nothing).unwrap();
    assert!(export(&source, &nothing, options(true)).is_err());
    assert!(!place.path().join("missing").exists());
}

#[test]
fn shards_of_equal_names_in_subfolders_stay_apart() {
    let source = copy("llama-sharded-bf16");
    let expected = stored(source.path());
    edit_json(
        &source.path().join("model.safetensors.index.json"),
        |index| {
            for file in index["weight_map"].as_object_mut().unwrap().values_mut() {
                let name = file.as_str().unwrap().to_owned();
                let part = &name["model-".len()..][..5];
                let moved = format!("part-{part}/model.safetensors");
                let to = source.path().join(&moved);
                fs_err::create_dir_all(to.parent().unwrap()).unwrap();
                if source.path().join(&name).exists() {
                    fs_err::rename(source.path().join(&name), to).unwrap();
                }
                *file = moved.into();
            }
        },
    );
    let place = tempfile::tempdir().unwrap();
    let target = place.path().join("out");
    export(source.path(), &target, options(false)).unwrap();
    assert!(stored(&target) == expected);
    assert_eq!(Checkpoint::open(&target).unwrap().files().len(), 4);
    export(source.path(), &target, options(true)).unwrap();
    assert!(stored(&target) == expected);
}

#[test]
fn the_index_beside_a_whole_file_is_not_copied() {
    let source = copy("llama-sharded-bf16");
    store(source.path(), &stored(&fixture("llama-sharded-bf16")));
    let place = tempfile::tempdir().unwrap();
    let target = place.path().join("out");
    export(source.path(), &target, options(false)).unwrap();
    let weights = names(&target);
    let weights: Vec<&String> = weights
        .iter()
        .filter(|name| name.starts_with("model"))
        .collect();
    assert_eq!(weights, ["model.safetensors"]);
}

#[test]
fn a_card_says_where_the_model_comes_from_and_what_it_is() {
    let (source, place) = source_and_place();
    let card = |target: &str, options: ExportOptions<'_>| {
        let target = place.path().join(target);
        export(&source, &target, options).unwrap();
        fs_err::read_to_string(target.join("README.md")).unwrap()
    };
    let plain = card("plain", options(false));
    assert!(
        plain.starts_with("---\nlibrary_name: transformers\npipeline_tag: text-generation\n---\n"),
        "{plain}"
    );
    assert!(plain.contains("- Context: 32 tokens"), "{plain}");
    fs_err::write(
        source.join("README.md"),
        "---\nlicense: apache-2.0\ntags:\n- x\nlanguage: en\n---\ntext",
    )
    .unwrap();
    let named = ExportOptions {
        hub_name: Some("o/m"),
        card_notes: "## How it was extended\n\nBy search.",
        ..options(false)
    };
    let named = card("named", named);
    assert!(
        named.starts_with("---\nbase_model: o/m\nlicense: apache-2.0\n"),
        "{named}"
    );
    assert!(named.contains("language: en\ntags:\n- x\n"), "{named}");
    assert!(
        named.contains("\n\n## How it was extended\n\nBy search.\n\n## Run it\n"),
        "{named}"
    );
    assert!(
        named.contains("`vllm serve DIR --max-model-len 32`"),
        "{named}"
    );
}

#[test]
fn a_failed_export_leaves_nothing_behind() {
    let broken = copy("llama-gqa-tied");
    let spec = extended(
        &Decoder::load(broken.path(), device())
            .unwrap()
            .config()
            .rope,
    );
    fs_err::write(broken.path().join("model.safetensors"), "short").unwrap();
    let place = tempfile::tempdir().unwrap();
    let target = place.path().join("out");
    assert!(export_hf(broken.path(), &target, &spec, options(false)).is_err());
    assert_eq!(fs_err::read_dir(place.path()).unwrap().count(), 0);
}

#[test]
fn files_of_another_size_hold_the_same_bits() {
    for name in CHECKPOINTS
        .into_iter()
        .chain(FAMILIES.map(|(name, _)| name))
    {
        let place = tempfile::tempdir().unwrap();
        let (split, joined) = (place.path().join("split"), place.path().join("joined"));
        let source = fixture(name);
        export(&source, &split, rewrite(None, "8kB")).unwrap();
        export(&split, &joined, rewrite(None, "1GB")).unwrap();
        assert!(Checkpoint::open(&split).unwrap().files().len() > 1);
        assert!(joined.join("model.safetensors").is_file());
        let expected = stored(&source);
        assert!(stored(&split) == expected && stored(&joined) == expected);
        let loaded = Decoder::load(&split, device()).unwrap();
        let original = Decoder::load(&source, device()).unwrap();
        let tokens: Vec<u32> = (0..40).map(|i| (i * 7) % 97).collect();
        let rope = &original.config().rope;
        assert_eq!(
            losses(&loaded, rope, &tokens),
            losses(&original, rope, &tokens),
            "{name}"
        );
    }
}

#[test]
fn types_that_hold_every_weight_lose_nothing() {
    let originals = [FloatType::F32, FloatType::BF16, FloatType::F16];
    for (name, original) in CHECKPOINTS.into_iter().zip(originals) {
        let place = tempfile::tempdir().unwrap();
        let (wide, back) = (place.path().join("wide"), place.path().join("back"));
        export(&fixture(name), &wide, rewrite(FloatType::F32, "20kB")).unwrap();
        export(&wide, &back, rewrite(original, "7kB")).unwrap();
        assert!(
            stored(&wide)
                .values()
                .all(|(dtype, ..)| *dtype == Dtype::F32)
        );
        assert!(stored(&back) == stored(&fixture(name)), "{name}");
    }
}

#[test]
fn an_export_that_is_asked_to_stop_leaves_nothing() {
    let place = tempfile::tempdir().unwrap();
    let (folder, file) = (place.path().join("out"), place.path().join("out.gguf"));
    let source = fixture("llama-gqa-tied");
    let rope = ModelConfig::from_folder(&source).unwrap().rope;
    // Asked while the weights are looked at, and while they are written.
    for n_answers in [0, 5, 20, 21] {
        let left = Cell::new(n_answers);
        let is_asked = || left.replace(left.get().max(1) - 1) == 0;
        for options in [options(false), rewrite(FloatType::F32, "4kB")] {
            let options = ExportOptions {
                should_stop: ShouldStop::when(&is_asked),
                ..options
            };
            left.set(n_answers);
            let error = export(&source, &folder, options).unwrap_err();
            assert!(matches!(error, Error::Stopped), "{error}");
        }
        let options = gguf_options(32, ShouldStop::when(&is_asked));
        left.set(n_answers);
        let error = export_gguf(&source, &file, &rope, options).unwrap_err();
        assert!(matches!(error, Error::Stopped), "{error}");
        assert_eq!(names(place.path()), [""; 0]);
    }
}

#[test]
fn what_a_killed_export_to_the_same_folder_left_is_removed() {
    let place = tempfile::tempdir().unwrap();
    let target = place.path().join("out");
    let source = fixture("llama-gqa-tied");
    export(&source, &target, options(false)).unwrap();
    // Its name tells the folder that it was to become.
    let copy = place.path().join("killed");
    let begun = longrope_data::create_folder(&copy, EXPORT_PREFIX, |folder| {
        let name = folder.parent().unwrap().file_name().unwrap();
        fs_err::write(folder.join("half"), "half")?;
        io::Result::Ok(name.to_owned())
    });
    let name = begun.unwrap().into_string().unwrap();
    let left = place.path().join(&name);
    fs_err::create_dir(&left).unwrap();
    fs_err::write(left.join("lock"), "").unwrap();
    fs_err::rename(&copy, left.join("new")).unwrap();
    let again = ExportOptions {
        overwrite: true,
        ..options(false)
    };
    export(&source, &target, again).unwrap();
    assert_eq!(
        names(place.path()),
        [name.as_str(), "out"],
        "it is another's"
    );
    export(&source, &copy, options(false)).unwrap();
    assert_eq!(names(place.path()), ["killed", "out"]);
}

#[test]
fn a_narrower_type_rounds_once() {
    let place = tempfile::tempdir().unwrap();
    let (once, twice) = (place.path().join("once"), place.path().join("twice"));
    let source = fixture("llama-gqa-tied");
    let options = ExportOptions {
        dtype: Some(FloatType::BF16),
        ..options(false)
    };
    export(&source, &once, options).unwrap();
    export(&once, &twice, options).unwrap();
    let rounded = stored(&once);
    assert!(rounded == stored(&twice));
    for (name, (dtype, shape, bytes)) in stored(&source) {
        assert_eq!(dtype, Dtype::F32);
        let (elements, _) = bytes.as_chunks::<4>();
        let expected = elements
            .iter()
            .flat_map(|b| bf16::from_f32(f32::from_le_bytes(*b)).to_le_bytes());
        assert!(rounded[&name] == (Dtype::BF16, shape, expected.collect()));
    }
    assert!(Decoder::load(&twice, device()).is_ok());
}

#[test]
fn shards_are_numbered_indexed_and_small_enough() {
    const LIMIT: usize = 8000;
    let place = tempfile::tempdir().unwrap();
    let (first, second) = (place.path().join("first"), place.path().join("second"));
    let source = fixture("llama-sharded-bf16");
    export(&source, &first, rewrite(FloatType::F32, "8000")).unwrap();
    export(&source, &second, rewrite(FloatType::F32, "8000")).unwrap();

    let files = Checkpoint::open(&first).unwrap().files().to_vec();
    let index = json(&first.join("model.safetensors.index.json"));
    let weight_map = index["weight_map"].as_object().unwrap();
    let mut sizes = Vec::new();
    for (i, path) in files.iter().enumerate() {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert_eq!(
            name,
            format!("model-{:05}-of-{:05}.safetensors", i + 1, files.len())
        );
        let bytes = fs_err::read(path).unwrap();
        let (header, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
        assert!(header.is_multiple_of(8), "{header}");
        let format = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        assert_eq!(metadata.metadata().as_ref(), Some(&format));
        for tensor in metadata.offset_keys() {
            assert_eq!(weight_map[&tensor], *name);
        }
        let n_tensors = metadata.tensors().len();
        assert!(metadata.data_len() <= LIMIT || n_tensors == 1, "{name}");
        sizes.push(metadata.data_len());
    }
    assert_eq!(index["metadata"]["total_size"], sizes.iter().sum::<usize>());
    assert_eq!(weight_map.len(), stored(&source).len());
    // The embedding comes first and is larger than the maximum file size.
    assert_eq!(sizes[0], 97 * 48 * 4);

    // There are no other files, and a second export writes the same bytes.
    let mut expected: Vec<&str> = files
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap())
        .collect();
    expected.splice(..0, ["README.md", "config.json", "longrope-export.json"]);
    expected.push("model.safetensors.index.json");
    assert_eq!(names(&first), expected);
    for name in names(&first) {
        let [a, b] = [&first, &second].map(|folder| fs_err::read(folder.join(&name)).unwrap());
        assert!(a == b, "{name}");
    }
}

#[test]
fn config_json_says_what_the_weights_are_in_its_own_spelling() {
    for (name, key, other) in [
        ("llama-gqa-tied", "dtype", "torch_dtype"),
        ("llama-sharded-bf16", "torch_dtype", "dtype"),
    ] {
        let place = tempfile::tempdir().unwrap();
        let folder = |name: &str| place.path().join(name);
        export(
            &fixture(name),
            &folder("f16"),
            rewrite(FloatType::F16, "1GB"),
        )
        .unwrap();
        export(&fixture(name), &folder("kept"), rewrite(None, "1GB")).unwrap();
        let config = json(&folder("f16/config.json"));
        assert_eq!(config[key], "float16");
        assert_eq!(config.get(other), None);
        let kept = json(&folder("kept/config.json"));
        assert_eq!(kept[key], json(&fixture(name).join("config.json"))[key]);
        assert!(!folder("f16/model.safetensors.index.json").exists());
    }
}

#[test]
fn mixed_types_are_kept_and_aligned_and_what_no_one_reads_is_left_out() {
    let source = copy("llama-gqa-tied");
    let mut tensors = stored(source.path());
    let needed = tensors.clone();
    let embedding = tensors["model.embed_tokens.weight"].clone();
    tensors.insert("lm_head.weight".to_owned(), embedding); // tied, but also stored separately
    let inv_freq = (Dtype::F32, vec![8], vec![0; 32]);
    tensors.insert(
        "model.layers.0.self_attn.rotary_emb.inv_freq".to_owned(),
        inv_freq,
    );
    let norm = (Dtype::F64, vec![32], 1f64.to_le_bytes().repeat(32));
    tensors.insert("model.norm.weight".to_owned(), norm.clone());
    store(source.path(), &tensors);

    let place = tempfile::tempdir().unwrap();
    let target = place.path().join("out");
    export(source.path(), &target, rewrite(None, "1GB")).unwrap();
    let written = stored(&target);
    assert!(written.keys().eq(needed.keys()));
    assert!(written["model.norm.weight"] == norm);
    // The f64 tensors come first, so that they start at a multiple of their element size.
    let bytes = fs_err::read(target.join("model.safetensors")).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(
        metadata.offset_keys()[..2],
        ["model.norm.weight", "model.embed_tokens.weight"]
    );
}

#[test]
fn a_weight_too_large_for_f16_is_named_and_nothing_changes() {
    let source = copy("llama-gqa-tied");
    let mut tensors = stored(source.path());
    let gate = "model.layers.1.mlp.gate_proj.weight";
    let bytes = &mut tensors.get_mut(gate).unwrap().2;
    bytes[400..404].copy_from_slice(&(-70_000f32).to_le_bytes());
    store(source.path(), &tensors);

    let place = tempfile::tempdir().unwrap();
    let target = place.path().join("out");
    for mine in [false, true] {
        if mine {
            export(&fixture("llama-gqa-tied"), &target, options(false)).unwrap();
            fs_err::write(target.join("mine.txt"), "precious").unwrap();
        }
        let options = ExportOptions {
            overwrite: true,
            ..rewrite(FloatType::F16, "4kB")
        };
        let error = export(source.path(), &target, options).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("tensor `{gate}` holds -70000, the largest f16 is 65504")
        );
        let left = names(place.path());
        assert_eq!(left, if mine { vec!["out"] } else { vec![] });
    }
    assert!(target.join("mine.txt").is_file() && Decoder::load(&target, device()).is_ok());
    export(
        source.path(),
        &place.path().join("bf16"),
        rewrite(FloatType::BF16, "4kB"),
    )
    .unwrap();
}

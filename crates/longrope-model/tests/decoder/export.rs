//! Checkpoint to checkpoint.

use longrope_model::{Checkpoint, Decoder, Error, ExportOptions, export_hf};
use longrope_rope::{AttentionScale, FactorSet, RescaleFactors, RopeScaling, RopeSpec};

use crate::support::{copy, device, fixture, losses};

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

fn options(overwrite: bool) -> ExportOptions {
    ExportOptions {
        target_context: 128,
        overwrite,
    }
}

#[test]
fn an_exported_checkpoint_computes_the_same() {
    for name in ["llama-gqa-tied", "llama-sharded-bf16"] {
        let source = Decoder::load(&fixture(name), &device()).unwrap();
        let spec = extended(&source.config().rope);
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("deep/extended");
        export_hf(&fixture(name), &target, &spec, options(false)).unwrap();
        let exported = Decoder::load(&target, &device()).unwrap();
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
    let source = Decoder::load(&fixture(name), &device()).unwrap();
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

#[test]
fn an_existing_folder_is_kept_unless_told_otherwise() {
    let name = "llama-gqa-tied";
    let spec = extended(
        &Decoder::load(&fixture(name), &device())
            .unwrap()
            .config()
            .rope,
    );
    let place = tempfile::tempdir().unwrap();
    let target = place.path().join("out");
    fs_err::create_dir(&target).unwrap();
    fs_err::write(target.join("mine.txt"), "precious").unwrap();
    let refused = export_hf(&fixture(name), &target, &spec, options(false));
    assert!(matches!(refused, Err(Error::OutputExists { .. })));
    assert!(target.join("mine.txt").is_file());
    export_hf(&fixture(name), &target, &spec, options(true)).unwrap();
    assert!(!target.join("mine.txt").exists());
    assert!(Decoder::load(&target, &device()).is_ok());
}

#[test]
fn a_failed_export_leaves_nothing_behind() {
    let broken = copy("llama-gqa-tied");
    let spec = extended(
        &Decoder::load(broken.path(), &device())
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

use std::path::Path;

use longrope_trainer::run::DistillConfig;

use super::*;
use crate::settings::device_names::DeviceNames;

fn model() -> ModelConfig {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/tiny-llama-256");
    ModelConfig::from_folder(&folder).unwrap()
}

fn refused(work: Work<'_>, n_workers: usize, available: f64) -> Option<String> {
    let config = Config::default();
    let result = check_against(&config, &model(), work, n_workers, available);
    result.err().map(|error| format!("{error:#}"))
}

#[test]
fn small_work_fits_and_large_work_is_refused_with_what_fits() {
    let measure = |context| Work::Measure { context };
    assert_eq!(refused(measure(4096), 1, GIB), None);
    let message = refused(measure(1 << 30), 1, GIB).unwrap();
    for part in [
        "1,073,741,824 tokens need",
        "1.0 GiB",
        "longest context",
        "--force",
    ] {
        assert!(message.contains(part), "{message}");
    }
    let message = refused(measure(64), 1, 1e6).unwrap();
    assert!(message.contains("no context fits"), "{message}");
    let generate = Work::Generate { tokens: 1 << 30 };
    assert!(refused(generate, 1, GIB).is_some());
}

#[test]
fn windows_of_several_workers_and_batches_count() {
    let measure = Work::Measure { context: 200_000 };
    assert_eq!(refused(measure, 1, GIB), None);
    let message = refused(measure, 8, GIB).unwrap();
    assert!(message.contains("it fits with one --device"), "{message}");
    let config = TrainConfig {
        batch: 64,
        ..TrainConfig::default()
    };
    let train = Work::Train {
        context: 4096,
        config: &config,
    };
    let message = refused(train, 1, GIB).unwrap();
    assert!(message.contains("train.batch=1"), "{message}");
    let config = TrainConfig {
        recompute: false,
        ..TrainConfig::default()
    };
    let train = Work::Train {
        context: 8192,
        config: &config,
    };
    let message = refused(train, 1, 0.5 * GIB).unwrap();
    assert!(message.contains("train.recompute=true"), "{message}");
}

#[test]
fn gradients_of_several_micro_batches_and_workers_count() {
    let model = model();
    let n_sets = |accumulate: usize, n_workers: usize| {
        let config = TrainConfig {
            accumulate,
            ..TrainConfig::default()
        };
        let once = TrainConfig::default();
        let bytes = |config, n| train_memory(&model, config, n).fixed_bytes;
        let one_set = 4.0 * model.n_parameters() as f64;
        (bytes(&config, n_workers) - bytes(&once, 1)) / one_set
    };
    // With one worker, gradients of earlier micro-batches are there in the forward pass, where a single one has none.
    assert!((0.9..1.001).contains(&n_sets(4, 1)), "{}", n_sets(4, 1));
    // Two workers have a set each, and the sum if there is more to add to it.
    for (accumulate, more) in [(1, 0.0), (2, 1.0), (3, 2.0), (8, 2.0)] {
        let found = n_sets(accumulate, 2);
        assert!((found - more).abs() < 1e-6, "{accumulate}: {found}");
    }
}

#[test]
fn modules_that_are_trained_beside_adapters_count() {
    let lora = |modules: &[&str]| TrainConfig {
        mode: TrainMode::Lora,
        modules_to_save: modules.iter().map(|name| (*name).to_owned()).collect(),
        ..TrainConfig::default()
    };
    let bytes = |config: &TrainConfig| {
        let work = Work::Train {
            context: 64,
            config,
        };
        Needed::by(&model(), work, Held::F32, 1).memory.at(64)
    };
    let embeddings = (model().vocab_size * model().hidden_size) as f64;
    let more = bytes(&lora(&["embed_tokens"])) - bytes(&lora(&[]));
    // At least a gradient and two moments of four bytes each.
    assert!(more >= 12.0 * embeddings, "{more}");
    // A name that no module has is an error of its own.
    assert!((bytes(&lora(&["nothing"])) - bytes(&lora(&[]))).abs() < 1.0);
    // So are fewer adapters.
    let mut few = lora(&[]);
    few.lora.target_modules = Some(vec!["q_proj".to_owned()]);
    assert!(bytes(&few) < bytes(&lora(&[])));
}

#[test]
fn hidden_states_that_are_compared_count() {
    let model = model();
    let last = model.n_layers;
    let memory = |distill: DistillConfig, recompute: bool| {
        let config = TrainConfig {
            distill,
            recompute,
            mode: TrainMode::Lora,
            ..TrainConfig::default()
        };
        train_memory(&model, &config, 1)
    };
    let short = |layers: &[usize]| DistillConfig {
        short: 0.5,
        layers: Some(layers.to_vec()),
        ..DistillConfig::default()
    };
    let far = DistillConfig {
        far: 0.5,
        ..DistillConfig::default()
    };
    let state = estimate::ALLOCATOR_OVERHEAD * 4.0 * model.hidden_size as f64;
    for recompute in [true, false] {
        let without = memory(DistillConfig::default(), recompute);
        for (distill, n_kept, n_between) in [
            (short(&[1, last]), 2.0, 1.0),
            (short(&[1]), 1.0, 1.0),
            (far.clone(), 1.0, 0.0),
        ] {
            let with = memory(distill, recompute);
            let kept = with.bytes_per_token - without.bytes_per_token;
            let between = with.input_bytes_per_token - without.input_bytes_per_token;
            // Sums of a few numbers of thousands of bytes.
            assert!((kept - n_kept * state).abs() < 1e-6, "{kept}");
            assert!((between - n_between * state).abs() < 1e-6, "{between}");
        }
    }
    // By default, some of the layers are compared, and the last.
    let by_default = DistillConfig {
        short: 0.5,
        ..DistillConfig::default()
    };
    let with = memory(by_default, true);
    let without = memory(DistillConfig::default(), true);
    let n_states = last.min(6) as f64;
    let kept = with.bytes_per_token - without.bytes_per_token;
    assert!((kept - n_states * state).abs() < 1e-6, "{kept}");
}

#[test]
fn nothing_is_refused_by_force_or_on_other_devices() {
    let work = Work::Measure { context: 1 << 30 };
    let model = model();
    let forced = Config {
        force: true,
        ..Config::default()
    };
    check(&forced, &model, work).unwrap();
    let elsewhere = Config {
        device: DeviceNames::One("cuda:0".to_owned()),
        ..Config::default()
    };
    check(&elsewhere, &model, work).unwrap();
}

#[test]
fn every_worker_adapts_a_batch_and_adapters_of_candidates_are_kept() {
    let one = TrainConfig {
        mode: TrainMode::Lora,
        ..TrainConfig::default()
    };
    let many = TrainConfig {
        batch: 64,
        ..one.clone()
    };
    let adapt = |config, candidates| Work::Adapt {
        window: 4096,
        config,
        candidates,
    };
    assert_eq!(refused(adapt(&one, 64), 1, GIB), None);
    let message = refused(adapt(&many, 64), 1, GIB).unwrap();
    assert!(message.contains("search.adapt.batch=1"), "{message}");
    assert!(message.contains("64 sequences are in memory"), "{message}");
    let message = refused(adapt(&one, 64), 20, GIB).unwrap();
    assert!(message.contains("it fits with one --device"), "{message}");
    assert!(refused(adapt(&one, 1 << 20), 1, GIB).is_some());
}

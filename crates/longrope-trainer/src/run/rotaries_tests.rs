use std::path::Path;

use burn::tensor::{DType, Device};
use longrope_model::{DecoderConfig, Recompute, Trained, TrainingBatch};
use longrope_rope::{AttentionScale, FactorSet, RescaleFactors, RopeScaling};
use serde_json::json;

use super::*;
use crate::micro_batch::MicroBatch;
use crate::run::batches::micro_batch;
use crate::run::batches::tests::{FIRST, SIZES, window};

/// Tables of different sizes, to tell them apart.
fn rotaries() -> Rotaries {
    let spec = RopeSpec::new(4, 10_000.0, 16, RopeScaling::None {}).unwrap();
    let decoder = DecoderConfig::new(SIZES).init(&Device::flex());
    Rotaries {
        original: Angles::new(&decoder.rotaries(), spec.resolve(16), 4),
        ..Rotaries::new(&decoder, &spec, 8)
    }
}

const RUN: SkippingRun = SkippingRun {
    window: 4,
    longest: 8,
    total_steps: 10,
    seed: 1,
};

#[test]
fn a_batch_is_rotated_as_its_windows_say() {
    let n_positions = |rope: RopeChoice| {
        let batch = micro_batch(vec![window(rope, false)], &rotaries(), None, FIRST);
        batch.rotary.n_positions()
    };
    assert_eq!(n_positions(RopeChoice::Rescaled), 8);
    assert_eq!(n_positions(RopeChoice::Original), 4);
}

#[test]
fn positions_skip_in_the_windows_that_are_to_skip() {
    let spec = RopeSpec::new(4, 10_000.0, 16, RopeScaling::None {}).unwrap();
    let decoder = DecoderConfig::new(SIZES).init(&Device::flex());
    let settings = SkippedPositions {
        targets: vec![64, 512],
        ..SkippedPositions::default()
    };
    let rotaries = |settings: &SkippedPositions| Rotaries::skipped(&decoder, &spec, settings, RUN);
    let skipping = rotaries(&settings).unwrap();
    // The loss tells which angles were used.
    let of = |window: TrainingWindow, place| loss(&decoder, &skipping, window, place).to_bits();
    let rescaled = || window(RopeChoice::Rescaled, false);
    let original = || window(RopeChoice::Original, false);
    let later = BatchPlace {
        step: 9,
        n_windows: 9,
    };
    assert_eq!(of(rescaled(), FIRST), of(rescaled(), FIRST), "repeatable");
    assert_ne!(of(rescaled(), FIRST), of(rescaled(), later));
    assert_eq!(of(original(), FIRST), of(original(), later));
    let long = TrainingWindow {
        tokens: vec![3; 8],
        ..rescaled()
    };
    assert_eq!(of(long.clone(), FIRST), of(long, later), "real positions");
    let too_short = SkippedPositions {
        targets: vec![4],
        ..settings
    };
    assert!(matches!(rotaries(&too_short), Err(Error::Setting { .. })));
}

/// The summed loss of a window, nats.
fn loss(decoder: &Decoder, rotaries: &Rotaries, window: TrainingWindow, place: BatchPlace) -> f64 {
    let MicroBatch { batch, rotary, .. } = micro_batch(vec![window], rotaries, None, place);
    loss_under(decoder, &batch, &rotary)
}

fn loss_under(decoder: &Decoder, batch: &TrainingBatch, rotary: &Rotary) -> f64 {
    let result = decoder.loss_gradients(batch, rotary, Trained::All, Recompute::Layers);
    result.unwrap().loss
}

/// A tiny model with a window of 32 tokens, in `f64`.
fn model(name: &str) -> Decoder {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures");
    let decoder = Decoder::load(&fixtures.join(name), Device::flex()).unwrap();
    decoder.cast(DType::F64)
}

/// The same weights in a model whose queries grow after every 16 tokens.
fn growing() -> Decoder {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures");
    let folder = tempfile::tempdir().unwrap();
    let weights = "model.safetensors";
    fs_err::copy(
        fixtures.join("models/llama-gqa-tied").join(weights),
        folder.path().join(weights),
    )
    .unwrap();
    let config = json!({
        "model_type": "ministral3", "hidden_size": 32, "intermediate_size": 48, "vocab_size": 97, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 32,
        "tie_word_embeddings": true, "bos_token_id": 0, "eos_token_id": 1, "rope_parameters": {
            "rope_type": "yarn", "rope_theta": 1e4, "factor": 2.0, "original_max_position_embeddings": 16,
            "llama_4_scaling_beta": 4.0,
        },
    });
    fs_err::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let decoder = Decoder::load(folder.path(), Device::flex()).unwrap();
    decoder.cast(DType::F64)
}

/// A RoPE with factor sets of `(max_context, start_tokens, largest factor)`.
fn with_sets<const N: usize>(decoder: &Decoder, sets: [(usize, usize, f64); N]) -> RopeSpec {
    let plain = decoder.config().rope.plain();
    let n_pairs = plain.n_pairs();
    let set = |(max_context, start_tokens, largest): (usize, usize, f64)| {
        let factor = |pair: usize| 1.0 + (largest - 1.0) * pair as f64 / (n_pairs - 1) as f64;
        let factors = RescaleFactors::new((0..n_pairs).map(factor).collect());
        FactorSet {
            max_context,
            start_tokens,
            factors: factors.unwrap(),
            attention: None,
        }
    };
    let scaling = RopeScaling::LongRope {
        sets: sets.into_iter().map(set).collect(),
        attention: AttentionScale::None {},
    };
    RopeSpec { scaling, ..plain }
}

/// A window of `n_tokens` tokens, whose documents begin at `starts` and do not attend to each other.
fn confined(n_tokens: u32, starts: &[usize]) -> TrainingWindow {
    TrainingWindow {
        tokens: (0..n_tokens).map(|i| (i * i + 7 * i + 2) % 97).collect(),
        document_starts: starts.to_vec(),
        ..window(RopeChoice::Rescaled, true)
    }
}

/// Of losses in `f64`, relative: sums in another order.
const ROUNDING: f64 = 1e-9;

/// A document of 24 tokens before another.
const TWO: [usize; 2] = [0, 24];

/// Both documents of [`TWO`], each in a window of its own.
fn halves(of: &TrainingWindow) -> [TrainingWindow; 2] {
    [0..24, 24..48].map(|range| TrainingWindow {
        tokens: of.tokens[range].to_vec(),
        document_starts: vec![0],
        ..of.clone()
    })
}

#[test]
fn each_document_begins_at_position_0_where_a_rope_treats_first_tokens_differently() {
    // All layers of the second model have a sliding window.
    for name in ["models/llama-gqa-tied", "families/mistral-window"] {
        let decoder = model(name);
        let rope = |start_tokens| with_sets(&decoder, [(64, start_tokens, 8.0)]);
        let both = confined(48, &TWO);
        let compared = TrainingWindow {
            goal: Goal::ShortStates,
            ..both.clone()
        };
        let real = |start_tokens| {
            let rope = rope(start_tokens);
            Rotaries::new(&decoder, &rope, 48).with_short(&decoder, &rope, 48)
        };
        let rotaries = real(8);
        assert!(rotaries.differ_from_before(true) && !rotaries.differ_from_before(false));
        for window in [both.clone(), compared] {
            let sum = |rotaries: &Rotaries| {
                let alone = |half| loss(&decoder, rotaries, half, FIRST);
                halves(&window).map(alone).iter().sum::<f64>()
            };
            let found = loss(&decoder, &rotaries, window.clone(), FIRST);
            let expected = sum(&rotaries);
            assert!(
                (found - expected).abs() < ROUNDING * expected,
                "{name}: {found} is not {expected}"
            );
            // As a run goes on that an earlier version began.
            let before = loss(
                &decoder,
                &rotaries.clone().like_before(),
                window.clone(),
                FIRST,
            );
            assert!((before - expected).abs() > 1e-3, "{name}: {before}");
        }
        // Without start tokens, distances alone count, and the bits stay those of before.
        let plain = real(0);
        assert!(!plain.differ_from_before(true));
        let bits = |rotaries: &Rotaries| loss(&decoder, rotaries, both.clone(), FIRST).to_bits();
        assert_eq!(bits(&plain), bits(&plain.clone().like_before()));
    }
}

#[test]
fn each_document_begins_at_position_0_where_queries_grow() {
    let decoder = growing();
    let rope = with_sets(&decoder, [(64, 0, 8.0)]);
    let rotaries = Rotaries::new(&decoder, &rope, 48).with_short(&decoder, &rope, 48);
    assert!(rotaries.queries_grow());
    assert!(rotaries.differ_from_before(true) && !rotaries.differ_from_before(false));
    let both = confined(48, &TWO);
    let compared = TrainingWindow {
        goal: Goal::ShortStates,
        ..both.clone()
    };
    let original = TrainingWindow {
        rope: RopeChoice::Original,
        ..both.clone()
    };
    for (name, window) in [
        ("text", both),
        ("compared", compared),
        ("original", original.clone()),
    ] {
        let alone = |half| loss(&decoder, &rotaries, half, FIRST);
        let expected = halves(&window).map(alone).iter().sum::<f64>();
        let found = loss(&decoder, &rotaries, window.clone(), FIRST);
        assert!(
            (found - expected).abs() < ROUNDING * expected,
            "{name}: {found} is not {expected}"
        );
        // As a run goes on that an earlier version began.
        let before = loss(&decoder, &rotaries.clone().like_before(), window, FIRST);
        let difference = (before - expected).abs();
        assert!(difference > 100.0 * ROUNDING * expected, "{name}: {before}");
    }
    // The model that windows are compared with reads them in the same way.
    let of_teacher = |window: &TrainingWindow| rotaries.original_of(std::slice::from_ref(window));
    let rotary = of_teacher(&original).unwrap();
    let batch = micro_batch(vec![original.clone()], &rotaries, None, FIRST).batch;
    assert_eq!(
        loss_under(&decoder, &batch, &rotary).to_bits(),
        loss(&decoder, &rotaries, original.clone(), FIRST).to_bits()
    );
    assert!(
        halves(&original)
            .iter()
            .all(|half| of_teacher(half).is_none())
    );
    // Within the context in which they do not grow, distances alone count.
    let near = Rotaries::new(&decoder, &rope, 16);
    assert!(!near.queries_grow() && !near.differ_from_before(true));
}

#[test]
fn documents_of_windows_that_skip_nothing_begin_at_position_0_beside_those_that_skip() {
    let decoder = model("models/llama-gqa-tied");
    let rope = with_sets(&decoder, [(64, 8, 8.0)]);
    let settings = SkippedPositions {
        targets: vec![64],
        // Of a few windows, none skips.
        share: 1e-9,
        ..SkippedPositions::default()
    };
    let run = SkippingRun {
        window: 48,
        longest: 48,
        ..RUN
    };
    let rotaries = Rotaries::skipped(&decoder, &rope, &settings, run).unwrap();
    let both = confined(48, &TWO);
    let alone = |half| loss(&decoder, &rotaries, half, FIRST);
    let expected = halves(&both).map(alone).iter().sum::<f64>();
    let found = loss(&decoder, &rotaries, both, FIRST);
    assert!(
        (found - expected).abs() < ROUNDING * expected,
        "{found} is not {expected}"
    );
}

#[test]
fn windows_of_each_length_have_the_rope_of_a_text_of_that_length() {
    let decoder = model("models/llama-gqa-tied");
    let rope = with_sets(&decoder, [(32, 0, 1.0), (64, 0, 3.0), (128, 0, 9.0)]);
    let settings = |targets: &[usize]| SkippedPositions {
        targets: targets.to_vec(),
        ..SkippedPositions::default()
    };
    let run = SkippingRun {
        window: 32,
        longest: 128,
        ..RUN
    };
    let of_tokens = |n_tokens| TrainingWindow {
        confined: false,
        ..confined(n_tokens, &[0])
    };
    let (normal, long) = (of_tokens(32), of_tokens(128));
    let found = |rotaries: &Rotaries, window: &TrainingWindow| {
        loss(&decoder, rotaries, window.clone(), FIRST).to_bits()
    };
    // Under the RoPE of a text of `length` tokens.
    let under = |window: &TrainingWindow, length: usize| {
        let rotary = decoder.rotary(&rope.resolve(length), 128);
        let batch = TrainingBatch {
            tokens: vec![window.tokens.clone()],
            loss_weights: vec![window.token_weights()],
            documents: None,
        };
        loss_under(&decoder, &batch, &rotary).to_bits()
    };
    let skipping =
        |targets: &[usize]| Rotaries::skipped(&decoder, &rope, &settings(targets), run).unwrap();
    // The step is of the first target, which is shorter than the long windows.
    let curriculum = skipping(&[64, 128]);
    assert_eq!(found(&curriculum, &long), under(&long, 128));
    assert!(curriculum.differ_from_before(false));
    assert_eq!(found(&curriculum.like_before(), &long), under(&long, 64));
    assert!(!skipping(&[128]).differ_from_before(false));

    let real = Rotaries::of_lengths(&decoder, &rope, 32, 128);
    assert_eq!(found(&real, &normal), under(&normal, 32));
    assert_eq!(found(&real, &long), under(&long, 128));
    assert!(real.differ_from_before(false));
    assert_eq!(found(&real.like_before(), &normal), under(&normal, 128));
    assert!(!Rotaries::new(&decoder, &rope, 32).differ_from_before(false));
}

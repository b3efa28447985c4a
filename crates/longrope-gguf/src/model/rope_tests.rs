use longrope_rope::{AttentionScale, RescaleFactors};

use super::*;

fn set(max_context: usize, factor: f64) -> FactorSet {
    FactorSet {
        max_context,
        start_tokens: 0,
        factors: RescaleFactors::new(vec![1.0, factor, factor, factor]).unwrap(),
        attention: None,
    }
}

fn spec(scaling: RopeScaling) -> RopeSpec {
    RopeSpec::new(8, 10_000.0, 256, scaling).unwrap()
}

fn long_rope(sets: Vec<FactorSet>) -> RopeSpec {
    let attention = AttentionScale::Su {};
    spec(RopeScaling::LongRope { sets, attention })
}

fn keys(spec: &RopeSpec, sets: Sets) -> (RopeKeys, Vec<Loss>) {
    let mut losses = Vec::new();
    let keys = rope_keys(Architecture::Llama, spec, 1024, sets, &mut losses).unwrap();
    (keys, losses)
}

#[test]
fn both_sets_and_the_attention_scale_are_kept() {
    let spec = long_rope(vec![set(256, 1.5), set(1024, 3.0)]);
    let (found, losses) = keys(&spec, Sets::Both);
    let factors = found.factors.unwrap();
    assert_eq!(factors.short, [1.0, 1.5, 1.5, 1.5]);
    assert_eq!(factors.long, [1.0, 3.0, 3.0, 3.0]);
    assert_eq!((factors.border, found.context), (256, 1024));
    // sqrt(1 + ln 4 / ln 256) = sqrt(1.25)
    assert!((factors.attention - 1.25_f64.sqrt()).abs() < 1e-12);
    assert_eq!(losses, []);
}

#[test]
fn one_set_can_be_chosen_for_all_lengths() {
    let spec = long_rope(vec![set(256, 1.5), set(1024, 3.0)]);
    let (found, _) = keys(&spec, Sets::Long);
    let factors = found.factors.unwrap();
    assert_eq!(factors.short, factors.long);
    assert_eq!((factors.long[1], found.context), (3.0, 1024));
    let (found, _) = keys(&spec, Sets::Short);
    let factors = found.factors.unwrap();
    assert_eq!(factors.short, factors.long);
    assert_eq!((factors.long[1], found.context), (1.5, 256));
}

#[test]
fn a_single_set_is_for_all_lengths() {
    let (found, losses) = keys(&long_rope(vec![set(1024, 3.0)]), Sets::Both);
    let factors = found.factors.unwrap();
    assert_eq!(factors.short, factors.long);
    assert_eq!(losses, []);
}

#[test]
fn what_is_lost_is_said() {
    let mut sets = vec![set(256, 1.5), set(512, 2.0), set(1024, 3.0)];
    sets[0].attention = Some(AttentionScale::None {});
    sets[2].start_tokens = 4;
    let (_, losses) = keys(&long_rope(sets), Sets::Both);
    let long = 1.25_f64.sqrt();
    assert_eq!(
        losses,
        [
            Loss::Sets {
                max_contexts: vec![512]
            },
            Loss::StartTokens { start_tokens: 4 },
            Loss::ShortAttention { short: 1.0, long },
        ]
    );
    let dynamic = spec(RopeScaling::DynamicNtk { scale: 4.0 });
    let (found, losses) = keys(&dynamic, Sets::Both);
    let factors = found.factors.unwrap();
    assert_eq!(factors.short, [1.0; 4]);
    assert!(factors.long[3] > 3.0);
    assert!(matches!(losses[0], Loss::FixedLength { context: 1024, .. }));
}

#[test]
fn scalings_of_the_base_and_of_positions_need_no_factors() {
    let (found, _) = keys(&spec(RopeScaling::NtkAware { scale: 4.0 }), Sets::Both);
    // θ · s^(d/(d-2))
    let expected = 10_000.0 * 4.0_f64.powf(8.0 / 6.0);
    assert!((found.theta / expected - 1.0).abs() < 1e-12);
    assert_eq!(found.factors, None);
    let (found, _) = keys(&spec(RopeScaling::Theta { theta: 5e5 }), Sets::Both);
    assert_eq!(found.theta, 5e5);
    let (found, _) = keys(&spec(RopeScaling::Linear { scale: 4.0 }), Sets::Both);
    assert_eq!(found.linear, Some(4.0));
}

#[test]
fn architectures_without_factors_refuse_them() {
    let spec = long_rope(vec![set(256, 1.5), set(1024, 3.0)]);
    let keys = |architecture| rope_keys(architecture, &spec, 1024, Sets::Both, &mut Vec::new());
    for architecture in [
        Architecture::Qwen3,
        Architecture::Olmo2,
        Architecture::SmolLm3,
    ] {
        let message = keys(architecture).unwrap_err().to_string();
        assert!(message.contains("no rescale factors"), "{message}");
    }
    assert!(keys(Architecture::Phi3).is_ok());
}

#[test]
fn factors_are_stored_as_f32() {
    let factors = RopeFactors {
        short: vec![1.0, 2.5],
        long: vec![1.5, 4.0],
        border: 256,
        attention: 1.0,
    };
    let tensors = rope_tensors(&factors);
    assert_eq!(tensors[0].0.name, "rope_factors_long.weight");
    assert_eq!(tensors[0].1, [0, 0, 0xc0, 0x3f, 0, 0, 0x80, 0x40]);
    assert_eq!(tensors[1].0.shape, [2]);
}

#[test]
fn yarn_has_keys_of_its_own_where_there_are_no_factors() {
    let yarn = |attention, beta_slow| {
        spec(RopeScaling::Yarn {
            scale: 4.0,
            beta_fast: 32.0,
            beta_slow,
            truncate: true,
            attention,
        })
    };
    let keys = |architecture, spec: &RopeSpec| {
        rope_keys(architecture, spec, 1024, Sets::Both, &mut Vec::new())
    };
    let usual = yarn(AttentionScale::Yarn {}, 1.0);
    let expected = YarnKeys {
        scale: 4.0,
        original_context: 256,
        attention: 1.0,
    };
    let found = keys(Architecture::Qwen3, &usual).unwrap();
    assert_eq!((found.yarn, found.factors), (Some(expected), None));
    // llama.cpp multiplies by 0.1 ln 4 + 1 in any case.
    let none = keys(Architecture::Qwen3, &yarn(AttentionScale::None {}, 1.0)).unwrap();
    let attention = none.yarn.unwrap().attention;
    assert!((attention * (0.1 * 4.0_f64.ln() + 1.0) - 1.0).abs() < 1e-12);
    // It has no keys for other bounds.
    assert!(keys(Architecture::Qwen3, &yarn(AttentionScale::Yarn {}, 2.0)).is_err());
    let factors = keys(Architecture::Llama, &usual).unwrap();
    assert!(factors.yarn.is_none() && factors.factors.is_some());
}

#[test]
fn what_llama_cpp_computes_is_what_was_written() {
    let yarn = |scale| RopeScaling::Yarn {
        scale,
        beta_fast: 32.0,
        beta_slow: 1.0,
        truncate: true,
        attention: AttentionScale::Constant { value: 1.25 },
    };
    let factors = long_rope(vec![set(256, 1.5), set(1024, 3.0)]);
    for (architecture, spec) in [
        (Architecture::Llama, factors),
        (Architecture::Qwen3, spec(yarn(4.0))),
        (Architecture::Llama, spec(yarn(4.0))),
        (
            Architecture::Qwen3,
            spec(RopeScaling::Linear { scale: 4.0 }),
        ),
        (Architecture::Qwen3, spec(RopeScaling::Theta { theta: 5e5 })),
        (
            Architecture::Qwen3,
            spec(RopeScaling::NtkAware { scale: 4.0 }),
        ),
    ] {
        let keys = rope_keys(architecture, &spec, 1024, Sets::Both, &mut Vec::new()).unwrap();
        let computed = keys.computed(&spec.plain()).unwrap();
        for length in [256, 1024] {
            let (a, b) = (computed.resolve(length), spec.resolve(length));
            let pairs = a.inv_freq().iter().zip(b.inv_freq());
            for (a, b) in pairs {
                assert!(
                    (a / b - 1.0).abs() < 1e-9,
                    "{}: {a} {b}",
                    spec.scaling.name()
                );
            }
            assert!((a.attention_scale() - b.attention_scale()).abs() < 1e-9);
        }
    }
}

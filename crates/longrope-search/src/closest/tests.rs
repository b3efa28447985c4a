use longrope_rope::{AttentionScale, FactorSet, Method, RescaleFactors, RopeScaling, RopeSpec};

use super::*;

fn plain() -> RopeSpec {
    RopeSpec::new(64, 10_000.0, 256, RopeScaling::None {}).unwrap()
}

fn long_rope() -> RopeSpec {
    let factors: Vec<f64> = (0..32).map(|i| 1.0 + 3.0 * f64::from(i) / 31.0).collect();
    let set = |max_context| FactorSet {
        max_context,
        start_tokens: 0,
        factors: RescaleFactors::new(factors.clone()).unwrap(),
        attention: None,
    };
    RopeSpec {
        scaling: RopeScaling::LongRope {
            sets: vec![set(256), set(1024)],
            attention: AttentionScale::Constant { value: 1.15 },
        },
        ..plain()
    }
}

fn aim<'a>(goal: &'a Goal, rope: &'a RopeSpec, takes: Takes<'a>) -> Aim<'a> {
    Aim { goal, rope, takes }
}

/// A runtime that takes everything.
#[expect(
    clippy::unnecessary_wraps,
    reason = "other runtimes do not take every RoPE"
)]
fn all(spec: &RopeSpec) -> Option<RopeSpec> {
    Some(spec.clone())
}

/// A runtime that takes YaRN with the usual bounds only.
fn usual_yarn(spec: &RopeSpec) -> Option<RopeSpec> {
    let usual = matches!(
        spec.scaling,
        RopeScaling::Yarn {
            beta_fast: 32.0,
            ..
        }
    );
    usual.then(|| spec.clone())
}

#[test]
fn a_form_that_can_say_it_is_found_again() {
    for (form, spec) in [
        (Form::Yarn, Method::Yarn.spec(&plain(), 1024).unwrap()),
        (
            Form::Theta,
            "theta@123456"
                .parse::<longrope_rope::ParameterMethod>()
                .unwrap()
                .spec(&plain())
                .unwrap(),
        ),
        (Form::Linear, Method::Pi.spec(&plain(), 1024).unwrap()),
        (Form::OneSet, long_rope()),
    ] {
        let goal = Goal::new(&spec, 1024);
        let found = fit(form, aim(&goal, &spec, &all)).unwrap();
        let distance = goal.distance(&found.computed);
        assert!(distance < 2e-3, "{form}: {distance}");
    }
}

#[test]
fn a_fit_comes_closer_than_the_usual_numbers() {
    let spec = long_rope();
    let goal = Goal::new(&spec, 1024);
    let usual = goal.distance(&Method::Yarn.spec(&plain(), 1024).unwrap());
    for form in [Form::Yarn, Form::YarnByOriginal, Form::YarnByBase] {
        let found = fit(form, aim(&goal, &spec, &usual_yarn)).unwrap();
        let distance = goal.distance(&found.computed);
        assert!(distance < usual, "{form}: {distance} {usual}");
    }
}

#[test]
fn another_original_context_gives_the_attention_scale() {
    // A runtime that computes sqrt(1 + ln s / ln L) whatever is written.
    let takes = |spec: &RopeSpec| {
        let mut spec = spec.clone();
        let RopeScaling::LongRope { attention, .. } = &mut spec.scaling else {
            return None;
        };
        *attention = AttentionScale::Su {};
        Some(spec)
    };
    let spec = long_rope();
    let goal = Goal::new(&spec, 1024);
    let as_it_is = fit(Form::OneSet, aim(&goal, &spec, &takes)).unwrap();
    let moved = fit(Form::OneSetByOriginal, aim(&goal, &spec, &takes)).unwrap();
    let (before, after) = (
        goal.distance(&as_it_is.computed),
        goal.distance(&moved.computed),
    );
    assert!(after < 1e-6 && before > after, "{before} {after}");
    assert_ne!(moved.written.original_context, 256);
}

#[test]
fn neighbours_depend_on_the_seed_only() {
    let spec = long_rope();
    let goal = Goal::new(&spec, 1024);
    let found = fit(Form::Yarn, aim(&goal, &spec, &all)).unwrap();
    let near = |seed| neighbours(&found, aim(&goal, &spec, &all), 6, seed);
    assert_eq!(near(1), near(1));
    assert_ne!(near(1), near(2));
    assert_eq!(near(1).len(), 6);
    // A RoPE without numbers has none.
    let as_it_is = fit(Form::AsItIs, aim(&goal, &spec, &all)).unwrap();
    assert_eq!(as_it_is.written, spec);
    assert!(neighbours(&as_it_is, aim(&goal, &spec, &all), 6, 1).is_empty());
}

#[test]
fn forms_that_compute_the_same_are_tried_once() {
    let spec = Method::Pi.spec(&plain(), 1024).unwrap();
    let goal = Goal::new(&spec, 1024);
    // A runtime that computes plain RoPE whatever is written.
    let takes = |spec: &RopeSpec| (spec.original_context == 256).then(plain);
    let found = fits(aim(&goal, &spec, &takes));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].form, Form::AsItIs);
    assert!(computes_the_same(&spec, &spec.clone(), &[256, 1024]));
    assert!(!computes_the_same(&spec, &plain(), &[256, 1024]));
}

//! Bounds, the nearest candidate, and every rule.

use super::*;
use proptest::prelude::*;

fn parts() -> SpaceParts {
    SpaceParts {
        n_pairs: 4,
        step: 0.01,
        min_factor: 1.0,
        max_factor: 40.0,
        start_tokens: vec![0, 4, 8],
        attention: vec![AttentionScale::None {}, AttentionScale::Su {}],
        critical: None,
    }
}

fn space() -> Space {
    Space::new(parts()).expect("valid parts")
}

#[test]
fn bounds_are_grid_points() {
    assert_eq!(space().bounds(), (100, 4000));
    // 1.25 * 1.1 is not a grid point: the bound is the one below.
    let odd = Space::new(SpaceParts {
        max_factor: 1.25 * 1.1,
        ..parts()
    })
    .expect("valid parts");
    assert_eq!(odd.bounds(), (100, 137));
}

#[test]
fn nearest_rounds_clamps_and_raises() {
    let nearest = space()
        .nearest(&[0.2, 3.004, 2.0, 99.0], 6, AttentionScale::Su {})
        .expect("finite");
    assert_eq!(nearest.steps, [100, 300, 300, 4000]);
    assert_eq!(nearest.start_tokens, 4);
    assert!(space().contains(&nearest));
}

#[test]
fn nearest_refuses_what_it_cannot_place() {
    let attention = AttentionScale::None {};
    let short = space().nearest(&[1.0; 3], 0, attention);
    assert!(matches!(
        short,
        Err(Error::FactorCount {
            found: 3,
            expected: 4
        })
    ));
    let nan = space().nearest(&[1.0, 1.0, f64::NAN, 1.0], 0, attention);
    assert!(matches!(nan, Err(Error::FactorValue { pair: 2, .. })));
}

#[test]
fn every_rule_is_enforced() {
    let good = space()
        .nearest(&[1.0, 2.0, 3.0, 4.0], 0, AttentionScale::Su {})
        .expect("finite");
    let bad = [
        (
            None,
            Candidate {
                steps: vec![100; 3],
                ..good.clone()
            },
        ),
        (
            Some("max-factor-ratio"),
            Candidate {
                steps: vec![99, 200, 300, 400],
                ..good.clone()
            },
        ),
        (
            Some("max-factor-ratio"),
            Candidate {
                steps: vec![100, 200, 300, 4001],
                ..good.clone()
            },
        ),
        (
            None,
            Candidate {
                steps: vec![100, 300, 200, 400],
                ..good.clone()
            },
        ),
        (
            Some("step"),
            Candidate {
                grid: Grid::new(0.02).expect("divides 1"),
                ..good.clone()
            },
        ),
        (
            Some("start-tokens"),
            Candidate {
                start_tokens: 5,
                ..good.clone()
            },
        ),
        (
            Some("attention"),
            Candidate {
                attention: AttentionScale::Yarn {},
                ..good.clone()
            },
        ),
    ];
    assert!(space().contains(&good));
    for (key, candidate) in bad {
        let found = space().violation(&candidate).expect("it is outside");
        assert_eq!(found.key, key, "{candidate:?}");
    }
}

#[test]
fn critical_pairs_leave_one_form_below_them() {
    let space = Space::new(SpaceParts {
        max_factor: 8.0,
        critical: Some(CriticalParts {
            first: 1,
            last: 2,
            unscaled: 0,
            min_factor: 4.0,
        }),
        ..parts()
    })
    .expect("valid parts");
    let attention = AttentionScale::Su {};
    let nearest = space
        .nearest(&[1.0, 2.1, 4.2, 5.0], 0, attention)
        .expect("finite");
    let shape = |pair, unscaled| Shape::Critical { pair, unscaled };
    assert_eq!(nearest.shape, shape(2, 0));
    assert_eq!(nearest.steps, [100, 205, 420, 500]); // 4.2^(1/2) is 2.049
    assert!(space.contains(&nearest));
    let low = space.nearest(&[1.0; 4], 0, attention).expect("finite");
    assert_eq!(&low.steps[2..], [400, 400]);
    for bad in [
        Candidate {
            shape: Shape::Free,
            ..nearest.clone()
        },
        Candidate {
            shape: shape(3, 0),
            ..nearest.clone()
        },
        Candidate {
            shape: shape(2, 1),
            ..nearest.clone()
        },
        Candidate {
            steps: vec![100, 206, 420, 500],
            ..nearest.clone()
        },
        Candidate {
            steps: vec![100, 173, 300, 500],
            ..nearest.clone()
        },
    ] {
        assert!(!space.contains(&bad), "{bad:?}");
    }
}

#[test]
fn empty_spaces_are_refused() {
    let bad = [
        (
            "n-pairs",
            SpaceParts {
                n_pairs: 0,
                ..parts()
            },
        ),
        (
            "min-factor",
            SpaceParts {
                min_factor: 0.0,
                ..parts()
            },
        ),
        (
            "max-factor",
            SpaceParts {
                max_factor: 0.5,
                ..parts()
            },
        ),
        (
            "max-factor",
            SpaceParts {
                max_factor: f64::NAN,
                ..parts()
            },
        ),
        (
            "max-factor",
            SpaceParts {
                max_factor: 1e12,
                ..parts()
            },
        ),
        (
            "start-tokens",
            SpaceParts {
                start_tokens: vec![],
                ..parts()
            },
        ),
        (
            "attention",
            SpaceParts {
                attention: vec![],
                ..parts()
            },
        ),
        (
            "attention",
            SpaceParts {
                attention: vec![AttentionScale::Constant { value: -1.0 }],
                ..parts()
            },
        ),
    ];
    for (expected, parts) in bad {
        let result = Space::new(parts);
        assert!(
            matches!(result, Err(Error::InvalidConfig { key, .. }) if key == expected),
            "{expected}"
        );
    }
}

proptest! {
    #[test]
    fn nearest_is_inside_and_leaves_members_alone(
        factors in prop::collection::vec(-10.0..100.0_f64, 4),
        start_tokens in 0_usize..1000,
    ) {
        let space = space();
        let once = space.nearest(&factors, start_tokens, AttentionScale::None {}).expect("finite");
        prop_assert!(space.contains(&once));
        let twice = space.nearest(&once.factors(), once.start_tokens, once.attention).expect("finite");
        prop_assert_eq!(once, twice);
    }
}

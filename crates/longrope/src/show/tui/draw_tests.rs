use std::time::Duration;

use longrope_search::FactorCurve;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;
use crate::show::quantity::Quantity;

fn drawn(standing: &Standing, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("in memory");
    terminal
        .draw(|frame| draw(frame, standing))
        .expect("in memory");
    terminal.backend().to_string()
}

fn method(name: &str, score: f64) -> Method {
    Method {
        name: name.to_owned(),
        score,
        text_nats: score,
        passkeys: None,
    }
}

fn standing() -> Standing {
    let worker = |name: &str, state, n_answered| WorkerStatus {
        name: name.to_owned(),
        state,
        n_answered,
        worked: Duration::from_secs(10),
    };
    Standing {
        title: "LongRoPE search".to_owned(),
        generation: 3,
        n_generations: 8,
        done: 60,
        planned: 200,
        n_samples: 2,
        n_saved: 7,
        eta_secs: Some(90.0),
        elapsed_secs: 12.0,
        best: vec![(0.0, 3.4), (1.0, 3.3), (2.0, 3.3), (3.0, 3.2)],
        median: vec![(0.0, 9.0), (1.0, 3.6), (2.0, 3.5), (3.0, f64::INFINITY)],
        methods: vec![method("none", 7.0), method("yarn", 3.5)],
        curves: vec![
            FactorCurve {
                name: "searched",
                points: vec![(0.0, 1.0), (1.0, 1.5), (2.0, 4.0)],
            },
            FactorCurve {
                name: "pi",
                points: vec![(0.0, 4.0), (1.0, 4.0), (2.0, 4.0)],
            },
        ],
        start_tokens: 8,
        quantity: Quantity::TextLoss,
        workers: vec![
            worker("flex", WorkerState::Working, 40),
            worker("cuda:0", WorkerState::Retired("gone".to_owned()), 20),
        ],
        log: vec!["\u{1b}[33mWARN\u{1b}[0m device `cuda:0` failed".to_owned()],
        is_stopping: false,
    }
}

#[test]
fn all_parts_of_the_state_are_shown() {
    let text = drawn(&standing(), 120, 36);
    for part in [
        "generation 3 of 8",
        "30 of 100 candidates",
        "7 evaluations saved by racing",
        "1.5 min left",
        "30.0 %",
        "searched",
        "3.2000",
        "yarn",
        "+0.3000",
        "none",
        "1096.6",
        "8 start tokens",
        "working",
        "failed",
        "0.25 s",
        "WARN device `cuda:0` failed",
        "stop and save",
    ] {
        assert!(text.contains(part), "`{part}` is missing in\n{text}");
    }
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn the_labels_of_factors_stand_at_their_heights() {
    let text = drawn(&standing(), 120, 36);
    // The largest factor is 4. The axis ends a twentieth above its logarithm, at 4^1.05. Its middle is the root of that.
    for label in ["4.3", "2.1", "1.0"] {
        assert!(text.contains(&format!("{label}│")), "{label} in\n{text}");
    }
}

#[test]
fn empty_states_and_small_terminals_are_drawn() {
    for (width, height) in [(120, 36), (80, 24), (20, 5), (1, 1)] {
        drawn(&Standing::default(), width, height);
        drawn(&standing(), width, height);
    }
    let nan = Standing {
        best: vec![(0.0, f64::INFINITY)],
        methods: vec![method("none", f64::NAN)],
        ..standing()
    };
    drawn(&nan, 120, 36);
}

#[test]
fn an_objective_is_not_shown_as_a_perplexity() {
    let combined = Standing {
        quantity: Quantity::Objective,
        methods: vec![Method {
            text_nats: 2.5,
            passkeys: Some(0.75),
            ..method("yarn", 3.5)
        }],
        ..standing()
    };
    for width in [80, 140] {
        let text = drawn(&combined, width, 30);
        assert!(text.contains("objective [nats] by generation"), "{text}");
        assert!(text.contains("75%"), "{text}");
        // exp(3.2) and exp(3.5): of objectives.
        for wrong in ["24.533", "33.115", "loss, nats"] {
            assert!(!text.contains(wrong), "{wrong} in\n{text}");
        }
    }
    // The perplexity of yarn's loss on text.
    assert!(drawn(&combined, 140, 30).contains("12.182"));
}

#[test]
fn nothing_is_cut_off_at_80_columns() {
    let passkeys = Standing {
        methods: vec![Method {
            passkeys: Some(1.0),
            ..method("dynamic-ntk", 3.5)
        }],
        eta_secs: Some(3000.0),
        ..standing()
    };
    for (standing, parts) in [
        (
            &passkeys,
            ["dynamic-ntk", "3.5000", "+0.3000", "100%", "50.0 min left"],
        ),
        (
            &standing(),
            [
                "yarn",
                "3.5000",
                "+0.3000",
                "perplexity",
                "factors by pair, 8 start tokens",
            ],
        ),
    ] {
        let text = drawn(standing, 80, 26);
        for part in parts {
            assert!(text.contains(part), "`{part}` is missing in\n{text}");
        }
    }
}

use super::*;
use crate::search::verdict::judged::{HeldOutText, TriedInWindow};

fn loss(method: &str, text: &[f64], passkeys: &[u8]) -> MethodLoss {
    MethodLoss {
        method: method.to_owned(),
        rope_fingerprint: None,
        nll_nats: text.iter().sum::<f64>() / text.len() as f64,
        answer_nats: None,
        passkey_accuracy: None,
        text_nats: text.to_vec(),
        passkeys_found: passkeys.to_vec(),
        difference: None,
        passkey_difference: None,
    }
}

/// What was measured on text, of a model that is not adapted and was not tried on passkeys.
fn judged(searched: &MethodLoss, baselines: Vec<MethodLoss>) -> Judged {
    Judged {
        context: 2048,
        held_out: HeldOutText {
            text_fingerprint: String::new(),
            n_tokens: 0,
            n_windows: 0,
        },
        searched: searched.clone(),
        baselines,
        passkeys_in_window: None,
        kind: ObjectiveKind::Perplexity,
        adapted: None,
    }
}

fn in_window(n_found: usize) -> TriedInWindow {
    TriedInWindow {
        n_found,
        n_tried: 5,
    }
}

fn verdict(
    searched: &MethodLoss,
    baselines: &[MethodLoss],
    kind: ObjectiveKind,
) -> (String, Vec<String>) {
    let baselines: Vec<MethodLoss> = baselines
        .iter()
        .map(|method| method.clone().compared_with(searched))
        .collect();
    words(&Judged {
        passkeys_in_window: (!searched.passkeys_found.is_empty()).then_some(in_window(5)),
        kind,
        ..judged(searched, baselines)
    })
}

#[test]
fn a_certain_gain_is_named_against_the_best_method() {
    let searched = loss("searched", &[2.00, 3.00, 2.50], &[]);
    let yarn = loss("yarn", &[2.05, 3.06, 2.54], &[]);
    let pi = loss("pi", &[4.0, 5.0, 4.5], &[]);
    let (recommended, lines) = verdict(&searched, &[pi, yarn], ObjectiveKind::Perplexity);
    assert_eq!(recommended, "searched");
    assert_eq!(
        lines,
        [
            "on 3 windows of 2048 tokens that the search did not see: better than yarn, the best method, by \
          0.0500 ± 0.0248 nats/token (4.9% in perplexity)"
        ]
    );
}

#[test]
fn a_loss_and_a_tie_say_which_method_to_use() {
    let searched = loss("searched", &[2.05, 3.06, 2.54], &[]);
    let yarn = loss("yarn", &[2.00, 3.00, 2.50], &[]);
    let (recommended, lines) = verdict(&searched, &[yarn], ObjectiveKind::Perplexity);
    assert_eq!(recommended, "yarn");
    assert!(
        lines[0].ends_with("worse than yarn by 0.0500 ± 0.0248 nats/token: use yarn"),
        "{lines:?}"
    );

    let tie = loss("ntk", &[2.15, 2.97, 2.50], &[]);
    let (recommended, lines) = verdict(&searched, &[tie], ObjectiveKind::Perplexity);
    assert_eq!(recommended, "ntk");
    assert!(
        lines[0].contains("not distinguishable from ntk"),
        "{lines:?}"
    );

    let (searched, yarn) = (loss("searched", &[2.0], &[]), loss("yarn", &[2.1], &[]));
    let (_, lines) = verdict(&searched, &[yarn], ObjectiveKind::Perplexity);
    assert!(
        lines[0].contains("on 1 window of") && lines[0].contains("does not prove"),
        "{lines:?}"
    );
}

#[test]
fn windows_that_all_differ_by_the_same_prove_nothing() {
    let searched = loss("searched", &[2.0, 3.0], &[]);
    let yarn = loss("yarn", &[2.1, 3.1], &[]);
    let (recommended, lines) = verdict(&searched, &[yarn], ObjectiveKind::Perplexity);
    assert_eq!(recommended, "searched");
    let expected = "0.1000 nats/token better than yarn, which windows that all differ by the same do not prove";
    assert!(lines[0].contains(expected), "{lines:?}");
}

#[test]
fn lost_passkeys_overrule_the_text() {
    let text = ([2.00, 3.00, 2.50], [2.05, 3.06, 2.54]);
    let searched = loss("searched", &text.0, &[0; 10]);
    let yarn = loss("yarn", &text.1, &[1; 10]);
    let (recommended, lines) = verdict(
        &searched,
        std::slice::from_ref(&yarn),
        ObjectiveKind::Perplexity,
    );
    assert_eq!(recommended, "yarn");
    assert_eq!(
        lines[1],
        "finds 0 of 10 passkeys where yarn finds 10: text and passkeys disagree; the factors gain 0.0500 nats/token of \
         text and lose passkeys, so use yarn, or try --set search.objective=combined"
    );
    let (_, lines) = verdict(
        &searched,
        std::slice::from_ref(&yarn),
        ObjectiveKind::Combined,
    );
    assert!(
        lines[1].ends_with("use yarn, or raise search.needle-weight"),
        "{lines:?}"
    );

    let nearly = loss("searched", &text.0, &[1, 1, 1, 1, 1, 1, 1, 1, 1, 0]);
    let (recommended, lines) = verdict(&nearly, &[yarn], ObjectiveKind::Perplexity);
    assert_eq!(recommended, "searched");
    assert!(
        lines[1].ends_with("yarn finds 10, which may be chance with 10 trials"),
        "{lines:?}"
    );
}

#[test]
fn passkeys_that_only_the_winner_finds_decide_where_text_does_not() {
    let keys = ([1; 10], [0; 10]);
    let searched = loss("searched", &[2.05, 3.06, 2.54], &keys.0);
    let tie = loss("none", &[2.15, 2.97, 2.50], &keys.1);
    let (recommended, lines) = verdict(
        &searched,
        std::slice::from_ref(&tie),
        ObjectiveKind::Perplexity,
    );
    assert_eq!(recommended, "searched");
    assert!(
        lines[0].contains("not distinguishable from none") && !lines[0].contains("use"),
        "{lines:?}"
    );
    assert_eq!(
        lines[1],
        "finds 10 of 10 passkeys where none finds 0: use the searched factors"
    );
    // Few trials prove nothing, but a method that is far behind is not recommended.
    let few = loss("searched", &[2.05, 3.06, 2.54], &keys.0[..3]);
    let tie = loss("none", &[2.15, 2.97, 2.50], &keys.1[..3]);
    let (recommended, lines) = verdict(&few, &[tie], ObjectiveKind::Combined);
    assert_eq!(recommended, "searched");
    assert_eq!(
        lines[1],
        "finds 3 of 3 passkeys where none finds 0, which may be chance with 3 trials: use the searched factors"
    );
}

/// The best method on text finds half as many passkeys as the winner.
#[test]
fn text_alone_recommends_no_method_that_loses_passkeys() {
    let searched = loss("searched", &[2.05, 3.06, 2.54], &[1; 10]);
    let none = loss("none", &[2.00, 3.00, 2.50], &[1, 1, 1, 1, 1, 0, 0, 0, 0, 0]);
    for kind in [ObjectiveKind::Perplexity, ObjectiveKind::Combined] {
        let (recommended, lines) = verdict(&searched, std::slice::from_ref(&none), kind);
        assert_eq!(recommended, "searched");
        assert!(
            lines[0].ends_with("worse than none by 0.0500 ± 0.0248 nats/token"),
            "{lines:?}"
        );
        assert_eq!(
            lines[1],
            "finds 10 of 10 passkeys where none finds 5, which may be chance with 10 trials: text and passkeys disagree; use \
             the searched factors, which cost 0.0500 nats/token of text, or none for text alone"
        );
    }
}

#[test]
fn text_and_passkeys_are_compared_with_one_method() {
    let searched = loss("searched", &[2.05, 3.06, 2.54], &[1; 10]);
    let none = loss("none", &[2.00, 3.00, 2.50], &[0; 10]);
    let yarn = loss("yarn", &[2.15, 3.16, 2.65], &[1, 1, 1, 1, 1, 1, 1, 1, 1, 0]);
    let (recommended, lines) = verdict(&searched, &[none, yarn], ObjectiveKind::Combined);
    assert_eq!(recommended, "searched");
    assert!(
        lines[0].contains("better than yarn, the best method that keeps up on passkeys, by 0.1033"),
        "{lines:?}"
    );
    assert_eq!(
        lines[1..],
        [
            "finds 10 of 10 passkeys where yarn finds 9, which may be chance with 10 trials",
            "the method none is better on text by 0.0500 ± 0.0248 nats/token, but finds 0 of 10 passkeys"
        ]
    );
}

#[test]
fn a_better_method_is_recommended_on_text_if_passkeys_are_even() {
    let searched = loss("searched", &[2.05, 3.06, 2.54], &[1; 10]);
    let none = loss("none", &[2.00, 3.00, 2.50], &[1, 1, 1, 1, 1, 1, 1, 1, 1, 0]);
    let (recommended, lines) = verdict(&searched, &[none], ObjectiveKind::Combined);
    assert_eq!(recommended, "none");
    assert!(lines[0].ends_with(": use none"), "{lines:?}");
}

#[test]
fn passkeys_are_not_compared_if_the_model_cannot_do_them() {
    let searched = loss("searched", &[2.00, 3.00], &[]);
    let yarn = loss("yarn", &[2.05, 3.06], &[]).compared_with(&searched);
    let (_, lines) = words(&Judged {
        passkeys_in_window: Some(in_window(1)),
        ..judged(&searched, vec![yarn])
    });
    assert_eq!(
        lines[1],
        "passkeys are not compared: the model finds 1 of 5 within its own window"
    );
}

#[test]
fn an_adapted_model_is_named_as_such() {
    let searched = loss("searched", &[2.00, 3.00], &[]);
    let yarn = loss("yarn", &[2.05, 3.06], &[]).compared_with(&searched);
    let adapted = Adapted {
        steps: 8,
        window: 256,
        target: 2048,
        tokens: 2048,
    };
    let (_, lines) = words(&Judged {
        context: 256,
        adapted: Some(adapted.clone()),
        ..judged(&searched, vec![yarn])
    });
    let expected = "after 8 steps of adaptation, on 2 windows of 256 tokens (positions skip to 2048) that the search did not \
        see: ";
    assert!(lines[0].starts_with(expected), "{lines:?}");
    assert_eq!(
        adapted.to_string(),
        "adapted: 8 steps, window 256, positions skip to 2048"
    );
}

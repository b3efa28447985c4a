use super::*;

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

fn verdict(
    searched: &MethodLoss,
    baselines: &[MethodLoss],
    kind: ObjectiveKind,
) -> (String, Vec<String>) {
    let baselines: Vec<MethodLoss> = baselines
        .iter()
        .map(|method| method.clone().compared_with(searched))
        .collect();
    words(&Words {
        context: 2048,
        searched,
        baselines: &baselines,
        passkeys_in_window: (!searched.passkeys_found.is_empty()).then_some(1.0),
        kind,
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
        "finds 0 of 10 passkeys where yarn finds 10: try --set search.objective=combined"
    );
    let (_, lines) = verdict(
        &searched,
        std::slice::from_ref(&yarn),
        ObjectiveKind::Combined,
    );
    assert!(
        lines[1].ends_with("raise search.needle-weight, or use yarn"),
        "{lines:?}"
    );

    let nearly = loss("searched", &text.0, &[1, 1, 1, 1, 1, 1, 1, 1, 1, 0]);
    let (recommended, lines) = verdict(&nearly, &[yarn], ObjectiveKind::Perplexity);
    assert_eq!(recommended, "searched");
    assert!(
        lines[1].ends_with("yarn finds 10, which may be chance"),
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
        "finds 10 of 10 passkeys; the best method, none, finds 0: use the searched factors"
    );
    // Few trials prove nothing.
    let few = loss("searched", &[2.05, 3.06, 2.54], &keys.0[..3]);
    let tie = loss("none", &[2.15, 2.97, 2.50], &keys.1[..3]);
    let (recommended, lines) = verdict(&few, &[tie], ObjectiveKind::Combined);
    assert_eq!(recommended, "none");
    assert!(lines[0].ends_with(": use none"), "{lines:?}");
    // A certain loss on text is worth the passkeys only if they were asked for.
    let better = loss("none", &[2.00, 3.00, 2.50], &keys.1);
    for (kind, expected) in [
        (ObjectiveKind::Perplexity, "none"),
        (ObjectiveKind::Combined, "searched"),
    ] {
        let (recommended, lines) = verdict(&searched, std::slice::from_ref(&better), kind);
        assert_eq!(recommended, expected, "{lines:?}");
    }
}

#[test]
fn passkeys_are_not_compared_if_the_model_cannot_do_them() {
    let searched = loss("searched", &[2.00, 3.00], &[]);
    let yarn = loss("yarn", &[2.05, 3.06], &[]).compared_with(&searched);
    let (_, lines) = words(&Words {
        context: 2048,
        searched: &searched,
        baselines: &[yarn],
        passkeys_in_window: Some(0.2),
        kind: ObjectiveKind::Perplexity,
    });
    assert_eq!(
        lines[1],
        "passkeys are not compared: the model finds 20% of them within its own window"
    );
}

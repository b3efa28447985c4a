use super::*;

fn length(score: Option<f64>, unable: bool) -> EffectiveLength {
    EffectiveLength {
        task: "passkey".to_owned(),
        rope: "none".to_owned(),
        original_context: 256,
        original_score: score,
        threshold: score.map(|score| 0.85 * score),
        share: Some(0.85),
        effective_context: None,
        longest_context: 4096,
        unable,
    }
}

#[test]
fn a_model_that_fails_inside_its_window_is_told_so() {
    let text = note(&length(Some(0.0), true)).unwrap();
    assert!(
        text.contains("the model scores 0% at its original window of 256 tokens too: no length"),
        "{text}"
    );
    let text = note(&length(Some(0.3), true)).unwrap();
    assert!(
        text.contains("30% at its original window of 256 tokens too, no better than chance"),
        "{text}"
    );
    let text = note(&length(None, false)).unwrap();
    assert!(
        text.contains("does not fit into the original window of 256"),
        "{text}"
    );
    assert_eq!(note(&length(Some(1.0), false)), None);
}

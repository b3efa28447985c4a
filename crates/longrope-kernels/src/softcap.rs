//! The check of a soft cap.

/// # Panics
/// If the soft cap is not a positive finite number.
pub(crate) fn assert_softcap(softcap: Option<f64>) {
    assert!(
        softcap.is_none_or(|cap| cap > 0.0 && cap.is_finite()),
        "the soft cap is {softcap:?}, expected a positive finite number"
    );
}

use super::*;
use anyhow::anyhow;

#[test]
fn causes_come_in_order_and_hints_last() {
    let error = anyhow!("disk on fire")
        .context("writing `a`")
        .context(Hint("pour water".into()));
    assert_eq!(
        render(&error),
        "error: writing `a`\n  caused by: disk on fire\nhint: pour water\n"
    );
}

#[test]
fn typos_are_answered_with_the_nearest_word() {
    let message = "unknown field `populatoin`, expected one of `parents`, `population`";
    assert_eq!(suggestion(message).unwrap(), "did you mean `population`?");
    assert_eq!(suggestion("unknown field `zzz`, expected `seed`"), None);
    let message = "unknown variant `offical`, expected `paper`\nin `profile`";
    assert_eq!(suggestion(message), None, "`profile` is a place");
}

use super::*;
use anyhow::anyhow;

#[test]
fn causes_come_in_order_and_hints_last() {
    let error = anyhow!("disk on fire")
        .context("writing `a`")
        .context(Hint("pour water".into()));
    assert_eq!(
        Message::of(&error).render(),
        "error: writing `a`\n  caused by: disk on fire\nhint: pour water\n"
    );
}

#[test]
fn control_characters_of_files_do_not_reach_the_terminal() {
    let error = anyhow!("tensor `a\u{1b}[31mb\u{7}`").context(Hint("look at `\u{9b}2J`".into()));
    let message = Message::of(&error).render();
    assert!(
        !message.chars().any(|c| c.is_control() && c != '\n'),
        "{message:?}"
    );
    assert!(message.contains("\\u{1b}[31mb\\u{7}"), "{message}");
}

//! Numbers of things, in words.

/// A number with its noun: `1 window`, `2 windows`.
///
/// ```
/// # use longrope_data::counted;
/// assert_eq!(counted(1, "window"), "1 window");
/// assert_eq!(counted(0, "window"), "0 windows");
/// ```
pub fn counted(n: usize, noun: &str) -> String {
    let end = if n == 1 { "" } else { "s" };
    format!("{n} {noun}{end}")
}

use super::*;

#[test]
fn numbers_are_readable() {
    assert_eq!(grouped(0), "0");
    assert_eq!(grouped(1344), "1,344");
    assert_eq!(grouped(12_345_678), "12,345,678");
    assert_eq!(bytes(1023), "1023 B");
    assert_eq!(bytes(6 << 20), "6.0 MiB");
    assert_eq!(perplexity(42.0421), "42.042");
    assert_eq!(duration(90.0), "1.5 min");
    for (value, text) in [
        (0.000_050_000_000_000_000_04, "0.00005"),
        (1_234.567_89, "1234.57"),
        (0.1 + 0.2, "0.3"),
        (1.25e-7, "1.25e-7"),
        (-2.0, "-2"),
        (0.0, "0"),
        (1e12, "1e12"),
        (f64::INFINITY, "inf"),
    ] {
        assert_eq!(significant(value), text);
    }
}

#[test]
fn tables_align_numbers_to_the_right_without_trailing_blanks() {
    let header = ["rope".to_owned(), "256".to_owned()];
    let rows = [
        vec!["none".to_owned(), "1.0".to_owned()],
        vec!["ntk".to_owned(), "10.0".to_owned()],
    ];
    let text = table(&header, &rows);
    assert!(text.lines().all(|line| !line.ends_with(' ')), "{text}");
    assert!(
        text.contains(" none    1.0") || text.contains("none   1.0"),
        "{text}"
    );
}

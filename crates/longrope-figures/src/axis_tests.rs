use super::*;

fn labels(scale: Scale, values: &[f64]) -> Vec<String> {
    let axis = Axis::new("", scale, values.iter().copied());
    let ticks = axis.ticks();
    ticks.iter().map(|tick| axis.format_ext(tick)).collect()
}

#[test]
fn ticks_by_hand() {
    let contexts = labels(Scale::Log2, &[256.0, 4096.0]);
    assert_eq!(contexts, ["256", "512", "1k", "2k", "4k"]);
    let perplexities = labels(Scale::Log, &[1.0, 90.0, f64::INFINITY]);
    assert_eq!(perplexities, ["1", "2", "5", "10", "20", "50", "100"]);
    let losses = labels(Scale::Linear, &[3.0, 3.2]);
    assert_eq!(losses, ["3", "3.05", "3.1", "3.15", "3.2"]);
    assert_eq!(labels(Scale::Integer, &[0.0, 3.0]), ["0", "1", "2", "3"]);
    let one = labels(Scale::Linear, &[2.0, f64::NAN]);
    assert_eq!(one, ["1.6", "1.8", "2", "2.2", "2.4"]);
}

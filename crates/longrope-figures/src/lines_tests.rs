use super::*;

fn series(name: &str, points: Vec<(f64, f64)>) -> Series<'_> {
    Series {
        name,
        points,
        ..Series::default()
    }
}

fn assert_svg(svg: &str, texts: &[&str]) {
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    for text in texts {
        assert!(svg.contains(text), "`{text}` is missing");
    }
}

#[test]
fn figures_name_their_series() {
    let pi = series("pi", vec![(0.0, 8.0), (1.0, 8.0)]);
    let both = [pi, series("ntk", vec![(0.0, 1.0), (1.0, 8.0)])];
    let svg = factor_curve("a < b & c", &both).unwrap();
    assert_svg(&svg, &["a &lt; b &amp; c", "pi", "ntk"]);
    let svg = perplexity_by_context("t", &both).unwrap();
    assert_svg(&svg, &["pi", "ntk", "perplexity"]);
    let references = [("yarn".to_owned(), 3.2), ("none".to_owned(), 90.0)];
    let (best, median) = ([(0, 3.0), (1, 2.9)], [(0, 3.5), (1, 3.1)]);
    let svg = loss_history("t", "objective [nats]", &best, &median, &references).unwrap();
    let texts = [
        "best",
        "median",
        "yarn: 3.200",
        "90.000 (above)",
        "objective [nats]",
    ];
    assert_svg(&svg, &texts);
}

#[test]
fn degenerate_input_gives_a_figure() {
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    let inputs = [
        vec![],
        vec![(1.0, 1.0)],
        vec![(nan, nan), (inf, 1.0), (1.0, inf)],
        vec![(0.0, 0.0), (-1.0, -1.0)],
        vec![(4.0, 2.0), (4.0, 2.0)],
        vec![(256.0, 1e200), (512.0, 1e-200)],
        vec![(-f64::MAX, f64::MAX), (f64::MAX, -f64::MAX)],
        vec![(1.0, 3.0), (2.0, nan), (3.0, 3.0 + 1e-12)],
    ];
    for points in inputs {
        let losses: Vec<_> = points.iter().map(|point| (7, point.1)).collect();
        let references = losses.iter().map(|loss| ("r".to_owned(), loss.1));
        let references: Vec<_> = references.collect();
        let one = [series("one", points)];
        assert_svg(&factor_curve("t", &one).unwrap(), &["one"]);
        assert_svg(&perplexity_by_context("t", &one).unwrap(), &["one"]);
        let svg = loss_history("t", "y", &losses, &losses, &references).unwrap();
        assert_svg(&svg, &["best so far"]);
    }
    assert_svg(&factor_curve("t", &[]).unwrap(), &[]);
    assert_svg(
        &loss_history("t", "y", &[], &[], &[]).unwrap(),
        &["no data"],
    );
}

#[test]
fn bars_widen_the_axis_and_those_that_cannot_be_drawn_are_left_out() {
    let bare = series("a", vec![(256.0, 50.0), (512.0, 60.0)]);
    let without = share_by_context("t", std::slice::from_ref(&bare)).unwrap();
    let barred = |bars| {
        share_by_context(
            "t",
            &[Series {
                bars,
                ..bare.clone()
            }],
        )
        .unwrap()
    };
    let with = barred(vec![(256.0, 40.0, 60.0), (512.0, 30.0, 80.0)]);
    assert_eq!(
        with.matches("<polyline").count(),
        without.matches("<polyline").count() + 6
    );
    assert_eq!(barred(vec![(256.0, f64::NAN, 60.0)]), without);
    let low = perplexity_by_context("t", std::slice::from_ref(&bare)).unwrap();
    let bars = vec![(256.0, 5.0, 500.0)];
    let high = perplexity_by_context(
        "t",
        &[Series {
            bars,
            ..bare.clone()
        }],
    )
    .unwrap();
    assert!(
        !low.contains(">\n200\n<") && high.contains(">\n200\n<"),
        "{high}"
    );
}

#[test]
fn the_legend_is_below_and_wraps() {
    let long = "a rather long name of a factor set in a folder";
    let one = [series("short", vec![(1.0, 1.0)])];
    let many = [long; 4].map(|name| series(name, vec![(1.0, 1.0)]));
    let height = |svg: String| -> u32 {
        let text = svg.split("height=\"").nth(1).unwrap();
        text.split('"').next().unwrap().parse().unwrap()
    };
    let lowest = height(factor_curve("t", &one).unwrap());
    let highest = height(factor_curve("t", &many).unwrap());
    assert_eq!(highest - lowest, 3 * LEGEND_ROW.unsigned_abs());
}

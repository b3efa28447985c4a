use super::*;

#[test]
fn a_grid_without_cells_is_a_figure_too() {
    let heat = HeatMap {
        title: "t",
        x_label: "x",
        y_label: "y",
        columns: Vec::new(),
        rows: Vec::new(),
        cells: &[],
        counts: &[],
    };
    assert!(heat_map(&heat).unwrap().starts_with("<svg"));
    let cells = [vec![None, Some(f64::NAN), Some(2.0)]];
    let heat = HeatMap {
        columns: ["a", "b", "c"].map(str::to_owned).to_vec(),
        rows: vec!["r".to_owned()],
        cells: &cells,
        counts: &[vec![0, 7, 3]],
        ..heat
    };
    let svg = heat_map(&heat).unwrap();
    // The share of the last cell, its number of trials, and the ends of the scale.
    for text in ["c", "200%", "n = 3", "0%", "50%", "100%"] {
        assert!(
            svg.contains(&format!(">\n{text}\n</text>")),
            "{text}: {svg}"
        );
    }
}

#[test]
fn more_is_darker() {
    assert_eq!(mixed(0.0), NONE);
    assert_eq!(mixed(1.0), ALL);
    assert!(mixed(0.5).0 < mixed(0.25).0);
}

#[test]
fn sizes_that_overflow_are_none() {
    assert_eq!(size(0, 0), Some((488, 176)));
    assert_eq!(size(10, 2), Some((1000, 268)));
    for n in [i32::MAX as usize / 44, usize::MAX] {
        assert_eq!(size(n, 1), None);
        assert_eq!(size(1, n), None);
    }
}

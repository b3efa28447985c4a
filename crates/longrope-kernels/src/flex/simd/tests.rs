//! Powers, sums and products against their definitions.

use super::exponential::{exp, exp2};
use super::{dots, exp_sum, exp2_sum_in_place, max};

/// The largest relative error of `f` against `exact`, in steps of 0.001 from -87 to 0.
fn worst(f: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64) -> f64 {
    let errors = (-87_000..=0i32).map(|i| {
        let x = i as f32 / 1000.0;
        let expected = exact(f64::from(x));
        (f64::from(f(x)) - expected).abs() / expected
    });
    errors.fold(0.0, f64::max)
}

#[test]
fn powers_are_within_two_units_in_the_last_place() {
    // Two units in the last place are 2.4e-7.
    assert!(worst(exp::<true>, f64::exp) < 2.4e-7);
    assert!(worst(exp::<false>, f64::exp) < 2.5e-7);
    assert!(worst(exp2::<true>, f64::exp2) < 2.4e-7);
    assert!(worst(exp2::<false>, f64::exp2) < 2.5e-7);
    for found in [exp::<true>(f32::NEG_INFINITY), exp::<true>(-100.0)] {
        assert!(found == 0.0);
    }
    assert!(exp2::<true>(f32::NEG_INFINITY) < 2e-38);
    for found in [exp::<true>(0.0), exp2::<true>(0.0)] {
        assert!((found - 1.0).abs() < f32::EPSILON);
    }
}

#[test]
fn the_products_of_a_row_do_not_depend_on_other_rows() {
    let numbers =
        |n: usize, k: usize| -> Vec<f32> { (0..n).map(|i| ((i * k) % 17) as f32 - 8.25).collect() };
    for width in [1, 15, 16, 17, 40, 129] {
        let weight = numbers(width, 5);
        for n_rows in 1..=9 {
            let rows = numbers(n_rows * width, 7);
            let mut found = vec![f32::NAN; n_rows];
            dots(&mut found, &rows, &weight);
            for (found, row) in found.iter().zip(rows.chunks_exact(width)) {
                let mut alone = [0.0];
                dots(&mut alone, row, &weight);
                assert_eq!(
                    alone[0].to_bits(),
                    found.to_bits(),
                    "{n_rows} rows of {width}"
                );
                let products = row.iter().zip(&weight);
                let exact: f64 = products.map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
                // 129 products of at most 77, each rounded by 6e-8 of the sum so far.
                assert!(
                    (f64::from(*found) - exact).abs() < 1e-2,
                    "{found} is not {exact}"
                );
            }
        }
    }
}

#[test]
fn what_is_not_a_number_stays_so() {
    for bits in [
        0x7fc0_0000,
        0x7fff_ffff,
        0xffff_ffff,
        0x7fc0_0001,
        0xffc0_00ff,
    ] {
        let nan = f32::from_bits(bits);
        for found in [
            exp::<true>(nan),
            exp::<false>(nan),
            exp2::<true>(nan),
            exp2::<false>(nan),
        ] {
            assert!(found.is_nan(), "{bits:x}");
        }
    }
    for n in [1, 7, 40] {
        for (at, bad) in [(0, f32::NAN), (n - 1, f32::NAN), (n / 2, f32::INFINITY)] {
            let mut row = vec![0.5; n];
            row[at] = bad;
            let max = max(&row);
            assert!(exp_sum(&row, max).is_nan(), "{bad} at {at} of {n}");
            assert!(
                exp2_sum_in_place(&mut row, max).is_nan(),
                "{bad} at {at} of {n}"
            );
        }
    }
}

#[test]
fn sums_and_maxima_of_every_length() {
    for n in 0..100usize {
        let row: Vec<f32> = (0..n).map(|i| -((i * 7 % 13) as f32)).collect();
        let expected = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        assert!(max(&row).total_cmp(&expected).is_eq(), "max of {n}");
        let total =
            |power: fn(f64) -> f64| -> f64 { row.iter().map(|x| power(f64::from(*x))).sum() };
        let off = (f64::from(exp_sum(&row, 0.0)) - total(f64::exp)).abs();
        assert!(off < 1e-5, "{n}");
        let found = exp2_sum_in_place(&mut row.clone(), 0.0);
        assert!((f64::from(found) - total(f64::exp2)).abs() < 1e-5, "{n}");
    }
}

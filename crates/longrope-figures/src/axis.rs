//! Axes: their range and their ticks.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Scale {
    Linear,
    Integer,
    Log,
    /// Ticks at powers of two.
    Log2,
}

#[derive(Clone)]
pub(crate) struct Axis {
    pub(crate) label: String,
    scale: Scale,
    /// Range of the drawn coordinate, which is log2 of the value on a logarithmic axis.
    low: f64,
    high: f64,
}

impl Axis {
    /// An axis that spans all values that can be drawn, with a margin on both sides.
    pub(crate) fn new(label: &str, scale: Scale, values: impl Iterator<Item = f64>) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for drawn in values
            .map(|value| scale.drawn(value))
            .filter(|v| v.is_finite())
        {
            (low, high) = (low.min(drawn), high.max(drawn));
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        let size = high.abs().max(low.abs());
        let margin = if high - low > 1e-9 * size {
            0.04 * (high - low)
        } else {
            (0.1 * size).max(0.5)
        };
        Self {
            label: label.to_owned(),
            scale,
            low: low - margin,
            high: high + margin,
        }
    }

    /// Whether the value can be drawn on this axis.
    pub(crate) fn shows(&self, value: f64) -> bool {
        self.scale.drawn(value).is_finite()
    }

    /// The values at both ends of the axis, lowest first.
    pub(crate) fn ends(&self) -> (f64, f64) {
        (self.scale.value(self.low), self.scale.value(self.high))
    }

    /// The values that get a label.
    fn ticks(&self) -> Vec<f64> {
        let (low, high) = self.ends();
        match self.scale {
            Scale::Linear => multiples(nice_step(high - low), low, high),
            Scale::Integer => multiples(nice_step(high - low).max(1.0), low.max(0.0), high),
            Scale::Log2 => {
                let step = ((self.high - self.low) / 12.0).ceil().max(1.0);
                let powers = multiples(step, self.low, self.high);
                powers.into_iter().map(f64::exp2).collect()
            }
            Scale::Log if high < 8.0 * low => multiples(nice_step(high - low), low, high),
            Scale::Log => {
                let decades = (high / low).log10();
                let mantissas: &[f64] = match decades {
                    d if d > 5.0 => &[1.0],
                    d if d > 2.5 => &[1.0, 3.0],
                    d if d > 1.5 => &[1.0, 2.0, 5.0],
                    _ => &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0],
                };
                let step = (decades / 12.0).ceil();
                let powers = multiples(step, low.log10() - step, high.log10());
                let ticks = powers
                    .iter()
                    .flat_map(|power| mantissas.iter().map(|m| m * 10_f64.powf(*power)));
                ticks.filter(|tick| (low..=high).contains(tick)).collect()
            }
        }
    }
}

impl Scale {
    /// The drawn coordinate of a value; NaN if the value cannot be drawn.
    fn drawn(self, value: f64) -> f64 {
        let (drawn, limit) = match self {
            Self::Linear | Self::Integer => (value, 1e15),
            Self::Log | Self::Log2 => (value.log2(), 300.0),
        };
        if drawn.abs() <= limit {
            drawn
        } else {
            f64::NAN
        }
    }

    /// The value at a drawn coordinate.
    fn value(self, drawn: f64) -> f64 {
        match self {
            Self::Linear | Self::Integer => drawn,
            Self::Log | Self::Log2 => drawn.exp2(),
        }
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    #[expect(clippy::cast_possible_truncation, reason = "pixels of a small figure")]
    fn map(&self, value: &f64, (first, last): (i32, i32)) -> i32 {
        let share = (self.scale.drawn(*value) - self.low) / (self.high - self.low);
        first + (share * f64::from(last - first)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        // Light points are the grid lines between the ticks, which are not drawn.
        if hint.weight().allow_light_points() {
            Vec::new()
        } else {
            self.ticks()
        }
    }

    fn range(&self) -> Range<f64> {
        let (low, high) = self.ends();
        low..high
    }
}

impl ValueFormatter<f64> for Axis {
    fn format(value: &f64) -> String {
        match *value {
            value if value != 0.0 && !(1e-3..1e5).contains(&value.abs()) => format!("{value:.0e}"),
            // Adding 0 turns -0 into 0.
            value => format!("{}", (value * 1e4).round() / 1e4 + 0.0),
        }
    }

    fn format_ext(&self, value: &f64) -> String {
        match self.scale {
            Scale::Log2 if *value >= 1024.0 => format!("{}k", value / 1024.0),
            Scale::Log2 | Scale::Integer => value.to_string(),
            Scale::Linear | Scale::Log => Self::format(value),
        }
    }
}

/// The smallest step of 1, 2 or 5 times a power of ten that divides `span` into at most eight parts.
fn nice_step(span: f64) -> f64 {
    let power = 10_f64.powf((span / 8.0).log10().floor());
    let steps = [1.0, 2.0, 5.0].map(|mantissa| mantissa * power);
    let enough = steps.into_iter().find(|step| span / step <= 8.0);
    enough.unwrap_or(10.0 * power)
}

/// Multiples of `step` from `low` to `high`, 50 at most.
fn multiples(step: f64, low: f64, high: f64) -> Vec<f64> {
    let first = (low / step).ceil();
    let all = (0..50_u32).map(|i| (first + f64::from(i)) * step);
    all.take_while(|value| *value <= high).collect()
}

#[cfg(test)]
#[path = "axis_tests.rs"]
mod tests;

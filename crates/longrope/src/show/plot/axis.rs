//! Axes: what they span and where they are labelled.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Scale {
    Linear,
    Integer,
    Log,
    /// Ticks at powers of two.
    Log2,
}

#[derive(Clone)]
pub(super) struct Axis {
    pub(super) label: &'static str,
    scale: Scale,
    /// Of what is drawn: log2 of the values on a logarithmic axis.
    low: f64,
    high: f64,
}

impl Axis {
    /// An axis that shows all of `values` that it can, with a margin.
    pub(super) fn new(
        label: &'static str,
        scale: Scale,
        values: impl Iterator<Item = f64>,
    ) -> Self {
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
            label,
            scale,
            low: low - margin,
            high: high + margin,
        }
    }

    /// Whether it has a place for this value.
    pub(super) fn shows(&self, value: f64) -> bool {
        self.scale.drawn(value).is_finite()
    }

    /// First and last value.
    pub(super) fn ends(&self) -> (f64, f64) {
        (self.scale.value(self.low), self.scale.value(self.high))
    }

    /// The labelled values.
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
    /// Where a value is drawn; not finite if it cannot be.
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
        // The finer lines between the ticks are not drawn.
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
            // The sum removes the sign of -0.
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

/// A step of 1, 2 or 5 times a power of ten that cuts `span` into at most eight.
fn nice_step(span: f64) -> f64 {
    let power = 10_f64.powf((span / 8.0).log10().floor());
    let steps = [1.0, 2.0, 5.0].map(|mantissa| mantissa * power);
    let enough = steps.into_iter().find(|step| span / step <= 8.0);
    enough.unwrap_or(10.0 * power)
}

/// Multiples of `step` from `low` to `high`, never more than a figure can hold.
fn multiples(step: f64, low: f64, high: f64) -> Vec<f64> {
    let first = (low / step).ceil();
    let all = (0..50_u32).map(|i| (first + f64::from(i)) * step);
    all.take_while(|value| *value <= high).collect()
}

#[cfg(test)]
mod tests {
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
}

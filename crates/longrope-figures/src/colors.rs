//! Colors that all figures share.

use plotters::style::RGBColor;

pub(crate) const TEXT: RGBColor = RGBColor(40, 40, 40);

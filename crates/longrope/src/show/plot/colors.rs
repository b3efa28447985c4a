//! Colors that all figures share.

use plotters::style::RGBColor;

pub(super) const TEXT: RGBColor = RGBColor(40, 40, 40);

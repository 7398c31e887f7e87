//! Plots as SVG.

mod bars;
mod curves;
mod histogram;
mod shares;

pub use bars::Bars;
pub use curves::{Curve, Curves};
pub use histogram::{Group, Histogram};
pub use shares::Shares;

use plotters::style::RGBColor;

/// The plot cannot be drawn.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("the plot `{title}` cannot be drawn: {reason}")]
pub struct PlotError {
    /// Its title.
    pub title: String,
    /// Why.
    pub reason: String,
}

betty_runtime::debug_as_report!(PlotError);

impl PlotError {
    fn new(title: &str, reason: impl ToString) -> Self {
        PlotError { title: title.into(), reason: reason.to_string() }
    }
}

/// Width and height in pixels.
const SIZE: (u32, u32) = (800, 480);

const FONT: &str = "sans-serif";

/// Colours of Okabe and Ito, told apart by most colour-blind people.
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];

/// The colour of series number `index`.
fn colour(index: usize) -> RGBColor {
    COLOURS[index % COLOURS.len()]
}

//! Bars side by side, each with a name and a number.

use plotters::drawing::{DrawingAreaErrorKind, IntoDrawingArea};
use plotters::element::{PathElement, Rectangle, Text};
use plotters::prelude::SVGBackend;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{BLACK, Color, IntoTextStyle, WHITE};

use super::{FONT, PlotError, SIZE, colour};
use crate::metrics::Summary;

/// Horizontal bars from zero, in one plot.
#[derive(Clone, Debug, PartialEq)]
pub struct Bars {
    /// Heading.
    pub title: String,
    /// Each bar's name and number, from above; several numbers get a whisker of a standard deviation to both sides.
    pub bars: Vec<(String, Summary)>,
}

/// Heights in pixels: of the heading, and of a bar with the gap above it.
const HEADING: i32 = 56;
const ROW: i32 = 34;
/// Where bars begin, and the length of the longest one.
const LEFT: i32 = 290;
const LENGTH: f64 = 380.0;

impl Bars {
    /// The plot as an SVG document; a number that is negative or not finite has no bar.
    ///
    /// # Errors
    /// When the drawing library fails.
    pub fn to_svg(&self) -> Result<String, PlotError> {
        let mut svg = String::new();
        self.draw(&mut svg).map_err(|reason| PlotError::new(&self.title, reason))?;
        Ok(svg)
    }

    fn draw(&self, svg: &mut String) -> Result<(), DrawingAreaErrorKind<std::io::Error>> {
        let height = HEADING + ROW * self.bars.len() as i32 + 20;
        let area = SVGBackend::with_string(svg, (SIZE.0, height.unsigned_abs())).into_drawing_area();
        area.fill(&WHITE)?;
        let text = |size: i32, at: HPos| (FONT, size).into_text_style(&area).pos(Pos::new(at, VPos::Center));
        area.draw(&Text::new(self.title.as_str(), (SIZE.0 as i32 / 2, 28), text(20, HPos::Center)))?;
        let ends = self.bars.iter().map(|(_, summary)| summary.mean + summary.deviation);
        let most = ends.filter(|end| end.is_finite()).fold(f64::MIN_POSITIVE, f64::max);
        for (number, (name, summary)) in self.bars.iter().enumerate() {
            let middle = HEADING + ROW * number as i32 + ROW / 2;
            let place = |value: f64| LEFT + (LENGTH * (value / most).clamp(0.0, 1.0)) as i32;
            area.draw(&Text::new(name.as_str(), (LEFT - 10, middle), text(15, HPos::Right)))?;
            let mut end = LEFT;
            if summary.mean.is_finite() {
                end = place(summary.mean);
                let bar = [(LEFT, middle - 10), (end, middle + 10)];
                area.draw(&Rectangle::new(bar, colour(0).mix(0.8).filled()))?;
                if summary.count > 1 {
                    let whisker = [summary.mean - summary.deviation, summary.mean + summary.deviation].map(place);
                    let line = PathElement::new(whisker.map(|x| (x, middle)), BLACK.stroke_width(2));
                    area.draw(&line)?;
                    end = whisker[1];
                }
            }
            area.draw(&Text::new(summary.to_string(), (end + 10, middle), text(15, HPos::Left)))?;
        }
        area.present()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_for_each_number_and_a_whisker_for_several() {
        let bar = |name: &str, numbers: &[f64]| (name.to_owned(), Summary::of(numbers).expect("numbers"));
        let bars = vec![bar("a < b", &[0.5]), bar("c", &[0.2, 0.4]), bar("d", &[f64::NAN])];
        let svg = Bars { title: "T".into(), bars }.to_svg().expect("drawable");
        // Beside them the background.
        assert_eq!(svg.matches("<rect").count(), 1 + 2);
        assert_eq!(svg.matches("<polyline").count(), 1);
        assert!(svg.contains("a &lt; b") && svg.contains("0.300 ± 0.141"), "{svg}");
    }
}

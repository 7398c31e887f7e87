//! Histograms of two or more groups over the same bins.

use plotters::chart::{ChartBuilder, SeriesLabelPosition};
use plotters::drawing::{DrawingAreaErrorKind, IntoDrawingArea};
use plotters::element::Rectangle;
use plotters::prelude::SVGBackend;
use plotters::style::{BLACK, Color, WHITE};

use super::{FONT, PlotError, SIZE, colour};

/// Values that are counted together.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// What the legend calls it.
    pub name: String,
    /// Its values.
    pub values: Vec<f64>,
}

/// How often values fall into equal bins between two bounds, group by group.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// Heading.
    pub title: String,
    /// What the values are.
    pub x: String,
    /// Lower and upper bound; values outside are not counted.
    pub bounds: (f64, f64),
    /// Number of bins.
    pub bins: usize,
    /// The groups, drawn half transparent over each other.
    pub groups: Vec<Group>,
}

impl Histogram {
    /// How many of `values` fall into each bin; the upper bound belongs to the last one.
    pub fn counts(&self, values: &[f64]) -> Vec<usize> {
        let (low, high) = self.bounds;
        let mut counts = vec![0; self.bins];
        for value in values.iter().filter(|value| (low..=high).contains(value)) {
            let bin = ((value - low) / (high - low) * self.bins as f64) as usize;
            counts[bin.min(self.bins - 1)] += 1;
        }
        counts
    }

    /// The plot as an SVG document.
    ///
    /// # Errors
    /// When there is no bin or the bounds are not in order, or the drawing library fails.
    pub fn to_svg(&self) -> Result<String, PlotError> {
        let (low, high) = self.bounds;
        if self.bins == 0 || !(low.is_finite() && high.is_finite() && low < high) {
            let reason = format!("{} bins from {low} to {high}", self.bins);
            return Err(PlotError::new(&self.title, reason));
        }
        let mut svg = String::new();
        self.draw(&mut svg).map_err(|reason| PlotError::new(&self.title, reason))?;
        Ok(svg)
    }

    fn draw(&self, svg: &mut String) -> Result<(), DrawingAreaErrorKind<std::io::Error>> {
        let (low, high) = self.bounds;
        let width = (high - low) / self.bins as f64;
        let counts: Vec<Vec<usize>> = self.groups.iter().map(|group| self.counts(&group.values)).collect();
        let highest = counts.iter().flatten().copied().max().unwrap_or(0).max(1);

        let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(&self.title, (FONT, 20))
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(56)
            .build_cartesian_2d(low..high, 0.0..highest as f64 * 1.05)?;
        chart.configure_mesh().disable_x_mesh().light_line_style(WHITE).x_desc(&self.x).y_desc("examples").draw()?;
        for (index, (group, counts)) in self.groups.iter().zip(&counts).enumerate() {
            let style = colour(index).mix(0.55).filled();
            let bars = counts.iter().enumerate().filter(|&(_, &count)| count > 0).map(|(bin, &count)| {
                let left = low + bin as f64 * width;
                Rectangle::new([(left, 0.0), (left + width, count as f64)], style)
            });
            chart
                .draw_series(bars)?
                .label(&group.name)
                .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 18, y + 5)], style));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperMiddle)
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK.mix(0.3))
            .label_font((FONT, 14))
            .draw()?;
        area.present()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(bins: usize, bounds: (f64, f64)) -> Histogram {
        let groups = vec![Group { name: "all".into(), values: vec![0.1, 0.9] }];
        Histogram { title: "T".into(), x: "weight".into(), bounds, bins, groups }
    }

    #[test]
    fn bins_are_half_open_but_the_last() {
        let values = [0.0, 0.24, 0.25, 0.5, 0.99, 1.0, 1.01, -0.01, f64::NAN];
        assert_eq!(histogram(4, (0.0, 1.0)).counts(&values), [2, 1, 1, 2]);
    }

    #[test]
    fn it_holds_labels_and_bars() {
        let svg = histogram(4, (0.0, 1.0)).to_svg().expect("drawable");
        for part in ["</svg>", "<rect", "weight", "examples", "all"] {
            assert!(svg.contains(part), "no `{part}`");
        }
    }

    #[test]
    fn no_bins_or_no_width_is_an_error() {
        assert!(histogram(0, (0.0, 1.0)).to_svg().is_err());
        let error = histogram(4, (1.0, 1.0)).to_svg().expect_err("no width");
        assert_eq!(error.to_string(), "the plot `T` cannot be drawn: 4 bins from 1 to 1");
    }
}

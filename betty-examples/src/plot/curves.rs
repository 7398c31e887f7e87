//! Curves over steps.

use plotters::chart::{ChartBuilder, SeriesLabelPosition};
use plotters::drawing::{DrawingAreaErrorKind, IntoDrawingArea};
use plotters::element::{Circle, PathElement};
use plotters::prelude::SVGBackend;
use plotters::series::LineSeries;
use plotters::style::{BLACK, Color, WHITE};

use super::{FONT, PlotError, SIZE, colour};

/// A named line.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// What the legend calls it.
    pub name: String,
    /// Its points, from left to right.
    pub points: Vec<(f64, f64)>,
}

/// Curves in one plot.
#[derive(Clone, Debug, PartialEq)]
pub struct Curves {
    /// Heading.
    pub title: String,
    /// What runs to the right.
    pub x: String,
    /// What runs upward.
    pub y: String,
    /// The lines.
    pub curves: Vec<Curve>,
    /// Single points, drawn as dots, with what the legend calls them.
    pub dots: Option<Curve>,
}

impl Curves {
    /// The plot as an SVG document; points that are not finite are left out.
    ///
    /// # Errors
    /// When no point is left, or the drawing library fails.
    pub fn to_svg(&self) -> Result<String, PlotError> {
        let mut svg = String::new();
        self.draw(&mut svg).map_err(|reason| PlotError::new(&self.title, reason))?;
        Ok(svg)
    }

    fn draw(&self, svg: &mut String) -> Result<(), DrawingAreaErrorKind<std::io::Error>> {
        let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(&self.title, (FONT, 20))
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(56)
            .build_cartesian_2d(self.range(|point| point.0), self.range(|point| point.1))?;
        chart.configure_mesh().light_line_style(WHITE).x_desc(&self.x).y_desc(&self.y).draw()?;
        for (index, curve) in self.curves.iter().enumerate() {
            let style = colour(index).stroke_width(2);
            let points = curve.points.iter().copied().filter(is_finite);
            chart
                .draw_series(LineSeries::new(points, style))?
                .label(&curve.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
        }
        if let Some(Curve { name, points }) = &self.dots {
            let dot = |point| Circle::new(point, 4, BLACK.filled());
            let points = points.iter().copied().filter(is_finite);
            chart.draw_series(points.map(dot))?.label(name).legend(|(x, y)| Circle::new((x + 9, y), 4, BLACK.filled()));
        }
        chart
            .configure_series_labels()
            .position(self.freest_corner())
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK.mix(0.3))
            .label_font((FONT, 14))
            .draw()?;
        area.present()
    }

    /// The corner in whose third of the width and height the fewest points lie.
    fn freest_corner(&self) -> SeriesLabelPosition {
        let (x, y) = (self.range(|point| point.0), self.range(|point| point.1));
        let third = |range: &std::ops::Range<f64>, value: f64| (value - range.start) / (range.end - range.start) * 3.0;
        let near = |place: f64, is_far_end: bool| if is_far_end { place > 2.0 } else { place < 1.0 };
        let crowd = |right: bool, top: bool| {
            let points = self.shown().flat_map(|curve| &curve.points).filter(|point| is_finite(point));
            points.filter(|point| near(third(&x, point.0), right) && near(third(&y, point.1), top)).count()
        };
        let corners = [
            (crowd(true, false), SeriesLabelPosition::LowerRight),
            (crowd(true, true), SeriesLabelPosition::UpperRight),
            (crowd(false, true), SeriesLabelPosition::UpperLeft),
            (crowd(false, false), SeriesLabelPosition::LowerLeft),
        ];
        let freest = corners.into_iter().min_by_key(|&(points, _)| points);
        freest.map_or(SeriesLabelPosition::LowerRight, |(_, corner)| corner)
    }

    /// Lines and dots.
    fn shown(&self) -> impl Iterator<Item = &Curve> {
        self.curves.iter().chain(&self.dots)
    }

    /// From the smallest to the largest coordinate, with some air; 0..1 without any point.
    fn range(&self, coordinate: impl Fn(&(f64, f64)) -> f64) -> std::ops::Range<f64> {
        let values = || self.shown().flat_map(|curve| &curve.points).filter(|point| is_finite(point)).map(&coordinate);
        let low = values().fold(f64::INFINITY, f64::min);
        let high = values().fold(f64::NEG_INFINITY, f64::max);
        if low > high {
            return 0.0..1.0;
        }
        let air = if high > low { (high - low) * 0.02 } else { 0.5 };
        low - air..high + air
    }
}

fn is_finite(point: &(f64, f64)) -> bool {
    point.0.is_finite() && point.1.is_finite()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(points: Vec<(f64, f64)>) -> String {
        let curve = Curve { name: "a < b".into(), points };
        let curves = Curves { title: "T".into(), x: "step".into(), y: "loss".into(), curves: vec![curve], dots: None };
        curves.to_svg().expect("drawable")
    }

    #[test]
    fn it_holds_labels_and_lines() {
        let svg = plot(vec![(0.0, 1.0), (1.0, 0.5), (2.0, f64::NAN), (3.0, 0.2)]);
        for part in ["<svg", "</svg>", "<polyline", "step", "loss", "a &lt; b"] {
            assert!(svg.contains(part), "no `{part}`");
        }
        assert!(!svg.contains("NaN"));
    }

    #[test]
    fn dots_are_circles_within_the_plot() {
        let dots = Curve { name: "seen".into(), points: vec![(0.0, -5.0), (1.0, f64::INFINITY)] };
        let curves = Curves { title: "T".into(), x: "x".into(), y: "y".into(), curves: Vec::new(), dots: Some(dots) };
        let svg = curves.to_svg().expect("drawable");
        // One in the plot, and one in the legend.
        assert_eq!(svg.matches("<circle").count(), 2);
        assert!(svg.contains("seen"));
    }

    #[test]
    fn the_legend_stands_where_few_points_are() {
        let corner = |points: &[(f64, f64)]| {
            let curve = Curve { name: "c".into(), points: points.to_vec() };
            let (x, y) = ("x".into(), "y".into());
            Curves { title: "T".into(), x, y, curves: vec![curve], dots: None }.freest_corner()
        };
        let falling: Vec<_> = (0..20).map(|i| (f64::from(i), (-0.5 * f64::from(i)).exp())).collect();
        assert!(matches!(corner(&falling), SeriesLabelPosition::UpperRight));
        let rising: Vec<_> = falling.iter().map(|&(x, y)| (x, -y)).collect();
        assert!(matches!(corner(&rising), SeriesLabelPosition::LowerRight));
    }

    #[test]
    fn one_point_and_none_can_be_drawn() {
        plot(vec![(1.0, 1.0)]);
        plot(vec![]);
    }
}

//! Curves as an SVG image.

use std::fmt::Display;
use std::ops::Range;

use plotters::chart::{ChartBuilder, SeriesLabelPosition};
use plotters::drawing::IntoDrawingArea;
use plotters::element::{Circle, PathElement};
use plotters::prelude::SVGBackend;
use plotters::series::LineSeries;
use plotters::style::{BLACK, Color, RGBColor, WHITE};

/// Width and height in pixels.
const SIZE: (u32, u32) = (560, 260);

/// Colours of Okabe and Ito, told apart by most colour-blind people.
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];

/// How values are laid out upwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    Linear,
    /// By their logarithm; what is not positive is left out.
    Logarithmic,
}

/// Curves over iterations in one image.
pub(super) struct Chart<'a> {
    pub(super) title: String,
    pub(super) scale: Scale,
    pub(super) curves: Vec<(String, &'a [(u64, f64)])>,
}

impl Chart<'_> {
    /// The image, or nothing where there is nothing to draw.
    pub(super) fn to_svg(&self) -> Option<String> {
        let place = |&(x, y): &(u64, f64)| match self.scale {
            Scale::Linear => Some((x as f64, y)),
            Scale::Logarithmic => (y > 0.0).then(|| (x as f64, y.log10())),
        };
        let curves: Vec<(&str, Vec<(f64, f64)>)> = self
            .curves
            .iter()
            .map(|(name, points)| (name.as_str(), points.iter().filter_map(place).collect()))
            .filter(|(_, points): &(_, Vec<_>)| !points.is_empty())
            .collect();
        if curves.is_empty() {
            return None;
        }
        let mut svg = String::new();
        let drawn = self.draw(&mut svg, &curves);
        Some(drawn.map_or_else(|reason| format!("<p>{}: {reason}</p>", self.title), |()| svg))
    }

    fn draw(&self, svg: &mut String, curves: &[(&str, Vec<(f64, f64)>)]) -> Result<(), impl Display + use<>> {
        let all = || curves.iter().flat_map(|(_, points)| points);
        let (x, y) = (range(all().map(|point| point.0)), range(all().map(|point| point.1)));
        let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let mut builder = ChartBuilder::on(&area);
        builder.caption(&self.title, ("sans-serif", 15)).margin(8).x_label_area_size(24).y_label_area_size(58);
        let mut chart = builder.build_cartesian_2d(x, y.clone())?;
        let label = |value: &f64| match self.scale {
            Scale::Linear => number(*value, y.end - y.start),
            Scale::Logarithmic => format!("{:.1e}", 10_f64.powf(*value)),
        };
        let mut mesh = chart.configure_mesh();
        mesh.light_line_style(WHITE).x_labels(6).y_labels(6);
        mesh.x_label_formatter(&|x| format!("{x:.0}")).y_label_formatter(&label).draw()?;
        for (index, (name, points)) in curves.iter().enumerate() {
            let colour = COLOURS[index % COLOURS.len()];
            let drawn = match points[..] {
                [point] => chart.draw_series([Circle::new(point, 3, colour.filled())])?,
                _ => chart.draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)))?,
            };
            if curves.len() > 1 {
                drawn
                    .label(*name)
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], colour.stroke_width(2)));
            }
        }
        if curves.len() > 1 {
            let mut labels = chart.configure_series_labels();
            labels.position(SeriesLabelPosition::UpperRight).label_font(("sans-serif", 12));
            labels.background_style(WHITE.mix(0.8)).border_style(BLACK.mix(0.2)).draw()?;
        }
        area.present()
    }
}

/// From the smallest to the largest value, with some air.
fn range(values: impl Iterator<Item = f64> + Clone) -> Range<f64> {
    let low = values.clone().fold(f64::INFINITY, f64::min);
    let high = values.fold(f64::NEG_INFINITY, f64::max);
    let air = if high > low { (high - low) * 0.04 } else { low.abs().max(1.0) * 0.1 };
    low - air..high + air
}

/// A number with as many digits as tell it from others in a range of this width.
fn number(value: f64, width: f64) -> String {
    if value != 0.0 && !(1e-3..1e5).contains(&value.abs()) && !(1e-3..1e5).contains(&width) {
        return format!("{value:.1e}");
    }
    let digits = (2.0 - width.log10()).ceil().clamp(0.0, 8.0) as usize;
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn svg(scale: Scale, points: &[(u64, f64)]) -> Option<String> {
        let curves = vec![("one & two".to_owned(), points), ("other".to_owned(), points)];
        Chart { title: "a < b".into(), scale, curves }.to_svg()
    }

    #[test]
    fn curves_are_drawn_and_texts_are_texts() {
        for scale in [Scale::Linear, Scale::Logarithmic] {
            let drawn = svg(scale, &[(1, 1.0), (2, 0.1), (3, 0.01)]).expect("something to draw");
            for part in ["<svg", "</svg>", "<polyline", "a &lt; b", "one &amp; two"] {
                assert!(drawn.contains(part), "no `{part}` in {drawn}");
            }
        }
        assert!(svg(Scale::Linear, &[(1, 3.0)]).expect("a point").contains("<circle"));
        assert_eq!(svg(Scale::Linear, &[]), None);
        assert_eq!(svg(Scale::Logarithmic, &[(1, 0.0), (2, -1.0)]), None);
    }

    #[test]
    fn labels_tell_values_apart() {
        assert_eq!([number(0.5, 1.0), number(0.501, 0.01), number(1234.0, 900.0)], ["0.50", "0.5010", "1234"]);
        assert_eq!(number(2.5e-6, 1e-6), "2.5e-6");
    }
}

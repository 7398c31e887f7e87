//! Kernels and bytes against the number of levels, on logarithmic axes, as an SVG.

use std::fmt::Write as _;

/// What one way takes, by depth.
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) points: Vec<Point>,
}

/// What it takes at one depth; counted where there is an error, told otherwise.
pub(crate) struct Point {
    pub(crate) levels: usize,
    pub(crate) kernels: f64,
    pub(crate) bytes: f64,
    pub(crate) error: Option<f64>,
}

const COLORS: [&str; 5] = ["#d62728", "#ff7f0e", "#1f77b4", "#9467bd", "#2ca02c"];

/// Width and height of a panel, and the room around it.
const PANEL: (f64, f64) = (300.0, 260.0);
const ROOM: (f64, f64) = (60.0, 30.0);

/// Two panels side by side, and what the lines are; filled points were counted, hollow ones are what `explain` says.
pub(crate) fn plot(lines: &[Line]) -> String {
    let (width, height) = (2.0 * (PANEL.0 + ROOM.0) + 20.0, PANEL.1 + 2.0 * ROOM.1 + 60.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"11\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    panel(&mut svg, ROOM.0, "kernels of one hypergradient", lines, |point| point.kernels);
    panel(&mut svg, PANEL.0 + 2.0 * ROOM.0, "bytes moved", lines, |point| point.bytes);
    let below = PANEL.1 + 2.0 * ROOM.1 + 30.0;
    for (number, (line, color)) in lines.iter().zip(COLORS).enumerate() {
        let x = ROOM.0 + 130.0 * number as f64;
        writeln!(svg, "<rect x=\"{x}\" y=\"{}\" width=\"10\" height=\"10\" fill=\"{color}\"/>", below - 9.0).unwrap();
        writeln!(svg, "<text x=\"{}\" y=\"{below}\">{}</text>", x + 15.0, line.name).unwrap();
    }
    svg.push_str("</svg>\n");
    svg
}

fn panel(svg: &mut String, left: f64, title: &str, lines: &[Line], of: impl Fn(&Point) -> f64) {
    let all = || lines.iter().flat_map(|line| &line.points).map(&of);
    let low = all().fold(f64::INFINITY, f64::min).log10().floor();
    let high = all().fold(0.0, f64::max).log10().ceil();
    let x = |levels: usize| left + PANEL.0 * (levels as f64 - 2.0) / 6.0;
    let y = |value: f64| ROOM.1 + PANEL.1 * (high - value.log10()) / (high - low);
    let bottom = ROOM.1 + PANEL.1;
    writeln!(svg, "<text x=\"{left}\" y=\"{}\" font-size=\"13\">{title}</text>", ROOM.1 - 10.0).unwrap();
    for power in (low as i32..=high as i32).step_by(2) {
        let y = y(10_f64.powi(power));
        let end = left + PANEL.0;
        writeln!(svg, "<path d=\"M{left} {y:.1}H{end}\" stroke=\"#ddd\"/>").unwrap();
        writeln!(svg, "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">1e{power}</text>", left - 6.0, y + 4.0).unwrap();
    }
    for levels in 2..9 {
        let (x, y) = (x(levels), bottom + 16.0);
        writeln!(svg, "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{levels}</text>").unwrap();
    }
    let middle = left + 0.5 * PANEL.0;
    writeln!(svg, "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">levels</text>", bottom + 32.0).unwrap();
    for (line, color) in lines.iter().zip(COLORS) {
        let at = |point: &Point| format!("{:.1} {:.1}", x(point.levels), y(of(point)));
        let path: Vec<String> = line.points.iter().map(at).collect();
        writeln!(svg, "<path d=\"M{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"/>", path.join("L")).unwrap();
        for point in &line.points {
            let fill = if point.error.is_some() { color } else { "white" };
            let (x, y) = (x(point.levels), y(of(point)));
            writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{fill}\" stroke=\"{color}\"/>").unwrap();
        }
    }
}

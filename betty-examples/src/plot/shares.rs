//! A table of shares, darker where they are larger.

use std::fmt::Write as _;

/// Rows of numbers from 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Shares {
    /// What columns are called.
    pub columns: Vec<String>,
    /// What each row is called, its share of each column, and which of them is framed.
    pub rows: Vec<(String, Vec<f64>, Option<usize>)>,
}

/// Sizes in pixels: of the names of rows, and of a row; columns share the rest of the width.
const NAMES: usize = 130;
const ROW: usize = 36;
const WIDTH: usize = 660;

impl Shares {
    /// The table as an SVG document; shares outside of 0 to 1 are drawn as the nearest one.
    pub fn to_svg(&self) -> String {
        let width = WIDTH / self.columns.len().max(1);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\" font-family=\"sans-serif\" font-size=\"14\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
            NAMES + WIDTH + 10,
            ROW * (self.rows.len() + 1) + 10
        );
        // Writing to a string cannot fail.
        for (column, name) in self.columns.iter().enumerate() {
            let x = NAMES + width * column + width / 2;
            let _ = writeln!(svg, "<text x=\"{x}\" y=\"24\" text-anchor=\"middle\">{}</text>", escaped(name));
        }
        for (row, (name, shares, framed)) in self.rows.iter().enumerate() {
            let y = ROW * (row + 1);
            let text = y + 23;
            let _ =
                writeln!(svg, "<text x=\"{}\" y=\"{text}\" text-anchor=\"end\">{}</text>", NAMES - 10, escaped(name));
            for (column, share) in shares.iter().enumerate() {
                let (x, shade) = (NAMES + width * column, share.clamp(0.0, 1.0));
                let frame = if *framed == Some(column) { "#d55e00" } else { "none" };
                let ink = if shade > 0.6 { "white" } else { "black" };
                let _ = writeln!(
                    svg,
                    "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"#0072b2\" fill-opacity=\"{shade:.3}\" \
                     stroke=\"{frame}\" stroke-width=\"3\"/>\
                     <text x=\"{}\" y=\"{text}\" text-anchor=\"middle\" fill=\"{ink}\">{share:.2}</text>",
                    x + 3,
                    y + 3,
                    width - 6,
                    ROW - 6,
                    x + width / 2,
                );
            }
        }
        svg + "</svg>\n"
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_for_each_share_and_a_frame_for_one() {
        let rows = vec![("a < b".to_owned(), vec![0.25, 0.75], Some(1)), ("c".to_owned(), vec![1.0, 0.0], None)];
        let svg = Shares { columns: vec!["x".into(), "y".into()], rows }.to_svg();
        assert_eq!((svg.matches("fill-opacity").count(), svg.matches("#d55e00").count()), (4, 1));
        assert!(svg.contains("a &lt; b") && svg.contains(">0.75<"), "{svg}");
    }
}

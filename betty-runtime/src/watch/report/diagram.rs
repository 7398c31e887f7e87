//! The levels of a program as a picture, and the steps of an iteration as a strip.

use std::fmt::Write as _;

use super::record::{LevelRecord, Record};
use super::text::escaped;

const BOX: (usize, usize) = (180, 52);
const GAP: (usize, usize) = (40, 64);

/// Levels as boxes, the uppermost at the top; what a level reads of those above it as lines downwards, and best responses that are
/// read from below as dashed lines upwards.
pub(super) fn levels(levels: &[LevelRecord]) -> String {
    let depths = depths(levels);
    let rows = depths.iter().max().map_or(0, |depth| depth + 1);
    let of_row = |row: usize| (0..levels.len()).filter(|&level| depths[level] == row).collect::<Vec<_>>();
    let widest = (0..rows).map(|row| of_row(row).len()).max().unwrap_or(1);
    let width = widest * (BOX.0 + GAP.0) + GAP.0;
    let height = (rows * (BOX.1 + GAP.1) + 16).saturating_sub(GAP.1);
    let place = |level: usize| {
        let row = of_row(depths[level]);
        let index = row.iter().position(|&other| other == level).unwrap_or(0);
        let left = (width - row.len() * (BOX.0 + GAP.0) + GAP.0) / 2 + index * (BOX.0 + GAP.0);
        (left, 8 + depths[level] * (BOX.1 + GAP.1))
    };
    let mut svg = format!(
        r##"<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg"><defs><marker id="tip" markerWidth="9" markerHeight="9" refX="8" refY="4" orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="#333"/></marker></defs>"##
    );
    let mut line = |from: (usize, usize), to: (usize, usize), style: &str, title: &str| {
        let _ = write!(
            svg,
            r##"<line x1="{}" y1="{}" x2="{}" y2="{}" stroke="#333" stroke-width="1.5"{style} marker-end="url(#tip)"><title>{}</title></line>"##,
            from.0,
            from.1,
            to.0,
            to.1,
            escaped(title)
        );
    };
    for (level, record) in levels.iter().enumerate() {
        for &upper in &record.upper {
            let ((x, y), (above_x, above_y)) = (place(level), place(upper));
            let title = format!("{} reads {}", record.name, levels[upper].name);
            line((above_x + BOX.0 / 3, above_y + BOX.1), (x + BOX.0 / 3, y), "", &title);
        }
        for &lower in &record.lower {
            let ((x, y), (below_x, below_y)) = (place(level), place(lower));
            let title = format!("{} reads the best response of {}", record.name, levels[lower].name);
            let dashed = r##" stroke-dasharray="5 4""##;
            line((below_x + 2 * BOX.0 / 3, below_y), (x + 2 * BOX.0 / 3, y + BOX.1), dashed, &title);
        }
    }
    for (level, record) in levels.iter().enumerate() {
        let (x, y) = place(level);
        let _ = write!(
            svg,
            r##"<rect x="{x}" y="{y}" width="{}" height="{}" rx="6" fill="#eef4f9" stroke="#0072b2"/><text x="{middle}" y="{}" text-anchor="middle" font-weight="600">{}</text><text x="{middle}" y="{}" text-anchor="middle" font-size="12" fill="#555">{}</text>"##,
            BOX.0,
            BOX.1,
            y + 22,
            escaped(&record.name),
            y + 40,
            escaped(&record.module),
            middle = x + BOX.0 / 2,
        );
    }
    svg + "</svg>"
}

/// How many levels stand above each, along the longest way.
fn depths(levels: &[LevelRecord]) -> Vec<usize> {
    let mut depths = vec![0; levels.len()];
    // As often as there are levels, every way is gone to its end.
    for _ in levels {
        for (level, record) in levels.iter().enumerate() {
            let below = record.lower.iter().map(|&lower| (level, lower));
            for (upper, lower) in record.upper.iter().map(|&upper| (upper, level)).chain(below) {
                depths[lower] = depths[lower].max(depths[upper] + 1).min(levels.len() - 1);
            }
        }
    }
    depths
}

/// The steps of one iteration, from left to right.
pub(super) fn turns(record: &Record) -> String {
    let mut html = String::from(r#"<div class="turns">"#);
    for (name, count) in &record.turns {
        let number = record.levels.iter().position(|level| level.name == *name).unwrap_or(0) % 6;
        let _ = write!(html, r#"<span class="turn of{number}">{} × {count}</span>"#, escaped(name));
    }
    html + "</div>"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_stand_below_those_that_they_depend_on() {
        let level = |name: &str, upper: &[usize], lower: &[usize]| LevelRecord {
            name: name.into(),
            module: "Point<2>".into(),
            upper: upper.to_vec(),
            lower: lower.to_vec(),
        };
        // A diamond, whose lowest level is also read by the top.
        let all =
            [level("a", &[], &[1, 2, 3]), level("b", &[0], &[3]), level("c", &[0], &[3]), level("d", &[1, 2], &[])];
        assert_eq!(depths(&all), [0, 1, 1, 2]);
        let svg = levels(&all);
        assert_eq!((svg.matches("<rect").count(), svg.matches("<line").count()), (4, 9));
        assert!(svg.contains("Point&lt;2&gt;"));
    }
}

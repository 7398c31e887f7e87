//! The table and the plot of what hypergradients through chains take, by depth.
//!
//! `BETTY_UPDATE_DOCS=1` writes them into BENCHMARKS.md and `docs/images`.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::json;

use crate::cost::{
    CHAINS, ITERATIONS, Measure, SMALL, Taken, fewest, four, inexact, joint, nested, partial, preconditioned,
    single_loop, three, two,
};
use crate::plot::{Line, Point, plot};

/// The fewest iterations of nested solves that are exact enough, to a tenth; of more than three levels they are not run, and told
/// with as many.
fn nested_iterations() -> [usize; 2] {
    [two as Measure, three].map(|chain| fewest(SMALL, |iterations| nested(chain, iterations, true).error))
}

/// Fewest iterations of `joint` for two levels and more, to a tenth, with 20 of each level's own before each.
const OF_JOINT: [usize; 4] = [7, 24, 56, 160];

/// Up to how many levels nested and inexact solves are run; the former are told beyond.
const RUN: (usize, usize) = (3, 5);

fn jointly(chain: Measure, levels: usize) -> Option<Taken> {
    let iterations = OF_JOINT.get(levels - 2)?;
    let options = json!({ "name": "joint", "iterations": iterations, "restart": 100, "tolerance": 1e-15 });
    Some(joint(chain, &options, 20))
}

/// One way at one depth: the kernels and bytes that were counted or told, and the error.
fn point(levels: usize, taken: &Taken) -> Point {
    let is_counted = taken.kernels.is_finite();
    let (kernels, bytes) = if is_counted { (taken.kernels, taken.bytes) } else { taken.told };
    Point { levels, kernels, bytes, error: is_counted.then_some(taken.error) }
}

fn measured() -> Vec<Line> {
    let iterations = nested_iterations();
    println!("nested solves of two and of three levels take {iterations:?} iterations");
    let chains = || CHAINS.iter().copied().zip(2..);
    let line = |name, points: Vec<Point>| Line { name, points };
    let of = |way: &dyn Fn(Measure, usize) -> Option<Taken>| {
        chains().filter_map(|(chain, levels)| Some(point(levels, &way(chain, levels)?))).collect()
    };
    vec![
        line("nested", of(&|chain, levels| Some(nested(chain, iterations[(levels - 2).min(1)], levels <= RUN.0)))),
        line("inexact", of(&|chain, levels| (levels <= RUN.1).then(|| inexact(chain, SMALL, 20)))),
        line("joint", of(&jointly)),
        line("a step of a single loop", of(&|chain, _| Some(single_loop(chain)))),
        line("partial", of(&|chain, levels| Some(partial(chain, levels, ITERATIONS)))),
    ]
}

fn table(lines: &[Line]) -> String {
    let mut text = "| levels |".to_owned();
    lines.iter().for_each(|line| write!(text, " {} |", line.name).unwrap());
    text.push_str("\n|---|");
    lines.iter().for_each(|_| text.push_str("---|"));
    for levels in 2..9 {
        write!(text, "\n| {levels} |").unwrap();
        for line in lines {
            match line.points.iter().find(|point| point.levels == levels) {
                None => text.push_str(" |"),
                Some(Point { kernels, bytes, error, .. }) => {
                    let told = if error.is_none() { "≤ " } else { "" };
                    let error = error.map_or_else(String::new, |error| format!(", {error:.0e}"));
                    write!(text, " {told}{}, {told}{bytes:.1e}{error} |", number(*kernels)).unwrap();
                }
            }
        }
    }
    text
}

fn number(number: f64) -> String {
    if number < 1e6 { format!("{number:.0}") } else { format!("{number:.1e}") }
}

/// Fewest iterations of one loop, to a tenth, by what stands for each level's own part: so many iterations with a preconditioner in
/// each iteration, or the preconditioner alone.
#[test]
#[ignore = "measures, and says what"]
fn by_preconditioner() {
    let diagonal = json!({ "name": "diagonal", "probes": 1 });
    let nystrom = |rank: usize| json!({ "name": "nystrom", "rank": rank });
    for (levels, chain, preconditioner, inner, most) in [
        (4, four as Measure, diagonal.clone(), 1, 400),
        (4, four, nystrom(100), 10, 400),
        (4, four, diagonal.clone(), 0, 10_000),
        (3, three, diagonal.clone(), 1, 400),
        (3, three, diagonal, 0, 10_000),
        (3, three, nystrom(50), 10, 400),
        (3, three, nystrom(50), 0, 10_000),
        (3, three, nystrom(100), 10, 400),
        (3, three, nystrom(100), 0, 10_000),
    ] {
        let run = |iterations: usize| preconditioned(chain, iterations, inner, &preconditioner);
        let last = run(most);
        let iterations = if last.error > SMALL { most } else { fewest(SMALL, |iterations| run(iterations).error) };
        let found = if iterations < most { run(iterations) } else { last };
        println!("{levels} levels, {inner} iterations with {preconditioner}: {iterations}, {found}");
    }
}

#[test]
#[ignore = "measures, and says what"]
fn by_depth() {
    let lines = measured();
    let table = table(&lines);
    println!("{table}");
    if std::env::var_os("BETTY_UPDATE_DOCS").is_none() {
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    std::fs::write(root.join("docs/images/depth.svg"), plot(&lines)).unwrap();
    let file = root.join("BENCHMARKS.md");
    let text = std::fs::read_to_string(&file).unwrap();
    let (begin, end) = ("<!-- depth: begin -->\n\n", "\n\n<!-- depth: end -->");
    let (before, rest) = text.split_once(begin).unwrap();
    let (_, after) = rest.split_once(end).unwrap();
    std::fs::write(file, format!("{before}{begin}{table}{end}{after}")).unwrap();
}

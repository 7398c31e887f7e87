//! Everything that can be wrong with a program that could be read.

mod edges;
mod fields;
mod learned;
mod names;
mod numbers;
mod options;
mod rules;
mod start;

use betty_schema::Graph;

use crate::ast::Program;
use crate::report::Report;

use names::Links;

/// What the checks learned, for the expansion.
pub(crate) struct Checked {
    pub(crate) graph: Graph,
    /// Whether the lists of a level are as the user meant them, so that its loss can be held against them.
    pub(crate) sound: Vec<bool>,
    /// Whether the lists of all levels make a program; if not, why was told.
    pub(crate) whole: bool,
}

/// Reports all mistakes and removes levels that are declared twice.
pub(crate) fn check(program: &mut Program, report: &mut Report) -> Checked {
    for level in &program.levels {
        fields::check(level, report);
        options::check(level, report);
        start::check_way(level, report);
    }
    names::drop_duplicates(program, report);
    let links = Links::resolve(program, report);
    let graph = links.graph();
    let is_whole = edges::check(program, &links, &graph, report);
    if graph.circles().is_empty() && !links.incomplete {
        start::check_edges(program, &links, &graph, report);
        learned::check_edges(program, &links, &graph, report);
    }
    rules::check(program, &links, &graph, is_whole, report);
    // What nobody was told compiles, and has to be all there.
    let whole = is_whole || report.count() == 0;
    Checked { graph, sound: links.sound, whole }
}

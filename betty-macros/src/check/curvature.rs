//! Levels that are differentiated with the levels below standing still: where that makes a difference.

use betty_schema::{CURVATURES, Graph, idle_curvature};
use syn::ext::IdentExt;

use super::unrolled::goes_through_steps;
use crate::ast::Program;
use crate::report::Report;

pub(super) fn check(program: &Program, graph: &Graph, report: &mut Report) {
    let name = |index: usize| program.levels[index].name.unraw().to_string();
    for (index, level) in program.levels.iter().enumerate() {
        let Some(word) = level.curvature.as_ref() else { continue };
        // An unknown word and an unknown method have been reported for what they are.
        let is_default = CURVATURES.words.first().is_some_and(|first| word.name == first.name);
        if is_default || CURVATURES.find(&word.name.to_string()).is_none() {
            continue;
        }
        let method = level.hypergradient.as_ref().filter(|_| graph.is_passed(index));
        if method.is_some_and(|call| call.method().is_none()) || (graph.is_passed(index) && method.is_none()) {
            continue;
        }
        let method = method.map(|call| (call.name.to_string(), goes_through_steps(call)));
        let method = method.as_ref().map(|(name, through_steps)| (name.as_str(), *through_steps));
        let below = (0..graph.levels()).find(|&below| graph.answers_to(below, index)).map(name);
        if let Some(reason) = idle_curvature(&name(index), method, below.as_deref()) {
            report.error(&word.name, format!("`{}` changes nothing here: {reason}", word.name));
        }
    }
}

//! What each hypergradient passes through, on graphs of every shape.

use super::{Edges, Graph, Stop};

/// Levels as `(upper, lower)`, uppermost first.
fn graph(levels: &[(&[usize], &[usize])]) -> Graph {
    let (upper, lower) = levels.iter().map(|(upper, lower)| (upper.to_vec(), lower.to_vec())).unzip();
    let (start, hyperparameters) = (vec![None; levels.len()], vec![Vec::new(); levels.len()]);
    Graph::new(Edges { upper, lower, start, hyperparameters })
}

#[track_caller]
fn assert_sweep(graph: &Graph, level: usize, expected: &[(usize, &[usize])]) {
    let expected: Vec<Stop> = expected.iter().map(|&(level, into)| Stop { level, into: into.to_vec() }).collect();
    assert_eq!(graph.sweep(level), expected);
}

#[test]
fn two_levels() {
    let graph = graph(&[(&[], &[1]), (&[0], &[])]);
    assert_eq!(graph.roots(), [0]);
    assert_sweep(&graph, 0, &[(1, &[0])]);
    assert_sweep(&graph, 1, &[]);
}

#[test]
fn a_chain_whose_top_reads_the_bottom_passes_through_both() {
    let graph = graph(&[(&[], &[1, 2]), (&[0], &[2]), (&[1], &[])]);
    assert_eq!(graph.roots(), [0]);
    assert_sweep(&graph, 0, &[(2, &[1]), (1, &[0])]);
    assert_sweep(&graph, 1, &[(2, &[1])]);
    assert_sweep(&graph, 2, &[]);
}

#[test]
fn a_chain_whose_top_reads_only_the_middle_passes_through_both() {
    let graph = graph(&[(&[], &[1]), (&[0], &[2]), (&[1], &[])]);
    assert_sweep(&graph, 0, &[(2, &[1]), (1, &[0])]);
    assert_sweep(&graph, 1, &[(2, &[1])]);
}

#[test]
fn a_diamond_sums_both_sides() {
    let graph = graph(&[(&[], &[1, 2, 3]), (&[0], &[3]), (&[0], &[3]), (&[1, 2], &[])]);
    assert_eq!(graph.roots(), [0]);
    // The best response of the one depends on the parameters of the other, through the level that they share.
    assert_sweep(&graph, 0, &[(3, &[1, 2]), (2, &[0, 1]), (1, &[0, 2])]);
    assert_sweep(&graph, 1, &[(3, &[1])]);
    assert_sweep(&graph, 2, &[(3, &[2])]);
}

#[test]
fn two_uppers_share_a_lower() {
    let graph = graph(&[(&[], &[2]), (&[], &[2]), (&[0, 1], &[])]);
    assert_eq!(graph.roots(), [0, 1]);
    assert_sweep(&graph, 0, &[(2, &[0])]);
    assert_sweep(&graph, 1, &[(2, &[1])]);
}

#[test]
fn two_lowers_share_an_upper() {
    let graph = graph(&[(&[], &[1, 2]), (&[0], &[]), (&[0], &[])]);
    assert_eq!(graph.roots(), [0]);
    assert_sweep(&graph, 0, &[(2, &[0]), (1, &[0])]);
}

/// Pretraining with weighted data, then fine-tuning: the fine-tuned level reads the pretrained one, which does not
/// answer to it but to the weights above both.
#[test]
fn a_pipeline_passes_down_before_it_passes_up() {
    let (weights, finetuned, pretrained) = (0, 1, 2);
    let graph = graph(&[(&[], &[finetuned]), (&[], &[pretrained]), (&[weights], &[])]);
    assert_eq!(graph.roots(), [weights]);
    assert_sweep(&graph, weights, &[(finetuned, &[pretrained]), (pretrained, &[weights])]);
    assert_sweep(&graph, finetuned, &[]);
}

/// The middle level does not read the top, but its best response depends on it through the bottom.
#[test]
fn what_a_lower_level_depends_on_its_upper_levels_depend_on_too() {
    let graph = graph(&[(&[], &[1]), (&[], &[2]), (&[0, 1], &[])]);
    assert_sweep(&graph, 0, &[(2, &[0, 1]), (1, &[0])]);
    assert_sweep(&graph, 1, &[(2, &[1])]);
}

/// No order serves levels that depend on each other in a circle; a level still comes after those that answer to it.
#[test]
fn levels_that_depend_on_each_other_come_after_their_own_stops() {
    let (a, f, g, p, q) = (0, 1, 2, 3, 4);
    let graph = graph(&[(&[], &[f, g]), (&[a], &[p, q]), (&[a], &[p, q]), (&[f], &[]), (&[g], &[])]);
    let order: Vec<usize> = graph.sweep(a).iter().map(|stop| stop.level).collect();
    assert_eq!(order, [q, g, p, f]);
}

/// A start is as good as an entry of `upper`: the best response depends on where the steps began.
#[test]
fn a_start_is_a_way_up() {
    let graph = Graph::new(Edges {
        upper: vec![vec![]; 2],
        lower: vec![vec![1], vec![]],
        start: vec![None, Some(0)],
        hyperparameters: vec![vec![]; 2],
    });
    assert_sweep(&graph, 0, &[(1, &[0])]);
}

#[test]
fn a_circle_has_no_sweeps() {
    let graph = graph(&[(&[1], &[1]), (&[0], &[0])]);
    assert_eq!(graph.circles().len(), 1);
    assert_eq!(graph.circles()[0].path, [0, 1, 0]);
    assert_sweep(&graph, 0, &[]);
}

#[test]
fn parts_are_ordered_by_declaration() {
    let graph = graph(&[(&[], &[2]), (&[], &[3]), (&[0], &[]), (&[1], &[])]);
    assert_eq!(graph.parts(), [vec![0, 2], vec![1, 3]]);
}

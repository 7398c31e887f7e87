//! What each hypergradient passes through, on graphs of every shape.

use crate::graph::{Graph, Through};

/// Levels as `(upper, lower)`, uppermost first.
fn graph(levels: &[(&[usize], &[usize])]) -> Graph {
    let (upper, lower) = levels.iter().map(|(upper, lower)| (upper.to_vec(), lower.to_vec())).unzip();
    Graph::new(upper, lower)
}

#[track_caller]
fn assert_sweep(graph: &Graph, level: usize, expected: &[(usize, &[usize])]) {
    let expected: Vec<Through> = expected.iter().map(|&(level, into)| Through { level, into: into.to_vec() }).collect();
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
fn a_chain_whose_top_reads_the_middle_leaves_the_bottom_to_the_middle() {
    let graph = graph(&[(&[], &[1]), (&[0], &[2]), (&[1], &[])]);
    assert_sweep(&graph, 0, &[(1, &[0])]);
    assert_sweep(&graph, 1, &[(2, &[1])]);
}

#[test]
fn a_diamond_sums_both_sides() {
    let graph = graph(&[(&[], &[1, 2, 3]), (&[0], &[3]), (&[0], &[3]), (&[1, 2], &[])]);
    assert_eq!(graph.roots(), [0]);
    assert_sweep(&graph, 0, &[(3, &[1, 2]), (2, &[0]), (1, &[0])]);
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

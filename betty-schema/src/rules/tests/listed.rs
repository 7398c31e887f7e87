//! Each rule is in the list of all, and something is said of it.

use super::{by, chain, numbers, pair, plain};
use crate::Graph;
use crate::rules::{
    Apart, Begins, Clash, Facts, Idle, LearnedNumber, Method, Numbers, Obstacle, Place, Unfixed, Unscheduled, Violation,
};

/// What is broken of a pair of levels, the upper one first, that is changed in this way; and what is said of it.
fn told(graph: &Graph, change: impl Fn(&mut Numbers, &mut Numbers)) -> Vec<(Violation, String)> {
    let (mut upper, mut lower) = (plain(), numbers("cg"));
    change(&mut upper, &mut lower);
    let facts = Facts { graph, names: vec!["upper", "lower"], numbers: vec![upper, lower] };
    let all = (0..2).flat_map(|level| facts.broken(level).map(move |rule| (level, rule)));
    all.map(|(level, rule)| (rule.clone(), facts.text(level, &rule))).collect()
}

#[test]
fn every_rule_is_listed_and_worded() {
    type Change = fn(&mut Numbers, &mut Numbers);
    assert_eq!(told(&chain(2), |_, _| {}), []);
    let changes: [(Change, Violation); 12] = [
        (|_, lower| (lower.method, lower.gives_method) = (None, false), Violation::MethodMissing),
        (|upper, _| upper.gives_unroll = true, Violation::UnrollUnused),
        (
            |_, lower| lower.method = by("unrolled").map(|method| Method { truncate: Some(2), ..method }),
            Violation::TruncateTooLong { truncate: 2, unroll: 1 },
        ),
        (|_, lower| lower.is_projected = true, Violation::ProjectedResponse),
        (|upper, _| upper.gives_preconditioner = true, Violation::NotPreconditioned),
        (|_, lower| lower.is_fixed_point = true, Violation::NotFixed(Unfixed::Asymmetric)),
        (|upper, _| upper.is_partial = true, Violation::CurvatureIdle(Idle::NotPassed)),
        (|_, lower| lower.solve = Some("joint"), Violation::NoSystem(Apart::NothingBelow)),
        (|_, lower| (lower.is_solved, lower.is_clipped) = (true, true), Violation::NotSolved(Clash::Clips)),
        (|_, lower| lower.restarts_schedule = true, Violation::NotScheduled(Unscheduled::NeverAnew)),
        (|_, lower| lower.vectorize = true, Violation::NotTogether(Obstacle::IsPassed)),
        (
            |_, lower| lower.learned = vec![LearnedNumber { option: "lr", from: 0, at_rest: false }],
            Violation::LearnedUnseen { option: "lr", from: 0 },
        ),
    ];
    let mut all: Vec<(Violation, String)> = Vec::new();
    for (change, expected) in changes {
        // Of what is learned, the loss may read as well.
        let graph = if matches!(expected, Violation::LearnedUnseen { .. }) { pair(false, true) } else { chain(2) };
        let found = told(&graph, change);
        assert_eq!(found.iter().map(|(rule, _)| rule).collect::<Vec<_>>(), [&expected]);
        all.extend(found);
    }
    let from = told(&pair(true, false), |_, lower| lower.begins = Begins::From);
    assert_eq!(from.iter().map(|(rule, _)| rule).collect::<Vec<_>>(), [&Violation::StartUnseen { from: 0 }]);
    for (rule, text) in all.iter().chain(&from) {
        assert!(!text.contains("``") && !text.ends_with('.'), "{text}");
        assert!(text.contains("`lower`") || text.contains("`upper`") || text.contains("changes nothing"), "{text}");
        assert!(!Place::of(rule).field.name().is_empty(), "{rule:?}");
    }
}

//! Every rule broken once and kept once, on chains and pairs.

mod listed;

use super::condition::condition;
use super::curvature::curvature;
use super::learned::learned;
use super::preconditioner::preconditioner;
use super::solver::solver;
use super::start::start;
use super::steps::{steps, truncate};
use super::system::system;
use super::together::together;
use super::used::{method, used};
use super::{Apart, Begins, Clash, Idle, LearnedNumber, Method, Numbers, Obstacle, Unfixed, Violation, one_by_one};
use crate::{Edges, Graph, METHODS};

/// A chain of levels, uppermost first: each reads the one above and waits for the one below.
fn chain(levels: usize) -> Graph {
    let upper = (0..levels).map(|level| level.checked_sub(1).into_iter().collect()).collect();
    let lower = (1..=levels).map(|below| if below < levels { vec![below] } else { vec![] }).collect();
    Graph::new(Edges { upper, lower, start: vec![None; levels], hyperparameters: vec![Vec::new(); levels] })
}

/// Two levels, the lower of which starts from the upper one, has its numbers learned by it, or both, and reads nothing.
fn pair(starts: bool, learns: bool) -> Graph {
    Graph::new(Edges {
        upper: vec![vec![], vec![]],
        lower: vec![vec![1], vec![]],
        start: vec![None, starts.then_some(0)],
        hyperparameters: vec![vec![], if learns { vec![0] } else { vec![] }],
    })
}

fn by(name: &str) -> Option<Method> {
    let row = METHODS.find(name).expect("a row of the table");
    Some(Method { row, truncate: None, limits_memory: false, keeps_all: true })
}

fn numbers(method: &str) -> Numbers {
    Numbers { method: by(method), gives_method: true, ..plain() }
}

fn plain() -> Numbers {
    Numbers {
        unroll: Some(1),
        warmup: Some(0),
        accumulate: Some(1),
        tasks: Some(1),
        rounds: Some(1),
        ..Numbers::default()
    }
}

fn broken(graph: &Graph, level: usize, numbers: &[Numbers]) -> Vec<Violation> {
    steps(graph, level, numbers).collect()
}

#[test]
fn a_method_is_given_exactly_where_a_hypergradient_passes() {
    let graph = chain(2);
    assert_eq!(method(&graph, 1, &plain()), Some(Violation::MethodMissing));
    assert_eq!(method(&graph, 0, &numbers("cg")), Some(Violation::MethodUnused));
    assert_eq!(method(&graph, 1, &numbers("cg")), None);
    assert_eq!(method(&graph, 0, &plain()), None);
}

#[test]
fn what_nobody_waits_for_is_not_given() {
    let graph = chain(2);
    let given = Numbers { gives_unroll: true, gives_start: true, ..plain() };
    assert_eq!(used(&graph, 0, &given).collect::<Vec<_>>(), [Violation::UnrollUnused, Violation::StartUnused]);
    assert_eq!(used(&graph, 1, &given).count(), 0);
    let several = Numbers { tasks: Some(3), rounds: Some(2), ..plain() };
    let expected = [Violation::NoTasks { tasks: 3 }, Violation::NoRounds { rounds: 2 }];
    assert_eq!(used(&graph, 1, &several).collect::<Vec<_>>(), expected);
    assert_eq!(used(&graph, 0, &several).count(), 0);
}

#[test]
fn only_steps_that_are_taken_are_differentiated() {
    let graph = chain(2);
    let of = |truncate, unroll, rounds| {
        let method = by("unrolled").map(|method| Method { truncate, ..method });
        super::steps::truncate(&graph, 1, &[Numbers { rounds, ..plain() }, Numbers { method, unroll, ..plain() }])
    };
    let one = Some(1);
    assert_eq!(of(Some(3), Some(2), one), Some(Violation::TruncateTooLong { truncate: 3, unroll: 2 }));
    assert_eq!(of(Some(2), Some(2), one), None);
    assert_eq!(of(Some(3), Some(2), Some(2)), None);
    assert_eq!(of(Some(5), Some(2), Some(2)), Some(Violation::TruncateTooLong { truncate: 5, unroll: 4 }));
    assert_eq!(of(Some(3), None, one), None, "a number that is none was refused already");
    assert_eq!(truncate(&graph, 1, &[plain(), numbers("cg")]), None);
}

#[test]
fn steps_are_differentiated_twice_only_in_reverse_and_at_the_bottom() {
    let graph = chain(3);
    let top = plain();
    let at = |middle: &Numbers, bottom: &Numbers, level| {
        broken(&graph, level, &[top.clone(), middle.clone(), bottom.clone()])
    };
    let cg = numbers("cg");
    assert_eq!(at(&cg, &numbers("forward"), 2), [Violation::StepsBelow { above: 1 }]);
    assert_eq!(at(&cg, &numbers("unrolled"), 2), []);
    let method = by("unrolled").map(|method| Method { limits_memory: true, ..method });
    assert_eq!(at(&cg, &Numbers { method, ..numbers("unrolled") }, 2), [Violation::MemoryUnused { above: 1 }]);
    assert_eq!(at(&numbers("evolution"), &cg, 1), [Violation::ReplayOfResponse { below: 2 }]);
    let four = chain(4);
    let levels = [top.clone(), cg.clone(), numbers("unrolled"), cg.clone()];
    assert_eq!(broken(&four, 2, &levels), [Violation::StepsBetween { above: 1, below: 3 }]);
}

#[test]
fn steps_are_there_when_a_level_above_looks_back() {
    let graph = chain(2);
    let late = Numbers { warmup: Some(5), ..numbers("unrolled") };
    let expected = Violation::WarmupTooLong { warmup: 5, above: 0, begins: 0 };
    assert_eq!(broken(&graph, 1, &[plain(), late.clone()]), [expected]);
    assert_eq!(broken(&graph, 1, &[Numbers { warmup: Some(5), ..plain() }, late]), []);
}

#[test]
fn a_solution_of_the_loss_is_not_confined() {
    let graph = chain(2);
    let confined = |method| Numbers { is_projected: true, ..numbers(method) };
    assert_eq!(broken(&graph, 1, &[plain(), confined("cg")]), [Violation::ProjectedResponse]);
    assert_eq!(broken(&graph, 1, &[plain(), confined("unrolled")]), []);
    let followed = |method| Numbers { has_after_step: true, ..numbers(method) };
    assert_eq!(broken(&graph, 1, &[plain(), followed("cg")]), [Violation::FollowedResponse]);
    assert_eq!(broken(&graph, 1, &[plain(), followed("unrolled")]), []);
    assert_eq!(broken(&graph, 1, &[plain(), Numbers { is_fixed_point: true, ..followed("gmres") }]), []);
    // Nothing passes through the level above.
    assert_eq!(broken(&graph, 0, &[Numbers { has_after_step: true, ..plain() }, numbers("cg")]), []);
}

#[test]
fn levels_that_share_a_lower_one_are_not_unrolled() {
    let graph = Graph::new(Edges {
        upper: vec![vec![], vec![0], vec![0], vec![1, 2]],
        lower: vec![vec![1, 2, 3], vec![3], vec![3], vec![]],
        start: vec![None; 4],
        hyperparameters: vec![Vec::new(); 4],
    });
    let levels = [plain(), numbers("unrolled"), numbers("cg"), numbers("cg")];
    assert_eq!(broken(&graph, 1, &levels), [Violation::StepsInCircle { peer: 2 }]);
}

#[test]
fn a_level_above_is_reached_where_steps_begin() {
    let graph = pair(true, false);
    let from = |method| Numbers { begins: Begins::From, unroll: Some(4), ..numbers(method) };
    assert_eq!(start(&graph, 1, &[plain(), from("cg")]), Some(Violation::StartUnseen { from: 0 }));
    assert_eq!(start(&graph, 1, &[plain(), from("unrolled")]), None);
    let cut = |graph: &Graph, learned, truncate, rounds| {
        let method = by("unrolled").map(|method| Method { truncate: Some(truncate), ..method });
        start(graph, 1, &[Numbers { rounds, ..plain() }, Numbers { method, learned, ..from("unrolled") }])
    };
    let one = Some(1);
    assert_eq!(cut(&graph, vec![], 3, one), Some(Violation::StartCut { from: 0, truncate: 3, unroll: 4 }));
    assert_eq!(cut(&graph, vec![], 4, one), None);
    let learned = vec![LearnedNumber { option: "lr", from: 0, at_rest: false }];
    assert_eq!(cut(&pair(true, true), learned, 3, one), None);
    // All rounds are taken from one start.
    assert_eq!(cut(&graph, vec![], 4, Some(3)), Some(Violation::StartCut { from: 0, truncate: 4, unroll: 12 }));
    assert_eq!(cut(&graph, vec![], 4, None), None, "a number that is none was refused already");
}

#[test]
fn learned_numbers_are_seen_by_methods_that_go_through_steps() {
    let graph = pair(false, true);
    let of = |option, at_rest, method| Numbers {
        learned: vec![LearnedNumber { option, from: 0, at_rest }],
        ..numbers(method)
    };
    let unseen = |option| Violation::LearnedUnseen { option, from: 0 };
    assert_eq!(learned(&graph, 1, &of("lr", false, "cg")).collect::<Vec<_>>(), [unseen("lr")]);
    assert_eq!(learned(&graph, 1, &of("lr", false, "forward")).count(), 0);
    // A penalty of the parameters changes the best response.
    let decay = of("weight_decay", true, "cg");
    assert_eq!(learned(&graph, 1, &decay).count(), 0);
    let fixed_point = Numbers { is_fixed_point: true, ..decay };
    assert_eq!(learned(&graph, 1, &fixed_point).collect::<Vec<_>>(), [unseen("weight_decay")]);
}

#[test]
fn tasks_are_computed_together_where_each_is_alone() {
    let graph = chain(2);
    let of = |own: Numbers, lower: Numbers| match together(&graph, 0, &[Numbers { vectorize: true, ..own }, lower]) {
        Some(Violation::NotTogether(obstacle)) => Some(obstacle),
        _ => None,
    };
    let anew = Numbers { begins: Begins::Anew, ..numbers("unrolled") };
    assert_eq!(of(plain(), anew.clone()), None, "one task is the least of several");
    assert_eq!(of(Numbers { tasks: Some(4), ..plain() }, anew.clone()), None);
    assert_eq!(of(Numbers { accumulate: Some(2), ..plain() }, anew.clone()), Some(Obstacle::Accumulates));
    assert_eq!(of(Numbers { rounds: Some(2), ..plain() }, anew), Some(Obstacle::Rounds));
    assert_eq!(of(plain(), numbers("unrolled")), Some(Obstacle::GoesOn { lower: 1 }));
    // A method that goes through less than all steps, or none, has them go one after the other, wherever they begin.
    let slow = |lower: Numbers| one_by_one(&graph, 0, &[Numbers { vectorize: true, ..plain() }, lower]);
    assert_eq!((of(plain(), numbers("cg")), slow(numbers("cg"))), (None, Some(1)));
    assert_eq!(slow(numbers("forward")), Some(1));
    assert_eq!(slow(numbers("unrolled")), None);
    assert_eq!(one_by_one(&graph, 0, &[plain(), numbers("cg")]), None);
    // What a constant comes to is not known, but that there is one is.
    let method = by("unrolled").map(|method| Method { keeps_all: false, ..method });
    let fewer = Numbers { method, ..numbers("unrolled") };
    assert_eq!((of(plain(), fewer.clone()), slow(fewer)), (None, Some(1)));
    // A method that was refused for its name may be one that lets the level go on.
    let unknown = Numbers { method: None, ..numbers("unrolled") };
    assert_eq!((of(plain(), unknown.clone()), slow(unknown)), (None, None));
    let deep = chain(3);
    let levels = [Numbers { vectorize: true, ..plain() }, numbers("cg"), numbers("cg")];
    let waits = Violation::NotTogether(Obstacle::Waits { lower: 1, further: 2 });
    assert_eq!(together(&deep, 0, &levels), Some(waits));
    let levels = [plain(), Numbers { vectorize: true, ..numbers("cg") }, numbers("cg")];
    assert_eq!(together(&deep, 1, &levels), Some(Violation::NotTogether(Obstacle::IsPassed)));
    let levels = [plain(), Numbers { vectorize: true, ..plain() }];
    let alone = Graph::new(Edges {
        upper: vec![vec![], vec![]],
        lower: vec![vec![], vec![]],
        start: vec![None; 2],
        hyperparameters: vec![vec![]; 2],
    });
    assert_eq!(together(&alone, 1, &levels), Some(Violation::NotTogether(Obstacle::NothingBelow)));
}

#[test]
fn a_curvature_that_is_said_makes_a_difference() {
    let graph = chain(3);
    let of = |level, method: &str| curvature(&graph, level, &Numbers { is_partial: true, ..numbers(method) });
    assert_eq!(of(0, "cg"), Some(Violation::CurvatureIdle(Idle::NotPassed)));
    assert_eq!(of(1, "cg"), None);
    assert_eq!(of(1, "forward"), Some(Violation::CurvatureIdle(Idle::ThroughSteps)));
    assert_eq!(of(2, "cg"), Some(Violation::CurvatureIdle(Idle::NothingBelow)));
    assert_eq!(curvature(&graph, 2, &numbers("cg")), None);
}

#[test]
fn a_solver_of_what_is_below_solves_a_system() {
    let graph = chain(3);
    let of = |level: usize, middle: &str, bottom: &str| {
        let mut levels = [plain(), numbers(middle), numbers(bottom)];
        levels[level].solve = Some("joint");
        match system(&graph, level, &levels) {
            Some(Violation::NoSystem(apart)) => Some(apart),
            _ => None,
        }
    };
    for method in ["cg", "minres", "gmres", "neumann", "dense"] {
        assert_eq!(of(0, method, method), None, "{method}");
    }
    assert_eq!(of(0, "cg", "unrolled"), None);
    for method in ["nystrom", "penalty", "finite_difference", "identity", "sama", "custom"] {
        assert_eq!(of(0, "cg", method), Some(Apart::Replaced { stop: 2 }), "{method}");
    }
    assert_eq!(of(1, "cg", "unrolled"), Some(Apart::StepsOnly));
    assert_eq!(of(0, "forward", "cg"), Some(Apart::Tangents { stop: 1 }));
    assert_eq!(of(2, "cg", "cg"), Some(Apart::NothingBelow));
}

#[test]
fn a_solver_has_no_steps_and_waits_for_nobody() {
    let broken = |level: usize, numbers: Numbers| {
        solver(&chain(2), level, &Numbers { is_solved: true, ..numbers }).collect::<Vec<_>>()
    };
    let one = |clash: Clash| vec![Violation::NotSolved(clash)];
    assert_eq!(broken(1, numbers("cg")), []);
    assert_eq!(broken(0, plain()), one(Clash::Waits { below: 1 }));
    for method in ["unrolled", "forward", "evolution", "sama"] {
        assert_eq!(broken(1, numbers(method)), one(Clash::NoSteps), "{method}");
        assert_eq!(solver(&chain(2), 1, &numbers(method)).next(), None);
    }
    assert_eq!(broken(1, Numbers { is_clipped: true, ..numbers("cg") }), one(Clash::Clips));
    assert_eq!(broken(1, Numbers { is_projected: true, ..numbers("cg") }), one(Clash::Projects));
    assert_eq!(broken(1, Numbers { has_after_step: true, ..numbers("cg") }), one(Clash::Follows));
    assert_eq!(broken(1, Numbers { accumulate: Some(2), ..numbers("cg") }), one(Clash::Accumulates));
}

#[test]
fn a_preconditioner_stands_beside_a_krylov_method() {
    let given = |numbers: Numbers| preconditioner(&Numbers { gives_preconditioner: true, ..numbers });
    for method in ["cg", "minres", "gmres"] {
        assert_eq!(given(numbers(method)), None, "{method}");
    }
    for method in ["neumann", "dense", "nystrom", "identity", "unrolled", "sama", "custom"] {
        assert_eq!(given(numbers(method)), Some(Violation::NotPreconditioned), "{method}");
        assert_eq!(preconditioner(&numbers(method)), None);
    }
    assert_eq!(given(plain()), Some(Violation::NotPreconditioned));
    assert_eq!(given(Numbers { gives_method: true, ..plain() }), None, "an unknown method was refused already");
}

#[test]
fn a_fixed_point_is_differentiated_by_what_sees_it() {
    let of = |level: usize, numbers: Numbers| match condition(&chain(2), level, &numbers) {
        Some(Violation::NotFixed(unfixed)) => Some(unfixed),
        _ => None,
    };
    let fixed = |method: &str| Numbers { is_fixed_point: true, ..numbers(method) };
    for method in ["gmres", "neumann", "dense", "identity", "custom"] {
        assert_eq!(of(1, fixed(method)), None, "{method}");
        assert_eq!(of(1, numbers(method)), None, "{method}");
    }
    for (method, unfixed) in [
        ("cg", Unfixed::Asymmetric),
        ("minres", Unfixed::Asymmetric),
        ("nystrom", Unfixed::Asymmetric),
        ("finite_difference", Unfixed::Replaced),
        ("penalty", Unfixed::Replaced),
        ("unrolled", Unfixed::Steps),
        ("evolution", Unfixed::Steps),
        ("sama", Unfixed::Steps),
    ] {
        assert_eq!(of(1, fixed(method)), Some(unfixed), "{method}");
    }
    assert_eq!(of(1, Numbers { searches: true, ..fixed("gmres") }), Some(Unfixed::Searches));
    assert_eq!(of(0, fixed("gmres")), Some(Unfixed::NotPassed));
    let symmetric =
        |numbers| Numbers { gives_preconditioner: true, symmetric_preconditioner: Some("nystrom"), ..numbers };
    assert_eq!(of(1, symmetric(fixed("gmres"))), Some(Unfixed::Preconditioned));
    assert_eq!(of(1, symmetric(numbers("gmres"))), None);
    let waits = condition(&chain(3), 1, &fixed("gmres"));
    assert_eq!(waits, Some(Violation::NotFixed(Unfixed::Waits { below: 2 })));
    // The set is part of the condition.
    let projected = |numbers| broken(&chain(2), 1, &[plain(), Numbers { is_projected: true, ..numbers }]);
    assert_eq!(projected(numbers("gmres")), [Violation::ProjectedResponse]);
    assert_eq!(projected(fixed("gmres")), []);
}

//! Mistakes in names of levels and in the graph, each with its text and its place.

use super::{check_err, check_errs, check_ok};

#[test]
fn a_correct_program_has_no_mistakes() {
    check_ok(
        "/// Docs.
         pub struct P;
         /// Docs of a level.
         level weights: Weights { lower: [net], .. }
         level net: Net {
             upper: [weights],
             batch: (Images<A, B>, Labels),
             loss: losses::weighted,
             optimizer: adamw(lr = 1e-3, beta_1 = 0.8, weight_decay = 0),
             unroll: 10,
             hypergradient: neumann(terms = 5, step_size = 0.2, batch = fresh),
             clip: value(1),
             accumulate: 4
         }",
    );
}

#[test]
fn a_cycle_prints_itself() {
    check_err(
        "these levels are each solved before the next, in a circle: a -> b -> c -> a; a level that is read while it is \
         still being solved belongs in `upper`",
        "struct P;
         level a: M { lower: [b], .. }
         level b: M { lower: [c], .. }
         level c: M { lower: [>>>a<<<], .. }",
    );
}

#[test]
fn a_cycle_between_two_levels() {
    check_err(
        "these levels are each solved before the next, in a circle: a -> b -> a; a level that is read while it is still \
         being solved belongs in `upper`",
        "struct P;
         level a: M { lower: [b], .. }
         level b: M { lower: [>>>a<<<], .. }",
    );
}

#[test]
fn two_cycles_are_two_mistakes() {
    check_errs(
        &[
            "these levels are each solved before the next, in a circle: a -> b -> a; a level that is read while it is \
             still being solved belongs in `upper`",
            "these levels are each solved before the next, in a circle: a -> c -> a; a level that is read while it is \
             still being solved belongs in `upper`",
        ],
        "struct P;
         level a: M { lower: [b, c], .. }
         level b: M { lower: [>>>a<<<], .. }
         level c: M { lower: [>>>a<<<], .. }",
    );
}

#[test]
fn unknown_level() {
    check_err(
        "no level named `nett` (did you mean `net`?)",
        "struct P;
         level weights: M { lower: [>>>nett<<<], .. }
         level net: M { upper: [weights], hypergradient: cg, .. }",
    );
}

#[test]
fn unknown_level_without_a_likeness() {
    check_err(
        "no level named `elsewhere`",
        "struct P;
         level weights: M { lower: [net, >>>elsewhere<<<], .. }
         level net: M { upper: [weights], hypergradient: cg, .. }",
    );
}

#[test]
fn level_declared_twice() {
    check_err(
        "level `net` is declared twice",
        "struct P;
         level weights: M { lower: [net], .. }
         level net: M { upper: [weights], hypergradient: cg, .. }
         level >>>net<<<: M { upper: [weights], hypergradient: cg, .. }",
    );
}

#[test]
fn self_reference() {
    check_err(
        "level `net` cannot depend on itself",
        "struct P;
         level weights: M { lower: [net], .. }
         level net: M { upper: [weights, >>>net<<<], hypergradient: cg, .. }",
    );
}

#[test]
fn entry_listed_twice() {
    check_err(
        "`weights` is listed twice for level `net`",
        "struct P;
         level weights: M { lower: [net], .. }
         level net: M { upper: [weights, >>>weights<<<], hypergradient: cg, .. }",
    );
}

#[test]
fn entry_in_both_lists() {
    check_err(
        "`net` is both an upper and a lower level of `z`; it must be one",
        "struct P;
         level z: M { upper: [>>>net<<<], lower: [net], .. }
         level net: M { upper: [z], hypergradient: cg, .. }",
    );
}

#[test]
fn upper_without_a_way_back() {
    check_err(
        "`weights` is an upper level of `net`, but nothing in `net` ever reaches `weights`; list `net`, or a level above \
         it, under `lower` of `weights`",
        "struct P;
         level weights: M { .. }
         level net: M { upper: [>>>weights<<<], unroll: 5, hypergradient: cg, .. }",
    );
}

#[test]
fn upper_that_stands_beside() {
    check_err(
        "`logits` is an upper level of `hyper`, but nothing in `hyper` ever reaches `logits`; list `hyper`, or a level above it, under \
         `lower` of `logits`; where the loss of `hyper` only needs the parameters of `logits` as they are, take `logits` out of the \
         list and let them come with the batch, by `Stream::of_program`",
        "struct P;
         level logits: M { lower: [cell], .. }
         level hyper: M { upper: [>>>logits<<<], lower: [cell], .. }
         level cell: M { upper: [logits, hyper], hypergradient: cg, .. }",
    );
}

#[test]
fn upper_in_the_wrong_direction() {
    check_err(
        "`net` is an upper level of `x`, but nothing in `x` ever reaches `net`; `net` is solved before `x`, so list it \
         under `lower`",
        "struct P;
         level x: M { upper: [>>>net<<<], lower: [between], .. }
         level between: M { upper: [x], lower: [net], hypergradient: cg, .. }
         level net: M { upper: [between], hypergradient: cg, .. }",
    );
}

#[test]
fn hypergradient_missing_where_a_lower_level_alone_reads_the_upper() {
    check_err(
        "a hypergradient passes through `b`: add `hypergradient: …` to say how it is computed",
        "struct P;
         level a: M { lower: [b], .. }
         level >>>b<<<: M { lower: [c], .. }
         level c: M { upper: [b, a], hypergradient: cg, .. }",
    );
}

#[test]
fn lower_that_never_reads_the_level() {
    check_err(
        "`other` is a lower level of `weights`, but its best response never depends on `weights`; list `weights` under \
         `upper` of `other`",
        "struct P;
         level weights: M { lower: [net, >>>other<<<], .. }
         level net: M { upper: [weights], hypergradient: cg, .. }
         level other: M { .. }",
    );
}

#[test]
fn isolated_level() {
    check_err(
        "level `other` depends on no other level and none depends on it",
        "struct P;
         level weights: M { lower: [net], .. }
         level net: M { upper: [weights], hypergradient: cg, .. }
         level >>>other<<<: M { unroll: 5, hypergradient: cg, .. }",
    );
}

#[test]
fn two_separate_programs() {
    check_err(
        "`c` and `d` share nothing with `a` and `b`; write two programs",
        "struct P;
         level a: M { lower: [b], .. }
         level b: M { upper: [a], hypergradient: cg, .. }
         level >>>c<<<: M { lower: [d], .. }
         level d: M { upper: [c], hypergradient: cg, .. }",
    );
}

#[test]
fn the_smaller_program_is_the_other_one() {
    check_err(
        "`a` and `b` share nothing with `c`, `d` and `e`; write two programs",
        "struct P;
         level >>>a<<<: M { lower: [b], .. }
         level b: M { upper: [a], hypergradient: cg, .. }
         level c: M { lower: [d, e], .. }
         level d: M { upper: [c], hypergradient: cg, .. }
         level e: M { upper: [c], hypergradient: cg, .. }",
    );
}

#[test]
fn no_upper_anywhere() {
    check_err(
        "no level of `P` has an upper level, so no hypergradient is ever computed; if the loss of `b` reads `a`, write `upper: [a]` \
         in `b`",
        "struct >>>P<<<;
         level a: M { lower: [b], .. }
         level b: M { hypergradient: cg, .. }",
    );
}

#[test]
fn a_level_by_itself_is_plain_training() {
    check_ok("struct P; level a: M { accumulate: 2, clip: norm(1.0), .. }");
    check_err("`P` needs at least one level", "struct >>>P<<<;");
    check_err(
        "no hypergradient passes through `a`, so its `hypergradient` is never used",
        "struct P; level a: M { hypergradient: >>>cg<<<, .. }",
    );
    check_err(
        "no level is solved after `a`, so its `unroll` is never used",
        "struct P; level a: M { unroll: >>>5<<<, .. }",
    );
}

#[test]
fn unroll_nobody_waits_for() {
    check_err(
        "no level is solved after `weights`, so its `unroll` is never used",
        "struct P;
         level weights: M { lower: [net], unroll: >>>5<<<, .. }
         level net: M { upper: [weights], hypergradient: cg, .. }",
    );
}

#[test]
fn hypergradient_missing_on_a_path() {
    check_err(
        "a hypergradient passes through `net`: add `hypergradient: …` to say how it is computed",
        "struct P;
         level weights: M { lower: [net], .. }
         level >>>net<<<: M { upper: [weights], .. }",
    );
}

#[test]
fn hypergradient_off_every_path() {
    check_err(
        "no hypergradient passes through `weights`, so its `hypergradient` is never used",
        "struct P;
         level weights: M { lower: [net], hypergradient: >>>cg<<<(iterations = 5), .. }
         level net: M { upper: [weights], hypergradient: cg, .. }",
    );
}

/// Where an edge is lost or goes in a circle, what hangs on the edges is nobody's mistake.
#[test]
fn a_lost_edge_is_one_error() {
    for field in ["solve: joint", "tasks: 3, vectorize: true", "curvature: partial, hypergradient: cg"] {
        check_err(
            "no level named `xyz`",
            &format!(
                "struct P; level top: M {{ lower: [>>>xyz<<<], {field}, .. }} level net: M {{ upper: [top], .. }}"
            ),
        );
    }
    check_err(
        "these levels are each solved before the next, in a circle: a -> b -> a; a level that is read while it is still being solved \
         belongs in `upper`",
        "struct P;
         level a: M { lower: [b], hypergradient: cg, curvature: partial, solve: joint, .. }
         level b: M { lower: [>>>a<<<], hypergradient: cg, .. }",
    );
}

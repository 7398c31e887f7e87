//! Mistakes in how a level is solved and differentiated: curvature, solve, preconditioners and conditions.

use super::options::check_net;
use super::{check_err, check_ok};

#[test]
fn a_curvature_where_it_changes_nothing() {
    let program = |top: &str, middle: &str, bottom: &str| {
        format!(
            "struct P;
             level top: M {{ lower: [middle], {top} .. }}
             level middle: M {{ upper: [top], lower: [bottom], {middle}, .. }}
             level bottom: M {{ upper: [middle], hypergradient: cg, {bottom} .. }}"
        )
    };
    check_ok(&program("", "hypergradient: cg, curvature: partial", "curvature: total,"));
    check_err(
        "`partial` changes nothing here: no level below answers to `bottom`, whose own loss is all that is differentiated",
        &program("", "hypergradient: cg", "curvature: >>>partial<<<,"),
    );
    check_err(
        "`partial` changes nothing here: no hypergradient passes through `top`",
        &program("curvature: >>>partial<<<,", "hypergradient: cg", ""),
    );
    check_err(
        "`partial` changes nothing here: `unrolled` goes through the steps of `middle`, which followed its total gradient; \
         choose a method that solves a system, such as `cg`",
        &program("", "hypergradient: unrolled, curvature: >>>partial<<<", ""),
    );
    check_err(
        "unknown curvature `partal` (did you mean `partial`?); the curvatures are `total` and `partial`",
        &program("", "hypergradient: cg, curvature: >>>partal<<<", ""),
    );
}

#[test]
fn one_loop_that_cannot_solve_what_is_below() {
    let program = |top: &str, middle: &str, bottom: &str| {
        format!(
            "struct P;
             level top: M {{ lower: [middle], {top} .. }}
             level middle: M {{ upper: [top], lower: [bottom], hypergradient: {middle}, .. }}
             level bottom: M {{ upper: [middle], {bottom}, .. }}"
        )
    };
    check_ok(&program("solve: joint,", "cg", "hypergradient: minres"));
    check_ok(&program("solve: inexact(tolerance = 1e-6),", "cg", "hypergradient: minres"));
    check_ok(&program("solve: joint(iterations = 20, tolerance = 1e-6),", "cg", "hypergradient: unrolled"));
    check_err(
        "`joint` cannot solve what is below `top`: `penalty` of `bottom` puts something of its own in the place of the \
         level's part of the system; choose `cg`, `minres` or `gmres` there",
        &program("solve: >>>joint<<<,", "cg", "hypergradient: penalty"),
    );
    check_err(
        "`inexact` cannot solve what is below `bottom`: no best response answers to `bottom`, so there is no system",
        &program("", "cg", "hypergradient: cg, solve: >>>inexact<<<"),
    );
    check_err(
        "`joint` cannot solve what is below `bottom`: no best response answers to `bottom`, so there is no system",
        &program("", "cg", "hypergradient: cg, solve: >>>joint<<<"),
    );
    check_err(
        "`joint` has no option `iteration` (did you mean `iterations`?); it takes `iterations`, `restart`, `tolerance`, \
         `warm_start` and `prepare`",
        &program("solve: joint(>>>iteration<<< = 5),", "cg", "hypergradient: cg"),
    );
    check_err(
        "unknown solver `jont` (did you mean `joint`?); the solvers are `joint` and `inexact`",
        &program("solve: >>>jont<<<,", "cg", "hypergradient: cg"),
    );
}

#[test]
fn preconditioners() {
    let check = |text: &str, fields: &str| check_net(text, &format!("optimizer: sgd(lr = 0.1), {fields}"));
    let check_cg = |text: &str, written: &str| check(text, &format!("hypergradient: cg, preconditioner: {written}"));
    check_cg(
        "unknown preconditioner `nystrem` (did you mean `nystrom`?); the preconditioners are `diagonal`, `nystrom` and `custom`",
        ">>>nystrem<<<(rank = 20)",
    );
    check_cg("`rank` of `nystrom` must be an integer greater than zero", "nystrom(rank = >>>0<<<)");
    check_cg("the options of `nystrom` have names: `nystrom(rank = …)`", "nystrom(>>>20<<<)");
    check_cg(
        "`custom` takes one value whose type implements `Preconditioning`: `custom(MyPreconditioner)`",
        ">>>custom<<<",
    );
    check(
        "`neumann` applies no preconditioner; choose `cg`, `minres` or `gmres` for `net`, or take `preconditioner` away",
        "hypergradient: neumann, preconditioner: >>>diagonal<<<",
    );
    check_err(
        "no hypergradient passes through `weights`, so its `preconditioner` is never used",
        "struct P;
         level weights: M { lower: [net], preconditioner: >>>diagonal<<<, .. }
         level net: M { upper: [weights], hypergradient: cg, .. }",
    );
    check_ok(
        "struct P;
         level weights: M { lower: [net], .. }
         level net: M { upper: [weights], hypergradient: gmres, preconditioner: custom(Mine { a: 1 }), .. }",
    );
}

#[test]
fn fixed_points() {
    let check = |text: &str, fields: &str| check_net(text, &format!("optimizer: sgd(lr = 0.1), {fields}"));
    let expected = "`condition` takes the path of a function in `fixed_point`: `condition: fixed_point(my_map)`";
    for condition in ["map", "stationary(map)", "fixed_point()", "fixed_point(a, b)", "fixed_point(|x| x)"] {
        check(expected, &format!("hypergradient: gmres, condition: >>>{condition}<<<"));
    }
    for (method, reason) in [
        ("cg", "`cg` needs a symmetric matrix, and I − ∂T/∂θ is none; choose `gmres`, `neumann` or `dense`"),
        ("minres", "`minres` needs a symmetric matrix, and I − ∂T/∂θ is none; choose `gmres`, `neumann` or `dense`"),
        (
            "penalty",
            "`penalty` puts gradients of the loss in the place of the matrix; choose `gmres`, `neumann`, `dense` or `identity`",
        ),
        (
            "unrolled",
            "`unrolled` follows the level's steps, whatever they lead to; take `condition` away, or choose `gmres`, `neumann` or \
             `dense`",
        ),
    ] {
        check(
            &format!("`net` is not differentiated as the fixed point that its `condition` says: {reason}"),
            &format!("hypergradient: >>>{method}<<<, condition: fixed_point(map)"),
        );
    }
    check_net(
        "`net` is not differentiated as the fixed point that its `condition` says: its solver looks for a point where the gradient of the loss vanishes; choose \
         `custom(…)`, or an `optimizer`",
        "solver: >>>lbfgs<<<, hypergradient: gmres, condition: fixed_point(map)",
    );
    check_err(
        "`weights` is not differentiated as the fixed point that its `condition` says: no hypergradient passes through it; take `condition` away",
        "struct P;
         level weights: M { lower: [net], condition: fixed_point(>>>map<<<), .. }
         level net: M { upper: [weights], hypergradient: cg, .. }",
    );
    for hypergradient in ["gmres", "neumann(step_size = 1.0)", "dense", "identity", "custom(Mine)"] {
        check_ok(&format!(
            "struct P;
             level weights: M {{ lower: [net], .. }}
             level net: M {{
                 upper: [weights], hypergradient: {hypergradient}, condition: fixed_point(maps::map), project: simplex, ..
             }}"
        ));
    }
}

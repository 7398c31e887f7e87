//! Where it makes no difference of which gradient a level's curvature is the derivative.

/// Why `curvature: partial` at a level would change nothing, if it is so: what stands after "but". `method` is how its best
/// response is differentiated, and whether through its steps; `below` a level whose best response answers to it.
#[must_use]
pub fn idle_curvature(level: &str, method: Option<(&str, bool)>, below: Option<&str>) -> Option<String> {
    match (method, below) {
        (None, _) => Some(format!("no hypergradient passes through `{level}`")),
        (_, None) => Some(format!("no level below answers to `{level}`, whose own loss is all that is differentiated")),
        (Some((method, true)), _) => Some(format!(
            "`{method}` goes through the steps of `{level}`, which followed its total gradient; choose a method that solves a \
             system, such as `cg`"
        )),
        (Some((_, false)), Some(_)) => None,
    }
}

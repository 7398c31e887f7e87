//! `docs/operations.md` is what the catalogue says, and `docs/modules.md` names nothing that no test records.

use std::fmt::Write;
use std::path::Path;

use super::super::catalogue::{Derivative, Entry, OPERATIONS};
use crate::trace::refusal::READERS;

const HEAD: &str = "\
# Operations

What Burn can record, and what its derivatives are. A test records, executes and differentiates an example of every row that
is not missing (but `IsNan` and `IsInf`, which Burn records as comparisons), in each type of the column *precision*. This file
is written by a test as well: `BETTY_UPDATE_DOCS=1 cargo test --workspace --lib operations_document`.

- *exact*: the derivative of the forward operation, to any order, in the type the operation computes in: that of its
  operands. A level's `precision` computes matrix products and convolutions in another (what is recorded as matmul, linear,
  attention, convolution, transposed or deformable convolution, and adjoints of these). Where operands have 16 bits, sums are
  formed in f32 and rounded once, also where Burn adds up in the type of the operands: what is read or written at indices
  that repeat, average pools, products, softmax, and their adjoints.
- *piecewise*: exact to any order except where the function has a kink or a tie; the remark states what holds there, which
  is Burn's own convention.
- *constant*: the derivative is 0 wherever it exists.
- *discrete*: the result holds no floats, or comes from none; a derivative ends here.
- *missing*: a loss that uses it is refused with an error that names it.

Backward operations are what Burn's autodiff records. They are imported as the adjoints they are, so that a loss may contain
them, and so that Burn's gradient can be compared with ours.

The features `linalg` and `signal` of Burn, which betty itself does not enable, add functions. Those that are made of the operations
below are recorded as such (norms, `qr`, `det` of up to 128 rows). `lu`, and `det` beyond that, ask for values, and `svd` and the Fourier
transforms are operations of these features alone: a loss that uses them is refused.

While a loss is recorded its tensors have no values. What asks for one, `into_scalar`, `into_data` or `all_close` for instance, is
refused with an error that names the call and its line. Their relatives that answer a `Result` (`try_into_scalar`, `try_into_data`)
answer an error: what a loss does about that, a default in its place say, is frozen in the recording, and nobody hears of it. Some
calls of Burn's ask for values without saying it:

| calls | instead |
|---|---|
";

/// The types in which a test computes and differentiates an example of each operation.
const PRECISION: &str = "f16, bf16, f32, f64";

/// The whole file.
fn document() -> String {
    let mut text = HEAD.to_owned();
    for (calls, instead) in READERS {
        let calls: Vec<String> = calls.iter().map(|call| format!("`{call}`")).collect();
        writeln!(text, "| {} | {instead} |", calls.join(", ")).unwrap();
    }
    let mut family = "";
    for entry in OPERATIONS {
        let (of, name) = entry.name.split_once("::").unwrap_or(("", entry.name));
        if of != family {
            family = of;
            write!(text, "\n## {family}\n\n| operation | gradient | second order | precision | remarks |\n").unwrap();
            text.push_str("|---|---|---|---|---|\n");
        }
        let [gradient, second, precision] = columns(entry);
        writeln!(text, "| `{name}` | {gradient} | {second} | {precision} | {} |", entry.remark).unwrap();
    }
    text
}

fn columns(entry: &Entry) -> [&'static str; 3] {
    match entry.derivative {
        Derivative::Exact => ["exact", "exact", PRECISION],
        Derivative::Piecewise => ["piecewise", "piecewise", PRECISION],
        Derivative::Constant => ["constant", "constant", PRECISION],
        Derivative::Discrete => ["discrete", "discrete", ""],
        Derivative::Missing => ["missing", "missing", ""],
    }
}

#[test]
fn operations_document_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operations.md");
    if std::env::var_os("BETTY_UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, document()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == document(),
        "docs/operations.md is stale; write it with `BETTY_UPDATE_DOCS=1 cargo test --workspace --lib operations_document`"
    );
}

/// `MaxPool1d` and `MaxPool2d` for `MaxPool1d/2d`.
fn modules_of(name: &str) -> Vec<String> {
    let mut parts = name.split('/');
    let first = parts.next().unwrap_or_default();
    let stem = &first[..first.len().saturating_sub("1d".len())];
    std::iter::once(first.to_owned()).chain(parts.map(|ending| format!("{stem}{ending}"))).collect()
}

#[test]
fn every_module_in_the_list_is_in_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let files = std::fs::read_dir(root.join("tests/tests/derivatives")).unwrap().map(|entry| entry.unwrap().path());
    let sources: String = files.filter_map(|path| std::fs::read_to_string(path).ok()).collect();
    let list = std::fs::read_to_string(root.join("docs/modules.md")).unwrap();
    let named = list.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
    let named = named.flat_map(|cell| cell.split('`').skip(1).step_by(2)).filter(|name| !name.contains("::"));
    let named: Vec<String> = named.flat_map(modules_of).collect();
    assert!(named.len() > 50, "{named:?}");
    for module in named {
        assert!(sources.contains(&module), "docs/modules.md names `{module}`, and no test of `derivatives` does");
    }
}

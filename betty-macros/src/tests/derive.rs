//! `#[derive(Batch)]`: what it writes and what it refuses.

use super::{assert_mistakes, parse, read_marks};
use crate::batch;
use crate::report::Report;

fn derive(source: &str) -> String {
    match syn::parse2(batch::derive(parse(source))) {
        Ok(file) => prettyplease::unparse(&file),
        Err(error) => panic!("the expansion does not consist of items: {error}"),
    }
}

#[track_caller]
fn check_err(text: &str, source: &str) {
    let (source, marks) = read_marks(source);
    let mut report = Report::default();
    match syn::parse2(parse(&source)) {
        Ok(input) => drop(batch::expand(&input, &mut report)),
        Err(error) => panic!("the source of the test is no item: {error}"),
    }
    assert_mistakes(&[text], &marks, &report);
}

#[test]
fn named_fields() {
    insta::assert_snapshot!(derive(
        "struct Images { pixels: Tensor<4>, labels: Tensor<1, Int>, #[batch(skip)] classes: usize }"
    ));
}

#[test]
fn tuple_struct() {
    insta::assert_snapshot!(derive("struct Pair(Tensor<2>, #[batch(skip)] u64);"));
}

#[test]
fn unit_struct() {
    insta::assert_snapshot!(derive("struct Nothing;"));
}

#[test]
fn generic_struct() {
    insta::assert_snapshot!(derive(
        "struct Both<T: Debug, P, const D: usize> where P: Eq { data: Vec<T>, rest: Tensor<D>, #[batch(skip)] plain: P }"
    ));
}

#[test]
fn enums_and_unions_are_refused() {
    let text = "`Batch` can be derived for a struct only; a batch has the same tensors at every step; a field that is plain \
                data, an enum say, is marked `#[batch(skip)]` and is `Hash`";
    check_err(text, ">>>enum<<< E { A(Tensor<1>), B }");
    check_err(text, ">>>union<<< U { a: u8, b: u8 }");
}

#[test]
fn lifetimes_are_refused() {
    check_err("a batch owns its data; it cannot borrow for `'a`", "struct S<>>>'a<<<> { x: &'a str }");
}

#[test]
fn unknown_attribute() {
    check_err(
        "unknown attribute `skp` (did you mean `skip`?); a field of a batch takes `skip` or `examples`",
        "struct S { #[batch(>>>skp<<<)] x: usize }",
    );
    check_err(
        "unknown attribute `rename`; a field of a batch takes `skip` or `examples`",
        "struct S { #[batch(>>>rename<<<)] x: usize }",
    );
}

#[test]
fn a_field_that_counts_the_examples() {
    let derived = derive("struct Ragged { #[batch(examples)] starts: Tensor<1, Int>, tokens: Tensor<1, Int> }");
    assert!(derived.contains("::betty_runtime::Batch::examples(&self.starts)"), "{derived}");
    check_err(
        "another field counts the examples already; mark one of them",
        "struct S { #[batch(examples)] x: Tensor<1>, >>>#[batch(examples)] y: Tensor<1><<< }",
    );
    check_err(
        "plain data count no examples; mark a field with `skip` or `examples`, not with both",
        "struct S { >>>#[batch(skip, examples)] x: usize<<< }",
    );
}

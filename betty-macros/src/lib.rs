//! The macros of betty: levels declared, checked and scheduled at compile time.

mod ast;
mod batch;
mod check;
mod expand;
mod graph;
mod methods;
mod parse;
mod report;
#[cfg(test)]
mod tests;

use proc_macro::TokenStream;

#[doc = include_str!("../docs/multilevel.md")]
#[proc_macro]
pub fn multilevel(tokens: TokenStream) -> TokenStream {
    expand_program(tokens.into()).0.into()
}

/// Makes a struct a batch: a tree of tensors that a level takes from its data at each step.
///
/// Every field has to be a batch itself, as tensors, vectors and tuples of batches are. A field that is plain data, a
/// seed or a number of classes say, is marked `#[batch(skip)]` and has to be `Hash`: a loss is traced anew when it
/// changes, because its value may have shaped the recorded operations. Structs may be generic; enums cannot be
/// batches, because a batch has the same tensors at every step.
///
/// ```ignore
/// use betty_runtime::Batch;
/// use burn::tensor::{Int, Tensor};
///
/// #[derive(Clone, Batch)]
/// struct Images {
///     pixels: Tensor<4>,
///     labels: Tensor<1, Int>,
///     #[batch(skip)]
///     classes: usize,
/// }
/// ```
#[proc_macro_derive(Batch, attributes(batch))]
pub fn derive_batch(tokens: TokenStream) -> TokenStream {
    batch::derive(tokens.into()).into()
}

/// The phases in order. The program is written even after errors, with the errors behind it.
fn expand_program(tokens: proc_macro2::TokenStream) -> (proc_macro2::TokenStream, report::Report) {
    let mut report = report::Report::default();
    let mut program = parse::parse(tokens, &mut report);
    let checked = check::check(&mut program, &mut report);
    let mut expanded = expand::expand(&program, &checked);
    expanded.extend(report.to_compile_errors());
    (expanded, report)
}

//! The macros of betty: levels declared, checked and scheduled at compile time.

mod ast;
mod batch;
mod check;
mod configs;
mod expand;
mod parse;
mod report;
#[cfg(test)]
mod tests;

use proc_macro::TokenStream;

// The examples of the manuals need the runtime, which this crate cannot depend on; betty-runtime tests them.
#[cfg_attr(not(doctest), doc = include_str!("../docs/multilevel.md"))]
#[proc_macro]
pub fn multilevel(tokens: TokenStream) -> TokenStream {
    expand_program(tokens.into()).0.into()
}

#[cfg_attr(not(doctest), doc = include_str!("../docs/batch.md"))]
#[proc_macro_derive(Batch, attributes(batch))]
pub fn derive_batch(tokens: TokenStream) -> TokenStream {
    batch::derive(tokens.into()).into()
}

/// The config structs of betty's runtime, from the tables of what may be written. No part of it is stable.
#[doc(hidden)]
#[proc_macro]
pub fn configs(tokens: TokenStream) -> TokenStream {
    configs::expand(tokens.into()).into()
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

//! Numbers that are expressions of constants: evaluated by the compiler, and held against their ranges there.

use betty_schema::Range;
use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::quote_spanned;

use super::at;

/// The value of an expression in a range; what lies outside is an error at the expression. `what` is what it is called.
pub(super) fn checked(range: Range, expression: &TokenStream, what: &str) -> TokenStream {
    evaluated(range, expression, what, quote_spanned!(Span::mixed_site()=> u64))
}

/// The same for a field, whose numbers are all counts.
pub(super) fn checked_count(range: Range, expression: &TokenStream, what: &str) -> TokenStream {
    evaluated(range, expression, what, quote_spanned!(Span::mixed_site()=> usize))
}

/// `natural` is the type of numbers that may be zero.
fn evaluated(range: Range, expression: &TokenStream, what: &str, natural: TokenStream) -> TokenStream {
    let site = Span::mixed_site();
    let value = name_beside(expression);
    let (of, holds) = match range {
        Range::Count | Range::CountOrAll => {
            (quote_spanned!(site=> usize), quote_spanned!(site=> 0 < #value && #value <= u32::MAX as usize))
        }
        Range::Natural => (natural, quote_spanned!(site=> true)),
        Range::Number => (quote_spanned!(site=> f64), quote_spanned!(site=> #value.is_finite())),
        Range::Positive => (quote_spanned!(site=> f64), quote_spanned!(site=> 0.0 < #value && #value.is_finite())),
        Range::NonNegative => (quote_spanned!(site=> f64), quote_spanned!(site=> 0.0 <= #value && #value.is_finite())),
        Range::Fraction => (quote_spanned!(site=> f64), quote_spanned!(site=> 0.0 <= #value && #value < 1.0)),
        Range::Flag | Range::Batch => (quote_spanned!(site=> bool), quote_spanned!(site=> true)),
    };
    let text = format!("{what} must be {}", range.describe());
    let check = quote_spanned!(at(expression)=> const _: () = ::core::assert!(#holds, #text););
    let whole = quote_spanned!(site=> {
        const #value: #of = #expression;
        #check
        #value
    });
    match range {
        Range::CountOrAll => quote_spanned!(site=> ::core::option::Option::Some(#whole)),
        _ => whole,
    }
}

/// A name for a constant that the expression does not use: constants have no hygiene, so that one of the program with the same
/// name would be hidden by the one that is made of it.
fn name_beside(expression: &TokenStream) -> Ident {
    let mut name = "VALUE".to_owned();
    while names(expression, &name) {
        name.push('_');
    }
    Ident::new(&name, Span::mixed_site())
}

fn names(tokens: &TokenStream, name: &str) -> bool {
    tokens.clone().into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == name,
        TokenTree::Group(group) => names(&group.stream(), name),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}

//! Numbers that are expressions of constants: evaluated by the compiler, and held against their ranges there.

use betty_schema::Range;
use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::quote_spanned;
use syn::{BinOp, Block, Expr, ExprBinary, ExprLit, Lit, Stmt};

use super::at;

/// The value of an option that is an expression in a range; what lies outside is an error at the expression. `what` is what it is
/// called.
pub(super) fn checked(range: Range, expression: &TokenStream, what: &str) -> TokenStream {
    evaluated(range, expression, what, &quote_spanned!(Span::mixed_site()=> u64))
}

/// The same for a field, whose numbers are all counts.
pub(super) fn checked_count(range: Range, expression: &TokenStream, what: &str) -> TokenStream {
    evaluated(range, expression, what, &quote_spanned!(Span::mixed_site()=> usize))
}

/// `natural` is the type of numbers that may be zero.
fn evaluated(range: Range, expression: &TokenStream, what: &str, natural: &TokenStream) -> TokenStream {
    let site = Span::mixed_site();
    let value = name_beside(expression);
    let given = quote_spanned!(site=> #expression);
    let is_free = range.is_integer() && has_type(expression);
    let (of, given, holds) = match range {
        // One constant may be the number of several options, whose types differ.
        _ if is_free => {
            let integer = quote_spanned!(at(expression)=> ::betty_runtime::__private::Integer);
            let holds = match range {
                Range::Natural => quote_spanned!(site=> 0 <= #value && #value <= #natural::MAX as i128),
                _ => quote_spanned!(site=> 0 < #value && #value <= u32::MAX as i128),
            };
            (quote_spanned!(site=> i128), quote_spanned!(at(expression)=> #integer(#expression).value()), holds)
        }
        Range::Count | Range::CountOrAll => {
            (quote_spanned!(site=> usize), given, quote_spanned!(site=> 0 < #value && #value <= u32::MAX as usize))
        }
        Range::Natural => (natural.clone(), given, quote_spanned!(site=> true)),
        Range::Number => (quote_spanned!(site=> f64), given, quote_spanned!(site=> #value.is_finite())),
        Range::Positive => {
            (quote_spanned!(site=> f64), given, quote_spanned!(site=> 0.0 < #value && #value.is_finite()))
        }
        Range::NonNegative => {
            (quote_spanned!(site=> f64), given, quote_spanned!(site=> 0.0 <= #value && #value.is_finite()))
        }
        Range::Fraction => (quote_spanned!(site=> f64), given, quote_spanned!(site=> 0.0 <= #value && #value < 1.0)),
        Range::Flag | Range::Batch => (quote_spanned!(site=> bool), given, quote_spanned!(site=> true)),
    };
    let text = format!("{what} must be {}", range.describe());
    let check = quote_spanned!(at(expression)=> const _: () = ::core::assert!(#holds, #text););
    let answer = match range {
        Range::Natural if is_free => quote_spanned!(site=> #value as #natural),
        _ if is_free => quote_spanned!(site=> #value as usize),
        _ => quote_spanned!(site=> #value),
    };
    let whole = quote_spanned!(site=> {
        const #value: #of = #given;
        #check
        #answer
    });
    match range {
        Range::CountOrAll => quote_spanned!(site=> ::core::option::Option::Some(#whole)),
        _ => whole,
    }
}

/// Whether an expression has a type of its own, as a constant does, and does not take that which is expected, as `1 << 3` does.
fn has_type(expression: &TokenStream) -> bool {
    syn::parse2(expression.clone()).is_ok_and(|expression| is_typed(&expression))
}

fn is_typed(expression: &Expr) -> bool {
    match expression {
        Expr::Path(_) | Expr::Call(_) | Expr::Field(_) | Expr::Cast(_) => true,
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => !number.suffix().is_empty(),
        Expr::Group(of) => is_typed(&of.expr),
        Expr::Paren(of) => is_typed(&of.expr),
        Expr::Unary(of) => is_typed(&of.expr),
        Expr::Reference(of) => is_typed(&of.expr),
        Expr::MethodCall(of) => is_typed(&of.receiver),
        Expr::Index(of) => is_typed(&of.expr),
        Expr::Array(of) => of.elems.iter().any(is_typed),
        Expr::Repeat(of) => is_typed(&of.expr),
        Expr::Block(of) => ends_typed(&of.block),
        Expr::Const(of) => ends_typed(&of.block),
        Expr::Unsafe(of) => ends_typed(&of.block),
        // All of their ends have one type, so that one which has it of its own is enough.
        Expr::If(of) => ends_typed(&of.then_branch) || of.else_branch.as_ref().is_some_and(|(_, of)| is_typed(of)),
        Expr::Match(of) => of.arms.iter().any(|arm| is_typed(&arm.body)),
        Expr::Binary(ExprBinary { left, op, right, .. }) => {
            let is_shift = matches!(op, BinOp::Shl(_) | BinOp::Shr(_));
            is_typed(left) || (!is_shift && is_typed(right))
        }
        _ => false,
    }
}

fn ends_typed(block: &Block) -> bool {
    matches!(block.stmts.last(), Some(Stmt::Expr(end, None)) if is_typed(end))
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

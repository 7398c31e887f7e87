//! Expressions of constants in the place of numbers, told from the names of levels.

use proc_macro2::{TokenStream, TokenTree};
use syn::Expr;

/// Words of expressions that are no names.
const WORDS: [&str; 20] = [
    "as", "if", "else", "match", "true", "false", "f32", "f64", "u8", "u16", "u32", "u64", "u128", "usize", "i8",
    "i16", "i32", "i64", "i128", "isize",
];

/// Whether the tokens are an expression whose names are constants, as their case says or a path to them: `LR`,
/// `2.0 * 0.1`, `STEPS as f64 / 2.0`, `STEPS.pow(2)`, `DEFAULTS.lr`, `defaults::lr()`. A name in small letters is that of a level,
/// unless it is that of a field or a method.
pub(super) fn is_constant(tokens: &TokenStream) -> bool {
    let is_literal = |expression: &Expr| match expression {
        Expr::Lit(_) => true,
        Expr::Unary(of) => matches!(*of.expr, Expr::Lit(_)),
        _ => false,
    };
    syn::parse2::<Expr>(tokens.clone()).is_ok_and(|expression| !is_literal(&expression)) && names_constants(tokens)
}

fn names_constants(tokens: &TokenStream) -> bool {
    let tokens: Vec<TokenTree> = tokens.clone().into_iter().collect();
    let is = |at: Option<usize>, mark: char| {
        at.and_then(|at| tokens.get(at))
            .is_some_and(|token| matches!(token, TokenTree::Punct(p) if p.as_char() == mark))
    };
    tokens.iter().enumerate().all(|(at, token)| match token {
        TokenTree::Ident(name) => {
            let name = name.to_string();
            let is_in_path = is(at.checked_sub(1), ':') || is(Some(at + 1), ':');
            // Whose it is stands before it, and is a constant as well.
            let is_member = is(at.checked_sub(1), '.') && !is(at.checked_sub(2), '.');
            WORDS.contains(&name.as_str()) || is_in_path || is_member || !name.contains(char::is_lowercase)
        }
        TokenTree::Group(group) => names_constants(&group.stream()),
        TokenTree::Punct(_) | TokenTree::Literal(_) => true,
    })
}

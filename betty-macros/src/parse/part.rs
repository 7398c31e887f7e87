//! Paths in a level's module, `encoder.layers.0` for instance.

use betty_schema::Field;
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::{Result, Token, bracketed, token};

use super::value::{rest_of_setting, without_brackets};
use crate::ast::Part;
use crate::report::Report;

/// The path that these tokens are, if they are one.
pub(super) fn part(token: TokenStream) -> std::result::Result<Part, TokenStream> {
    let path = written(token.clone());
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    if path.split('.').all(is_name) { Ok(Part { path, token }) } else { Err(token) }
}

/// The tokens as one word, with the names that fields have: `r#type` is `type`, and `layers.0.1` holds a number with a point. What a
/// macro hands on stands in a group without delimiters.
fn written(tokens: TokenStream) -> String {
    let word = |token| match token {
        TokenTree::Ident(name) => name.unraw().to_string(),
        TokenTree::Group(group) if group.delimiter() == Delimiter::None => written(group.stream()),
        token => token.to_string(),
    };
    tokens.into_iter().map(word).collect()
}

/// `[head, encoder.norm]`: tensors and submodules of a module, which are known only when the program runs.
pub(super) fn parts(field: &Field, input: ParseStream<'_>, report: &mut Report) -> Result<Vec<Part>> {
    if !input.peek(token::Bracket) {
        without_brackets(field, input, report)?;
        return Ok(Vec::new());
    }
    let content;
    bracketed!(content in input);
    let mut parts = Vec::new();
    while !content.is_empty() {
        match part(rest_of_setting(&content)) {
            Ok(part) => parts.push(part),
            Err(tokens) if tokens.is_empty() => {
                report.push(content.error("expected the path of a part of the module"));
            }
            Err(tokens) => {
                let message = format!("`{}` takes paths in the level's module: `{}`", field.name, field.example);
                report.error(tokens, message);
            }
        }
        if !content.is_empty() {
            content.parse::<Token![,]>()?;
        }
    }
    Ok(parts)
}

//! Paths in a level's module, `encoder.layers.0` for instance.

use betty_schema::Field;
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::{Result, Token, bracketed, token};

use super::value::without_brackets;
use crate::ast::Part;
use crate::report::Report;

/// Why tokens are no path.
pub(super) enum NoPart {
    /// Two names without a point between them, and the second one.
    Apart(TokenTree),
    /// All of them.
    Other(TokenStream),
}

/// The path that these tokens are, if they are one.
pub(super) fn part(token: TokenStream) -> std::result::Result<Part, NoPart> {
    let mut words = Vec::new();
    collect(token.clone(), &mut words);
    let path: String = words.iter().map(|(word, _)| word.as_str()).collect();
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    if !path.split('.').all(is_name) {
        return Err(NoPart::Other(token));
    }
    let apart = words.windows(2).find(|pair| !pair[0].0.ends_with('.') && !pair[1].0.starts_with('.'));
    match apart {
        Some([_, (_, second)]) => Err(NoPart::Apart(second.clone())),
        _ => Ok(Part { path, token }),
    }
}

/// The tokens as words, with the names that fields have: `r#type` is `type`, and `layers.0.1` holds a number with a point. What a
/// macro hands on stands in a group without delimiters.
fn collect(tokens: TokenStream, words: &mut Vec<(String, TokenTree)>) {
    for token in tokens {
        match token {
            TokenTree::Ident(ref name) => words.push((name.unraw().to_string(), token)),
            TokenTree::Group(group) if group.delimiter() == Delimiter::None => collect(group.stream(), words),
            token => words.push((token.to_string(), token)),
        }
    }
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
        match part(up_to_comma(&content)) {
            Ok(part) => parts.push(part),
            Err(NoPart::Apart(second)) => report.error(second, "expected `,`"),
            Err(NoPart::Other(tokens)) if tokens.is_empty() => {
                report.push(content.error("expected the path of a part of the module"));
            }
            Err(NoPart::Other(tokens)) => {
                let message = format!("`{}` takes paths in the level's module: `{}`", field.name, field.example);
                report.error(tokens, message);
            }
        }
        content.parse::<Option<Token![,]>>()?;
    }
    Ok(parts)
}

fn up_to_comma(input: ParseStream<'_>) -> TokenStream {
    let mut tokens = TokenStream::new();
    while !input.is_empty() && !input.peek(Token![,]) {
        match input.parse::<TokenTree>() {
            Ok(token) => token.to_tokens(&mut tokens),
            Err(_) => break,
        }
    }
    tokens
}

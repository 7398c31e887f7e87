//! `const SCHEDULE`: the levels, their edges and the sweep of each, as data that can be printed.

use betty_schema::Graph;
use proc_macro2::{Delimiter, Literal, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote_spanned};
use syn::ExprPath;
use syn::ext::IdentExt;

use super::Names;
use crate::ast::Level;

pub(super) fn expand(names: &Names, levels: &[Level], graph: &Graph) -> TokenStream {
    let program = names.program.unraw().to_string();
    let roots = numbers(&graph.roots());
    let levels = levels.iter().enumerate().map(|(index, level)| {
        let name = level.name.unraw().to_string();
        let module = written(&level.module);
        let batch = level.batch.as_ref().map(written).unwrap_or_default();
        let loss = level.loss.as_ref().map(written).unwrap_or_default();
        let named = |function: Option<&ExprPath>| match function.map(written) {
            Some(function) => quote_spanned!(Span::mixed_site()=> ::core::option::Option::Some(#function)),
            None => quote_spanned!(Span::mixed_site()=> ::core::option::Option::None),
        };
        let (condition, after_step) = (named(level.condition.as_ref()), named(level.after_step.as_ref()));
        let upper = numbers(graph.upper(index));
        let lower = numbers(graph.lower(index));
        let start = match graph.start(index) {
            Some(level) => {
                let level = Literal::usize_unsuffixed(level);
                quote_spanned!(Span::mixed_site()=> ::core::option::Option::Some(#level))
            }
            None => quote_spanned!(Span::mixed_site()=> ::core::option::Option::None),
        };
        let hyperparameters = numbers(graph.hyperparameters(index));
        let sweep = graph.sweep(index).iter().map(|stop| {
            let level = Literal::usize_unsuffixed(stop.level);
            let into = numbers(&stop.into);
            quote_spanned!(Span::mixed_site()=>
                ::betty_runtime::Through { level: #level, into: #into }
            )
        });
        quote_spanned! {Span::mixed_site()=>
            ::betty_runtime::LevelSpec {
                name: #name,
                module: #module,
                batch: #batch,
                loss: #loss,
                condition: #condition,
                after_step: #after_step,
                upper: #upper,
                lower: #lower,
                start: #start,
                hyperparameters: #hyperparameters,
                sweep: &[#(#sweep),*],
            }
        }
    });
    quote_spanned! {Span::mixed_site()=>
        ::betty_runtime::Schedule {
            name: #program,
            levels: &[#(#levels),*],
            roots: #roots,
        }
    }
}

fn numbers(levels: &[usize]) -> TokenStream {
    let levels = levels.iter().copied().map(Literal::usize_unsuffixed);
    quote_spanned!(Span::mixed_site()=> &[#(#levels),*])
}

/// A type or a path as people write it; the compiler's own text of tokens has spaces that depend on its version.
fn written(tokens: &impl ToTokens) -> String {
    let mut text = String::new();
    write(tokens.to_token_stream(), &mut text);
    text
}

fn write(tokens: TokenStream, text: &mut String) {
    let mut after_word = false;
    for token in tokens {
        let is_word = matches!(token, TokenTree::Ident(_) | TokenTree::Literal(_));
        if is_word && after_word {
            text.push(' ');
        }
        after_word = is_word;
        match token {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::None => ("", ""),
                };
                text.push_str(open);
                write(group.stream(), text);
                text.push_str(close);
            }
            TokenTree::Punct(punct) => match punct.as_char() {
                sign @ (',' | ';') => text.extend([sign, ' ']),
                sign @ ('+' | '=') => text.extend([' ', sign, ' ']),
                sign => text.push(sign),
            },
            TokenTree::Ident(word) => text.push_str(&word.to_string()),
            TokenTree::Literal(literal) => text.push_str(&literal.to_string()),
        }
    }
}

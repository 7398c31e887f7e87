//! `fn loss`: hands each level's loss its modules and its batch, traced.

use proc_macro2::{Literal, Span, TokenStream};
use quote::{ToTokens, format_ident, quote_spanned};

use super::at;
use crate::ast::Level;
use crate::check::Checked;

pub(super) fn expand(levels: &[Level], checked: &Checked) -> TokenStream {
    let arms = (0..levels.len())
        // A level with a mistake in its lists would also disagree with its loss.
        .filter(|&index| checked.sound[index])
        .filter_map(|index| arm(index, levels, checked));
    quote_spanned! {Span::mixed_site()=>
        fn loss(
            &self,
            level: usize,
            tracer: &mut ::betty_runtime::Tracer<'_>,
        ) -> ::betty_runtime::__private::Tensor<1> {
            match level {
                #(#arms)*
                _ => ::core::unreachable!("levels are numbered by the schedule, which has no level {level}"),
            }
        }
    }
}

fn arm(index: usize, levels: &[Level], checked: &Checked) -> Option<TokenStream> {
    let level = &levels[index];
    let number = Literal::usize_unsuffixed(index);
    let (batch, path) = (level.batch.as_ref()?, level.loss.as_ref()?);
    let graph = &checked.graph;
    let arguments: Vec<usize> = [index]
        .iter()
        .chain(graph.upper(index))
        .chain(graph.lower(index))
        .copied()
        .collect();
    let locals: Vec<_> = arguments
        .iter()
        .map(|index| format_ident!("level_{index}", span = Span::mixed_site()))
        .collect();
    let modules = arguments.iter().map(|&index| &levels[index].module);
    let traced = arguments.iter().zip(&locals).map(|(&index, local)| {
        let Level { name, module, .. } = &levels[index];
        let number = Literal::usize_unsuffixed(index);
        quote_spanned!(at(module)=> let #local = tracer.module(#number, &self.#name);)
    });
    // All of the expected type stands at the path, so that a loss with other parameters is one error there.
    let place = at(path);
    let modules: Vec<_> = modules.map(|module| respanned(module, place)).collect();
    let expected_batch = respanned(batch, place);
    let coerced = quote_spanned!(place=>
        let loss: fn(#(&#modules,)* #expected_batch) -> ::betty_runtime::__private::Tensor<1> = #path;
    );
    let traced_batch = quote_spanned!(at(batch)=> let batch = tracer.batch::<#batch>(););
    Some(quote_spanned! {Span::mixed_site()=>
        #number => {
            #coerced
            #(#traced)*
            #traced_batch
            loss(#(&#locals,)* batch)
        }
    })
}

/// The same tokens, reported at another place; what their names mean stays.
fn respanned(tokens: &impl ToTokens, place: Span) -> TokenStream {
    tokens
        .to_token_stream()
        .into_iter()
        .map(|mut token| {
            if let proc_macro2::TokenTree::Group(group) = &token {
                let inner = respanned(&group.stream(), place);
                token = proc_macro2::Group::new(group.delimiter(), inner).into();
            }
            token.set_span(token.span().located_at(place));
            token
        })
        .collect()
}

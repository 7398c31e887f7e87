//! `fn loss`, and `fn condition` where levels have one: each hands a function of a level its modules and its batch, traced.

use proc_macro2::{Literal, Span, TokenStream};
use quote::{format_ident, quote_spanned};

use super::at;
use crate::ast::Level;
use crate::check::Checked;

pub(super) fn expand(levels: &[Level], checked: &Checked) -> TokenStream {
    let arms = |of: Function| {
        // A level with a mistake in its lists would also disagree with its functions.
        let sound = (0..levels.len()).filter(|&index| checked.sound[index]);
        sound.filter_map(move |index| arm(of, index, levels, checked)).collect::<Vec<_>>()
    };
    let (losses, conditions) = (arms(Function::Loss), arms(Function::Condition));
    let conditions = (!conditions.is_empty()).then(|| {
        quote_spanned! {Span::mixed_site()=>
            fn condition(
                &self,
                level: usize,
                tracer: &mut ::betty_runtime::Tracer<'_>,
            ) -> ::core::option::Option<::betty_runtime::Measured> {
                match level {
                    #(#conditions)*
                    _ => ::core::option::Option::None,
                }
            }
        }
    });
    quote_spanned! {Span::mixed_site()=>
        fn loss(
            &self,
            level: usize,
            tracer: &mut ::betty_runtime::Tracer<'_>,
        ) -> ::betty_runtime::Measured {
            match level {
                #(#losses)*
                _ => ::core::unreachable!("levels are numbered by the schedule, which has no level {level}"),
            }
        }

        #conditions
    }
}

/// Which function of a level.
#[derive(Clone, Copy)]
enum Function {
    Loss,
    Condition,
}

fn arm(of: Function, index: usize, levels: &[Level], checked: &Checked) -> Option<TokenStream> {
    let level = &levels[index];
    let number = Literal::usize_unsuffixed(index);
    let path = match of {
        Function::Loss => level.loss.as_ref()?,
        Function::Condition => level.condition.as_ref()?,
    };
    let batch = level.batch.as_ref()?;
    let graph = &checked.graph;
    let arguments: Vec<usize> = [index].iter().chain(graph.upper(index)).chain(graph.lower(index)).copied().collect();
    let locals: Vec<_> =
        arguments.iter().map(|index| format_ident!("level_{index}", span = Span::mixed_site())).collect();
    let modules = arguments.iter().map(|&index| &levels[index].module);
    let traced = arguments.iter().zip(&locals).map(|(&index, local)| {
        let Level { name, module, .. } = &levels[index];
        let number = Literal::usize_unsuffixed(index);
        quote_spanned!(at(module)=> let #local = tracer.module(#number, &self.#name);)
    });
    // The parameters keep their places, so that an unknown type is one error; the rest of the expected type stands at
    // the path, so that a loss with other parameters is an error there.
    let coerced = quote_spanned!(at(path)=>
        let loss: fn(#(&#modules,)* #batch) -> _ = #path;
    );
    let measured = match of {
        Function::Loss => quote_spanned!(at(path)=> ::betty_runtime::LossValue::into_measured(value)),
        Function::Condition => quote_spanned!(at(path)=>
            ::core::option::Option::Some(::betty_runtime::trace::NextParameters::into_measured(value))
        ),
    };
    let traced_batch = quote_spanned!(at(batch)=> let batch = tracer.batch::<#batch>(););
    Some(quote_spanned! {Span::mixed_site()=>
        #number => {
            #coerced
            #(#traced)*
            #traced_batch
            let value = loss(#(&#locals,)* batch);
            #measured
        }
    })
}

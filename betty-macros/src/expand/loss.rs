//! `fn loss`, and `fn condition` and `fn after_step` where levels have one: each hands a function of a level its modules, and its
//! batch, traced.

use betty_schema::listed;
use proc_macro2::{Literal, Span, TokenStream};
use quote::{format_ident, quote_spanned};
use syn::ext::IdentExt;

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
    let after_steps = after_steps(levels, checked);
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

        #after_steps
    }
}

/// `fn after_step`, if a level has one: the level's own module by value, and those of its levels above.
fn after_steps(levels: &[Level], checked: &Checked) -> Option<TokenStream> {
    let arms = (0..levels.len()).filter(|&index| checked.sound[index]).filter_map(|index| {
        let (Level { name, module, .. }, path) = (&levels[index], levels[index].after_step.as_ref()?);
        let upper = checked.graph.upper(index);
        let above: Vec<_> = upper.iter().map(|&of| &levels[of].module).collect();
        let locals: Vec<_> = upper.iter().map(|of| format_ident!("level_{of}", span = Span::mixed_site())).collect();
        let traced = upper.iter().zip(&locals).map(|(&of, local)| {
            let (number, Level { name, module, .. }) = (Literal::usize_unsuffixed(of), &levels[of]);
            quote_spanned!(at(module)=> let #local = tracer.module(#number, &self.#name);)
        });
        let number = Literal::usize_unsuffixed(index);
        // At the path, so that a function with other parameters or another result is an error there.
        let coerced = quote_spanned!(at(path)=> let after_step: fn(#module, #(&#above,)*) -> #module = #path;);
        let own = quote_spanned!(at(module)=> let own = tracer.module(#number, &self.#name););
        Some(quote_spanned! {Span::mixed_site()=>
            #number => {
                #coerced
                #own
                #(#traced)*
                ::core::option::Option::Some(::betty_runtime::trace::next_module(&after_step(own, #(&#locals,)*)))
            }
        })
    });
    let arms: Vec<_> = arms.collect();
    (!arms.is_empty()).then(|| {
        quote_spanned! {Span::mixed_site()=>
            fn after_step(
                &self,
                level: usize,
                tracer: &mut ::betty_runtime::Tracer<'_>,
            ) -> ::core::option::Option<::betty_runtime::Measured> {
                match level {
                    #(#arms)*
                    _ => ::core::option::Option::None,
                }
            }
        }
    })
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
    let unlisted = unlisted(index, levels, checked);
    // What is wrong with the lists was told, and a loss that disagrees with them is no news.
    if !unlisted.is_empty() && !checked.whole {
        return None;
    }
    let written = written(of, index, &unlisted, levels, checked);
    // The parameters keep their places, so that an unknown type is one error; the rest of the expected type stands at
    // the path, so that a loss with other parameters is an error there.
    let coerced = quote_spanned!(at(path)=>
        let loss: fn(#(&#modules,)* #batch) -> _ = #written;
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

/// The levels that a loss could read as levels above, but that its own does not list.
fn unlisted(index: usize, levels: &[Level], checked: &Checked) -> Vec<usize> {
    let graph = &checked.graph;
    let is_listed = |other: &usize| graph.upper(index).contains(other) || graph.lower(index).contains(other);
    (0..levels.len()).filter(|&other| other != index && graph.is_below(index, other) && !is_listed(&other)).collect()
}

/// The most lists with two levels more that are tried: each takes a little of the compiler's time.
const PAIRS: usize = 36;

/// What a function may have been written for: the levels above that are listed, and anywhere among them one of the others, or two.
fn longer(listed: &[usize], unlisted: &[usize]) -> Vec<Vec<usize>> {
    let with = |lists: &[Vec<usize>], other: usize| -> Vec<Vec<usize>> {
        let places = lists.iter().flat_map(|list| (0..=list.len()).map(move |place| (list, place)));
        places.map(|(list, place)| [&list[..place], &[other], &list[place..]].concat()).collect()
    };
    let listed = [listed.to_vec()];
    let one: Vec<Vec<usize>> = unlisted.iter().flat_map(|&other| with(&listed, other)).collect();
    let pairs = unlisted
        .iter()
        .enumerate()
        .flat_map(|(at, &first)| unlisted[at + 1..].iter().map(move |&second| (first, second)));
    let two: Vec<Vec<usize>> = pairs.flat_map(|(first, second)| with(&with(&listed, second), first)).collect();
    if two.len() > PAIRS { one } else { [one, two].concat() }
}

/// The path of a function. One that also takes the modules of levels that are not listed is an error that says so.
fn written(of: Function, index: usize, unlisted: &[usize], levels: &[Level], checked: &Checked) -> TokenStream {
    let level = &levels[index];
    let (path, what) = match of {
        Function::Loss => (&level.loss, "loss"),
        Function::Condition => (&level.condition, "condition"),
    };
    let (Some(batch), Some(path)) = (&level.batch, path) else { return TokenStream::new() };
    let graph = &checked.graph;
    let module = |of: usize| &levels[of].module;
    let with_uppers = |upper: &[usize]| -> Vec<_> {
        [index].iter().chain(upper).chain(graph.lower(index)).map(|&of| module(of)).collect()
    };
    let modules = with_uppers(graph.upper(index));
    let of_runtime = quote_spanned!(at(path)=> ::betty_runtime::__private::Written);
    if unlisted.is_empty() {
        return quote_spanned!(at(path)=> #path);
    }
    let mut tries = Vec::new();
    for (number, upper) in longer(graph.upper(index), unlisted).into_iter().enumerate() {
        let (trait_name, listed_name) = (format_ident!("__Reads{number}"), format_ident!("__Listed{number}"));
        let read = with_uppers(&upper);
        let name = |of: usize| levels[of].name.unraw().to_string();
        let names: Vec<String> = upper.iter().map(|&of| name(of)).collect();
        let more: Vec<String> = upper.iter().filter(|of| unlisted.contains(of)).map(|&of| name(of)).collect();
        let label = if more.len() == 1 { "takes a module more" } else { "takes two modules more" };
        let message = format!(
            "the {what} of `{}` reads {}, which the level does not list; write `upper: [{}]`",
            name(index),
            listed(more.iter().map(String::as_str)),
            names.join(", ")
        );
        // Types have no hygiene: a module or a batch of the program may be called `F`.
        let (function, result) = (format_ident!("__Function"), format_ident!("__Result"));
        // In a block of its own: where two levels have one type, the traits of two lists would both apply.
        tries.push(quote_spanned! {at(path)=> let written = {
            #[diagnostic::on_unimplemented(message = #message, label = #label)]
            #[allow(dead_code)]
            trait #listed_name {}
            #[allow(dead_code)]
            trait #trait_name<#result> {
                fn loss(&self) -> fn(#(&#modules,)* #batch) -> #result
                where
                    #result: #listed_name;
            }
            impl<#function, #result> #trait_name<#result> for &::betty_runtime::__private::AsWritten<#function>
            where
                #function: ::core::ops::Fn(#(&#read,)* #batch) -> #result,
            {
                fn loss(&self) -> fn(#(&#modules,)* #batch) -> #result
                where
                    #result: #listed_name,
                {
                    ::core::unreachable!("nothing meets the bound")
                }
            }
            #[allow(unused_imports)]
            use #of_runtime as _;
            (&&::betty_runtime::__private::AsWritten(written)).loss()
        };});
    }
    quote_spanned!(at(path)=> {
        let written = #path;
        #(#tries)*
        written
    })
}

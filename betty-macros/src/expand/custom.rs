//! What levels name of the user's own: methods, optimizers and solvers, each made by a function of the level's number.

use betty_schema::{Family, LEVEL_SOLVERS, METHODS, OPTIMIZERS, Way};
use proc_macro2::{Literal, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};

use super::{Names, at};
use crate::ast::{Call, Level};

/// `fn custom_method`, `fn custom_optimizer` and `fn custom_solver`, if a level has one.
pub(super) fn expand(names: &Names, levels: &[Level]) -> TokenStream {
    let methods = Own { family: &METHODS, function: "custom_method", call: |level| level.hypergradient.as_ref() };
    let optimizers = Own { family: &OPTIMIZERS, function: "custom_optimizer", call: |level| level.optimizer.as_ref() };
    let solvers = Own { family: &LEVEL_SOLVERS, function: "custom_solver", call: |level| level.solver.as_ref() };
    let (methods, optimizers) = (methods.coerced(levels), optimizers.coerced(levels));
    let (program, any) = (&names.program, quote!(::betty_runtime::AnySolver));
    let solvers = solvers.made(levels, &any, |level, value| {
        let (batch, module) = (level.batch.as_ref()?, &level.module);
        Some(quote_spanned!(at(value)=> ::betty_runtime::AnySolver::new::<#program, #batch, #module, _>(#value)))
    });
    quote!(#methods #optimizers #solvers)
}

/// The values of the user's own that levels have in one field.
struct Own {
    family: &'static Family,
    function: &'static str,
    call: fn(&Level) -> Option<&Call>,
}

impl Own {
    /// Values behind the family's trait.
    fn coerced(&self, levels: &[Level]) -> TokenStream {
        let of = format_ident!("{}", self.family.own.0);
        self.made(levels, &quote!(dyn ::betty_runtime::#of), |_, value| Some(value.clone()))
    }

    /// The function that gives them, each made of what stands in the program.
    fn made(
        &self,
        levels: &[Level],
        of: &TokenStream,
        made: impl Fn(&Level, &TokenStream) -> Option<TokenStream>,
    ) -> TokenStream {
        let function = format_ident!("{}", self.function);
        let kind = quote_spanned!(Span::mixed_site()=> ::std::rc::Rc<#of>);
        let arms = levels.iter().enumerate().filter_map(|(index, level)| {
            let call = (self.call)(level)?;
            self.family.find(&call.name.to_string()).filter(|row| row.way == Way::Given)?;
            let value = call.unnamed()?;
            let made = made(level, value)?;
            let number = Literal::usize_unsuffixed(index);
            // At the value, so that a type that does not implement it is an error there.
            let coerced = quote_spanned!(at(value)=> let own: #kind = ::std::rc::Rc::new(#made););
            Some(quote_spanned! {Span::mixed_site()=>
                #number => {
                    #coerced
                    ::core::option::Option::Some(own)
                }
            })
        });
        let arms: Vec<_> = arms.collect();
        if arms.is_empty() {
            return TokenStream::new();
        }
        quote_spanned! {Span::mixed_site()=>
            fn #function(level: usize) -> ::core::option::Option<#kind> {
                match level {
                    #(#arms)*
                    _ => ::core::option::Option::None,
                }
            }
        }
    }
}

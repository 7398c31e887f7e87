//! What levels name of the user's own: methods, preconditioners, optimizers, solvers and starts, each made by a function of the
//! level's number.

use betty_schema::{Family, LEVEL_SOLVERS, METHODS, OPTIMIZERS, PRECONDITIONERS, Way};
use proc_macro2::{Literal, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};

use super::{Names, at};
use crate::ast::{Call, Level};

/// `fn custom_method`, `fn custom_preconditioner`, `fn custom_optimizer`, `fn custom_group_optimizer`, `fn custom_solver` and `fn fresh`, if
/// a level has one.
pub(super) fn expand(names: &Names, levels: &[Level]) -> TokenStream {
    let own = |function, family, call: fn(&Level) -> Option<&Call>| Own {
        function,
        family,
        asked: Asked::Level,
        places: levels.iter().enumerate().filter_map(|(index, level)| Some((index, level, "", call(level)?))).collect(),
    };
    let of_groups =
        Own { function: "custom_group_optimizer", family: &OPTIMIZERS, asked: Asked::Group, places: of_groups(levels) };
    let methods = own("custom_method", &METHODS, |level| level.hypergradient.as_ref()).coerced();
    let preconditioners =
        own("custom_preconditioner", &PRECONDITIONERS, |level| level.preconditioner.as_ref()).coerced();
    let optimizers = own("custom_optimizer", &OPTIMIZERS, |level| level.optimizer.as_ref()).coerced();
    let of_groups = of_groups.coerced();
    let (program, any) = (&names.program, quote!(::betty_runtime::AnySolver));
    let solvers = own("custom_solver", &LEVEL_SOLVERS, |level| level.solver.as_ref()).made(&any, |level, value| {
        let (batch, module) = (level.batch.as_ref()?, &level.module);
        Some(quote_spanned!(at(value)=> ::betty_runtime::AnySolver::new::<#program, #batch, #module, _>(#value)))
    });
    let starts = starts(levels);
    quote!(#methods #preconditioners #optimizers #of_groups #solvers #starts)
}

/// The functions that draw starts: each makes the level's module on a device.
fn starts(levels: &[Level]) -> Option<TokenStream> {
    let arms = levels.iter().enumerate().filter_map(|(index, level)| {
        let function = level.start.as_ref()?.start_function()?;
        let (number, module) = (Literal::usize_unsuffixed(index), &level.module);
        // At the function, so that one of another type is an error there.
        let coerced = quote_spanned!(at(function)=>
            let make: fn(&::betty_runtime::__private::Device) -> #module = #function;
        );
        Some(quote_spanned! {Span::mixed_site()=>
            #number => {
                #coerced
                ::core::option::Option::Some(::betty_runtime::trace::Drawn::new(&make(device)))
            }
        })
    });
    let arms: Vec<_> = arms.collect();
    (!arms.is_empty()).then(|| {
        quote_spanned! {Span::mixed_site()=>
            fn fresh(
                level: usize,
                device: &::betty_runtime::__private::Device,
            ) -> ::core::option::Option<::betty_runtime::trace::Drawn> {
                match level {
                    #(#arms)*
                    _ => ::core::option::Option::None,
                }
            }
        }
    })
}

/// The values of the user's own that levels have in one field.
struct Own<'a> {
    function: &'static str,
    family: &'static Family,
    asked: Asked,
    places: Vec<Place<'a>>,
}

/// The number of a level, the level, the path of a group of its parameters, and what stands there.
type Place<'a> = (usize, &'a Level, &'a str, &'a Call);

fn of_groups(levels: &[Level]) -> Vec<Place<'_>> {
    let mut places = Vec::new();
    for (index, level) in levels.iter().enumerate() {
        for group in &level.groups {
            places.extend(group.optimizer.iter().map(|call| (index, level, group.name.path.as_str(), call)));
        }
    }
    places
}

/// By what a value is asked for.
enum Asked {
    Level,
    Group,
}

impl Own<'_> {
    /// Values behind the family's trait.
    fn coerced(&self) -> TokenStream {
        let of = format_ident!("{}", self.family.own.0);
        self.made(&quote!(dyn ::betty_runtime::#of), |_, value| Some(value.clone()))
    }

    /// The function that gives them, each made of what stands in the program.
    fn made(&self, of: &TokenStream, made: impl Fn(&Level, &TokenStream) -> Option<TokenStream>) -> TokenStream {
        let function = format_ident!("{}", self.function);
        let kind = quote_spanned!(Span::mixed_site()=> ::std::rc::Rc<#of>);
        let arms = self.places.iter().filter_map(|&(index, level, group, call)| {
            self.family.find(&call.name.to_string()).filter(|row| row.way == Way::Given)?;
            let value = call.unnamed()?;
            let made = made(level, value)?;
            let number = Literal::usize_unsuffixed(index);
            let place = match self.asked {
                Asked::Level => quote_spanned!(Span::mixed_site()=> #number),
                Asked::Group => quote_spanned!(Span::mixed_site()=> (#number, #group)),
            };
            // At the value, so that a type that does not implement it is an error there.
            let coerced = quote_spanned!(at(value)=> let own: #kind = ::std::rc::Rc::new(#made););
            Some(quote_spanned! {Span::mixed_site()=>
                #place => {
                    #coerced
                    ::core::option::Option::Some(own)
                }
            })
        });
        let arms: Vec<_> = arms.collect();
        if arms.is_empty() {
            return TokenStream::new();
        }
        let (parameters, place) = match self.asked {
            Asked::Level => {
                (quote_spanned!(Span::mixed_site()=> level: usize), quote_spanned!(Span::mixed_site()=> level))
            }
            Asked::Group => (
                quote_spanned!(Span::mixed_site()=> level: usize, group: &str),
                quote_spanned!(Span::mixed_site()=> (level, group)),
            ),
        };
        quote_spanned! {Span::mixed_site()=>
            fn #function(#parameters) -> ::core::option::Option<#kind> {
                match #place {
                    #(#arms)*
                    _ => ::core::option::Option::None,
                }
            }
        }
    }
}

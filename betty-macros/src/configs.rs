//! The config structs of betty's runtime, written from the tables: one enum for a family, one struct for each row.

use betty_schema::{BATCHES, FAMILIES, Family, Opt, Range, Row};
use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use syn::{Error, ItemEnum};

/// Fills an empty enum, whose name is the [`config`](Family::config) of a family, with a variant for each row.
///
/// Its attributes are copied to the structs. Beside it stands a macro of the same name in snake case, with a match over all
/// variants whose rows look at the linear system of a best response.
pub(crate) fn expand(tokens: TokenStream) -> TokenStream {
    let item: ItemEnum = match syn::parse2(tokens) {
        Ok(item) => item,
        Err(error) => return error.to_compile_error(),
    };
    match FAMILIES.into_iter().find(|family| item.ident == family.config) {
        Some(family) => written(&item, family),
        None => Error::new_spanned(&item.ident, "no table has this name").to_compile_error(),
    }
}

fn written(item: &ItemEnum, family: &Family) -> TokenStream {
    let (attributes, visibility, name) = (&item.attrs, &item.vis, &item.ident);
    let derives = attributes.iter().filter(|attribute| attribute.path().is_ident("derive"));
    let derives: Vec<_> = derives.collect();
    let tag = family.tag;
    let names: Vec<&str> = family.names().collect();
    let titles = family.rows.iter().map(|row| format!(" {}.", row.title));
    let variants: Vec<Ident> = family.rows.iter().map(|row| format_ident!("{}", row.variant)).collect();
    let configs: Vec<Ident> = family.rows.iter().map(|row| format_ident!("{}", row.config())).collect();
    let structs = family.rows.iter().map(|row| structure(&derives, visibility, family, row));
    let numbers = family.learnable.then(|| learnable(family, &variants));
    let defaults = family.rows.iter().all(has_default).then(|| {
        quote! {
            /// The choice of that name with its default numbers.
            pub(crate) fn named(name: &str) -> Option<Self> {
                match name {
                    #(#names => Some(Self::#variants(#configs::default())),)*
                    _ => None,
                }
            }
        }
    });
    let systems = family.rows.iter().any(|row| row.way.goes_through_steps()).then(|| systems(name, family));
    quote! {
        #(#attributes)*
        #[derive(::serde::Serialize, ::serde::Deserialize)]
        #[serde(tag = #tag)]
        #visibility enum #name {
            #(#[doc = #titles] #[serde(rename = #names)] #variants(#configs),)*
        }

        impl #name {
            /// The name, as in a program and in JSON.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self {
                    #(Self::#variants(_) => #names,)*
                }
            }

            /// The value of each option, in the order of the table.
            pub(crate) fn options(&self) -> Vec<(&'static str, super::Written<'_>)> {
                match self {
                    #(Self::#variants(config) => config.options(),)*
                }
            }

            #numbers
            #defaults
        }

        #(#structs)*
        #systems
    }
}

/// The options that levels above can learn, by name; one that every row has is a function.
fn learnable(family: &Family, variants: &[Ident]) -> TokenStream {
    let is_number = |option: &Opt| option.range.is_learnable();
    let arms = family.rows.iter().zip(variants).map(|(row, variant)| {
        let numbers = row.options.iter().filter(|option| is_number(option));
        let pairs = numbers.map(|option| {
            let (name, field) = (option.name, format_ident!("{}", option.name));
            quote!((#name, &config.#field))
        });
        quote!(Self::#variant(config) => vec![#(#pairs),*])
    });
    let common = family.rows.first().into_iter().flat_map(|row| row.options);
    let common = common.filter(|option| is_number(option) && option.default.is_none());
    let getters = common.map(|option| {
        let (field, docs) = (format_ident!("{}", option.name), format!(" {}.", capital(option.meaning)));
        quote! {
            #[doc = #docs]
            #[must_use]
            pub fn #field(&self) -> &super::Hyperparameter {
                match self {
                    #(Self::#variants(config) => &config.#field,)*
                }
            }
        }
    });
    quote! {
        #(#getters)*

        /// Every number by its name, in the order in which the struct has them.
        #[must_use]
        pub fn numbers(&self) -> Vec<(&'static str, &super::Hyperparameter)> {
            match self {
                #(#arms,)*
            }
        }
    }
}

/// `HypergradientConfig` has `for_systems!(config, c => f(c))`: `Some(f(c))` for methods that solve a system.
fn systems(name: &Ident, family: &Family) -> TokenStream {
    let variants =
        family.rows.iter().filter(|row| row.way.looks_at_system()).map(|row| format_ident!("{}", row.variant));
    quote! {
        /// What is made of the numbers of a method that looks at the linear system of a best response; `None` for others.
        macro_rules! for_systems {
            ($method:expr, $config:ident => $made:expr) => {
                match $method {
                    #($crate::config::#name::#variants($config) => Some($made),)*
                    _ => None,
                }
            };
        }
        pub(crate) use for_systems;
    }
}

fn structure(derives: &[&syn::Attribute], visibility: &syn::Visibility, family: &Family, row: &Row) -> TokenStream {
    let name = format_ident!("{}", row.config());
    let docs = documentation(family, row);
    let fields: Vec<Ident> = row.options.iter().map(|option| format_ident!("{}", option.name)).collect();
    let names = row.names();
    let field_docs = row.options.iter().map(option_documentation);
    let types: Vec<TokenStream> = row.options.iter().map(|option| kind(family, option)).collect();
    let whole = has_default(row);
    let attribute = if whole { quote!(default, deny_unknown_fields) } else { quote!(deny_unknown_fields) };
    let attributes = row.options.iter().map(|option| {
        let with = (option.range == Range::CountOrAll).then(|| quote!(#[serde(with = "super::all")]));
        let default = option.default.filter(|_| !whole).map(|_| {
            let path = format!("{name}::default_{}", option.name);
            quote!(#[serde(default = #path)])
        });
        quote!(#with #default)
    });
    let defaults: Vec<(Ident, TokenStream, &TokenStream)> = row
        .options
        .iter()
        .zip(&types)
        .filter_map(|(option, of)| Some((format_ident!("{}", option.name), default(family, option)?, of)))
        .collect();
    let default = if whole {
        let values = defaults.iter().map(|(field, value, _)| quote!(#field: #value));
        quote! {
            impl Default for #name {
                fn default() -> Self {
                    Self { #(#values),* }
                }
            }
        }
    } else {
        let functions = defaults.iter().map(|(field, value, of)| {
            let function = format_ident!("default_{field}");
            quote!(fn #function() -> #of { #value })
        });
        quote!(impl #name { #(#functions)* })
    };
    quote! {
        #[doc = #docs]
        #(#derives)*
        #[derive(::serde::Serialize, ::serde::Deserialize)]
        #[serde(#attribute)]
        #visibility struct #name {
            #(#[doc = #field_docs] #attributes pub #fields: #types,)*
        }

        #default

        impl #name {
            fn options(&self) -> Vec<(&'static str, super::Written<'_>)> {
                vec![#((#names, super::Written::from(&self.#fields))),*]
            }
        }
    }
}

fn has_default(row: &Row) -> bool {
    row.options.iter().all(|option| option.default.is_some())
}

fn kind(family: &Family, option: &Opt) -> TokenStream {
    match option.range {
        range if family.learnable && range.is_learnable() => quote!(super::Hyperparameter),
        Range::Count => quote!(usize),
        Range::CountOrAll => quote!(Option<usize>),
        Range::Natural => quote!(u64),
        Range::Number | Range::Positive | Range::NonNegative | Range::Fraction => quote!(f64),
        Range::Flag => quote!(bool),
        Range::Batch => quote!(super::LowerBatch),
    }
}

fn default(family: &Family, option: &Opt) -> Option<TokenStream> {
    let text = option.default?;
    let value = match BATCHES.find(text).filter(|_| option.range == Range::Batch) {
        Some(word) => {
            let variant = format_ident!("{}", word.variant);
            quote!(super::LowerBatch::#variant)
        }
        None => crate::expand::literal(option.range, text)?,
    };
    let is_learnable = family.learnable && option.range.is_learnable();
    Some(if is_learnable { quote!(super::Hyperparameter::Fixed(#value)) } else { value })
}

/// What a row is, what it computes, and what else there is to say.
fn documentation(family: &Family, row: &Row) -> String {
    let formula = match row.formula.strip_prefix("none: ") {
        Some(formula) => format!(" {}: {formula}.", row.title),
        None => format!(" {}. {}: {}.", row.title, capital(family.column), row.formula),
    };
    let about = row.about.lines().map(|line| format!("\n {line}")).collect::<String>();
    if about.is_empty() { formula } else { format!("{formula}\n{about}") }
}

fn option_documentation(option: &Opt) -> String {
    let range = capital(option.range.describe());
    let default = option.default.map_or_else(String::new, |text| format!("; by default `{text}`"));
    format!(" {}.\n\n {range}{default}.", capital(option.meaning))
}

/// The text as the beginning of a sentence; a symbol stays.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let is_word = letters.clone().take_while(|letter| letter.is_alphabetic()).count() > 1;
    match letters.next().filter(|letter| letter.is_ascii() && is_word) {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => text.to_owned(),
    }
}

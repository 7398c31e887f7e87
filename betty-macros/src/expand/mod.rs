//! The generated items: the program, its data, its config, and the runtime's `Multilevel` over them.

mod config;
mod constant;
mod custom;
mod loss;
mod schedule;

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Attribute, Ident};

use crate::ast::{Header, Level, Program};
use crate::check::Checked;

pub(crate) use self::config::literal;

/// Writes the program; after errors as much of it as is known, so that code which uses it brings up no errors of its
/// own.
pub(crate) fn expand(program: &Program, checked: &Checked) -> TokenStream {
    let Some(header) = &program.header else {
        return TokenStream::new();
    };
    let names = Names::new(header);
    let modules = modules_struct(header, &program.levels);
    let data = data_struct(header, &names, &program.levels);
    let config = config::expand(header, &names, &program.levels);
    let implementation = multilevel_impl(&names, &program.levels, checked);
    quote! {
        #modules
        #data
        #config
        #implementation
    }
}

/// The names of the generated items.
struct Names {
    program: Ident,
    data: Ident,
    config: Ident,
}

impl Names {
    fn new(header: &Header) -> Self {
        let program = header.name.clone();
        let data = format_ident!("{}Data", program);
        let config = format_ident!("{}Config", program);
        Self { program, data, config }
    }
}

fn modules_struct(header: &Header, levels: &[Level]) -> TokenStream {
    let Header { attrs, vis, name } = header;
    let docs = docs_or(attrs, || {
        format!(" A multilevel program of {} levels; a field is a level's parameters.", levels.len())
    });
    let fields = levels.iter().map(|level| {
        let Level { name, module, .. } = level;
        let docs = docs_or(&level.docs, || format!(" The parameters of level `{}`.", name.unraw()));
        let attrs = &level.docs;
        quote!(#docs #(#attrs)* #vis #name: #module)
    });
    quote! {
        #docs
        #(#attrs)*
        #vis struct #name {
            #(#fields,)*
        }
    }
}

fn data_struct(header: &Header, names: &Names, levels: &[Level]) -> TokenStream {
    let vis = &header.vis;
    let data = &names.data;
    let docs = format!(" Where each level of [`{}`] takes its batches from.", names.program);
    let fields = levels.iter().filter_map(|level| {
        let Level { name, batch, .. } = level;
        let batch = batch.as_ref()?;
        let docs = format!(" The batches of level `{}`.", name.unraw());
        Some(quote!(#[doc = #docs] #vis #name: ::betty_runtime::Stream<#batch>))
    });
    quote! {
        #[doc = #docs]
        #vis struct #data {
            #(#fields,)*
        }
    }
}

fn multilevel_impl(names: &Names, levels: &[Level], checked: &Checked) -> TokenStream {
    let Names { program, data, config } = names;
    let schedule = schedule::expand(names, levels, &checked.graph);
    let loss = loss::expand(levels, checked);
    let custom = custom::expand(names, levels);
    let modules = levels.iter().map(
        |Level { name, module, .. }| quote_spanned!(at(module)=> &self.#name as &dyn ::betty_runtime::LevelModule),
    );
    let modules_mut = levels.iter().map(|Level { name, module, .. }| {
        quote_spanned!(at(module)=> &mut self.#name as &mut dyn ::betty_runtime::LevelModule)
    });
    let streams = levels.iter().filter_map(|Level { name, batch, .. }| {
        let batch = batch.as_ref()?;
        Some(quote_spanned!(at(batch)=>
            ::std::boxed::Box::new(data.#name) as ::std::boxed::Box<dyn ::betty_runtime::BatchStream>
        ))
    });
    // Bounds on concrete types are checked once, at the type, and inside of the impl they are taken for granted, so a
    // type that does not meet them is one error however often it is used.
    let module_bounds =
        levels.iter().map(|Level { module, .. }| quote_spanned!(at(module)=> #module: ::betty_runtime::LevelModule,));
    let batch_bounds = levels.iter().filter_map(|Level { batch, .. }| {
        let batch = batch.as_ref()?;
        Some(quote_spanned!(at(batch)=> #batch: ::betty_runtime::Batch,))
    });
    quote_spanned! {Span::mixed_site()=>
        #[allow(trivial_bounds)]
        impl ::betty_runtime::Multilevel for #program
        where
            #(#module_bounds)*
            #(#batch_bounds)*
        {
            const SCHEDULE: ::betty_runtime::Schedule = #schedule;

            type Data = #data;
            type Config = #config;

            fn modules(&self) -> ::std::vec::Vec<&dyn ::betty_runtime::LevelModule> {
                ::std::vec::Vec::from([#(#modules),*])
            }

            fn modules_mut(&mut self) -> ::std::vec::Vec<&mut dyn ::betty_runtime::LevelModule> {
                ::std::vec::Vec::from([#(#modules_mut),*])
            }

            fn streams(data: Self::Data) -> ::std::vec::Vec<::std::boxed::Box<dyn ::betty_runtime::BatchStream>> {
                ::std::vec::Vec::from([#(#streams),*])
            }

            #loss

            #custom
        }
    }
}

/// The user's documentation is kept where there is any; otherwise the text stands in, so that `missing_docs` is quiet.
fn docs_or(attrs: &[Attribute], text: impl FnOnce() -> String) -> TokenStream {
    if attrs.iter().any(|attr| attr.path().is_ident("doc")) {
        TokenStream::new()
    } else {
        let text = text();
        quote!(#[doc = #text])
    }
}

/// The place of some tokens, with names that cannot clash with the user's.
fn at(tokens: &impl ToTokens) -> Span {
    tokens.span().resolved_at(Span::mixed_site())
}

//! `#[derive(Batch)]`: a struct whose fields are batches is a batch.

use std::collections::BTreeSet;

use betty_schema::{did_you_mean, suggestion};
use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Field, GenericParam, Ident, Index, Member};

use crate::report::Report;

const SKIP: &str = "skip";

/// Implements `betty_runtime::Batch` field by field, in order of declaration.
pub(crate) fn derive(tokens: TokenStream) -> TokenStream {
    let input: DeriveInput = match syn::parse2(tokens) {
        Ok(input) => input,
        Err(error) => return error.to_compile_error(),
    };
    let mut report = Report::default();
    let implementation = expand(&input, &mut report);
    let errors = report.to_compile_errors();
    quote!(#implementation #errors)
}

/// The implementation, unless the item cannot be a batch at all.
pub(crate) fn expand(input: &DeriveInput, report: &mut Report) -> Option<TokenStream> {
    let refuse = "`Batch` can be derived for a struct only; a batch has the same tensors at every step";
    let fields = match &input.data {
        Data::Struct(data) => &data.fields,
        Data::Enum(data) => {
            report.error(data.enum_token, refuse);
            return None;
        }
        Data::Union(data) => {
            report.error(data.union_token, refuse);
            return None;
        }
    };
    for lifetime in input.generics.lifetimes() {
        let name = &lifetime.lifetime;
        report.error(name, format!("a batch owns its data; it cannot borrow for `{name}`"));
    }
    let leaves: Vec<Leaf<'_>> =
        fields.iter().enumerate().map(|(index, field)| Leaf::new(index, field, report)).collect();
    if input.generics.lifetimes().next().is_some() {
        return None;
    }
    Some(implementation(input, &leaves))
}

/// A field, and whether it is plain data.
struct Leaf<'a> {
    member: Member,
    local: Ident,
    field: &'a Field,
    is_plain: bool,
}

impl<'a> Leaf<'a> {
    fn new(index: usize, field: &'a Field, report: &mut Report) -> Self {
        let member = match &field.ident {
            Some(name) => Member::Named(name.clone()),
            None => Member::Unnamed(Index::from(index)),
        };
        let local = format_ident!("field_{index}", span = Span::mixed_site());
        Self { member, local, field, is_plain: is_skipped(field, report) }
    }
}

fn is_skipped(field: &Field, report: &mut Report) -> bool {
    let mut is_skipped = false;
    for attr in field.attrs.iter().filter(|attr| attr.path().is_ident("batch")) {
        let outcome = attr.parse_nested_meta(|meta| {
            if meta.path.is_ident(SKIP) {
                is_skipped = true;
                return Ok(());
            }
            let name = meta.path.to_token_stream().to_string();
            let meant = did_you_mean(suggestion(&name, [SKIP]));
            // Not plain data, but the type error that would follow is not another mistake.
            is_skipped |= !meant.is_empty();
            Err(meta.error(format!("unknown attribute `{name}`{meant}; a field of a batch takes `{SKIP}`")))
        });
        if let Err(error) = outcome {
            report.push(error);
        }
    }
    is_skipped
}

fn implementation(input: &DeriveInput, leaves: &[Leaf<'_>]) -> TokenStream {
    let name = &input.ident;
    let mut generics = input.generics.clone();
    add_bounds(&mut generics, leaves);
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    let members: Vec<_> = leaves.iter().map(|leaf| &leaf.member).collect();
    let locals: Vec<_> = leaves.iter().map(|leaf| &leaf.local).collect();
    let mapped = leaves.iter().map(|Leaf { member, local, field, is_plain }| {
        let ty = &field.ty;
        let part = match member {
            Member::Named(name) => name.unraw().to_string(),
            Member::Unnamed(index) => index.index.to_string(),
        };
        // At the type, so that a field that is no batch is an error there.
        let place = ty.span().resolved_at(Span::mixed_site());
        let map = if *is_plain {
            quote_spanned!(place=>
                ::betty_runtime::BatchMapper::plain(mapper, ::betty_runtime::__private::hash_plain(&#local));
            )
        } else {
            quote_spanned!(place=> let #local = <#ty as ::betty_runtime::Batch>::map(#local, mapper);)
        };
        quote_spanned! {Span::mixed_site()=>
            ::betty_runtime::BatchMapper::enter(mapper, #part);
            #map
            ::betty_runtime::BatchMapper::leave(mapper);
        }
    });
    quote_spanned! {Span::mixed_site()=>
        #[automatically_derived]
        impl #impl_generics ::betty_runtime::Batch for #name #type_generics #where_clause {
            fn map<__Mapper: ::betty_runtime::BatchMapper>(self, mapper: &mut __Mapper) -> Self {
                let Self { #(#members: #locals),* } = self;
                #(#mapped)*
                Self { #(#members: #locals),* }
            }
        }
    }
}

/// A type parameter in a mapped field has to be a batch; one that occurs in plain data only has to be plain.
fn add_bounds(generics: &mut syn::Generics, leaves: &[Leaf<'_>]) {
    let (mut mapped, mut plain) = (BTreeSet::new(), BTreeSet::new());
    for leaf in leaves {
        let words = if leaf.is_plain { &mut plain } else { &mut mapped };
        collect_words(leaf.field.ty.to_token_stream(), words);
    }
    for param in &mut generics.params {
        let GenericParam::Type(param) = param else {
            continue;
        };
        let name = param.ident.to_string();
        if mapped.contains(&name) {
            param.bounds.push(syn::parse_quote!(::betty_runtime::Batch));
        } else {
            param.bounds.push(syn::parse_quote!(::core::clone::Clone));
            param.bounds.push(syn::parse_quote!(::core::marker::Send));
            param.bounds.push(syn::parse_quote!('static));
            if plain.contains(&name) {
                param.bounds.push(syn::parse_quote!(::core::hash::Hash));
            }
        }
    }
}

fn collect_words(tokens: TokenStream, words: &mut BTreeSet<String>) {
    for token in tokens {
        match token {
            TokenTree::Ident(word) => {
                words.insert(word.to_string());
            }
            TokenTree::Group(group) => collect_words(group.stream(), words),
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

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
const EXAMPLES: &str = "examples";

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
    let refuse = "`Batch` can be derived for a struct only; a batch has the same tensors at every step; a field that is plain \
                  data, an enum say, is marked `#[batch(skip)]` and is `Hash`";
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
    if let Some(other) = leaves.iter().filter(|leaf| leaf.counts).nth(1) {
        report.error(other.field, "another field counts the examples already; mark one of them");
    }
    if input.generics.lifetimes().next().is_some() {
        return None;
    }
    Some(implementation(input, &leaves))
}

/// A field, whether it is plain data, and whether it counts the examples.
struct Leaf<'a> {
    member: Member,
    local: Ident,
    field: &'a Field,
    is_plain: bool,
    counts: bool,
}

impl<'a> Leaf<'a> {
    fn new(index: usize, field: &'a Field, report: &mut Report) -> Self {
        let member = match &field.ident {
            Some(name) => Member::Named(name.clone()),
            None => Member::Unnamed(Index::from(index)),
        };
        let local = format_ident!("field_{index}", span = Span::mixed_site());
        let (is_plain, counts) = marks(field, report);
        Self { member, local, field, is_plain, counts }
    }
}

/// Whether a field is plain data, and whether it counts the examples.
fn marks(field: &Field, report: &mut Report) -> (bool, bool) {
    let (mut is_skipped, mut counts) = (false, false);
    for attr in field.attrs.iter().filter(|attr| attr.path().is_ident("batch")) {
        let outcome = attr.parse_nested_meta(|meta| {
            if meta.path.is_ident(SKIP) {
                is_skipped = true;
                return Ok(());
            }
            if meta.path.is_ident(EXAMPLES) {
                counts = true;
                return Ok(());
            }
            let name = meta.path.to_token_stream().to_string();
            let meant = suggestion(&name, [SKIP, EXAMPLES]);
            // Not plain data, but the type error that would follow is not another mistake.
            is_skipped |= meant == Some(SKIP);
            let meant = did_you_mean(meant);
            let takes = format!("a field of a batch takes `{SKIP}` or `{EXAMPLES}`");
            Err(meta.error(format!("unknown attribute `{name}`{meant}; {takes}")))
        });
        if let Err(error) = outcome {
            report.push(error);
        }
    }
    if is_skipped && counts {
        report.error(
            field,
            format!("plain data count no examples; mark a field with `{SKIP}` or `{EXAMPLES}`, not with both"),
        );
    }
    (is_skipped, counts)
}

fn implementation(input: &DeriveInput, leaves: &[Leaf<'_>]) -> TokenStream {
    let name = &input.ident;
    let mut generics = input.generics.clone();
    add_bounds(&mut generics, leaves);
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    let members: Vec<_> = leaves.iter().map(|leaf| &leaf.member).collect();
    let locals: Vec<_> = leaves.iter().map(|leaf| &leaf.local).collect();
    let mapped = leaves.iter().map(|Leaf { member, local, field, is_plain, .. }| {
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
    let examples = leaves.iter().find(|leaf| leaf.counts && !leaf.is_plain).map(|Leaf { member, field, .. }| {
        let place = field.ty.span().resolved_at(Span::mixed_site());
        quote_spanned! {place=>
            fn examples(&self) -> ::core::option::Option<usize> {
                ::betty_runtime::Batch::examples(&self.#member)
            }
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

            #examples
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

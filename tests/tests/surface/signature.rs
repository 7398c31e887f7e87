//! What can be seen of an item, as one line of text: its kind, generics, arguments and result, fields with their types.

use quote::ToTokens;
use syn::punctuated::Punctuated;
use syn::token::Plus;
use syn::{Attribute, Fields, Generics, ImplItem, Item, ItemImpl, TraitItem, TypeParamBound};

use crate::sources::{is_hidden, is_public};

/// The line of an item that stands in a module under this name.
pub(crate) fn of_item(name: &str, item: &Item) -> String {
    let line = |kind: &str, generics: &Generics, rest: &str| {
        let (parameters, bounds) = (text(generics), text(&generics.where_clause));
        format!("{kind} {name}{parameters}{rest}{}", after(&bounds))
    };
    match item {
        Item::Struct(of) => line("struct", &of.generics, closed(&of.attrs)),
        Item::Enum(of) => line("enum", &of.generics, closed(&of.attrs)),
        Item::Trait(of) => line("trait", &of.generics, &of_bounds(&of.supertraits)),
        Item::Fn(of) => {
            let mut signature = of.sig.clone();
            signature.ident = syn::Ident::new(name, signature.ident.span());
            text(&signature)
        }
        Item::Type(of) => line("type", &of.generics, &format!(" = {}", text(&of.ty))),
        Item::Const(of) => format!("const {name}: {}", text(&of.ty)),
        Item::Static(of) => format!("static {name}: {}", text(&of.ty)),
        _ => format!("item {name}"),
    }
}

/// The fields of a struct that can be seen, each with its type.
pub(crate) fn fields(fields: &Fields) -> Vec<String> {
    named(fields, true)
}

/// A variant of an enum.
pub(crate) fn variant(of: &syn::Variant) -> String {
    let name = &of.ident;
    match &of.fields {
        Fields::Unit => name.to_string(),
        Fields::Unnamed(of) => {
            let types: Vec<String> = of.unnamed.iter().map(|field| text(&field.ty)).collect();
            format!("{name}({})", types.join(", "))
        }
        Fields::Named(_) => format!("{name} {{ {} }}", named(&of.fields, false).join(", ")),
    }
}

/// Something of a trait; what has no default is required.
pub(crate) fn part_of_trait(item: &TraitItem) -> Option<String> {
    let need = |has_default: bool| if has_default { "provided" } else { "required" };
    match item {
        TraitItem::Fn(of) if !is_hidden(&of.attrs) => Some(format!("{} {}", need(of.default.is_some()), text(&of.sig))),
        TraitItem::Type(of) => {
            let (bounds, parameters) = (of_bounds(&of.bounds), text(&of.generics));
            Some(format!("{} type {}{parameters}{bounds}", need(of.default.is_some()), of.ident))
        }
        TraitItem::Const(of) => Some(format!("{} const {}: {}", need(of.default.is_some()), of.ident, text(&of.ty))),
        _ => None,
    }
}

/// What everybody can see of an `impl` of a type: functions and constants, with what the `impl` itself asks for.
pub(crate) fn part_of_impl(of: &ItemImpl, item: &ImplItem) -> Vec<String> {
    let mut place = String::new();
    if !of.generics.params.is_empty() {
        place =
            format!(" in impl{} {}{}", text(&of.generics), text(&of.self_ty), after(&text(&of.generics.where_clause)));
    }
    match item {
        ImplItem::Fn(of) if is_public(&of.vis) && !is_hidden(&of.attrs) => vec![format!("{}{place}", text(&of.sig))],
        ImplItem::Const(of) if is_public(&of.vis) => vec![format!("const {}: {}{place}", of.ident, text(&of.ty))],
        // `name => Operation, …`
        ImplItem::Macro(of) => {
            let written = of.mac.tokens.to_string();
            let made = written.split("=>").filter_map(|before| before.split_whitespace().next_back());
            made.filter(|name| name.chars().all(|c| c.is_ascii_lowercase()))
                .map(|name| format!("fn {name}(…)"))
                .collect()
        }
        _ => Vec::new(),
    }
}

fn named(fields: &Fields, only_public: bool) -> Vec<String> {
    let seen = fields.iter().enumerate().filter(|(_, field)| !only_public || is_public(&field.vis));
    let line = |(index, field): (usize, &syn::Field)| {
        let name = field.ident.as_ref().map_or_else(|| index.to_string(), ToString::to_string);
        format!("{name}: {}", text(&field.ty))
    };
    seen.map(line).collect()
}

fn of_bounds(bounds: &Punctuated<TypeParamBound, Plus>) -> String {
    if bounds.is_empty() { String::new() } else { format!(": {}", text(bounds)) }
}

/// Whether others may match on all of it.
fn closed(attributes: &[Attribute]) -> &'static str {
    if attributes.iter().any(|of| of.path().is_ident("non_exhaustive")) { " (non-exhaustive)" } else { "" }
}

fn after(bounds: &str) -> String {
    if bounds.is_empty() { String::new() } else { format!(" {bounds}") }
}

/// Tokens as they would be written in one line.
fn text(tokens: &impl ToTokens) -> String {
    let written = tokens.to_token_stream().to_string();
    let mut line = written.split_whitespace().collect::<Vec<_>>().join(" ");
    for (loose, tight) in [
        (" :: ", "::"),
        (":: ", "::"),
        (" : ", ": "),
        (" ,", ","),
        (" ;", ";"),
        (" (", "("),
        ("( ", "("),
        (" )", ")"),
        (",)", ")"),
        (",(", ", ("),
        (":(", ": ("),
        ("->(", "-> ("),
        ("=(", "= ("),
        ("[ ", "["),
        (" ]", "]"),
        ("< ", "<"),
        (" <", "<"),
        (" >", ">"),
        ("& ", "&"),
        ("? ", "?"),
    ] {
        line = line.replace(loose, tight);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(code: &str) -> String {
        let item: Item = syn::parse_str(code).expect("an item");
        of_item("name", &item)
    }

    #[test]
    fn what_a_caller_writes_against_is_in_the_line() {
        assert_eq!(
            line(
                "pub fn f<'a, A: Space<Vector = V> + ?Sized>(a: &'a mut A, (x, y): (f64, [u8; 2])) -> Result<(), A::Error> where V: Copy { g() }"
            ),
            "fn name<'a, A: Space<Vector = V> + ?Sized>(a: &'a mut A, (x, y): (f64, [u8; 2])) -> Result<(), A::Error> where V: Copy"
        );
        assert_eq!(line("pub trait T<S>: Debug + 'static { fn f(&self); }"), "trait name<S>: Debug + 'static");
        assert_eq!(
            line("pub type T = Box<dyn for<'a> Fn(&'a mut S, &[usize]) -> (f64, f64)>;"),
            "type name = Box<dyn for<'a> Fn(&'a mut S, &[usize]) -> (f64, f64)>"
        );
        assert_eq!(
            line("#[non_exhaustive] pub enum E<T> where T: Copy { A }"),
            "enum name<T> (non-exhaustive) where T: Copy"
        );
    }

    #[test]
    fn what_a_trait_requires_is_told() {
        let of: syn::ItemTrait = syn::parse_str(
            "trait T { type A: Copy; const N: usize = 1; fn f(&self) -> Self::A; fn g(self, x: f64) {} #[doc(hidden)] fn h(); }",
        )
        .expect("a trait");
        let parts: Vec<String> = of.items.iter().filter_map(part_of_trait).collect();
        assert_eq!(
            parts,
            [
                "required type A: Copy",
                "provided const N: usize",
                "required fn f(&self) -> Self::A",
                "provided fn g(self, x: f64)",
            ]
        );
    }

    #[test]
    fn fields_and_variants_have_their_types() {
        let of: syn::ItemEnum =
            syn::parse_str("enum E { A, B(Vec<u8>, f64), C { x: Option<&'static str> } }").expect("an enum");
        let variants: Vec<String> = of.variants.iter().map(variant).collect();
        assert_eq!(variants, ["A", "B(Vec<u8>, f64)", "C { x: Option<&'static str> }"]);
        let of: syn::ItemStruct = syn::parse_str("struct S(pub f64, u8, pub Vec<S>);").expect("a struct");
        assert_eq!(fields(&of.fields), ["0: f64", "2: Vec<S>"]);
        let of: ItemImpl =
            syn::parse_str("impl<V: Copy> S<V> { pub fn f(&self) -> V { g() } fn h() {} }").expect("an impl");
        let parts: Vec<String> = of.items.iter().flat_map(|item| part_of_impl(&of, item)).collect();
        assert_eq!(parts, ["fn f(&self) -> V in impl<V: Copy> S<V>"]);
    }
}

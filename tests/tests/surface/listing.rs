//! What of a crate can be reached from outside: every public item with its public parts, module by module.

use std::collections::{BTreeMap, BTreeSet};

use syn::{Fields, ImplItem, Item, TraitItem, Type};

use crate::sources::{Meaning, Place, Sources, declared, family, imports, is_hidden, is_public};

/// The public items of a crate under all their paths; the parts of an item stand under the first.
pub(crate) struct Listing<'s> {
    sources: &'s Sources,
    /// Functions of types, by the type.
    functions: BTreeMap<Meaning, BTreeSet<String>>,
    /// Modules by their public paths, with what is in them.
    pub(crate) modules: BTreeMap<String, BTreeMap<String, Meaning>>,
}

impl<'s> Listing<'s> {
    pub(crate) fn of(sources: &'s Sources) -> Self {
        let mut listing = Listing { sources, functions: BTreeMap::new(), modules: BTreeMap::new() };
        for (place, items) in &sources.modules {
            items.iter().for_each(|item| listing.note_functions(place, item));
        }
        listing.visit(&[], "betty_runtime");
        listing
    }

    fn note_functions(&mut self, place: &Place, item: &Item) {
        let Item::Impl(of) = item else { return };
        let Type::Path(path) = &*of.self_ty else { return };
        let path: Vec<String> = path.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        let Some(meaning) = self.sources.meaning(place, &path).filter(|_| of.trait_.is_none()) else { return };
        let names = self.functions.entry(meaning).or_default();
        for item in &of.items {
            match item {
                ImplItem::Fn(of) if is_public(&of.vis) && !is_hidden(&of.attrs) => {
                    names.insert(of.sig.ident.to_string());
                }
                ImplItem::Const(of) if is_public(&of.vis) => {
                    names.insert(of.ident.to_string());
                }
                // `name => Operation, …`
                ImplItem::Macro(of) => {
                    let text = of.mac.tokens.to_string();
                    let made = text.split("=>").filter_map(|before| before.split_whitespace().next_back());
                    names.extend(made.filter(|name| name.chars().all(|c| c.is_ascii_lowercase())).map(str::to_owned));
                }
                _ => {}
            }
        }
    }

    fn visit(&mut self, module: &[String], path: &str) {
        let mut found = BTreeMap::new();
        for item in &self.sources.modules[module] {
            match item {
                Item::Mod(of) if is_public(&of.vis) && !is_hidden(&of.attrs) => {
                    let inside = [module, &[of.ident.to_string()]].concat();
                    self.visit(&inside, &format!("{path}::{}", of.ident));
                }
                Item::Use(of) if is_public(&of.vis) && !is_hidden(&of.attrs) => {
                    for import in imports(item) {
                        let meaning = self.sources.meaning(module, &import.path);
                        match (import.name.as_str(), meaning) {
                            ("*", Some(Meaning::Module(inside))) => self.all_of(&inside, &mut found),
                            (_, Some(meaning @ (Meaning::Item(..) | Meaning::Foreign(_)))) => {
                                found.insert(import.name, meaning);
                            }
                            (name, meaning) => panic!("{path}: `{name}` is {meaning:?}"),
                        }
                    }
                }
                _ => declare(item, module, &mut found),
            }
        }
        self.modules.insert(path.to_owned(), found);
    }

    /// Everything public of a module, which a glob brings in.
    fn all_of(&self, module: &[String], found: &mut BTreeMap<String, Meaning>) {
        for item in &self.sources.modules[module] {
            match item {
                Item::Use(of) if is_public(&of.vis) && !is_hidden(&of.attrs) => {
                    for import in imports(item) {
                        match (import.name.as_str(), self.sources.meaning(module, &import.path)) {
                            ("*", Some(Meaning::Module(inside))) => self.all_of(&inside, found),
                            (_, Some(meaning)) => drop(found.insert(import.name, meaning)),
                            (name, None) => panic!("`{name}` means nothing"),
                        }
                    }
                }
                _ => declare(item, module, found),
            }
        }
    }

    /// A line for each item, and for each part of one.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let mut told = BTreeSet::new();
        for (module, items) in &self.modules {
            text += &format!("\n{module}\n");
            for (name, meaning) in items {
                let (kind, parts) = self.describe(meaning);
                text += &format!("    {kind} {name}\n");
                if told.insert(meaning) {
                    parts.into_iter().for_each(|part| text += &format!("        {part}\n"));
                }
            }
        }
        text
    }

    /// What an item is, and its public parts.
    fn describe(&self, meaning: &Meaning) -> (&'static str, Vec<String>) {
        let Meaning::Item(module, name) = meaning else { return ("macro", Vec::new()) };
        let mut items = self.sources.modules[module].iter();
        let item = items.find(|item| declared(item).contains(name)).expect("it is declared there");
        let (kind, mut parts) = match item {
            Item::Struct(of) => ("struct", fields(&of.fields, true)),
            Item::Enum(of) => {
                let parts = |fields: &Fields| fields_of_variant(fields);
                (
                    "enum",
                    of.variants.iter().map(|variant| format!("{}{}", variant.ident, parts(&variant.fields))).collect(),
                )
            }
            Item::Trait(of) => ("trait", of.items.iter().filter_map(part_of_trait).collect()),
            Item::Fn(_) => ("fn", Vec::new()),
            Item::Type(_) => ("type", Vec::new()),
            Item::Macro(of) => {
                let written: syn::ItemEnum = syn::parse2(of.mac.tokens.clone()).expect("an enum");
                let family = family(&written.ident.to_string());
                match family.rows.iter().find(|row| row.config() == *name) {
                    Some(row) => ("struct", row.names().map(str::to_owned).collect()),
                    None => ("enum", family.rows.iter().map(|row| format!("{}(_)", row.variant)).collect()),
                }
            }
            _ => ("const", Vec::new()),
        };
        let functions = self.functions.get(meaning).into_iter().flatten();
        parts.extend(functions.map(|name| format!("fn {name}")));
        (kind, parts)
    }
}

fn declare(item: &Item, module: &[String], found: &mut BTreeMap<String, Meaning>) {
    let (visibility, attributes) = match item {
        Item::Struct(of) => (&of.vis, &of.attrs),
        Item::Enum(of) => (&of.vis, &of.attrs),
        Item::Trait(of) => (&of.vis, &of.attrs),
        Item::Fn(of) => (&of.vis, &of.attrs),
        Item::Type(of) => (&of.vis, &of.attrs),
        Item::Const(of) => (&of.vis, &of.attrs),
        Item::Static(of) => (&of.vis, &of.attrs),
        Item::Macro(_) => {
            found.extend(declared(item).into_iter().map(|name| (name.clone(), Meaning::Item(module.to_vec(), name))));
            return;
        }
        _ => return,
    };
    if is_public(visibility) && !is_hidden(attributes) {
        found.extend(declared(item).into_iter().map(|name| (name.clone(), Meaning::Item(module.to_vec(), name))));
    }
}

fn fields(fields: &Fields, of_struct: bool) -> Vec<String> {
    let seen = fields.iter().filter(|field| !of_struct || is_public(&field.vis)).enumerate();
    seen.map(|(index, field)| field.ident.as_ref().map_or_else(|| index.to_string(), ToString::to_string)).collect()
}

fn fields_of_variant(all: &Fields) -> String {
    match all {
        Fields::Unit => String::new(),
        Fields::Unnamed(of) => format!("({})", vec!["_"; of.unnamed.len()].join(", ")),
        Fields::Named(_) => format!(" {{ {} }}", fields(all, false).join(", ")),
    }
}

fn part_of_trait(item: &TraitItem) -> Option<String> {
    match item {
        TraitItem::Fn(of) if !is_hidden(&of.attrs) => Some(format!("fn {}", of.sig.ident)),
        TraitItem::Type(of) => Some(format!("type {}", of.ident)),
        TraitItem::Const(of) => Some(format!("const {}", of.ident)),
        _ => None,
    }
}

//! What of a crate can be reached from outside: every public item with its public parts, module by module.

use std::collections::{BTreeMap, BTreeSet};

use syn::{Item, Type};

use crate::signature::{fields, of_item, part_of_impl, part_of_trait, variant};
use crate::sources::{Meaning, Place, Sources, declared, family, imports, is_hidden, is_public, schema};

/// The public items of a crate under all their paths; the parts of an item stand under the first.
pub(crate) struct Listing<'s> {
    sources: &'s Sources,
    /// Those of the tables and rules.
    schema: Sources,
    /// Functions and constants of types, by the type.
    functions: BTreeMap<Meaning, BTreeSet<String>>,
    /// Modules by their public paths, with what is in them.
    pub(crate) modules: BTreeMap<String, BTreeMap<String, Meaning>>,
}

impl<'s> Listing<'s> {
    pub(crate) fn of(sources: &'s Sources) -> Self {
        let mut listing =
            Listing { sources, schema: Sources::read(&schema()), functions: BTreeMap::new(), modules: BTreeMap::new() };
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
        let lines = self.functions.entry(meaning).or_default();
        lines.extend(of.items.iter().flat_map(|item| part_of_impl(of, item)));
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
                let (line, parts) = self.describe(name, meaning);
                text += &format!("    {line}\n");
                if told.insert(meaning) {
                    parts.into_iter().for_each(|part| text += &format!("        {part}\n"));
                }
            }
        }
        text
    }

    /// The item that is meant, and what it is called where it is declared; none of a crate that is not ours.
    pub(crate) fn item(&self, meaning: &Meaning) -> Option<(&Item, String)> {
        let (sources, meaning) = match meaning {
            Meaning::Foreign(path) if path.starts_with("betty_schema::") => {
                let path: Vec<String> = path.split("::").skip(1).map(str::to_owned).collect();
                (&self.schema, self.schema.meaning(&[], &path)?)
            }
            meaning => (self.sources, meaning.clone()),
        };
        let Meaning::Item(module, name) = meaning else { return None };
        Some((sources.modules[&module].iter().find(|item| declared(item).contains(&name))?, name))
    }

    /// What an item is under this name, and its public parts.
    fn describe(&self, name: &str, meaning: &Meaning) -> (String, Vec<String>) {
        let Some((item, declared_as)) = self.item(meaning) else { return (format!("macro {name}"), Vec::new()) };
        let mut line = of_item(name, item);
        let mut parts: Vec<String> = match item {
            Item::Struct(of) => fields(&of.fields),
            Item::Enum(of) => of.variants.iter().map(variant).collect(),
            Item::Trait(of) => of.items.iter().filter_map(part_of_trait).collect(),
            Item::Macro(of) => {
                let written: syn::ItemEnum = syn::parse2(of.mac.tokens.clone()).expect("an enum");
                let family = family(&written.ident.to_string());
                match family.rows.iter().find(|row| row.config() == declared_as) {
                    Some(row) => {
                        line = format!("struct {name}");
                        row.options.iter().map(|option| format!("{}: {:?}", option.name, option.range)).collect()
                    }
                    None => {
                        line = format!("enum {name}");
                        family.rows.iter().map(|row| format!("{}({})", row.variant, row.config())).collect()
                    }
                }
            }
            _ => Vec::new(),
        };
        parts.extend(self.functions.get(meaning).into_iter().flatten().cloned());
        (line, parts)
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

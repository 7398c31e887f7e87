//! A crate as its sources say it: modules, what each of them declares, and what its names mean.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::{Attribute, Item, UseTree, Visibility};

/// The path of a module from the root of the crate, or of an item.
pub(crate) type Place = Vec<String>;

/// Every module of a crate.
pub(crate) struct Sources {
    pub(crate) modules: BTreeMap<Place, Vec<Item>>,
    /// What is being looked up, so that modules which bring in each other come to an end.
    open: RefCell<BTreeSet<(Place, String, bool)>>,
}

/// What a name means.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Meaning {
    Module(Place),
    /// The module that declares it, and its name there.
    Item(Place, String),
    /// Something of another crate.
    Foreign(String),
}

/// One name that a `use` brings in: under which name, and the path to what it is; `*` for all of a module.
pub(crate) struct Import {
    pub(crate) name: String,
    pub(crate) path: Vec<String>,
}

impl Sources {
    /// Reads a crate whose root is this file.
    pub(crate) fn read(root: &Path) -> Self {
        let mut sources = Sources { modules: BTreeMap::new(), open: RefCell::default() };
        let folder = root.parent().expect("a file is in a folder");
        sources.read_module(root, folder, Vec::new());
        sources
    }

    fn read_module(&mut self, file: &Path, folder: &Path, place: Place) {
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        self.add(parsed.items, folder, place);
    }

    fn add(&mut self, items: Vec<Item>, folder: &Path, place: Place) {
        for item in &items {
            let Item::Mod(module) = item else { continue };
            if module.attrs.iter().any(|attribute| attribute.path().is_ident("cfg")) {
                continue;
            }
            let name = module.ident.to_string();
            let inside = [place.as_slice(), std::slice::from_ref(&name)].concat();
            match &module.content {
                Some((_, items)) => self.add(items.clone(), &folder.join(&name), inside),
                None => {
                    let alone = folder.join(format!("{name}.rs"));
                    let file = if alone.exists() { alone } else { folder.join(&name).join("mod.rs") };
                    self.read_module(&file, &folder.join(&name), inside);
                }
            }
        }
        self.modules.insert(place, items);
    }

    /// What a path means that is written in a module.
    pub(crate) fn meaning(&self, module: &[String], path: &[String]) -> Option<Meaning> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => self.inside(&[], rest),
            "self" => self.inside(module, rest),
            "super" => self.meaning(&module[..module.len() - 1], &[&["self".to_owned()], rest].concat()),
            name => match (self.named(module, name, !rest.is_empty()), rest) {
                (Some(Meaning::Module(inside)), rest) if !rest.is_empty() => self.inside(&inside, rest),
                (found, _) => Some(found.unwrap_or_else(|| Meaning::Foreign(path.join("::")))),
            },
        }
    }

    fn inside(&self, module: &[String], path: &[String]) -> Option<Meaning> {
        let Some((first, rest)) = path.split_first() else { return Some(Meaning::Module(module.to_vec())) };
        match self.named(module, first, !rest.is_empty())? {
            Meaning::Module(inside) => self.inside(&inside, rest),
            found => Some(found),
        }
    }

    /// What a name means in a module, or what module it means: declared there, brought in by name, or with everything else of
    /// another.
    fn named(&self, module: &[String], name: &str, is_module: bool) -> Option<Meaning> {
        let key = (module.to_vec(), name.to_owned(), is_module);
        if !self.open.borrow_mut().insert(key.clone()) {
            return None;
        }
        let found = self.looked_up(module, name, is_module);
        self.open.borrow_mut().remove(&key);
        found
    }

    fn looked_up(&self, module: &[String], name: &str, is_module: bool) -> Option<Meaning> {
        let items = self.modules.get(module)?;
        let has_module = items.iter().any(|item| matches!(item, Item::Mod(of) if of.ident == name));
        let inside = || has_module.then(|| Meaning::Module([module, &[name.to_owned()]].concat()));
        if is_module && has_module {
            return inside();
        }
        if items.iter().any(|item| declared(item).iter().any(|of| of == name)) {
            return Some(Meaning::Item(module.to_vec(), name.to_owned()));
        }
        let imports: Vec<Import> = items.iter().flat_map(imports).collect();
        if let Some(import) = imports.iter().find(|import| import.name == name && import.path != [name]) {
            return self.meaning(module, &import.path);
        }
        let globs = imports.iter().filter(|import| import.name == "*");
        let mut opened = globs.filter_map(|import| self.meaning(module, &import.path));
        let found = opened.find_map(|opened| match opened {
            Meaning::Module(opened) if opened != module => self.named(&opened, name, is_module),
            _ => None,
        });
        found.or_else(inside)
    }
}

/// The names that an item declares in its module; a macro may declare several.
pub(crate) fn declared(item: &Item) -> Vec<String> {
    let name = match item {
        Item::Struct(of) => &of.ident,
        Item::Enum(of) => &of.ident,
        Item::Trait(of) => &of.ident,
        Item::Fn(of) => &of.sig.ident,
        Item::Type(of) => &of.ident,
        Item::Const(of) => &of.ident,
        Item::Static(of) => &of.ident,
        Item::Macro(of) if of.mac.path.is_ident("configs") => return configs(of),
        _ => return Vec::new(),
    };
    vec![name.to_string()]
}

/// The enum that `configs!` fills from a table, and a struct for each row.
fn configs(item: &syn::ItemMacro) -> Vec<String> {
    let written: syn::ItemEnum = syn::parse2(item.mac.tokens.clone()).expect("an enum");
    let rows = family(&written.ident.to_string()).rows.iter().map(betty_schema::Row::config);
    std::iter::once(written.ident.to_string()).chain(rows).collect()
}

/// The table that an enum of configs is filled from.
pub(crate) fn family(config: &str) -> &'static betty_schema::Family {
    betty_schema::FAMILIES.into_iter().find(|family| family.config == config).expect("a table of that name")
}

/// What a `use` brings in.
pub(crate) fn imports(item: &Item) -> Vec<Import> {
    let Item::Use(of) = item else { return Vec::new() };
    let mut found = Vec::new();
    leaves(&of.tree, &mut Vec::new(), &mut found);
    found
}

fn leaves(tree: &UseTree, path: &mut Vec<String>, found: &mut Vec<Import>) {
    let import = |name: &syn::Ident, last: &syn::Ident, path: &[String]| match last.to_string().as_str() {
        "self" => Import { name: path.last().cloned().unwrap_or_default(), path: path.to_vec() },
        last => Import { name: name.to_string(), path: [path, &[last.to_owned()]].concat() },
    };
    match tree {
        UseTree::Path(of) => {
            path.push(of.ident.to_string());
            leaves(&of.tree, path, found);
            path.pop();
        }
        UseTree::Name(of) => found.push(import(&of.ident, &of.ident, path)),
        UseTree::Rename(of) => found.push(import(&of.rename, &of.ident, path)),
        UseTree::Glob(_) => found.push(Import { name: "*".to_owned(), path: path.clone() }),
        UseTree::Group(of) => of.items.iter().for_each(|tree| leaves(tree, path, found)),
    }
}

/// Whether everybody can see it.
pub(crate) fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// Whether it is kept out of the documentation, which says that no part of it is stable.
pub(crate) fn is_hidden(attributes: &[Attribute]) -> bool {
    let docs = attributes.iter().filter(|attribute| attribute.path().is_ident("doc"));
    docs.into_iter().any(|doc| doc.parse_args::<syn::Ident>().is_ok_and(|word| word == "hidden"))
}

/// The file of the crate's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../betty-runtime/src/lib.rs")
}

/// The file of the root of the tables and rules, some of which the runtime shows.
pub(crate) fn schema() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../betty-schema/src/lib.rs")
}

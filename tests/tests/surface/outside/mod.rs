//! What a user of the first page of the documentation writes: names of the root, modules of its table, Burn, and nothing else.

mod cleaning;
mod mistakes;
mod observer;
mod optimizer;
mod preconditioner;
mod solver;
mod spectrum;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use syn::visit::Visit;

use crate::listing::Listing;
use crate::sources::{Sources, imports, root};

/// The paths of a file that begin in another crate.
#[derive(Default)]
struct Paths(BTreeSet<Vec<String>>);

impl<'a> Visit<'a> for Paths {
    fn visit_path(&mut self, path: &'a syn::Path) {
        self.0.insert(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        syn::visit::visit_path(self, path);
    }
}

#[test]
fn they_use_what_the_first_page_shows() {
    let sources = Sources::read(&root());
    let listing = Listing::of(&sources);
    let is_shown = |path: &[String]| {
        let (name, module) = path.split_last().expect("a path has a name");
        listing.modules.get(&module.join("::")).is_some_and(|items| items.contains_key(name) || name == "Batch")
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/surface/outside");
    let mut used = 0;
    for file in fs::read_dir(folder).expect("the folder of this file") {
        let file = file.expect("a file").path();
        if file.ends_with("mod.rs") {
            continue;
        }
        let parsed = syn::parse_file(&fs::read_to_string(&file).expect("a text")).expect("it is Rust");
        let mut paths = Paths::default();
        paths.visit_file(&parsed);
        paths.0.extend(parsed.items.iter().flat_map(imports).map(|import| import.path));
        for path in paths.0 {
            match path[0].as_str() {
                "betty_runtime" if path.len() > 1 => {
                    used += 1;
                    assert!(is_shown(&path), "{}: {} is not shown", file.display(), path.join("::"));
                }
                other => assert!(!other.starts_with("betty"), "{}: {}", file.display(), path.join("::")),
            }
        }
    }
    assert!(used > 20, "{used}");
}

//! The book explains every public error: one row for each variant, and none for what is no longer there.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use syn::punctuated::Punctuated;
use syn::{Attribute, Item, Token};

use crate::listing::Listing;
use crate::sources::{Sources, root};

/// The rules that an error names: part of what happened.
const RULES: &str = "Violation";

/// Public errors by name, with their variants; none for a struct.
fn errors(sources: &Sources) -> BTreeMap<String, Vec<String>> {
    let listing = Listing::of(sources);
    let mut found = BTreeMap::new();
    for meaning in listing.modules.values().flat_map(BTreeMap::values) {
        match listing.item(meaning) {
            Some((Item::Enum(of), name)) if is_error(&of.attrs) || name == RULES => {
                found.insert(name, of.variants.iter().map(|variant| variant.ident.to_string()).collect());
            }
            Some((Item::Struct(of), name)) if is_error(&of.attrs) => drop(found.insert(name, Vec::new())),
            _ => {}
        }
    }
    found
}

fn is_error(attributes: &[Attribute]) -> bool {
    let derives = attributes.iter().filter(|attribute| attribute.path().is_ident("derive"));
    let derived = derives.flat_map(|derive| {
        derive.parse_args_with(Punctuated::<syn::Path, Token![,]>::parse_terminated).expect("a list of traits")
    });
    derived.into_iter().any(|path| path.segments.last().is_some_and(|last| last.ident == "Error"))
}

/// What is explained under the heading of each error: the words in the first cells of its tables.
fn explained(page: &str) -> BTreeMap<String, Vec<String>> {
    let (mut found, mut rows) = (BTreeMap::<String, Vec<String>>::new(), None);
    for line in page.lines() {
        if line.starts_with('#') {
            let name = line.strip_prefix("### `").and_then(|rest| rest.strip_suffix('`'));
            rows = name.map(|name| found.entry(name.to_owned()).or_default());
        }
        if let (Some(rows), Some(row)) = (&mut rows, line.strip_prefix("| `")) {
            let cell = row.split(" |").next().unwrap_or_default();
            rows.extend(cell.trim_end_matches('`').split("`, `").map(str::to_owned));
        }
    }
    found
}

#[test]
fn every_variant_of_every_public_error_is_explained_once() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/errors.md");
    let page = fs::read_to_string(page).expect("the page is there");
    let (mut errors, mut explained) = (errors(&Sources::read(&root())), explained(&page));
    assert!(errors.len() > 20 && errors.contains_key("EngineError"), "{:?}", errors.keys());
    let mut wrong = Vec::new();
    for (name, variants) in &mut errors {
        if variants.is_empty() {
            wrong.extend((!page.contains(&format!("`{name}`"))).then(|| format!("nothing is said of `{name}`")));
            continue;
        }
        let mut rows = explained.remove(name).unwrap_or_default();
        variants.sort();
        rows.sort();
        if *variants != rows {
            let without = |these: &[String], those: &[String]| -> Vec<String> {
                these.iter().filter(|one| !those.contains(one)).cloned().collect()
            };
            let (missing, gone) = (without(variants, &rows), without(&rows, variants));
            wrong.push(format!("`{name}`: without a row {missing:?}, no variants {gone:?}, or a row twice"));
        }
    }
    wrong.extend(explained.keys().map(|name| format!("`{name}` is no public error")));
    assert!(wrong.is_empty(), "docs/errors.md:\n{}", wrong.join("\n"));
}

#[test]
fn rows_are_found_under_their_headings() {
    let page =
        "| `A` | before |\n### `OneError`\n**Early**\n| `A`, `B` | `C` |\n|---|---|\n| `D` | |\n## Else\n| `E` | |\n";
    let found = explained(page);
    assert_eq!(
        found.into_iter().collect::<Vec<_>>(),
        [("OneError".to_owned(), ["A", "B", "D"].map(str::to_owned).to_vec())]
    );
}

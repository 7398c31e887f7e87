//! What the runtime shows of itself: the list of everything public with its signatures, an example in every module, and pages of the
//! book that are complete; and that every source file belongs to a build.

mod built;
mod chapters;
mod errors;
mod listing;
mod outside;
mod signature;
mod sources;

use std::fs;
use std::path::Path;

use listing::Listing;
use sources::{Sources, is_hidden, is_public, root};
use syn::{Expr, ExprLit, Item, Lit, Meta};

const UPDATE: &str = "BETTY_UPDATE_SURFACE=1 cargo test --workspace --test surface";

/// The list is kept beside this test, so that what becomes public, or no longer is, shows in a change as a line of its own.
#[test]
fn everything_public_is_listed() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/surface/public.txt");
    let sources = Sources::read(&root());
    let found = Listing::of(&sources).text();
    if std::env::var_os("BETTY_UPDATE_SURFACE").is_some() {
        fs::write(&file, &found).expect("the list can be written");
    }
    let known = fs::read_to_string(&file).unwrap_or_default();
    let only = |these: &str, those: &str| {
        let mut module = "";
        let mut lines = Vec::new();
        let those: Vec<&str> = those.lines().collect();
        for line in these.lines() {
            module = if line.starts_with(' ') { module } else { line };
            if !those.contains(&line) {
                lines.push(format!("{module}: {}", line.trim()));
            }
        }
        lines.join("\n")
    };
    assert!(
        known == found,
        "what is public has changed. It is now, and was not:\n{}\nIt was, and is no longer:\n{}\nTake it back, or if it is meant, \
         write the list again with `{UPDATE}`, and a line in the changelog",
        only(&found, &known),
        only(&known, &found),
    );
}

/// Words of the inside of the house that nobody outside has a use for.
#[test]
fn the_inside_stays_inside() {
    let sources = Sources::read(&root());
    let listing = Listing::of(&sources);
    let names: Vec<&String> = listing.modules.values().flat_map(|items| items.keys()).collect();
    for inside in
        ["Steps", "Tasks", "Response", "Stop", "Recording", "Lagrangian", "Curvature", "BestResponse", "Blocks"]
    {
        assert!(!names.iter().any(|name| *name == inside), "`{inside}` is public");
    }
    assert!(names.iter().any(|name| *name == "Engine"), "the list is empty");
}

#[test]
fn every_public_module_has_an_example_that_runs() {
    let file = root();
    let folder = file.parent().expect("a file is in a folder");
    let parsed = syn::parse_file(&fs::read_to_string(&file).expect("the root is there")).expect("the root is Rust");
    let mut checked = 0;
    for item in &parsed.items {
        let Item::Mod(module) = item else { continue };
        if !is_public(&module.vis) || is_hidden(&module.attrs) {
            continue;
        }
        let name = module.ident.to_string();
        let text = fs::read_to_string(folder.join(&name).join("mod.rs")).expect("a public module is a folder");
        let docs = syn::parse_file(&text).expect("the module is Rust").attrs;
        let lines: Vec<String> = docs.iter().filter_map(line).collect();
        assert!(
            lines.iter().any(|line| line.trim() == "```"),
            "`betty_runtime::{name}` has no example in its documentation"
        );
        checked += 1;
    }
    assert!(checked > 10, "only {checked} modules were found");
}

/// A line of documentation.
fn line(attribute: &syn::Attribute) -> Option<String> {
    match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    }
}

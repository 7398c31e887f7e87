//! Pages of the book that promise to be complete are: the recipes, and the JSON form of every field.

use std::fs;
use std::path::{Path, PathBuf};

use betty_schema::FIELDS;

fn book() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

fn read(page: &str) -> String {
    fs::read_to_string(book().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"))
}

/// Every recipe is found from both lists, and ends with what its reader would change.
#[test]
fn every_recipe_is_listed_and_says_what_to_change_first() {
    let (index, summary) = (read("recipes/README.md"), read("SUMMARY.md"));
    let entries = fs::read_dir(book().join("recipes")).expect("a folder").flatten();
    let pages: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    let recipes: Vec<&String> = pages.iter().filter(|page| page.ends_with(".md") && *page != "README.md").collect();
    let mut wrong = Vec::new();
    for recipe in &recipes {
        let text = read(&format!("recipes/{recipe}"));
        let has = [
            (index.contains(&format!("({recipe})")), "is not in recipes/README.md"),
            (summary.contains(&format!("(recipes/{recipe})")), "is not in SUMMARY.md"),
            (text.contains("**Change first**"), "does not say what to change first"),
        ];
        wrong.extend(has.iter().filter(|(is, _)| !is).map(|(_, what)| format!("{recipe} {what}")));
    }
    assert!(recipes.len() > 10 && wrong.is_empty(), "{wrong:#?}");
}

/// Whoever is led to a file finds it: the end of its path stands there, or all of it but `src`.
#[test]
fn every_file_that_the_architecture_names_is_there() {
    let root = book().join("..");
    let mut sources = Vec::new();
    for part in
        ["betty-runtime", "betty-macros", "betty-schema", "betty-kernels", "betty-mpi", "betty-examples", "tests"]
    {
        files(&root.join(part), part, &mut sources);
    }
    let page = read("../ARCHITECTURE.md");
    let named: Vec<&str> = page.split('`').skip(1).step_by(2).filter(|name| name.ends_with(".rs")).collect();
    let named: Vec<String> = named.iter().map(|name| name.replace("/src/", "/")).collect();
    let is_there = |name: &str| sources.iter().any(|path| path == name || path.ends_with(&format!("/{name}")));
    let gone: Vec<&String> = named.iter().filter(|name| !is_there(name)).collect();
    assert!(named.len() > 50 && gone.is_empty(), "of {} files: {gone:?}", named.len());
}

/// Sources in a folder, by their paths without `src`.
fn files(folder: &Path, path: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let inside = if name == "src" { path.to_owned() } else { format!("{path}/{name}") };
        match entry.path() {
            below if below.is_dir() && name != "target" => files(&below, &inside, found),
            _ if name.ends_with(".rs") => found.push(inside),
            _ => {}
        }
    }
}

/// Every field of a level has a row with its JSON form, or is among those that have none.
#[test]
fn every_field_has_its_json_form_or_none() {
    let page = read("numbers.md");
    let (_, table) = page.split_once("## The JSON form of every field").expect("the table");
    let (table, rest) = table.split_once("\n`upper`").expect("what has no JSON");
    let (none, _) = rest.split_once("are structure").expect("what has no JSON");
    let none = format!("`upper`{none}");
    let fields = |lines: &str| -> String { lines.lines().filter_map(|line| line.split('|').nth(1)).collect() };
    let table = fields(table);
    for field in &FIELDS {
        let place = if field.is_fixed() { &none } else { &table };
        assert!(
            place.contains(&format!("`{}`", field.name)),
            "`{}` is not in its place in docs/numbers.md",
            field.name
        );
    }
}

//! Makes doc tests of the Rust code in the book, so that every block of it is compiled and run.
//!
//! A block with a `fn main` is a program. The other blocks of a chapter, one after the other, are one program as well: what a
//! reader has typed by the end of the chapter. Each program gets an empty folder to write into.
//!
//! Two chapters lie outside of `docs/` and have fragments, `rust,ignore`, that leave out what is around them: they are compiled inside
//! of what `fragments/` has for each, and not run. The whole programs of the README are doc tests of the runtime.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

const BOOK: &str = "../docs";
/// Chapters with fragments.
const OUTSIDE: [&str; 2] = ["README", "BENCHMARKS"];
/// In the place of these lines stand, in what is around a fragment, the page's program and the fragment.
const PROGRAM: &str = "//- the program";
const FRAGMENT: &str = "//- the fragment";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={BOOK}");
    let mut tests = String::new();
    for chapter in chapters(Path::new(BOOK))? {
        println!("cargo::rerun-if-changed={}", chapter.display());
        let name = chapter.strip_prefix(BOOK)?.with_extension("").to_string_lossy().replace(['/', '\\', '-'], "_");
        for (number, program) in programs(&fs::read_to_string(&chapter)?)?.iter().enumerate() {
            writeln!(tests, "#[doc = {program:?}]\npub mod {name}_{number} {{}}")?;
        }
    }
    println!("cargo::rerun-if-changed=fragments");
    for page in OUTSIDE {
        let chapter = format!("../{page}.md");
        println!("cargo::rerun-if-changed={chapter}");
        for (number, program) in fragments(page, &fs::read_to_string(chapter)?)?.iter().enumerate() {
            writeln!(tests, "#[doc = {program:?}]\npub mod {}_{number} {{}}", page.to_lowercase())?;
        }
    }
    fs::write(Path::new(&std::env::var("OUT_DIR")?).join("book.rs"), tests)?;
    Ok(())
}

/// All Markdown files in a folder, in order.
fn chapters(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match path.extension() {
            _ if path.is_dir() => found.extend(chapters(&path)?),
            Some(extension) if extension == "md" => found.push(path),
            _ => {}
        }
    }
    found.sort();
    Ok(found)
}

/// The programs of a chapter, as the text of doc tests.
fn programs(chapter: &str) -> Result<Vec<String>, Box<dyn Error>> {
    let (mut programs, mut pieces) = (Vec::new(), String::new());
    for (info, code) in blocks(chapter) {
        match info {
            "rust" if code.contains("fn main(") => programs.push(format!("```\n{code}```\n")),
            "rust" => pieces += &code,
            _ if info.starts_with("rust") => {
                return Err(format!("```{info}: Rust in the book is compiled and run").into());
            }
            _ => {}
        }
    }
    if !pieces.is_empty() {
        let folder = "let folder = tempfile::tempdir()?; std::env::set_current_dir(&folder)?;";
        let main = "fn main() -> Result<(), Box<dyn std::error::Error>>";
        programs.push(format!("```\n{main} {{ {folder}\n{pieces}\nOk(()) }}\n```\n"));
    }
    Ok(programs)
}

/// The fragments of a page, each inside of what is around it, as the text of doc tests.
fn fragments(page: &str, text: &str) -> Result<Vec<String>, Box<dyn Error>> {
    let blocks = blocks(text);
    let program = blocks.iter().find(|(info, code)| *info == "rust" && code.contains("fn main("));
    let mut found = Vec::new();
    for (_, code) in blocks.iter().filter(|(info, _)| *info == "rust,ignore") {
        let file = format!("fragments/{page}_{}.rs", found.len() + 1);
        let around = fs::read_to_string(&file)
            .map_err(|error| format!("what is around a fragment of {page}.md: {file}: {error}"))?;
        let whole = around.replace(PROGRAM, program.map_or("", |(_, code)| code)).replace(FRAGMENT, code);
        // A program has one allocator, and several doc tests may be one program.
        let alone = if code.contains("global_allocator") { ",standalone_crate" } else { "" };
        found.push(format!("```no_run{alone}\n{whole}```\n"));
    }
    Ok(found)
}

/// Fenced blocks: what stands behind the first fence, and the lines between.
fn blocks(chapter: &str) -> Vec<(&str, String)> {
    let (mut blocks, mut open) = (Vec::new(), None);
    for line in chapter.lines() {
        match (line.trim_end().strip_prefix("```"), &mut open) {
            (Some(info), None) => open = Some((info, String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some((_, code))) => {
                code.push_str(line);
                code.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

//! Every link between documents of the repository leads somewhere.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// All Markdown files of the repository.
fn documents(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder that can be read").flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if path.is_dir() && name != "target" && name != "out" && !name.starts_with('.') {
            documents(&path, found);
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
}

/// The lines of a document that are no code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut code = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        !code && !fence
    })
}

/// The anchors of a document, as the usual hosts make them of its headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text).filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let letters = heading.trim_start_matches('#').trim().to_lowercase();
        let letters = letters.chars().filter(|letter| letter.is_alphanumeric() || [' ', '-', '_'].contains(letter));
        letters.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
    };
    headings.map(anchor).collect()
}

/// Targets of the links in a line: `[text](target)` and `<img src="target"`.
fn targets(line: &str) -> Vec<String> {
    let between = |open: &str, close: char| {
        let parts = line.split(open).skip(1);
        parts.filter_map(move |part| part.split_once(close).map(|(target, _)| target.to_owned())).collect::<Vec<_>>()
    };
    [between("](", ')'), between("src=\"", '"')].concat()
}

/// What is wrong with a link of the document at `path`.
fn broken(path: &Path, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let file = if file.is_empty() { path.to_owned() } else { path.parent()?.join(file) };
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(_) if file.is_dir() && anchor.is_empty() => return None,
        Err(error) => return Some(format!("{}: `{target}`: {error}", path.display())),
    };
    let leads = anchor.is_empty() || anchors(&text).contains(anchor);
    (!leads).then(|| format!("{}: `{target}`: no such heading", path.display()))
}

#[test]
fn every_link_of_the_documents_leads_somewhere() {
    let mut found = Vec::new();
    documents(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), &mut found);
    let read = |path: &PathBuf| fs::read_to_string(path).expect("a document in UTF-8");
    let wrong = found.iter().flat_map(|path| {
        let targets: Vec<String> = prose(&read(path)).flat_map(targets).collect();
        targets.into_iter().filter_map(|target| broken(path, &target)).collect::<Vec<_>>()
    });
    let wrong: Vec<String> = wrong.collect();
    assert!(found.len() >= 10 && wrong.is_empty(), "of {} documents:\n{}", found.len(), wrong.join("\n"));
}

#[test]
fn links_and_headings_are_found() {
    assert_eq!(targets("see [a](b.md#c) and <img src=\"d.svg\">"), ["b.md#c", "d.svg"]);
    let anchors = anchors("# One `two`: three\n```\n# code\n```\n## Four-five\n");
    assert_eq!(anchors.into_iter().collect::<Vec<_>>(), ["four-five", "one-two-three"]);
}

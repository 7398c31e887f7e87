//! Names of levels: declared once, and every entry of a list means one of them.

use indexmap::IndexMap;
use syn::Ident;
use syn::ext::IdentExt;

use crate::ast::{Call, Program};
use crate::graph::Graph;
use crate::report::{Report, did_you_mean, suggestion};

/// Keeps the first of several levels of the same name.
pub(super) fn drop_duplicates(program: &mut Program, report: &mut Report) {
    let mut levels = IndexMap::new();
    for level in std::mem::take(&mut program.levels) {
        let name = level.name.unraw().to_string();
        if levels.contains_key(&name) {
            report.error(&level.name, format!("level `{name}` is declared twice"));
            program.lost_edge = true;
        } else {
            levels.insert(name, level);
        }
    }
    program.levels.extend(levels.into_values());
}

/// The lists of all levels with every name resolved, and where each entry stands.
pub(super) struct Links<'a> {
    pub(super) upper: Vec<Vec<Entry<'a>>>,
    pub(super) lower: Vec<Vec<Entry<'a>>>,
    /// The level that each level starts from, if it is another one.
    pub(super) start: Vec<Option<Entry<'a>>>,
    /// Whether the lists of a level resolved without an error.
    pub(super) sound: Vec<bool>,
    /// An edge or a level may be missing.
    pub(super) incomplete: bool,
}

/// An entry of a list.
pub(super) struct Entry<'a> {
    pub(super) level: usize,
    pub(super) token: &'a Ident,
}

impl<'a> Links<'a> {
    pub(super) fn resolve(program: &'a Program, report: &mut Report) -> Self {
        let names: IndexMap<String, usize> =
            program.levels.iter().enumerate().map(|(index, level)| (level.name.unraw().to_string(), index)).collect();
        let mut links = Self {
            upper: Vec::new(),
            lower: Vec::new(),
            start: Vec::new(),
            sound: Vec::new(),
            incomplete: program.lost_level || program.lost_edge,
        };
        for (index, level) in program.levels.iter().enumerate() {
            let errors = report.count();
            let owner = Owner { index, name: level.name.unraw().to_string(), program };
            let mut upper = links.list(&owner, &level.upper, &names, report);
            let lower = links.list(&owner, &level.lower, &names, report);
            upper.retain(|entry| {
                let is_both = lower.iter().any(|other| other.level == entry.level);
                if is_both {
                    let (entry, name) = (entry.token, &owner.name);
                    report.error(
                        entry,
                        format!("`{entry}` is both an upper and a lower level of `{name}`; it must be one"),
                    );
                    links.incomplete = true;
                }
                !is_both
            });
            let from = level.start.as_ref().and_then(Call::start_level).map_or(&[][..], std::slice::from_ref);
            let start = links.list(&owner, from, &names, report).pop();
            links.start.push(start);
            links.upper.push(upper);
            links.lower.push(lower);
            links.sound.push(report.count() == errors && !program.lost_level && !program.lost_edge);
        }
        links
    }

    pub(super) fn graph(&self) -> Graph {
        let indices = |lists: &[Vec<Entry<'_>>]| {
            lists.iter().map(|list| list.iter().map(|entry| entry.level).collect()).collect()
        };
        let start = self.start.iter().map(|entry| entry.as_ref().map(|entry| entry.level)).collect();
        Graph::with_starts(indices(&self.upper), indices(&self.lower), start)
    }

    fn list(
        &mut self,
        owner: &Owner<'_>,
        list: &'a [Ident],
        names: &IndexMap<String, usize>,
        report: &mut Report,
    ) -> Vec<Entry<'a>> {
        let mut entries: Vec<Entry<'a>> = Vec::new();
        let mut repaired: Vec<Entry<'a>> = Vec::new();
        for token in list {
            let name = token.unraw().to_string();
            match names.get(&name) {
                Some(&level) if level == owner.index => {
                    report.error(token, format!("level `{name}` cannot depend on itself"));
                    self.incomplete = true;
                }
                Some(&level) if entries.iter().any(|entry| entry.level == level) => {
                    report.error(token, format!("`{name}` is listed twice for level `{}`", owner.name));
                }
                Some(&level) => entries.push(Entry { level, token }),
                // A name in a level that could not be read may be right.
                None if owner.program.lost_level => self.incomplete = true,
                None => {
                    let others = names.keys().map(String::as_str).filter(|other| *other != owner.name);
                    let meant = suggestion(&name, others);
                    report.error(token, format!("no level named `{name}`{}", did_you_mean(meant)));
                    match meant.and_then(|meant| names.get(meant)) {
                        Some(&level) => repaired.push(Entry { level, token }),
                        None => self.incomplete = true,
                    }
                }
            }
        }
        // What was probably meant is an edge for the checks that follow, so that one slip is one error.
        for entry in repaired {
            if !entries.iter().any(|other| other.level == entry.level) {
                entries.push(entry);
            }
        }
        entries
    }
}

/// The level whose list is being resolved.
struct Owner<'a> {
    index: usize,
    name: String,
    program: &'a Program,
}

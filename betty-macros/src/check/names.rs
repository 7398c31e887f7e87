//! Names of levels: declared once, and every entry of a list means one of them.

use betty_schema::{Edges, Graph, did_you_mean, suggestion};
use indexmap::IndexMap;
use proc_macro2::{TokenStream, TokenTree};
use syn::Ident;
use syn::ext::IdentExt;

use crate::ast::{Call, Level, Program, Setting, ValueKind};
use crate::report::Report;

/// What else a name in the place of a number may be.
const NO_CONSTANT: &str =
    "; a constant is written in capital letters, a number known only at run time goes into the config";

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
    /// The levels that learn numbers of each level's optimizers, and the first setting in which each stands.
    pub(super) hyperparameters: Vec<Vec<(Entry<'a>, &'a Setting)>>,
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
            hyperparameters: Vec::new(),
            sound: Vec::new(),
            incomplete: program.lost_level || program.lost_edge,
        };
        for (index, level) in program.levels.iter().enumerate() {
            let errors = report.count();
            let owner = Owner { index, name: level.name.unraw().to_string(), program };
            let mut upper = links.list(&owner, &level.upper, &names, "", report);
            let lower = links.list(&owner, &level.lower, &names, "", report);
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
            let start = links.list(&owner, from, &names, "", report).pop();
            links.start.push(start);
            let hyperparameters = links.hyperparameters(&owner, level, &names, report);
            links.hyperparameters.push(hyperparameters);
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
        let numbers = |list: &Vec<(Entry<'_>, &Setting)>| list.iter().map(|(entry, _)| entry.level).collect();
        let hyperparameters = self.hyperparameters.iter().map(numbers).collect();
        Graph::new(Edges { upper: indices(&self.upper), lower: indices(&self.lower), start, hyperparameters })
    }

    /// The levels that learn numbers of the optimizers of a level, in order of declaration.
    fn hyperparameters(
        &mut self,
        owner: &Owner<'_>,
        level: &'a Level,
        names: &IndexMap<String, usize>,
        report: &mut Report,
    ) -> Vec<(Entry<'a>, &'a Setting)> {
        let mut found: Vec<(Entry<'a>, &'a Setting)> = Vec::new();
        for (setting, level) in level.optimizers().flat_map(Call::learned) {
            let otherwise = if matches!(setting.value.kind, ValueKind::Word(_)) { NO_CONSTANT } else { "" };
            let entries = self.list(owner, std::slice::from_ref(level), names, otherwise, report);
            let is_new = |entry: &Entry<'_>| found.iter().all(|(known, _)| known.level != entry.level);
            let new: Vec<Entry<'a>> = entries.into_iter().filter(is_new).collect();
            found.extend(new.into_iter().map(|entry| (entry, setting)));
        }
        // A setting that could not be read, or that no optimizer has, may have named a level.
        let may_name_level = |setting: &Setting| match setting.value.kind {
            ValueKind::Parameters { .. } => true,
            ValueKind::Word(_) | ValueKind::Other => mentions(setting.value.tokens.clone(), names),
            ValueKind::Integer(_) | ValueKind::Float(_) | ValueKind::Flag(_) | ValueKind::Constant => false,
        };
        let is_lost = |call: &Call| {
            let is_known = |setting: &Setting| {
                call.is_own_value(setting) || call.learned().any(|(known, _)| std::ptr::eq(known, setting))
            };
            call.incomplete || call.settings.iter().any(|setting| !is_known(setting) && may_name_level(setting))
        };
        self.incomplete |= level.optimizers().any(is_lost);
        found.sort_by_key(|(entry, _)| entry.level);
        found
    }

    /// The levels that a list names. `otherwise` is added where no name is like a level's.
    fn list(
        &mut self,
        owner: &Owner<'_>,
        list: &'a [Ident],
        names: &IndexMap<String, usize>,
        otherwise: &str,
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
                    let meant_or = meant.map_or_else(|| otherwise.to_owned(), |meant| did_you_mean(Some(meant)));
                    report.error(token, format!("no level named `{name}`{meant_or}"));
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

/// Whether a level's name is among the tokens.
fn mentions(tokens: TokenStream, names: &IndexMap<String, usize>) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(word) => names.contains_key(&word.unraw().to_string()),
        TokenTree::Group(group) => mentions(group.stream(), names),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}

/// The level whose list is being resolved.
struct Owner<'a> {
    index: usize,
    name: String,
    program: &'a Program,
}

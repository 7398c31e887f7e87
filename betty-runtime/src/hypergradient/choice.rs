//! The method that a configuration names.

use std::rc::Rc;

use super::preconditioned::{Krylov, Preconditioned};
use super::{Evolution, Forward, ForwardGradient, HypergradientMethod, Mode, NextStep, Preconditioning, Sama};
use crate::config::{HypergradientConfig, for_systems};

/// The numbers of a method that looks at the linear system of a best response, and the method with these numbers.
pub(super) trait Configured {
    /// The method.
    fn method(&self) -> Rc<dyn HypergradientMethod>;

    /// The same, if it can be preconditioned.
    fn krylov(&self) -> Option<Rc<dyn Krylov>> {
        None
    }
}

impl HypergradientConfig {
    /// The method with these numbers; none for one that the program gives, that looks at the level's next step, or that
    /// goes through its last ones.
    #[must_use]
    pub fn build(&self) -> Option<Rc<dyn HypergradientMethod>> {
        for_systems!(self, config => config.method())
    }

    /// The method with these numbers and a preconditioner; none for one that applies none.
    #[must_use]
    pub fn build_preconditioned(&self, preconditioner: Rc<dyn Preconditioning>) -> Option<Rc<dyn HypergradientMethod>> {
        let method = for_systems!(self, config => config.krylov())??;
        Some(Rc::new(Preconditioned { method, preconditioner }))
    }

    /// Whether the method looks at the step that the level would take next.
    #[must_use]
    pub fn looks_at_next_step(&self) -> bool {
        matches!(self, Self::Sama(_))
    }

    /// The method that looks at this step.
    #[must_use]
    pub fn build_on(&self, step: Rc<dyn NextStep>) -> Option<Rc<dyn HypergradientMethod>> {
        match self {
            Self::Sama(c) => Some(Rc::new(Sama { step, perturbation: c.perturbation })),
            _ => None,
        }
    }

    /// How the method goes through the steps of the level, `unroll` of which are taken for a step above, if it does.
    #[must_use]
    pub fn mode(&self, unroll: usize) -> Option<Mode> {
        Some(match *self {
            Self::Unrolled(ref c) => Mode::Reverse { unroll, truncate: c.truncate, memory: c.memory },
            Self::Forward(ref c) => Mode::Forward(Rc::new(Forward { limit: c.limit })),
            Self::ForwardGradient(ref c) => {
                Mode::Forward(Rc::new(ForwardGradient { directions: c.directions, seed: c.seed }))
            }
            Self::Evolution(ref c) => {
                Mode::Replay { directions: Rc::new(Evolution { pairs: c.pairs, seed: c.seed }), distance: c.sigma }
            }
            _ => return None,
        })
    }

    /// Whether the program gives the method.
    #[must_use]
    pub fn is_given(&self) -> bool {
        matches!(self, Self::Custom(_))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use betty_schema::{METHODS, Way};

    use super::HypergradientConfig;

    fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder of sources").map(|entry| entry.expect("an entry").path()) {
            if entry.is_dir() {
                if entry.file_name().is_none_or(|name| name != "tests") {
                    rust_files(&entry, found);
                }
            } else if entry.extension().is_some_and(|ending| ending == "rs") {
                found.push(entry);
            }
        }
    }

    fn names(text: &str, word: &str) -> bool {
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        code.flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_')).any(|of| of == word)
    }

    /// Whether the program itself, and not its tests or comments, has the name as a text of its own.
    fn quotes(text: &str, name: &str) -> bool {
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let mut lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        lines.any(|line| line.contains(&format!("\"{name}\"")))
    }

    /// The names of methods stand in their rows and in their own files, so that one more is known wherever the others are. A
    /// reference is called as the method is that it takes, and a preconditioner as what it is made of.
    #[test]
    fn no_method_is_known_by_name() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
        let mut files = Vec::new();
        for member in ["betty-schema", "betty-macros", "betty-runtime"] {
            rust_files(&root.join(member).join("src"), &mut files);
        }
        let others = ["methods.rs", "preconditioners.rs", "reference.rs"];
        let is_test = |file: &Path| file.ends_with("execute/solved.rs");
        files.retain(|file| !is_test(file) && others.iter().all(|other| !file.ends_with(other)));
        let texts: Vec<String> = files.iter().map(|file| fs::read_to_string(file).expect("text")).collect();
        for row in METHODS.rows.iter().filter(|row| row.way != Way::Given) {
            let all = files.iter().zip(&texts);
            let naming: Vec<&PathBuf> = all.filter(|(_, text)| quotes(text, row.name)).map(|(file, _)| file).collect();
            let is_own = |file: &Path| file.parent().is_some_and(|folder| folder.ends_with("hypergradient"));
            assert!(
                naming.len() <= 1 && naming.iter().all(|file| is_own(file)),
                "`{}` is known to {naming:?}",
                row.name
            );
        }
    }

    #[test]
    fn a_method_needs_symmetry_as_its_row_says() {
        let mut built = 0;
        for row in METHODS.rows {
            let config: HypergradientConfig = row.name.parse().expect("a row of the table");
            let Some(method) = config.build() else { continue };
            assert_eq!((method.name(), method.needs_symmetry()), (row.name, row.needs_symmetry));
            built += 1;
        }
        assert!(built >= 9, "only {built} methods are there");
    }

    /// What CONTRIBUTING promises: besides its row, its config is named in the solver's own file and nowhere else.
    #[test]
    fn a_solver_is_a_row_and_a_file() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
        let mut files = Vec::new();
        for member in ["betty-schema", "betty-macros", "betty-runtime"] {
            rust_files(&root.join(member).join("src"), &mut files);
        }
        let texts: Vec<(PathBuf, String)> =
            files.into_iter().map(|file| (file.clone(), fs::read_to_string(file).expect("text"))).collect();
        let solvers: Vec<_> = METHODS.rows.iter().filter(|row| row.way.looks_at_system()).collect();
        assert!(solvers.len() >= 9);
        for row in solvers {
            let naming: Vec<&Path> =
                texts.iter().filter(|(_, text)| names(text, &row.config())).map(|(file, _)| file.as_path()).collect();
            let [file] = naming[..] else { panic!("`{}` is named in {naming:?}", row.config()) };
            assert!(file.starts_with(root.join("betty-runtime/src/hypergradient")), "{}", file.display());
            let tables = texts.iter().filter(|(_, text)| text.contains("static METHODS"));
            let rows = tables.filter(|(_, text)| text.contains(&format!("name: \"{}\"", row.name))).count();
            assert_eq!(rows, 1, "`{}`", row.name);
        }
    }
}

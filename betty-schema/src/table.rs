//! The shape of the tables: a family of names, each with options.

use crate::range::Range;

/// A field whose value is a name with options, and the names it knows.
pub struct Family {
    /// What one of the names is called in a sentence.
    pub noun: &'static str,
    /// What several are called.
    pub nouns: &'static str,
    /// The key of a JSON object that holds the name.
    pub tag: &'static str,
    /// Completes "… must be" for JSON that is no such object.
    pub expected: &'static str,
    /// The heading of the manual's column of formulas.
    pub column: &'static str,
    /// The enum of the runtime that holds the choice.
    pub config: &'static str,
    /// The trait of the user's own values in a program, and how one is written; empty where there are none.
    pub own: (&'static str, &'static str),
    /// Whether levels above can learn its numbers.
    pub learnable: bool,
    /// One row for each name, in the order in which errors and the manual list them.
    pub rows: &'static [Row],
}

impl Family {
    /// The row of that name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&'static Row> {
        self.rows.iter().find(|row| row.name == name)
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.rows.iter().map(|row| row.name)
    }
}

/// One name of a family: a method, an optimizer, a solver, a projection.
pub struct Row {
    /// The name, in programs and in JSON.
    pub name: &'static str,
    /// The variant of [`Family::config`], and the start of the name of the struct inside it, whose fields are the options.
    pub variant: &'static str,
    /// What it is, in a few words.
    pub title: &'static str,
    /// What it computes, as the manual's table says it.
    pub formula: &'static str,
    /// What else the struct's documentation says: why, when, and from where; may be empty.
    pub about: &'static str,
    /// For a method: what it looks at.
    pub way: Way,
    /// For a method or a preconditioner: whether it is right only for a symmetric matrix.
    pub needs_symmetry: bool,
    /// The options, in the order of the struct's fields.
    pub options: &'static [Opt],
}

/// What a row says of columns that are for others.
pub(crate) const PLAIN: Row = Row {
    name: "",
    variant: "",
    title: "",
    formula: "",
    about: "",
    way: Way::Plain,
    needs_symmetry: false,
    options: &[],
};

impl Row {
    /// The option of that name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&'static Opt> {
        self.options.iter().find(|option| option.name == name)
    }

    /// The names of all options.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.options.iter().map(|option| option.name)
    }

    /// The struct that holds the options.
    #[must_use]
    pub fn config(&self) -> String {
        format!("{}Config", self.variant)
    }
}

/// What a method looks at to push a cotangent through a best response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Nothing: the row is no method.
    Plain,
    /// The linear system that the best response solves.
    System,
    /// That system, in its Krylov space: a preconditioner can make that smaller.
    Krylov,
    /// That system too, but its answer is not the solution, however much it is allowed: another matrix stands in the place of
    /// its own.
    Approximation,
    /// The same, with gradients of the loss in the place of products with the matrix.
    Gradients,
    /// The step that the level's optimizer would take next.
    NextStep,
    /// What the user's own method looks at, a value in the program.
    Given,
    /// The level's own steps, each kept and differentiated in reverse.
    Reverse,
    /// The level's own steps, with tangents that are carried along.
    Tangents,
    /// The level's own steps, taken again from displaced parameters above.
    Replays,
}

impl Way {
    /// Whether the method is shown the linear system of the best response.
    #[must_use]
    pub fn looks_at_system(self) -> bool {
        self.solves_system() || matches!(self, Self::Approximation | Self::Gradients)
    }

    /// Whether the method solves that system, as exactly as it is allowed to.
    #[must_use]
    pub fn solves_system(self) -> bool {
        matches!(self, Self::System | Self::Krylov)
    }

    /// Whether the method goes through the level's own steps, and so sees where they begin and what they are projected to.
    #[must_use]
    pub fn goes_through_steps(self) -> bool {
        matches!(self, Self::Reverse | Self::Tangents | Self::Replays)
    }
}

/// An option of a method, an optimizer or a projection.
#[derive(Clone, Copy)]
pub struct Opt {
    /// The name.
    pub name: &'static str,
    /// What it accepts.
    pub range: Range,
    /// As Rust and JSON both write it; an option without a default has to be given.
    pub default: Option<&'static str>,
    /// What it says, in one line.
    pub meaning: &'static str,
    /// What of it a device computes with.
    pub seen: Seen,
    /// Whether it decides where an optimizer's steps come to rest, so that a best response depends on it.
    pub at_rest: bool,
}

/// What of a number a device computes with, and so what has to fit into a level's float type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nothing: it stays on the host.
    Nothing,
    /// The number.
    Number,
    /// The number and its square.
    Square,
    /// The number and its inverse.
    Inverse,
}

impl Opt {
    pub(crate) const fn required(name: &'static str, range: Range, meaning: &'static str) -> Self {
        Self { name, range, default: None, meaning, seen: Seen::Number, at_rest: false }
    }

    pub(crate) const fn new(name: &'static str, range: Range, default: &'static str, meaning: &'static str) -> Self {
        Self { name, range, default: Some(default), meaning, seen: Seen::Number, at_rest: false }
    }

    /// It decides where steps come to rest.
    pub(crate) const fn at_rest(mut self) -> Self {
        self.at_rest = true;
        self
    }

    /// The device sees this of the number.
    pub(crate) const fn seen(mut self, seen: Seen) -> Self {
        self.seen = seen;
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::{FAMILIES, Given};

    #[test]
    fn names_are_given_once_and_defaults_lie_in_their_ranges() {
        let mut names = BTreeSet::new();
        for (family, row) in FAMILIES.into_iter().flat_map(|family| family.rows.iter().map(move |row| (family, row))) {
            assert!(names.insert((family.noun, row.name)), "`{}` has two rows", row.name);
            let mut options = BTreeSet::new();
            for option in row.options {
                assert!(options.insert(option.name), "`{}` has two options `{}`", row.name, option.name);
                let Some(text) = option.default else { continue };
                let value = match (text.parse(), text.parse(), text.parse()) {
                    (Ok(integer), _, _) => Given::Integer(integer),
                    (_, Ok(number), _) => Given::Number(number),
                    (_, _, Ok(flag)) => Given::Flag(flag),
                    _ => Given::Word(text),
                };
                assert!(option.range.accepts(value), "`{}` of `{}` is {text}", option.name, row.name);
            }
        }
    }
}

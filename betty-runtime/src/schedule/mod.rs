//! The fixed order in which a program's levels take their steps, and what each hypergradient passes through.

mod check;
#[cfg(test)]
mod tests;

use std::fmt::{self, Display, Formatter, Write};

pub use check::ScheduleError;

/// The graph of a program and all orders that follow from it: constant data, computed by `multilevel!`.
///
/// Levels are numbered in order of declaration, uppermost first. `Display` prints the schedule for people,
/// [`to_dot`](Self::to_dot) and [`to_mermaid`](Self::to_mermaid) for tools that draw graphs.
///
/// One *iteration* advances every root. To *advance* a level is to advance each of its lower levels, in order, until
/// that level has taken `unroll` steps since this one's last step, and then to take one step with the direct gradient
/// and what the [`sweep`](LevelSpec::sweep) adds to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The program's name.
    pub name: &'static str,
    /// The levels, in order of declaration.
    pub levels: &'static [LevelSpec],
    /// The levels nobody waits for, in order of declaration.
    pub roots: &'static [usize],
}

/// One level of a [`Schedule`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelSpec {
    /// The level's name.
    pub name: &'static str,
    /// The type of the level's parameters, as written in the program.
    pub module: &'static str,
    /// The type of the level's batches, as written in the program.
    pub batch: &'static str,
    /// The path of the level's loss, as written in the program.
    pub loss: &'static str,
    /// The path of the map whose fixed point the level's answer is, as written in the program, if it is one.
    pub condition: Option<&'static str>,
    /// The path of the function that follows each step of the level, as written in the program, if one does.
    pub after_step: Option<&'static str>,
    /// The levels whose current parameters the loss reads, in the order of its arguments.
    pub upper: &'static [usize],
    /// The levels whose best responses the loss reads, in the order of its arguments.
    pub lower: &'static [usize],
    /// The level whose parameters this one can start from, if the program names one.
    pub start: Option<usize>,
    /// The levels whose parameters can be numbers of this one's optimizer, in order of declaration.
    pub hyperparameters: &'static [usize],
    /// The levels whose best responses answer to this one, in the order in which its hypergradient passes through them: a
    /// stop comes after the stops of its own sweep. Empty if the gradient is only direct.
    pub sweep: &'static [Through],
}

/// One stop of a hypergradient: solve the best-response system of `level` for the cotangents that have arrived, and
/// send the products on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Through {
    /// The level whose best response is differentiated.
    pub level: usize,
    /// Where the cotangents go, in order of declaration: the levels that the best response of `level` depends on, as far
    /// as they are stops of the sweep or the level that the sweep belongs to.
    pub into: &'static [usize],
}

impl Schedule {
    /// The number of the level of that name.
    #[must_use]
    pub fn level(&self, name: &str) -> Option<usize> {
        self.levels.iter().position(|level| level.name == name)
    }

    /// Whether the hypergradient of any level passes through this one, so that it needs a method.
    #[must_use]
    pub fn is_passed(&self, level: usize) -> bool {
        self.levels.iter().flat_map(|of| of.sweep).any(|stop| stop.level == level)
    }

    /// The levels in whose parameters the loss of `level` is differentiated for its gradient: its own, and those of the levels
    /// below that it reads and that answer to it.
    #[must_use]
    pub fn differentiates(&self, level: usize) -> Vec<usize> {
        let spec = &self.levels[level];
        let stops = spec.sweep.iter().map(|stop| stop.level).filter(|stop| spec.lower.contains(stop));
        std::iter::once(level).chain(stops).collect()
    }

    /// The levels that the best response of `level` is differentiated in, in order of declaration.
    #[must_use]
    pub fn reached_from(&self, level: usize) -> Vec<usize> {
        let passes = self.levels.iter().flat_map(|of| of.sweep).filter(|stop| stop.level == level);
        let mut reached: Vec<usize> = passes.flat_map(|stop| stop.into.iter().copied()).collect();
        reached.sort_unstable();
        reached.dedup();
        reached
    }

    /// Whether level `above` waits for level `lower`, or for one that does.
    pub(crate) fn waits_for(&self, above: usize, lower: usize) -> bool {
        let (mut is_seen, mut open) = (vec![false; self.levels.len()], vec![above]);
        while let Some(level) = open.pop() {
            for &below in self.levels[level].lower {
                if !std::mem::replace(&mut is_seen[below], true) {
                    open.push(below);
                }
            }
        }
        is_seen[lower]
    }

    /// Whether the best response of `level` is part of the total gradient of `above`.
    #[must_use]
    pub fn answers_to(&self, level: usize, above: usize) -> bool {
        self.levels.get(above).is_some_and(|above| above.sweep.iter().any(|stop| stop.level == level))
    }

    /// Whether the hypergradient of `of` passes through `level` and through a level that `level` answers to, so that it takes
    /// second derivatives of how `level` answers.
    #[must_use]
    pub fn is_nested(&self, level: usize, of: usize) -> bool {
        self.answers_to(level, of) && self.levels[of].sweep.iter().any(|stop| self.answers_to(level, stop.level))
    }

    /// The graph in the DOT language of Graphviz: a solid edge leads from a level to a lower level that it waits for,
    /// a dashed one to an upper level that it reads, a dotted one to a level that it starts from or that learns numbers of its
    /// optimizer.
    #[must_use]
    pub fn to_dot(&self) -> String {
        let mut text = format!("digraph {} {{\n", self.name);
        for level in self.levels {
            text += &format!("    \"{0}\" [label=\"{0}\\n{1}\"];\n", level.name, level.module);
        }
        for level in self.levels {
            for &lower in level.lower {
                let lower = self.name_of(lower);
                text += &format!("    \"{}\" -> \"{lower}\" [label=\"lower\"];\n", level.name);
            }
            if let Some(start) = level.start {
                let (name, start) = (level.name, self.name_of(start));
                text += &format!("    \"{name}\" -> \"{start}\" [label=\"start\", style=dotted];\n");
            }
            for &from in level.hyperparameters {
                let (name, from) = (level.name, self.name_of(from));
                text += &format!("    \"{name}\" -> \"{from}\" [label=\"optimizer\", style=dotted];\n");
            }
            for &upper in level.upper {
                let (name, upper) = (level.name, self.name_of(upper));
                text += &format!("    \"{name}\" -> \"{upper}\" [label=\"upper\", style=dashed];\n");
            }
        }
        text + "}\n"
    }

    /// The graph as a Mermaid flowchart, with edges as in [`to_dot`](Self::to_dot).
    #[must_use]
    pub fn to_mermaid(&self) -> String {
        let mut text = "flowchart TD\n".to_owned();
        for (index, level) in self.levels.iter().enumerate() {
            // Mermaid reads labels as HTML.
            let module = level.module.replace('<', "#lt;").replace('>', "#gt;");
            text += &format!("    L{index}[\"{}: {module}\"]\n", level.name);
        }
        for (index, level) in self.levels.iter().enumerate() {
            for lower in level.lower {
                text += &format!("    L{index} -->|lower| L{lower}\n");
            }
            if let Some(start) = level.start {
                text += &format!("    L{index} -.->|start| L{start}\n");
            }
            for from in level.hyperparameters {
                text += &format!("    L{index} -.->|optimizer| L{from}\n");
            }
            for upper in level.upper {
                text += &format!("    L{index} -.->|upper| L{upper}\n");
            }
        }
        text
    }

    fn name_of(&self, level: usize) -> &'static str {
        self.levels.get(level).map_or("?", |level| level.name)
    }

    fn names_of(&self, levels: &[usize]) -> String {
        levels.iter().map(|&level| self.name_of(level)).collect::<Vec<_>>().join(", ")
    }

    /// Writes how a level advances, one line a level and two columns a depth.
    fn write_advance(&self, f: &mut Formatter<'_>, level: usize, depth: usize) -> fmt::Result {
        let Some(spec) = self.levels.get(level) else {
            return Ok(());
        };
        write!(f, "{:1$}{2}", "", 2 * depth, spec.name)?;
        if !spec.lower.is_empty() {
            f.write_str(", after")?;
        }
        f.write_char('\n')?;
        spec.lower.iter().try_for_each(|&lower| self.write_advance(f, lower, depth + 1))
    }
}

impl Display for Schedule {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.name)?;
        for level in self.levels {
            let arguments = [level.upper, level.lower].concat();
            let mut arguments = self.names_of(&arguments);
            if !arguments.is_empty() {
                arguments += ", ";
            }
            writeln!(
                f,
                "  {}: {}, minimizes {}({}, {arguments}{})",
                level.name, level.module, level.loss, level.name, level.batch
            )?;
        }
        writeln!(f, "one iteration steps")?;
        self.roots.iter().try_for_each(|&root| self.write_advance(f, root, 1))?;
        for level in self.levels.iter().filter(|level| !level.sweep.is_empty()) {
            writeln!(f, "hypergradient of {}", level.name)?;
            for stop in level.sweep {
                writeln!(f, "  {} -> {}", self.name_of(stop.level), self.names_of(stop.into))?;
            }
        }
        Ok(())
    }
}

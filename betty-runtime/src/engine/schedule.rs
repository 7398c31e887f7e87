//! The fixed order in which a program's levels take their steps, and what each hypergradient passes through.

use std::fmt::{self, Display, Formatter, Write};

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

    /// The levels that the best response of `level` is differentiated in, in order of declaration.
    #[must_use]
    pub fn reached_from(&self, level: usize) -> Vec<usize> {
        let passes = self.levels.iter().flat_map(|of| of.sweep).filter(|stop| stop.level == level);
        let mut reached: Vec<usize> = passes.flat_map(|stop| stop.into.iter().copied()).collect();
        reached.sort_unstable();
        reached.dedup();
        reached
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

    /// A level whose best response depends on that of `level` and the other way round, below a common level.
    #[must_use]
    pub fn peer(&self, level: usize) -> Option<usize> {
        self.levels.iter().find_map(|of| {
            let position = of.sweep.iter().position(|stop| stop.level == level)?;
            let before = of.sweep[..position].iter().find(|stop| of.sweep[position].into.contains(&stop.level));
            let after = || of.sweep[position..].iter().find(|stop| stop.into.contains(&level));
            Some(before.or_else(after)?.level)
        })
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

#[cfg(test)]
mod tests {
    use super::{LevelSpec, Schedule, Through};

    const fn level(
        name: &'static str,
        upper: &'static [usize],
        lower: &'static [usize],
        sweep: &'static [Through],
    ) -> LevelSpec {
        LevelSpec {
            name,
            module: "Net",
            batch: "Images",
            loss: "loss",
            upper,
            lower,
            start: None,
            hyperparameters: &[],
            sweep,
        }
    }

    const fn through(level: usize, into: &'static [usize]) -> Through {
        Through { level, into }
    }

    const CHAIN: Schedule = Schedule {
        name: "Chain",
        levels: &[
            level("top", &[], &[1, 2], &[through(2, &[1]), through(1, &[0])]),
            level("middle", &[0], &[2], &[through(2, &[1])]),
            level("bottom", &[1], &[], &[]),
        ],
        roots: &[0],
    };

    const DIAMOND: Schedule = Schedule {
        name: "Diamond",
        levels: &[
            level("top", &[], &[1, 2, 3], &[through(3, &[1, 2]), through(2, &[0, 1]), through(1, &[0, 2])]),
            level("left", &[0], &[3], &[through(3, &[1])]),
            level("right", &[0], &[3], &[through(3, &[2])]),
            level("bottom", &[1, 2], &[], &[]),
        ],
        roots: &[0],
    };

    const TWO_UPPERS: Schedule = Schedule {
        name: "TwoUppers",
        levels: &[
            level("a", &[], &[2], &[through(2, &[0])]),
            level("b", &[], &[2], &[through(2, &[1])]),
            level("net", &[0, 1], &[], &[]),
        ],
        roots: &[0, 1],
    };

    const TWO_LOWERS: Schedule = Schedule {
        name: "TwoLowers",
        levels: &[
            level("top", &[], &[1, 2], &[through(2, &[0]), through(1, &[0])]),
            level("a", &[0], &[], &[]),
            level("b", &[0], &[], &[]),
        ],
        roots: &[0],
    };

    #[test]
    fn levels_are_found_by_name() {
        assert_eq!(CHAIN.level("bottom"), Some(2));
        assert_eq!(CHAIN.level("nowhere"), None);
    }

    #[test]
    fn only_passed_levels_need_a_method() {
        assert!(!CHAIN.is_passed(0));
        assert!(CHAIN.is_passed(1));
        assert!(CHAIN.is_passed(2));
    }

    #[test]
    fn a_chain_prints_its_order_and_its_sweeps() {
        assert_eq!(
            CHAIN.to_string(),
            "Chain
  top: Net, minimizes loss(top, middle, bottom, Images)
  middle: Net, minimizes loss(middle, top, bottom, Images)
  bottom: Net, minimizes loss(bottom, middle, Images)
one iteration steps
  top, after
    middle, after
      bottom
    bottom
hypergradient of top
  bottom -> middle
  middle -> top
hypergradient of middle
  bottom -> middle
"
        );
    }

    #[test]
    fn a_diamond_prints_both_sides() {
        let text = DIAMOND.to_string();
        let (_, order) = text.split_once("one iteration").expect("the order is printed");
        assert_eq!(
            order,
            " steps
  top, after
    left, after
      bottom
    right, after
      bottom
    bottom
hypergradient of top
  bottom -> left, right
  right -> top, left
  left -> top, right
hypergradient of left
  bottom -> left
hypergradient of right
  bottom -> right
"
        );
    }

    #[test]
    fn every_root_is_printed() {
        let text = TWO_UPPERS.to_string();
        let (_, order) = text.split_once("one iteration").expect("the order is printed");
        assert_eq!(
            order,
            " steps
  a, after
    net
  b, after
    net
hypergradient of a
  net -> a
hypergradient of b
  net -> b
"
        );
    }

    #[test]
    fn dot_shows_both_kinds_of_edges() {
        assert_eq!(
            TWO_LOWERS.to_dot(),
            "digraph TwoLowers {
    \"top\" [label=\"top\\nNet\"];
    \"a\" [label=\"a\\nNet\"];
    \"b\" [label=\"b\\nNet\"];
    \"top\" -> \"a\" [label=\"lower\"];
    \"top\" -> \"b\" [label=\"lower\"];
    \"a\" -> \"top\" [label=\"upper\", style=dashed];
    \"b\" -> \"top\" [label=\"upper\", style=dashed];
}
"
        );
    }

    #[test]
    fn a_level_that_learns_numbers_is_shown() {
        const NET: LevelSpec = LevelSpec { hyperparameters: &[0], ..level("net", &[], &[], &[]) };
        const TUNED: Schedule =
            Schedule { name: "Tuned", levels: &[level("rates", &[], &[1], &[through(1, &[0])]), NET], roots: &[0] };
        assert!(TUNED.to_dot().contains("    \"net\" -> \"rates\" [label=\"optimizer\", style=dotted];\n"));
        assert!(TUNED.to_mermaid().contains("    L1 -.->|optimizer| L0\n"));
    }

    #[test]
    fn mermaid_shows_both_kinds_of_edges() {
        assert_eq!(
            TWO_LOWERS.to_mermaid(),
            "flowchart TD
    L0[\"top: Net\"]
    L1[\"a: Net\"]
    L2[\"b: Net\"]
    L0 -->|lower| L1
    L0 -->|lower| L2
    L1 -.->|upper| L0
    L2 -.->|upper| L0
"
        );
    }
}

//! Numbers of a level's optimizer that other levels learn: which tensors they are made of, and how.

use burn::tensor::{DType, Device};

use super::error::EngineError;
use super::level::Level;
use super::selection;
use crate::config::{self, Learned, LevelConfig, Transform};
use crate::derivatives::{Input, LevelAbove, Variable};
use crate::execute::{ReadError, Value, Vector};
use crate::graph::{Graph, GraphError, NodeId, accumulator};
use crate::hypergradient::Blocks;
use crate::linalg::InnerProductSpace;
use crate::schedule::Schedule;
use crate::trace::{Leaf, LevelModule};

/// The learned numbers of one level.
#[derive(Default)]
pub(super) struct LearnedNumbers {
    /// The tensors they are made of, each once.
    sources: Vec<Source>,
    /// In the order in which the optimizer has them.
    numbers: Vec<Number>,
    /// The levels that learn them.
    levels: Vec<LevelAbove>,
}

/// A parameter of another level.
pub(super) struct Source {
    pub(super) level: usize,
    /// Its place among all tensors of the level.
    pub(super) leaf: usize,
    /// Its place among the parameters of the level.
    pub(super) parameter: usize,
    shape: Vec<usize>,
    dtype: DType,
}

struct Number {
    option: &'static str,
    /// `level.optimizer.option`
    place: String,
    optimizer: &'static str,
    written: Learned,
    /// What it is for each parameter of the level.
    parts: Vec<Part>,
}

/// What a number is for one parameter.
#[derive(Clone, Copy)]
enum Part {
    /// All of a source: one number, or one for every entry.
    Whole(usize),
    /// An entry of a source that is a vector.
    Entry { source: usize, entry: usize },
}

impl LearnedNumbers {
    /// Looks the parameters up that numbers of the optimizer of level number `level` are made of.
    pub(super) fn find(
        schedule: &Schedule,
        level: usize,
        configs: &[&LevelConfig],
        modules: &[&dyn LevelModule],
    ) -> Result<Self, EngineError> {
        let mut found = LearnedNumbers::default();
        let (name, config) = (schedule.levels[level].name, configs[level]);
        for (option, written) in config.optimizer.learned() {
            // The config was held against the schedule.
            let Some(from) = schedule.level(&written.level) else { continue };
            let place = format!("{name}.optimizer.{option}");
            let (_, own) = selection::chosen(name, modules[level], config)?;
            let (numbers, leaves) = selection::chosen(&written.level, modules[from], configs[from])?;
            let lies_there = |leaf: &Leaf| {
                written.path.is_empty() || leaf.paths().any(|path| selection::lies_in(path, &written.path))
            };
            let chosen: Vec<usize> = (0..leaves.len()).filter(|&index| lies_there(&leaves[index])).collect();
            let shapes: Vec<Vec<usize>> = chosen.iter().map(|&index| leaves[index].value.shape()).collect();
            let Some(parts) = arrange(&shapes, &own) else {
                return Err(EngineError::LearnedMismatch {
                    place,
                    number: written.to_string(),
                    found: describe_choice(&leaves, &chosen, written, modules[from].leaves().iter().any(lies_there)),
                    level: name.into(),
                    wanted: listed(name, &own),
                });
            };
            let sources: Vec<usize> =
                chosen.iter().map(|&index| found.source(from, index, &numbers, &leaves)).collect();
            let parts = parts.into_iter().map(|part| match part {
                Part::Whole(index) => Part::Whole(sources[index]),
                Part::Entry { source, entry } => Part::Entry { source: sources[source], entry },
            });
            let (optimizer, written) = (config.optimizer.name(), written.clone());
            found.numbers.push(Number { option, place, optimizer, written, parts: parts.collect() });
        }
        Ok(found)
    }

    /// The number of a source, which is added if it is new.
    fn source(&mut self, level: usize, parameter: usize, numbers: &[usize], leaves: &[Leaf]) -> usize {
        if !self.levels.iter().any(|known| known.level == level) {
            let like = leaves.iter().map(|leaf| (leaf.value.shape(), leaf.value.dtype()));
            let parameters = numbers.iter().zip(like).map(|(&leaf, (shape, dtype))| (leaf, shape, dtype));
            self.levels.push(LevelAbove { level, parameters: parameters.collect() });
        }
        let leaf = numbers[parameter];
        let known = self.sources.iter().position(|source| (source.level, source.leaf) == (level, leaf));
        known.unwrap_or_else(|| {
            let (shape, dtype) = (leaves[parameter].value.shape(), leaves[parameter].value.dtype());
            self.sources.push(Source { level, leaf, parameter, shape, dtype });
            self.sources.len() - 1
        })
    }

    /// A number that no transform keeps in its range has to begin there, and one that a transform does must not be rounded out
    /// of it: neither by the type of what it is made of, nor by `dtype`, in which the steps are computed.
    pub(super) fn check_first_values(&self, levels: &[Level], dtype: DType) -> Result<(), EngineError> {
        for number in &self.numbers {
            for part in &number.parts {
                let Source { level, leaf, dtype: made_in, .. } = self.sources[part.source()];
                for given in levels[level].leaves[leaf].to_vec()? {
                    let value = config::rounded(number.written.transform.value(given), made_in);
                    let value = config::rounded(value, dtype);
                    let is_lost = !value.is_finite() || (value == 0.0 && given != 0.0);
                    let lost = "a number that is neither zero nor infinite in the float types of both levels";
                    let found = match number.written.transform {
                        _ if is_lost => Err((value, lost)),
                        Transform::Identity => config::accepts(number.optimizer, number.option, given)
                            .map_err(|expected| (given, expected)),
                        _ => Ok(()),
                    };
                    found.map_err(|(value, expected)| {
                        let (place, number) = (number.place.clone(), number.written.to_string());
                        EngineError::LearnedOutOfRange { place, number, value, expected }
                    })?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn sources(&self) -> impl Iterator<Item = &Source> {
        self.sources.iter()
    }

    /// Shapes and types of the sources.
    pub(super) fn like(&self) -> impl Iterator<Item = (&[usize], DType)> {
        self.sources.iter().map(|source| (source.shape.as_slice(), source.dtype))
    }

    /// What the sources are to a graph of several steps.
    pub(super) fn inputs(&self) -> impl Iterator<Item = Input> {
        self.sources.iter().map(|source| Input::Leaf { level: source.level, index: source.leaf })
    }

    /// The levels that the sources belong to.
    pub(super) fn levels(&self) -> &[LevelAbove] {
        &self.levels
    }

    /// Which of the numbers is the learning rate.
    pub(super) fn learning_rate(&self) -> Option<usize> {
        self.numbers.iter().position(|number| number.option == "lr")
    }

    /// Adds the numbers for one parameter of the level, given the nodes of the sources.
    pub(super) fn of_parameter(
        &self,
        graph: &mut Graph,
        sources: &[NodeId],
        parameter: usize,
    ) -> Result<Vec<NodeId>, GraphError> {
        let node = |number: &Number| {
            let part = number.parts[parameter];
            let source = sources[part.source()];
            // In 32 bits at least, like the step.
            let wide = graph.cast(source, accumulator(graph.dtype(source)))?;
            let all = number.written.transform.apply(graph, wide)?;
            match part {
                Part::Whole(_) => Ok(all),
                Part::Entry { entry, .. } => graph.narrow(all, 0, entry, entry + 1),
            }
        };
        self.numbers.iter().map(node).collect()
    }

    /// The mean of the learned learning rates, if they are learned.
    pub(super) fn mean_rate(&self, values: &[Value]) -> Result<Option<f64>, ReadError> {
        let Some(number) = self.learning_rate().map(|index| &self.numbers[index]) else { return Ok(None) };
        let mut sources: Vec<usize> = number.parts.iter().map(|part| part.source()).collect();
        sources.dedup();
        let (mut sum, mut count) = (0.0, 0);
        for source in sources {
            let entries = values[source].to_vec()?;
            count += entries.len();
            sum += entries.into_iter().map(|x| number.written.transform.value(x)).sum::<f64>();
        }
        Ok(Some(sum / count as f64))
    }

    /// The tangents of the sources, whose values these are, along a direction of the levels above.
    pub(super) fn along(&self, values: &[Value], direction: &Blocks) -> Vec<Value> {
        let tangent = |(source, value): (&Source, &Value)| match direction.get(Variable::Level(source.level)) {
            Some(block) => block.0[source.parameter].clone(),
            None => Value::zeros(&source.shape, source.dtype, &value.device()),
        };
        self.sources.iter().zip(values).map(tangent).collect()
    }

    /// The sources, whose values these are, with the parameters of the levels above moved by `factor · by`.
    pub(super) fn displaced(&self, values: &[Value], factor: f64, by: &Blocks) -> Vec<Value> {
        let mut moved = Vector(values.to_vec());
        moved.add_scaled(factor, &Vector(self.along(values, by)));
        moved.0
    }

    /// Adds a cotangent of the sources to those of the levels that they belong to, as far as they are wanted.
    pub(super) fn send(&self, cotangent: &Vector, into: &[Variable], sent: &mut Blocks) {
        if cotangent.0.is_empty() {
            return;
        }
        let device: Device = cotangent.0[0].device();
        for above in self.levels.iter().filter(|above| into.contains(&Variable::Level(above.level))) {
            let zeros = above.parameters.iter().map(|(_, shape, dtype)| Value::zeros(shape, *dtype, &device));
            let mut block: Vec<Value> = zeros.collect();
            let parts = self.sources.iter().zip(&cotangent.0).filter(|(source, _)| source.level == above.level);
            parts.for_each(|(source, part)| block[source.parameter] = part.clone());
            sent.add(Variable::Level(above.level), 1.0, Vector(block));
        }
    }
}

impl Part {
    fn source(self) -> usize {
        match self {
            Self::Whole(source) | Self::Entry { source, .. } => source,
        }
    }
}

/// What tensors of these shapes are for each of the parameters, if they fit.
fn arrange(shapes: &[Vec<usize>], parameters: &[Leaf]) -> Option<Vec<Part>> {
    let count = parameters.len();
    let each = || (0..count).map(Part::Whole).collect();
    match shapes {
        [one] if *one == [1] => Some(vec![Part::Whole(0); count]),
        all if all.len() == count && all.iter().zip(parameters).all(|(shape, like)| *shape == like.value.shape()) => {
            Some(each())
        }
        all if all.len() == count && all.iter().all(|shape| *shape == [1]) => Some(each()),
        [one] if *one == [count] => Some((0..count).map(|entry| Part::Entry { source: 0, entry }).collect()),
        _ => None,
    }
}

/// `` `net.weight` [4, 5] and `net.bias` [5] ``
fn listed<'a>(level: &str, leaves: impl IntoIterator<Item = &'a Leaf>) -> String {
    let of = |leaf: &Leaf| {
        let dot = if leaf.path.is_empty() { "" } else { "." };
        format!("`{level}{dot}{}` {:?}", leaf.path, leaf.value.shape())
    };
    let mut names: Vec<String> = leaves.into_iter().map(of).collect();
    let last = names.pop().unwrap_or_default();
    if names.is_empty() { last } else { format!("{} and {last}", names.join(", ")) }
}

/// What there is at the path of a learned number, or what there is elsewhere; `stands_still` if something is there that is
/// not trained.
fn describe_choice(leaves: &[Leaf], chosen: &[usize], written: &Learned, stands_still: bool) -> String {
    if chosen.is_empty() && stands_still {
        let level = &written.level;
        format!("what is there stands still in `{level}`, which trains {}", listed(level, leaves))
    } else if chosen.is_empty() {
        format!("there is no parameter; there are {}", listed(&written.level, leaves))
    } else {
        format!("that is {}", listed(&written.level, chosen.iter().map(|&leaf| &leaves[leaf])))
    }
}

//! Numbers of a level's optimizer that other levels learn: which tensors they are made of, and how; and what else of the
//! modules a step reads.

use std::ops::Range;

use burn::tensor::{DType, Device};

use crate::config::Learned;
use crate::derivatives::{Input, LevelAbove, Variable};
use crate::execute::{Unread, Value, Vector};
use crate::graph::{Graph, GraphError, NodeId, Op, accumulator};
use crate::hypergradient::Blocks;
use crate::trace::Leaf;

/// The learned numbers of one level.
#[derive(Default)]
pub(crate) struct LearnedNumbers {
    /// The tensors they are made of, each once.
    sources: Vec<LearnedSource>,
    /// Group by group, in the order in which the optimizer has them.
    pub(crate) numbers: Vec<LearnedNumber>,
    /// The levels that learn them.
    levels: Vec<LevelAbove>,
}

/// A parameter of another level.
pub(crate) struct LearnedSource {
    pub(crate) level: usize,
    /// Its place among all tensors of the level.
    pub(crate) leaf: usize,
    /// Its place among the parameters of the level, if it is one.
    pub(crate) parameter: Option<usize>,
    shape: Vec<usize>,
    pub(crate) dtype: DType,
}

/// A number of one of the level's optimizers.
pub(crate) struct LearnedNumber {
    /// The number of the group whose optimizer it is.
    pub(crate) group: usize,
    pub(crate) option: &'static str,
    /// `level.optimizer.option`
    pub(crate) place: String,
    pub(crate) optimizer: &'static str,
    pub(crate) written: Learned,
    /// What it is for each parameter of the group.
    pub(crate) parts: Vec<LearnedPart>,
}

/// What a number is for one parameter.
#[derive(Clone, Copy)]
pub(crate) enum LearnedPart {
    /// All of a source: one number, or one for every entry.
    Whole(usize),
    /// An entry of a source that is a vector.
    Entry { source: usize, entry: usize },
}

impl LearnedNumber {
    /// Adds the number for the parameter at this place, made of a source, or of a step's row of it.
    fn made_of(&self, graph: &mut Graph, source: NodeId, place: usize) -> Result<NodeId, GraphError> {
        // In 32 bits at least, like the step.
        let wide = graph.cast(source, accumulator(graph.dtype(source)))?;
        let all = self.written.transform.apply(graph, wide)?;
        match self.parts[place] {
            LearnedPart::Whole(_) => Ok(all),
            LearnedPart::Entry { entry, .. } => graph.narrow(all, 0, entry, entry + 1),
        }
    }
}

impl LearnedNumbers {
    /// The number of a source, which is added if it is new.
    pub(crate) fn add(&mut self, level: usize, parameter: usize, numbers: &[usize], leaves: &[Leaf]) -> usize {
        if !self.levels.iter().any(|known| known.level == level) {
            let like = leaves.iter().map(|leaf| (leaf.value.shape(), leaf.value.dtype()));
            let parameters = numbers.iter().zip(like).map(|(&leaf, (shape, dtype))| (leaf, shape, dtype));
            self.levels.push(LevelAbove { level, parameters: parameters.collect() });
        }
        self.add_source(level, numbers[parameter], Some(parameter), &leaves[parameter])
    }

    /// The number of a source that is no parameter of its level, which is added if it is new.
    pub(crate) fn add_still(&mut self, level: usize, leaf: usize, like: &Leaf) -> usize {
        self.add_source(level, leaf, None, like)
    }

    fn add_source(&mut self, level: usize, leaf: usize, parameter: Option<usize>, like: &Leaf) -> usize {
        let known = self.sources.iter().position(|source| (source.level, source.leaf) == (level, leaf));
        known.unwrap_or_else(|| {
            let (shape, dtype) = (like.value.shape(), like.value.dtype());
            self.sources.push(LearnedSource { level, leaf, parameter, shape, dtype });
            self.sources.len() - 1
        })
    }

    /// What all numbers are made of.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &LearnedSource> {
        self.sources.iter()
    }

    /// What a part is made of.
    pub(crate) fn made_of(&self, part: LearnedPart) -> &LearnedSource {
        &self.sources[part.source()]
    }

    /// Shapes and types of the sources.
    pub(crate) fn like(&self) -> impl Iterator<Item = (&[usize], DType)> {
        self.sources.iter().map(|source| (source.shape.as_slice(), source.dtype))
    }

    /// What the sources are to a graph of several steps.
    pub(crate) fn inputs(&self) -> impl Iterator<Item = Input> {
        self.sources.iter().map(|source| Input::Leaf { level: source.level, index: source.leaf })
    }

    /// The levels that the sources belong to.
    pub(crate) fn levels(&self) -> &[LevelAbove] {
        &self.levels
    }

    /// The numbers of a group's optimizer.
    fn of_group(&self, group: usize) -> impl Iterator<Item = &LearnedNumber> {
        self.numbers.iter().filter(move |number| number.group == group)
    }

    /// Which of the numbers of a group is the learning rate.
    pub(crate) fn learning_rate(&self, group: usize) -> Option<usize> {
        self.of_group(group).position(|number| number.option == "lr")
    }

    /// Whether a number differs from step to step.
    pub(crate) fn differ_by_step(&self) -> bool {
        self.numbers.iter().any(|number| number.written.by_step)
    }

    /// Adds the numbers for the parameter at this place of a group, given the nodes of the sources, and that of the step's
    /// row where they [differ by step](Self::differ_by_step).
    pub(crate) fn of_parameter(
        &self,
        graph: &mut Graph,
        sources: &[NodeId],
        row: Option<NodeId>,
        group: usize,
        place: usize,
    ) -> Result<Vec<NodeId>, GraphError> {
        let node = |number: &LearnedNumber| {
            let source = sources[number.parts[place].source()];
            let source = match row.filter(|_| number.written.by_step) {
                Some(row) => row_of(graph, source, row)?,
                None => source,
            };
            number.made_of(graph, source, place)
        };
        self.of_group(group).map(node).collect()
    }

    /// Adds one of these numbers; answers which source it is made of. There is none that differs by step.
    pub(super) fn one_of(
        &self,
        graph: &mut Graph,
        sources: &[NodeId],
        group: usize,
        place: usize,
        index: usize,
    ) -> Result<Option<(usize, NodeId)>, GraphError> {
        let Some(number) = self.of_group(group).nth(index).filter(|number| !number.written.by_step) else {
            return Ok(None);
        };
        let source = number.parts[place].source();
        Ok(Some((source, number.made_of(graph, sources[source], place)?)))
    }

    /// What the learned learning rates of the first group are made of, to be read; nothing if they are not learned.
    pub(crate) fn unread_rates(&self, values: &[Value]) -> Vec<Unread> {
        let Some((_, sources)) = self.rates() else { return Vec::new() };
        sources.into_iter().map(|source| Unread::OnDevice(values[source].clone())).collect()
    }

    /// The mean of those rates at each of these rows, from [what was read](Self::unread_rates), if they are learned.
    pub(crate) fn mean_rates(&self, read: &[Vec<f64>], rows: Range<usize>) -> Option<Vec<f64>> {
        let (number, sources) = self.rates()?;
        let read: Vec<_> = sources.into_iter().map(|source| self.sources[source].shape[0]).zip(read).collect();
        let mean = |row: usize| {
            let entries = read.iter().flat_map(|(rows, entries)| match number.written.by_step {
                true => &entries[row * entries.len() / rows..(row + 1) * entries.len() / rows],
                false => entries.as_slice(),
            });
            let (sum, count) =
                entries.fold((0.0, 0), |(sum, count), &x| (sum + number.written.transform.value(x), count + 1));
            sum / f64::from(count)
        };
        Some(rows.map(mean).collect())
    }

    /// The learning rate of the first group, if it is learned, and the sources that it is made of.
    fn rates(&self) -> Option<(&LearnedNumber, Vec<usize>)> {
        let number = self.of_group(0).find(|number| number.option == "lr")?;
        let mut sources: Vec<usize> = number.parts.iter().map(|part| part.source()).collect();
        sources.dedup();
        Some((number, sources))
    }

    /// The tangents of the sources, whose values these are, along a direction of the levels above.
    pub(crate) fn along(&self, values: &[Value], direction: &Blocks) -> Vec<Value> {
        let of = |source: &LearnedSource| Some((direction.get(Variable::Level(source.level))?, source.parameter?));
        let tangent = |(source, value): (&LearnedSource, &Value)| match of(source) {
            Some((block, parameter)) => block.0[parameter].clone(),
            None => Value::zeros(&source.shape, source.dtype, &value.device()),
        };
        self.sources.iter().zip(values).map(tangent).collect()
    }

    /// The sources, whose values these are, with the parameters of the levels above moved by `factor · by`.
    pub(crate) fn displaced(&self, values: &[Value], factor: f64, by: &Blocks) -> Vec<Value> {
        let mut moved = Vector(values.to_vec());
        moved.add_scaled(factor, &Vector(self.along(values, by)));
        moved.0
    }

    /// Adds a cotangent of the sources to those of the levels that they belong to, as far as they are wanted.
    pub(crate) fn send(&self, cotangent: &Vector, into: &[Variable], sent: &mut Blocks) {
        if cotangent.0.is_empty() {
            return;
        }
        let device: Device = cotangent.0[0].device();
        for above in self.levels.iter().filter(|above| into.contains(&Variable::Level(above.level))) {
            let zeros = above.parameters.iter().map(|(_, shape, dtype)| Value::zeros(shape, *dtype, &device));
            let mut block: Vec<Value> = zeros.collect();
            let parts = self.sources.iter().zip(&cotangent.0).filter(|(source, _)| source.level == above.level);
            let parts = parts.filter_map(|(source, part)| Some((source.parameter?, part)));
            parts.for_each(|(parameter, part)| block[parameter] = part.clone());
            sent.add(Variable::Level(above.level), 1.0, Vector(block));
        }
    }
}

/// One row of a tensor, without its first dimension; a row of a vector has shape `[1]`.
fn row_of(graph: &mut Graph, source: NodeId, row: NodeId) -> Result<NodeId, GraphError> {
    let one = graph.push(Op::Select(0), &[source, row])?;
    let shape = shape_of_row(graph.shape(source)).to_vec();
    graph.reshape(one, &shape)
}

/// The shape of a row of a tensor of this shape.
pub(crate) fn shape_of_row(shape: &[usize]) -> &[usize] {
    match shape {
        [] | [_] => &[1],
        [_, row @ ..] => row,
    }
}

impl LearnedPart {
    fn source(self) -> usize {
        match self {
            Self::Whole(source) | Self::Entry { source, .. } => source,
        }
    }
}

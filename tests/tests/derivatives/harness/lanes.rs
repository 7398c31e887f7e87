//! A graph for several inputs at once against the same graph for one input after the other.

use std::collections::HashMap;

use betty_runtime::__private::graph::{Image, dependents, vectorize};
use betty_runtime::execute::{Program, Value};
use betty_runtime::graph::{Graph, NodeId, Op, reachable, vjp};
use burn::tensor::{DType, Device, TensorData};

use super::compare::{close, host};
use super::problem::or_zeros;

/// How many inputs.
const LANES: usize = 3;

/// A computation, and the values of its inputs in every lane.
pub(crate) struct Lanes<'a> {
    graph: &'a Graph,
    /// The inputs, and after them the random draws.
    inputs: Vec<NodeId>,
    /// In groups of which each is one list of numbers.
    outputs: Vec<Vec<NodeId>>,
    values: Vec<Vec<Value>>,
    one: Program,
}

impl<'a> Lanes<'a> {
    /// The first lane has these values; those of the others are made of them.
    pub(crate) fn new(graph: &'a Graph, inputs: &[NodeId], outputs: &[Vec<NodeId>], first: Vec<Value>) -> Self {
        let device = Device::flex();
        let flat = outputs.concat();
        let needed = reachable(graph, &flat);
        let drawn = |id: &NodeId| needed[id.index()] && matches!(graph.node(*id).op, Op::Random { .. });
        let draws: Vec<NodeId> = graph.ids().filter(drawn).collect();
        let draw = Program::new(graph, &[], &draws, &device);
        let values = (0..LANES).map(|lane| {
            let given = first.iter().map(|value| another(value, lane));
            given.chain(draw.run([], lane as u64)).collect()
        });
        let inputs = [inputs, &draws].concat();
        let one = Program::new(graph, &inputs, &flat, &device);
        Lanes { graph, values: values.collect(), outputs: outputs.to_vec(), one, inputs }
    }

    /// Checks all outputs where the inputs that `each` tells differ from lane to lane, and the others do not.
    #[track_caller]
    pub(crate) fn check(&self, case: &str, tolerance: f64, each: impl Fn(usize) -> bool) {
        let each: Vec<bool> = (0..self.inputs.len()).map(each).collect();
        let mut target = Graph::new();
        let (images, values) = self.images(&mut target, &each);
        let outputs = self.vectorized(&mut target, &images, &self.outputs.concat());
        let differing = self.inputs.iter().zip(&each).filter(|(_, each)| **each);
        let depends = dependents(self.graph, &differing.map(|(&input, _)| input).collect::<Vec<_>>());
        for (output, image) in self.outputs.concat().into_iter().zip(&outputs) {
            let differs = matches!(image, Image::Each(_));
            assert_eq!(differs, depends[output.index()], "{case}: {output} of {each:?}");
        }
        let computed = run(&target, &images, &outputs, values);
        for (lane, expected) in self.one_by_one(&each).iter().enumerate() {
            let computed: Vec<Vec<f64>> =
                outputs.iter().zip(&computed).map(|(image, value)| in_lane(*image, value, lane)).collect();
            let (mut computed, mut expected) = (computed.as_slice(), expected.as_slice());
            for (i, group) in self.outputs.iter().enumerate() {
                let what = format!("group {i} in lane {lane} of {each:?}");
                let (left, right) = (take(&mut computed, group.len()), take(&mut expected, group.len()));
                close(case, &what, &left, &right, tolerance);
            }
        }
    }

    /// Checks that the gradient of the sum of a loss in all lanes is the sum of its gradients, with respect to inputs that
    /// all lanes share while the others differ. The outputs are the loss, and its gradients.
    #[track_caller]
    pub(crate) fn check_sum_of_gradients(&self, case: &str, tolerance: f64, shared: &[NodeId]) {
        let each: Vec<bool> = self.inputs.iter().map(|input| !shared.contains(input)).collect();
        let mut target = Graph::new();
        let (images, values) = self.images(&mut target, &each);
        let losses = self.vectorized(&mut target, &images, &self.outputs[0]);
        let sum = target.sum_all(losses[0].node()).unwrap();
        let one = target.full_like(sum, 1.0);
        let at: Vec<NodeId> = images
            .iter()
            .zip(&self.inputs)
            .filter(|(_, of)| shared.contains(of))
            .map(|(image, _)| image.node())
            .collect();
        let gradients = vjp(&mut target, &[(sum, one)], &at).unwrap();
        let gradients: Vec<Image> = or_zeros(&mut target, gradients, &at).into_iter().map(Image::Shared).collect();
        let computed = host(&run(&target, &images, &gradients, values));
        let mut expected = vec![0.0; computed.len()];
        for lane in self.one_by_one(&each) {
            let gradient = lane[self.outputs[0].len()..].concat();
            expected.iter_mut().zip(gradient).for_each(|(sum, part)| *sum += part);
        }
        close(case, "sum of gradients", &computed, &expected, tolerance);
    }

    /// Inputs of `target` that stand for those of the graph, with their values.
    fn images(&self, target: &mut Graph, each: &[bool]) -> (Vec<Image>, Vec<Value>) {
        let image = |(i, &node): (usize, &NodeId)| {
            let (shape, dtype) = (self.graph.shape(node).to_vec(), self.graph.dtype(node));
            if !each[i] {
                return (Image::Shared(target.input(&shape, dtype)), self.values[0][i].clone());
            }
            let shape = [vec![LANES], shape].concat();
            let numbers = self.values.iter().flat_map(|lane| lane[i].to_vec().unwrap()).collect();
            (Image::Each(target.input(&shape, dtype)), value(numbers, shape, dtype))
        };
        self.inputs.iter().enumerate().map(image).unzip()
    }

    fn vectorized(&self, target: &mut Graph, images: &[Image], outputs: &[NodeId]) -> Vec<Image> {
        let images: HashMap<NodeId, Image> = self.inputs.iter().copied().zip(images.iter().copied()).collect();
        vectorize(target, self.graph, outputs, &images, LANES).unwrap()
    }

    /// All outputs, lane by lane.
    fn one_by_one(&self, each: &[bool]) -> Vec<Vec<Vec<f64>>> {
        let lane = |lane: usize| {
            let of = |i: usize| if each[i] { lane } else { 0 };
            let values = (0..self.inputs.len()).map(|i| self.values[of(i)][i].clone());
            self.one.run(values, 0).iter().map(|value| value.to_vec().unwrap()).collect()
        };
        (0..LANES).map(lane).collect()
    }
}

fn run(graph: &Graph, inputs: &[Image], outputs: &[Image], values: Vec<Value>) -> Vec<Value> {
    let nodes = |images: &[Image]| -> Vec<NodeId> { images.iter().map(|image| image.node()).collect() };
    Program::new(graph, &nodes(inputs), &nodes(outputs), &Device::flex()).run(values, 0)
}

fn value(numbers: Vec<f64>, shape: Vec<usize>, dtype: DType) -> Value {
    Value::from_data(TensorData::new(numbers, shape).convert_dtype(dtype), &Device::flex())
}

/// What an input is in another lane: of the same range, and distinct where the first is.
fn another(first: &Value, lane: usize) -> Value {
    let mut numbers = first.to_vec().unwrap();
    if first.dtype().is_float() {
        let by = lane.min(numbers.len());
        numbers.rotate_left(by);
        numbers.iter_mut().for_each(|x| *x *= 1.0 + 1e-3 * lane as f64);
    } else {
        let bound = numbers.iter().copied().fold(0.0, f64::max) + 1.0;
        numbers.iter_mut().for_each(|i| *i = (*i + lane as f64) % bound);
    }
    value(numbers, first.shape(), first.dtype())
}

/// The numbers of an output in one lane.
fn in_lane(image: Image, value: &Value, lane: usize) -> Vec<f64> {
    let numbers = value.to_vec().unwrap();
    match image {
        Image::Shared(_) => numbers,
        Image::Each(_) => {
            let size = numbers.len() / LANES;
            numbers[lane * size..][..size].to_vec()
        }
    }
}

/// The first few lists as one.
fn take(lists: &mut &[Vec<f64>], count: usize) -> Vec<f64> {
    let (first, rest) = lists.split_at(count);
    *lists = rest;
    first.concat()
}

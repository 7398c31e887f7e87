//! Modules whose values depend on nothing but their position, and their recorded losses.

use betty_runtime::__private::graph::products_in;
use betty_runtime::Batch;
use betty_runtime::execute::{Program, Value};
use betty_runtime::graph::{Graph, NodeId, jvp, vjp};
use betty_runtime::trace::{AnyBatch, LevelModule, LossInput, Trace, trace};
use burn::module::{Module, ModuleMapper, Param};
use burn::nn::attention::{MhaInput, MultiHeadAttention, MultiHeadAttentionConfig};
use burn::nn::conv::{
    Conv1d, Conv1dConfig, Conv2d, Conv2dConfig, Conv3d, Conv3dConfig, ConvTranspose2d, ConvTranspose2dConfig,
};
use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::activation::{gelu, log_softmax, softplus};
use burn::tensor::{DType, Device, Tensor, TensorData};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// `count` numbers in ±1.
pub(crate) fn noise(count: usize, seed: u64) -> Vec<f64> {
    let mut random = StdRng::seed_from_u64(seed);
    (0..count).map(|_| random.random_range(-1.0..1.0)).collect()
}

pub(crate) fn tensor<const D: usize>(shape: [usize; D], seed: u64, dtype: DType) -> Tensor<D> {
    let values = noise(shape.iter().product(), seed);
    Tensor::from_data(TensorData::new(values, shape), (&Device::flex(), dtype))
}

struct Draw {
    seed: u64,
    dtype: DType,
}

impl ModuleMapper for Draw {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        self.seed += 1;
        param.map(|old| {
            let shape = old.dims();
            let (base, scale) = match D {
                // The scale of a norm stays near one.
                1 => (1.0, 0.1),
                2 => (0.0, (3.0 / shape[0] as f64).sqrt()),
                _ => (0.0, (3.0 / shape[1..].iter().product::<usize>() as f64).sqrt()),
            };
            tensor(shape, self.seed, self.dtype) * scale + base
        })
    }
}

/// The module with values that keep its layers' outputs near ±1.
pub(crate) fn drawn<M: Module>(module: M, dtype: DType) -> M {
    module.map(&mut Draw { seed: 100, dtype })
}

#[derive(Module, Debug)]
pub(crate) struct Mlp {
    first: Linear,
    second: Linear,
    third: Linear,
}

impl Mlp {
    pub(crate) fn new() -> Self {
        let layer = |from, to| LinearConfig::new(from, to).init(&Device::flex());
        Mlp { first: layer(20, 32), second: layer(32, 24), third: layer(24, 5) }
    }

    pub(crate) fn scores(&self, x: Tensor<2>) -> Tensor<2> {
        self.third.forward(self.second.forward(self.first.forward(x).tanh()).tanh())
    }

    /// Cross-entropy with soft labels.
    pub(crate) fn loss(&self, (x, y): (Tensor<2>, Tensor<2>)) -> Tensor<1> {
        (log_softmax(self.scores(x), 1) * y.abs()).sum_dim(1).mean().neg()
    }
}

pub(crate) fn mlp_batch(dtype: DType) -> (Tensor<2>, Tensor<2>) {
    (tensor([16, 20], 1, dtype), tensor([16, 5], 2, dtype))
}

/// Convolutions with stride, padding, dilation and groups, and back.
#[derive(Module, Debug)]
pub(crate) struct Convolutional {
    down: Conv2d,
    up: ConvTranspose2d,
    rows: Conv1d,
    cube: Conv3d,
}

impl Convolutional {
    pub(crate) fn new() -> Self {
        let device = Device::flex();
        let padding = PaddingConfig2d::Explicit(1, 1, 1, 1);
        Convolutional {
            down: Conv2dConfig::new([4, 6], [3, 3])
                .with_stride([2, 2])
                .with_padding(padding)
                .with_groups(2)
                .init(&device),
            up: ConvTranspose2dConfig::new([6, 4], [3, 3]).with_stride([2, 2]).init(&device),
            rows: Conv1dConfig::new(4, 3, 3).with_dilation(2).init(&device),
            cube: Conv3dConfig::new([1, 2], [2, 2, 2]).init(&device),
        }
    }

    pub(crate) fn loss(&self, x: Tensor<4>) -> Tensor<1> {
        let up = self.up.forward(gelu(self.down.forward(x)));
        let [images, channels, height, width] = up.dims();
        let rows = self.rows.forward(up.clone().tanh().reshape([images, channels, height * width]));
        let cube = self.cube.forward(up.tanh().reshape([images, 1, channels, height, width]));
        softplus(rows, 1.0).mean() + cube.powi_scalar(2).mean()
    }
}

#[derive(Module, Debug)]
pub(crate) struct Attending {
    attention: MultiHeadAttention,
    norm: LayerNorm,
}

impl Attending {
    pub(crate) fn new() -> Self {
        let device = Device::flex();
        Attending {
            attention: MultiHeadAttentionConfig::new(16, 4).with_dropout(0.0).init(&device),
            norm: LayerNormConfig::new(16).init(&device),
        }
    }

    pub(crate) fn loss(&self, x: Tensor<3>) -> Tensor<1> {
        let attended = self.attention.forward(MhaInput::self_attn(x.clone())).context;
        (self.norm.forward(attended + x.clone()) - x).powi_scalar(2).mean()
    }
}

/// A recorded loss where it is evaluated.
pub(crate) struct Recorded {
    pub(crate) trace: Trace,
    point: Vec<Value>,
}

pub(crate) fn record<M: Module + 'static, B: Batch>(
    module: &M,
    batch: &B,
    loss: impl Fn(&M, B) -> Tensor<1>,
) -> Recorded {
    let any = AnyBatch::new(batch.clone());
    let trace = trace("test", &any, |tracer| loss(&tracer.module(0, module), tracer.batch())).unwrap();
    let leaves = module.leaves();
    let value = |source: &LossInput| match *source {
        LossInput::Leaf { index, .. } => leaves[index].value.clone(),
        LossInput::Constant { .. } => unreachable!("no module has plain tensors"),
        LossInput::Batch { index } => any.values()[index].clone(),
    };
    let point = trace.inputs.iter().map(|(source, _)| value(source)).collect();
    Recorded { trace, point }
}

/// Derivatives of a loss as nodes of one graph.
pub(crate) struct Derived {
    pub(crate) graph: Graph,
    inputs: Vec<NodeId>,
    pub(crate) gradient: Vec<NodeId>,
    pub(crate) hvp: Vec<NodeId>,
    pub(crate) mixed: Vec<NodeId>,
    tangents: Vec<Value>,
}

/// A derivative that vanishes is 0.
fn or_zeros(graph: &mut Graph, derivatives: Vec<Option<NodeId>>, like: &[NodeId]) -> Vec<NodeId> {
    derivatives.into_iter().zip(like).map(|(node, &like)| node.unwrap_or_else(|| graph.zeros_like(like))).collect()
}

impl Recorded {
    /// The gradient in the parameters, and second derivatives along a direction whose entries are in ±`length`, with
    /// products in a type.
    pub(crate) fn derived(&self, low: Option<DType>, length: f64) -> Derived {
        let Trace { mut graph, mut loss, inputs, .. } = self.trace.clone();
        let g = &mut graph;
        if let Some(dtype) = low {
            loss = products_in(g, &[loss], dtype).unwrap()[0];
        }
        let of = |leaf: bool| {
            let fits = inputs.iter().filter(|(source, _)| matches!(source, LossInput::Leaf { .. }) == leaf);
            fits.map(|&(_, node)| node).filter(|&node| self.trace.graph.dtype(node).is_float()).collect::<Vec<_>>()
        };
        let (leaves, data) = (of(true), of(false));
        let dtype = g.dtype(loss);
        let seed = g.full(&[1], dtype, 1.0);
        let gradient = vjp(g, &[(loss, seed)], &leaves).unwrap();
        let gradient = or_zeros(g, gradient, &leaves);
        let mut tangents = Vec::with_capacity(leaves.len());
        for &leaf in &leaves {
            let shape = g.shape(leaf).to_vec();
            tangents.push(g.input(&shape, g.dtype(leaf)));
        }
        let moves: Vec<(NodeId, NodeId)> = leaves.iter().copied().zip(tangents.iter().copied()).collect();
        let hvp = jvp(g, &gradient, &moves).unwrap();
        let hvp = or_zeros(g, hvp, &leaves);
        let pairs: Vec<(NodeId, NodeId)> = gradient.iter().copied().zip(tangents.iter().copied()).collect();
        let mixed = vjp(g, &pairs, &data).unwrap().into_iter().flatten().collect();
        let values = leaves.iter().zip(200..).map(|(&leaf, seed)| {
            let values = noise(g.node(leaf).elements(), seed).into_iter().map(|x| x * length).collect::<Vec<_>>();
            Value::from_data(TensorData::new(values, g.shape(leaf).to_vec()).convert_dtype(dtype), &Device::flex())
        });
        let values = values.collect();
        let nodes = inputs.iter().map(|&(_, node)| node).chain(tangents).collect();
        Derived { graph, inputs: nodes, gradient, hvp, mixed, tangents: values }
    }

    /// Gradient, Hessian-vector product and mixed product, each as one list.
    pub(crate) fn numbers(&self, low: Option<DType>, length: f64) -> [Vec<f64>; 3] {
        let derived = self.derived(low, length);
        [&derived.gradient, &derived.hvp, &derived.mixed].map(|nodes| {
            let program = Program::new(&derived.graph, &derived.inputs, nodes, &Device::flex());
            let inputs = self.point.iter().chain(&derived.tangents).cloned();
            program.run(inputs, 0).iter().flat_map(|value| value.to_vec().unwrap()).collect()
        })
    }
}

/// `‖x − y‖ / ‖y‖`
pub(crate) fn apart(x: &[f64], y: &[f64]) -> f64 {
    assert_eq!(x.len(), y.len());
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    norm(&mut x.iter().zip(y).map(|(x, y)| x - y)) / norm(&mut y.iter().copied())
}

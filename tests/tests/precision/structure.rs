//! Which operations of a derivative run in 16 bits: products, casts and views, at every order, and nothing else.

use std::collections::HashSet;

use betty_runtime::__private::derivatives::{Curvature, Lagrangian, Loss, Variable};
use betty_runtime::__private::graph::{expand_products, products_as_given, products_in};
use betty_runtime::graph::{Graph, NodeId, Op, reachable};
use burn::module::Param;
use burn::tensor::{DType, Device, Tensor};

use crate::model::{Attending, Convolutional, Mlp, Recorded, drawn, mlp_batch, record, tensor};

fn recorded() -> [(&'static str, Recorded); 3] {
    let single = DType::F32;
    [
        ("perceptron", record(&drawn(Mlp::new(), single), &mlp_batch(single), |mlp, batch| mlp.loss(batch))),
        (
            "convolutions",
            record(&drawn(Convolutional::new(), single), &tensor([3, 4, 7, 7], 1, single), |net, x| net.loss(x)),
        ),
        ("attention", record(&drawn(Attending::new(), single), &tensor([2, 6, 16], 1, single), |net, x| net.loss(x))),
    ]
}

fn needed<'a>(graph: &'a Graph, outputs: &[NodeId]) -> impl Iterator<Item = NodeId> + use<'a> {
    let needed = reachable(graph, outputs);
    graph.ids().filter(move |id| needed[id.index()])
}

#[test]
fn only_products_are_in_the_low_type() {
    for (name, recorded) in recorded() {
        for low in [DType::BF16, DType::F16] {
            let mut derived = recorded.derived(Some(low), 1.0);
            for outputs in [derived.gradient.clone(), derived.hvp.clone(), derived.mixed.clone()] {
                let expanded = expand_products(&mut derived.graph, &outputs, &[]).unwrap();
                let graph = &derived.graph;
                let mut products = 0;
                let mut casts = HashSet::new();
                for id in needed(graph, &expanded) {
                    let node = graph.node(id);
                    assert!(!matches!(node.op, Op::InType(..)), "{name}");
                    if node.op.is_product() {
                        assert_eq!(node.dtype, low, "{name}: {}", node.op.name());
                        products += 1;
                    } else if node.dtype == low {
                        let is_view = matches!(node.op, Op::Cast(_) | Op::Permute(_) | Op::Reshape(_));
                        assert!(is_view, "{name}: {} in {low:?}", node.op.name());
                    }
                    if node.op == Op::Cast(low) {
                        assert!(casts.insert(node.inputs[0]), "{name}: a tensor is cast twice");
                    }
                }
                assert!(products >= 4, "{name}: {products} products");
                assert!(expanded.iter().zip(&outputs).all(|(&new, &old)| graph.dtype(new) == graph.dtype(old)));
            }
        }
    }
}

#[test]
fn a_derivative_has_as_many_products_as_without() {
    for (name, recorded) in recorded() {
        let count = |low: Option<DType>| {
            let derived = recorded.derived(low, 1.0);
            [&derived.gradient, &derived.hvp, &derived.mixed].map(|outputs| {
                let of = |id: &NodeId| {
                    let op = &derived.graph.node(*id).op;
                    op.is_product() || matches!(op, Op::InType(..))
                };
                needed(&derived.graph, outputs).filter(of).count()
            })
        };
        assert_eq!(count(Some(DType::BF16)), count(None), "{name}");
    }
}

#[test]
fn a_loss_comes_back_as_it_was() {
    for (name, recorded) in recorded() {
        let (mut graph, loss) = (recorded.trace.graph, recorded.trace.loss);
        let low = products_in(&mut graph, &[loss], DType::BF16).unwrap();
        assert_ne!(low, [loss], "{name}");
        assert_eq!(products_as_given(&mut graph, &low).unwrap(), [loss], "{name}");
        // What is in the type already needs no cast.
        assert_eq!(products_in(&mut graph, &[loss], DType::F32).unwrap(), [loss], "{name}");
    }
}

#[test]
fn what_stands_still_is_cast_once_a_point() {
    let matrix = Param::from_tensor(tensor::<2>([6, 3], 1, DType::F32));
    let square = |b: &Param<Tensor<2>>, a: Tensor<2>| a.matmul(b.val()).powi_scalar(2).sum() * 0.5;
    let recorded = record(&matrix, &tensor([4, 6], 2, DType::F32), square);
    let kernels = |low: Option<DType>| {
        let device = Device::flex();
        let mut loss = Loss::new(recorded.trace.clone(), |_| vec![0], &device);
        if let Some(low) = low {
            loss = loss.with_products_in(low).unwrap();
        }
        let mut curvature = Curvature::new(Lagrangian::new(0, &loss, &[]).unwrap(), &device).unwrap();
        let model = [Variable::Level(0)];
        curvature.cost(&model, &model).unwrap().0.kernels
    };
    // Aᵀ·(A·T) casts T, A·T, and both results, but not A.
    assert_eq!(kernels(Some(DType::BF16)), kernels(None) + 4.0);
}

#[test]
fn integers_are_multiplied_as_they_are() {
    let mut graph = Graph::new();
    let x = graph.input(&[2, 2], DType::I64);
    let product = graph.matmul(x, x).unwrap();
    assert_eq!(products_in(&mut graph, &[product], DType::BF16).unwrap(), [product]);
}

#[test]
fn a_product_reads_as_what_it_is() {
    let mut graph = Graph::new();
    let x = graph.input(&[2, 2], DType::F32);
    let product = graph.matmul(x, x).unwrap();
    let low = products_in(&mut graph, &[product], DType::BF16).unwrap()[0];
    assert!(graph.to_string().contains("f32[2, 2] = mat_mul_bf16(%0, %0)"), "{graph}");
    assert_eq!(graph.dtype(low), DType::F32);
}

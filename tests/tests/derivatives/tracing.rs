//! What a trace looks like: fused operations, stopped gradients, random draws.

use std::collections::HashMap;

use betty_runtime::__private::derivatives::{Agreement, Verification};
use betty_runtime::execute::{Program, Value};
use betty_runtime::graph::{NodeId, Op, jvp, reachable, vjp};
use betty_runtime::trace::{AnyBatch, Trace, TraceError, Tracer, stop_gradient, trace};
use burn::module::Param;
use burn::nn::DropoutConfig;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::tensor::activation::{log_softmax, softmax};
use burn::tensor::module::layer_norm;
use burn::tensor::{Bool, DType, Device, Int, Tensor};

use crate::harness::{distance, float, host};

const VALUES: [f64; 6] = [0.3, -0.7, 0.4, 0.9, -0.2, 0.6];

/// A loss of one parameter of shape `[2, 3]`.
fn traced(loss: impl FnOnce(Tensor<2>) -> Tensor<1>) -> Trace {
    let parameter = Param::from_tensor(Tensor::<2>::zeros([2, 3], (&Device::flex(), DType::F64)));
    trace("classifier", &AnyBatch::new(()), |tracer| loss(tracer.module(0, &parameter).val())).unwrap()
}

fn operations(trace: &Trace) -> HashMap<String, usize> {
    let needed = reachable(&trace.graph, &[trace.loss]);
    let mut count = HashMap::new();
    for id in trace.graph.ids().filter(|id| needed[id.index()]) {
        *count.entry(trace.graph.node(id).op.name()).or_insert(0) += 1;
    }
    count
}

/// Burn's backward pass of a quotient multiplies by its inverse in single precision, which a loss may multiply by as well.
#[test]
fn a_quotient_beside_a_product_with_its_rounded_inverse_is_verified() {
    let tenth = f64::from(0.1_f32);
    let losses: [fn(Tensor<2>, f64) -> Tensor<2>; 4] = [
        |x, tenth| x.clone().exp() / 10.0 + x * tenth,
        |x, tenth| x.clone().exp() * tenth + x / 10.0,
        |x, _| x.clone() / 3.0 + x * f64::from(1.0 / 3.0_f32),
        |x, tenth| (x / 10.0).tanh() * tenth / 10.0,
    ];
    for loss in losses {
        let trace = traced(|x| loss(x, tenth).square().sum());
        let value = Value::from_tensor(float(&VALUES, &Device::flex(), DType::F64).reshape([2, 3]));
        let found = Verification::new(&trace, |_| true).unwrap().at(&[value], 0).unwrap();
        assert!(matches!(found, Agreement::Equal { .. }), "{found:?}");
    }
}

/// That of a power multiplies by the exponent, which may be a rounded inverse as well, and is what it is.
#[test]
fn a_quotient_beside_a_power_with_its_rounded_inverse_is_verified() {
    let third = f64::from(1.0 / 3.0_f32);
    let losses: [fn(Tensor<2>, f64) -> Tensor<2>; 4] = [
        // The generalised mean of a layer that pools, beside a mean of three.
        |x, third| (x.clone().abs() + 0.1).powf_scalar(3.0).mean_dim(1).powf_scalar(third).expand([2, 3]) + x / 3.0,
        |x, third| (x.clone() / 3.0).exp() + (x.abs() + 0.5).powf_scalar(third),
        |x, third| ((x.abs() + 0.5) / 3.0).powf_scalar(third),
        |x, third| ((x.abs() + 0.5).powf_scalar(third) / 3.0).powf_scalar(third),
    ];
    for loss in losses {
        let trace = traced(|x| loss(x, third).square().sum());
        assert!(!trace.is_coarse);
        let value = Value::from_tensor(float(&VALUES, &Device::flex(), DType::F64).reshape([2, 3]));
        let found = Verification::new(&trace, |_| true).unwrap().at(&[value], 0).unwrap();
        assert!(matches!(found, Agreement::Equal { .. }), "{found:?}");
    }
}

#[test]
fn softmax_and_its_logarithm_are_recognised() {
    for axis in [0, 1] {
        let logarithm = operations(&traced(|x| log_softmax(x, axis).square().sum()));
        assert!(logarithm.contains_key("log_softmax") && !logarithm.contains_key("exp"), "{logarithm:?}");
        let plain = operations(&traced(|x| softmax(x, axis).square().sum()));
        assert!(plain.contains_key("softmax") && !plain.contains_key("exp"), "{plain:?}");
    }
    // Of a computed value, in a cross-entropy.
    let targets = Tensor::<1, Int>::from_ints([0, 2], &Device::flex());
    let parameter = Param::from_tensor(Tensor::<2>::zeros([2, 3], &Device::flex()));
    let entropy = trace("classifier", &AnyBatch::new(targets), |tracer| {
        let logits = tracer.module(0, &parameter).val().tanh();
        CrossEntropyLossConfig::new().init(&logits.device()).forward(logits, tracer.batch())
    });
    let entropy = operations(&entropy.unwrap());
    assert!(entropy.contains_key("log_softmax") && !entropy.contains_key("exp"), "{entropy:?}");
}

#[test]
fn layer_norm_is_recognised() {
    let ones = |x: &Tensor<2>| Tensor::<1>::ones([3], (&x.device(), DType::F64));
    let norm = operations(&traced(|x| layer_norm(x.clone(), ones(&x), None, 1e-5).square().sum()));
    assert!(norm.contains_key("normalize") && !norm.contains_key("sqrt"), "{norm:?}");
    // Along another dimension, or with something else under the root, it is no layer norm.
    let other = operations(&traced(|x| {
        let centred = x.clone() - x.mean_dim(0);
        (centred.clone() / ((centred.clone() * centred).mean_dim(0) + 1e-5).sqrt()).square().sum()
    }));
    assert!(!other.contains_key("normalize"), "{other:?}");
    let other = operations(&traced(|x| {
        let centred = x.clone() - x.clone().mean_dim(1);
        (centred.clone() / ((centred * x).mean_dim(1) + 1e-5).sqrt()).square().sum()
    }));
    assert!(!other.contains_key("normalize"), "{other:?}");
}

#[test]
fn what_a_loss_computes_has_the_types_of_its_data() {
    // Indices of largest entries are compared with labels, and a mask made here is joined with one from the batch.
    let device = Device::flex();
    let (labels, mask) = (Tensor::<1, Int>::from_ints([2, 0], &device), Tensor::<1>::from_floats([0.0, 1.0], &device));
    let batch = AnyBatch::new((labels, mask.bool()));
    let parameter = Param::from_tensor(Tensor::<2>::zeros([2, 3], (&device, DType::F64)));
    let traced = trace("classifier", &batch, |tracer| {
        let x = tracer.module(0, &parameter).val();
        let (labels, mask) = tracer.batch::<(Tensor<1, Int>, Tensor<1, Bool>)>();
        let right = x.clone().argmax(1).squeeze_dim::<1>(1).equal(labels);
        let counted = right.bool_and(mask).float().cast(DType::F64);
        (x.sum_dim(1).squeeze_dim::<1>(1) * counted).sum()
    });
    let traced = traced.unwrap();
    let inputs: Vec<NodeId> = traced.inputs.iter().map(|&(_, node)| node).collect();
    let program = Program::new(&traced.graph, &inputs, &[traced.loss], &device);
    let values = std::iter::once(Value::from_tensor(float(&VALUES, &device, DType::F64).reshape([2, 3])))
        .chain(batch.values().iter().cloned());
    let sum = program.run(values, 0)[0].to_f64().unwrap();
    assert!((sum - (0.9 - 0.2 + 0.6)).abs() < 1e-12, "{sum}");
}

#[test]
fn placeholders_have_no_value() {
    type Loss = fn(Tensor<2>, Tensor<1>, Tensor<1, Int>) -> Tensor<1>;
    let losses: [Loss; 3] = [
        |x, _, _| x.clone().sum() * x.into_data().iter::<f64>().sum::<f64>(),
        |x, y, _| x.sum() * y.into_data().iter::<f64>().sum::<f64>(),
        |x, _, i| x.sum() * i.into_data().iter::<f64>().sum::<f64>(),
    ];
    let device = Device::flex();
    let parameter = Param::from_tensor(Tensor::<2>::ones([2, 3], &device));
    let batch = AnyBatch::new((Tensor::<1>::ones([2], &device), Tensor::<1, Int>::ones([2], &device)));
    for loss in losses {
        let traced = trace("classifier", &batch, |tracer| {
            let x = tracer.module(0, &parameter).val();
            let (y, i) = tracer.batch();
            loss(x, y, i)
        });
        assert!(matches!(traced, Err(TraceError::ReadsValue { .. })), "zeros stand for no value");
    }
}

#[test]
fn what_only_looks_like_softmax_is_left_alone() {
    // The sum runs over another dimension than the maximum.
    let other_axis = traced(|x| {
        let shifted = x.clone() - x.clone().max_dim(1);
        (shifted.clone().exp() / shifted.exp().sum_dim(0)).square().sum()
    });
    assert!(!operations(&other_axis).contains_key("softmax"));
    // Another maximum.
    let other_maximum = traced(|x| {
        let shifted = x.clone() - (x * 2.0).max_dim(1);
        (shifted.clone() - shifted.exp().sum_dim(1).log()).square().sum()
    });
    assert!(!operations(&other_maximum).contains_key("log_softmax"));
}

/// Our gradient and Burn's, at the same point under the same seed.
fn gradients(mut trace: Trace) -> (Vec<f64>, Vec<f64>) {
    let leaf = trace.inputs[0].1;
    let one = trace.graph.full(&[1], DType::F64, 1.0);
    let ours = vjp(&mut trace.graph, &[(trace.loss, one)], &[leaf]).unwrap()[0].unwrap();
    let program = Program::new(&trace.graph, &[leaf], &[ours, trace.burn_gradients[0].1], &Device::flex());
    let values = program.run([point()], 1);
    (host(&values[..1]), host(&values[1..]))
}

fn point() -> Value {
    Value::from_tensor(float(&VALUES, &Device::flex(), DType::F64).reshape([2, 3]))
}

#[test]
fn half_precision_is_differentiated() {
    for dtype in [DType::F16, DType::BF16] {
        let device = Device::flex();
        let parameter = Param::from_tensor(Tensor::<2>::zeros([2, 3], (&device, dtype)));
        let loss = |tracer: &mut Tracer<'_>| {
            let x = tracer.module(0, &parameter).val();
            (softmax(x.clone(), 1) * x.exp() / 3.0).sum()
        };
        let mut trace = trace("classifier", &AnyBatch::new(()), loss).unwrap();
        let (leaf, g) = (trace.inputs[0].1, &mut trace.graph);
        let (one, tangent) = (g.full(&[1], dtype, 1.0), g.full(&[2, 3], dtype, 1.0));
        let gradient = vjp(g, &[(trace.loss, one)], &[leaf]).unwrap()[0].unwrap();
        let product = jvp(g, &[gradient], &[(leaf, tangent)]).unwrap()[0].unwrap();
        let program = Program::new(g, &[leaf], &[gradient, trace.burn_gradients[0].1, product], &device);
        let point = Value::from_tensor(float(&VALUES, &device, dtype).reshape([2, 3]));
        let values = program.run([point], 1);
        assert!(values.iter().all(|value| value.dtype() == dtype));
        assert!(distance(&host(&values[..1]), &host(&values[1..2])) < 2e-2);
        assert!(host(&values[2..]).iter().all(|x| x.is_finite()));
    }
}

#[test]
fn detach_is_detected_and_stop_gradient_agrees() {
    let (ours, burn) = gradients(traced(|x| (x.clone().exp().detach() * x).sum()));
    assert!(distance(&ours, &burn) > 0.1, "detach leaves no trace in the recording");
    let (ours, burn) = gradients(traced(|x| (stop_gradient(x.clone().exp()) * x).sum()));
    assert!(distance(&ours, &burn) <= 1e-12);
    let expected: Vec<f64> = VALUES.iter().map(|x| x.exp()).collect();
    assert!(distance(&ours, &expected) <= 1e-12);
}

#[test]
fn a_detached_parameter_has_gradient_zero_for_burn_only() {
    // Burn makes a detached leaf another leaf, so the loss is still on the tape.
    let (ours, burn) = gradients(traced(|x| x.detach().exp().sum()));
    assert!(burn.iter().all(|x| *x == 0.0));
    assert!(ours.iter().all(|x| *x != 0.0));
}

#[test]
fn stop_gradient_outside_of_a_loss_is_detach() {
    let device = Device::flex().autodiff();
    let x = Tensor::<1>::from_floats([1.0, 2.0], &device).require_grad();
    let gradients = (stop_gradient(x.clone().exp()) * x.clone()).sum().backward();
    let gradient: Vec<f64> = x.grad(&gradients).unwrap().into_data().iter::<f64>().collect();
    assert!(distance(&gradient, &[1_f64.exp(), 2_f64.exp()]) < 1e-6);
    // Without autodiff it changes nothing.
    let plain = stop_gradient(Tensor::<1>::from_floats([1.0, 2.0], &Device::flex()));
    assert_eq!(plain.into_data().iter::<f64>().collect::<Vec<_>>(), [1.0, 2.0]);
}

#[test]
fn one_seed_draws_one_dropout_mask_for_every_derivative() {
    let mut trace = traced(|x| DropoutConfig::new(0.5).init().forward(x).powi_scalar(3).sum());
    let (leaf, g) = (trace.inputs[0].1, &mut trace.graph);
    let one = g.full(&[1], DType::F64, 1.0);
    let tangent = g.full(&[2, 3], DType::F64, 1.0);
    let gradient = vjp(g, &[(trace.loss, one)], &[leaf]).unwrap()[0].unwrap();
    let product = jvp(g, &[gradient], &[(leaf, tangent)]).unwrap()[0].unwrap();
    let draws = g.ids().filter(|&id| matches!(g.node(id).op, Op::Random { .. })).count();
    assert_eq!(draws, 1);
    let run = |outputs: &[NodeId], seed: u64| -> Vec<Vec<f64>> {
        let program = Program::new(g, &[leaf], outputs, &Device::flex());
        program.run([point()], seed).iter().map(|value| value.to_vec().unwrap()).collect()
    };
    let mut masks = Vec::new();
    for seed in 0..8 {
        // Two programs of one graph, as for a gradient and a Hessian-vector product computed apart.
        let (gradient, product) = (run(&[gradient], seed), run(&[product, trace.burn_gradients[0].1], seed));
        let kept = |values: &[f64]| values.iter().map(|x| *x != 0.0).collect::<Vec<bool>>();
        assert_eq!(kept(&gradient[0]), kept(&product[0]));
        assert!(distance(&gradient[0], &product[1]) <= 1e-12, "Burn's backward pass saw the same mask");
        // x³·8 where kept: the second derivative is 2/x times the first.
        let expected: Vec<f64> = gradient[0].iter().zip(VALUES).map(|(slope, x)| 2.0 * slope / x).collect();
        assert!(distance(&product[0], &expected) <= 1e-12);
        masks.push(kept(&gradient[0]));
    }
    masks.dedup();
    assert!(masks.len() > 1, "other seeds draw other masks");
}

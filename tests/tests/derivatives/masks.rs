//! Rows of scores of which some or all are hidden: a derivative must not be lost in what stands behind the mask.

use betty_runtime::execute::{Program, Value};
use betty_runtime::graph::vjp;
use betty_runtime::trace::{AnyBatch, Trace, trace};
use burn::module::Param;
use burn::nn::attention::{MhaInput, MultiHeadAttentionConfig};
use burn::nn::transformer::{TransformerDecoderConfig, TransformerDecoderInput};
use burn::tensor::activation::{log_softmax, quiet_softmax, softmax};
use burn::tensor::{Bool, DType, Device, Tensor, TensorData};

use crate::harness::{data, flat, given, x};
use crate::modules::flex;

/// True at these places.
fn mask<const D: usize>(shape: [usize; D], at: &[usize], device: &Device) -> Tensor<D, Bool> {
    let places = (0..shape.iter().product()).map(|place| at.contains(&place)).collect::<Vec<bool>>();
    Tensor::from_data(TensorData::new(places, shape), device)
}

/// Scores of three rows: all hidden, one hidden, none hidden.
fn hidden(x: Tensor<2>, with: f32) -> Tensor<2> {
    let places = mask([3, 3], &[0, 1, 2, 4], &x.device());
    x.mask_fill(places, with)
}

cases! {
    // Burn's attention hides with −10⁴, whose negative exponential is infinite in every type.
    quiet_softmax_of_hidden_rows(x([3, 3])) = |a| quiet_softmax(hidden(a.x::<2>(0), -1e4), 1);
    quiet_softmax_of_infinitely_hidden_rows(x([3, 3])) = |a| quiet_softmax(hidden(a.x::<2>(0), f32::NEG_INFINITY), 1);
    quiet_softmax_of_low_scores(given([2, 3], &[-1e4, -1.01e4, -0.99e4, 0.3, -1e4, 0.1])) = |a| quiet_softmax(a.x::<2>(0), 1);
    quiet_softmax_along_the_first_dimension(x([3, 3])) = |a| quiet_softmax(hidden(a.x::<2>(0), -1e4).transpose(), 0);
    quiet_softmax_of_single_scores(given([3, 1], &[-1e4, 0.5, -0.2])) = |a| quiet_softmax(a.x::<2>(0), 1);
    quiet_softmax_by_hand(x([3, 3])) = |a| {
        let x = hidden(a.x::<2>(0), -1e4);
        let max = x.clone().detach().max_dim(1);
        let exponentials = (x - max.clone()).exp();
        exponentials.clone() / ((-max).exp() + exponentials.sum_dim(1))
    };
    softmax_of_hidden_rows(x([3, 3])) = |a| softmax(hidden(a.x::<2>(0), -1e4), 1);
    softmax_with_infinitely_hidden_scores(x([2, 3])) = |a| {
        let x = a.x::<2>(0);
        let places = mask([2, 3], &[1, 3, 5], &x.device());
        softmax(x.mask_fill(places, f32::NEG_INFINITY), 1)
    };
    log_softmax_with_infinitely_hidden_scores(x([2, 3])) = |a| {
        let x = a.x::<2>(0);
        let places = mask([2, 3], &[1, 5], &x.device());
        log_softmax(x.mask_fill(places.clone(), f32::NEG_INFINITY), 1).mask_fill(places, 0.0)
    };
    sum_of_exponentials_by_hand(x([3, 3])) = |a| {
        let x = hidden(a.x::<2>(0), -30.0);
        let max = x.clone().detach().max_dim(1);
        (x - max.clone()).exp().sum_dim(1).log() + max
    };
}

modules! {
    quiet_attention(MultiHeadAttentionConfig::new(4, 2).with_dropout(0.0).with_quiet_softmax(true).init(&flex()); data([2, 3, 4])) = |m, a| {
        m.forward(MhaInput::self_attn(a.data::<3>(0))).context
    };
    quiet_attention_to_padding(MultiHeadAttentionConfig::new(4, 2).with_dropout(0.0).with_quiet_softmax(true).init(&flex()); data([3, 3, 4])) = |m, a| {
        let x = a.data::<3>(0);
        let padding = mask([3, 3], &[0, 1, 2, 5], &x.device());
        m.forward(MhaInput::self_attn(x).mask_pad(padding)).context
    };
    quiet_attention_to_nothing(MultiHeadAttentionConfig::new(4, 2).with_dropout(0.0).with_quiet_softmax(true).with_min_float(f64::NEG_INFINITY).init(&flex()); data([2, 2, 4])) = |m, a| {
        let x = a.data::<3>(0);
        let padding = mask([2, 2], &[0, 1], &x.device());
        m.forward(MhaInput::self_attn(x).mask_pad(padding)).context
    };
    attention_to_padding(MultiHeadAttentionConfig::new(4, 2).with_dropout(0.0).init(&flex()); data([3, 3, 4])) = |m, a| {
        let x = a.data::<3>(0);
        let padding = mask([3, 3], &[0, 1, 2, 5], &x.device());
        m.forward(MhaInput::self_attn(x).mask_pad(padding)).context
    };
    quiet_decoder_of_padding(TransformerDecoderConfig::new(4, 6, 2, 1).with_dropout(0.0).with_quiet_softmax(true).init(&flex()); data([2, 3, 4]), data([2, 2, 4])) = |m, a| {
        let (target, memory) = (a.data::<3>(0), a.data::<3>(1));
        let padding = mask([2, 2], &[0, 1], &target.device());
        m.forward(TransformerDecoderInput::new(target, memory).memory_mask_pad(padding))
    };
}

/// Our gradient and the one that Burn recorded, of a function of three rows that are hidden in part.
fn gradients(f: impl Fn(Tensor<2>) -> Tensor<2>) -> (Vec<f64>, Vec<f64>) {
    let values = TensorData::new(vec![0.3, -0.7, 0.4, 0.9, -0.2, 0.6, 0.1, 0.8, -0.5], [3, 3]);
    let parameter = Param::from_tensor(Tensor::<2>::from_data(values, (&flex(), DType::F64)));
    let traced = trace("classifier", &AnyBatch::new(()), |tracer| f(tracer.module(0, &parameter).val()).square().sum());
    let Trace { mut graph, loss, burn_gradients, .. } = traced.unwrap();
    let &(input, burn) = &burn_gradients[0];
    let seed = graph.full(&[1], DType::F64, 1.0);
    let ours = vjp(&mut graph, &[(loss, seed)], &[input]).unwrap()[0].unwrap();
    let program = Program::new(&graph, &[input], &[ours, burn], &flex());
    let found = program.run([Value::from_tensor(parameter.val())], 0);
    (found[0].to_vec().unwrap(), found[1].to_vec().unwrap())
}

#[test]
fn rows_of_nothing_have_a_derivative_where_burn_has_one() {
    let nothing = f32::NEG_INFINITY;
    // A row of −∞ has no softmax: what is made of it is not a number, in Burn as here, also where it is taken out again.
    for plain in [softmax::<2> as fn(Tensor<2>, i64) -> Tensor<2>, log_softmax] {
        let (ours, burn) = gradients(|x| plain(hidden(x, nothing), 1));
        assert!(ours.iter().zip(&burn).all(|(x, y)| x.is_nan() == y.is_nan()), "{ours:?} {burn:?}");
        assert!(ours[..3].iter().all(|x| !x.is_nan()) || burn[..3].iter().any(|x| x.is_nan()), "{ours:?} {burn:?}");
    }
    // A quiet one has.
    for with in [nothing, -1e4] {
        let (ours, burn) = gradients(|x| quiet_softmax(hidden(x, with), 1));
        assert!(ours.iter().zip(&burn).all(|(x, y)| (x - y).abs() < 1e-14), "{ours:?} {burn:?}");
        assert!(ours[3] != 0.0 && ours[..3] == [0.0; 3], "{ours:?}");
    }
}

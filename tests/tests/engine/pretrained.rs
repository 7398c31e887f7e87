//! Pretrained weights in one level: files of other libraries, read by Burn's store, with a report of what was and was not loaded.

use betty_runtime::nn::{BatchNorm, BatchNormConfig, inference};
use betty_runtime::{Engine, multilevel};
use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use burn_store::{ApplyResult, ModuleSnapshot, PyTorchToBurnAdapter, SafetensorsStore};

#[derive(Module, Debug)]
struct Net {
    body: Linear,
    norm: BatchNorm,
    head: Linear,
}

type Points = (Tensor<2>, Tensor<2>);

fn error(net: &Net, scale: &Param<Tensor<1>>, (x, y): Points) -> Tensor<1> {
    (net.forward(x) - y).square().mean() + scale.val().exp().sum() * net.head.weight.val().square().sum()
}

fn judged(_scale: &Param<Tensor<1>>, net: &Net, (x, y): Points) -> Tensor<1> {
    (net.forward(x) - y).square().mean()
}

multilevel! {
    /// A head on a body that was trained elsewhere, and how strongly it is drawn to zero.
    struct Tuning;

    level scale: Param<Tensor<1>> { lower: [net], batch: Points, loss: judged, optimizer: sgd(lr = 0.1) }
    level net: Net {
        upper: [scale], batch: Points, loss: error, optimizer: sgd(lr = 0.1), freeze: [body], unroll: 2,
        hypergradient: cg(iterations = 3, damping = 0.1),
    }
}

impl Net {
    fn new(device: &Device) -> Self {
        Net {
            body: LinearConfig::new(2, 3).init(device),
            norm: BatchNormConfig::new(3).init(device),
            head: LinearConfig::new(3, 1).init(device),
        }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.head.forward(self.norm.forward(self.body.forward(x)))
    }
}

/// A file as `safetensors.torch.save_file(net.state_dict(), …)` writes it: eight bytes with the length of a header in JSON, the header,
/// and all numbers.
fn file(tensors: &[(&str, &[usize], &[f32])]) -> Vec<u8> {
    let mut end = 0;
    let entries = tensors.iter().map(|(name, shape, values)| {
        let begin = end;
        end += 4 * values.len();
        format!(r#""{name}":{{"dtype":"F32","shape":{shape:?},"data_offsets":[{begin},{end}]}}"#)
    });
    let header = format!("{{{}}}", entries.collect::<Vec<_>>().join(","));
    let numbers = tensors.iter().flat_map(|(_, _, values)| *values).flat_map(|value| value.to_le_bytes());
    (header.len() as u64).to_le_bytes().into_iter().chain(header.into_bytes()).chain(numbers).collect()
}

/// Weights of PyTorch: `fc` maps two numbers to three, a row for each of those; there is no head, but one for other classes.
const WEIGHT: [f32; 6] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
const BIAS: [f32; 3] = [0.5, -0.5, 0.25];
const MEAN: [f32; 3] = [1.0, -1.0, 2.0];
const VARIANCE: [f32; 3] = [4.0, 1.0, 0.25];

fn pretrained() -> Vec<u8> {
    file(&[
        ("fc.weight", &[3, 2], &WEIGHT),
        ("fc.bias", &[3], &BIAS),
        ("norm.weight", &[3], &[2.0, 1.0, 0.5]),
        ("norm.bias", &[3], &[0.0, 1.0, -1.0]),
        ("norm.running_mean", &[3], &MEAN),
        ("norm.running_var", &[3], &VARIANCE),
        ("classes.weight", &[5, 3], &[0.0; 15]),
    ])
}

fn store(bytes: Vec<u8>) -> SafetensorsStore {
    SafetensorsStore::from_bytes(Some(bytes))
        .with_from_adapter(PyTorchToBurnAdapter)
        .with_key_remapping("^fc\\.", "body.")
        .allow_partial(true)
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

fn paths(result: &ApplyResult) -> [Vec<String>; 3] {
    let mut lists =
        [result.applied.clone(), result.missing.iter().map(|(path, _)| path.clone()).collect(), result.unused.clone()];
    lists.iter_mut().for_each(|paths| paths.sort());
    lists
}

#[test]
fn a_level_holds_what_was_loaded_and_the_report_says_what_was_not() {
    let device = Device::flex();
    let mut net = Net::new(&device);
    let result = net.load_from(&mut store(pretrained())).unwrap();
    let [applied, missing, unused] = paths(&result);
    let read = ["body.bias", "body.weight", "norm.beta", "norm.gamma", "norm.running_mean", "norm.running_var"];
    assert_eq!(applied, read);
    assert_eq!(unused, ["classes.weight"]);
    assert_eq!(missing, ["head.bias", "head.weight"]);

    // What PyTorch computes in evaluation: (W·x + b − mean)/√(variance + ε)·γ + β.
    let x = [0.3, -0.2];
    let seen: Vec<f32> = (0..3)
        .map(|row| {
            let body = WEIGHT[2 * row] * x[0] + WEIGHT[2 * row + 1] * x[1] + BIAS[row];
            (body - MEAN[row]) / (VARIANCE[row] + 1e-5).sqrt() * [2.0, 1.0, 0.5][row] + [0.0, 1.0, -1.0][row]
        })
        .collect();
    let point = Tensor::<2>::from_floats([x], &device);
    let found = values(inference(&net.norm).forward(net.body.forward(point)));
    assert!(found.iter().zip(&seen).all(|(found, seen)| (found - seen).abs() < 1e-5), "{found:?}, {seen:?}");

    let points = |shift: f32| {
        let x = Tensor::<2>::from_floats([[0.1, 0.4], [-0.3, 0.2], [0.5, -0.6], [0.0, 0.7]], &device) + shift;
        (x.clone(), x.sum_dim(1))
    };
    let head = values(net.head.weight.val());
    let tuning = Tuning { scale: Param::from_tensor(Tensor::from_floats([-3.0], &device)), net };
    let data = TuningData { scale: points(0.1).into(), net: points(0.0).into() };
    let mut engine = Engine::new(tuning, data, TuningConfig::default()).unwrap();
    engine.run(3).unwrap();
    let trained = &engine.problem().net;
    // The body stands still, in Burn's layout; everything else goes on from where it was loaded.
    assert_eq!(values(trained.body.weight.val()), [1.0, 3.0, 5.0, 2.0, 4.0, 6.0]);
    assert_ne!(values(trained.head.weight.val()), head);
    assert_ne!(values(trained.norm.running_mean.value()), MEAN);

    // Also in the middle of a run: the head stays where it is, the norm goes back.
    let head = values(trained.head.weight.val());
    let mut result = None;
    engine.edit(|now| result = now.net.load_from(&mut store(pretrained())).ok()).unwrap();
    assert_eq!(paths(&result.unwrap()), [applied, missing, unused]);
    let now = &engine.problem().net;
    assert_eq!((values(now.head.weight.val()), values(now.norm.running_mean.value())), (head, MEAN.to_vec()));
    engine.run(1).unwrap();
}

#[test]
fn what_does_not_fit_is_an_error() {
    let mut net = Net::new(&Device::flex());
    let before = values(net.body.weight.val());
    // Without `allow_partial`, nothing may be missing.
    let message = net.load_from(&mut store(pretrained()).allow_partial(false)).unwrap_err().to_string();
    assert!(message.contains("head.weight"), "{message}");
    let mut net = Net::new(&Device::flex());
    let wrong = file(&[("fc.weight", &[2, 2], &[0.0; 4])]);
    let message = net.load_from(&mut store(wrong)).unwrap_err().to_string();
    assert!(message.contains("body.weight"), "{message}");
    assert_ne!(values(net.body.weight.val()), before, "two networks are drawn differently");
}

//! Every activation module of Burn's `nn`, behind a linear layer.

use burn::nn::activation::*;
use burn::nn::*;

use crate::harness::{data, flat};
use crate::modules::flex;

/// One activation a line: `name = module;`
macro_rules! activations {
    ($($name:ident $([$($option:tt)*])? = $activation:expr;)*) => {$(
        #[test]
        fn $name() {
            let options = option!($($($option)*)?);
            let module = (LinearConfig::new(3, 4).init(&flex()), $activation);
            crate::harness::check_module(stringify!($name), &module, &[data([6, 3])], options, |m, a| {
                flat(m.1.forward(m.0.forward(a.data::<2>(0))))
            });
        }
    )*};
}

activations! {
    celu = CeluConfig::new().with_alpha(0.7).init();
    elu = EluConfig::new().with_alpha(0.7).init();
    gelu = Gelu::new();
    gelu_approximate = Gelu::new_approximate();
    glu = GLU::new(1);
    hard_shrink = HardShrinkConfig::new().with_lambda(0.2).init();
    hard_sigmoid [single] = HardSigmoidConfig::new().init();
    hard_swish [single] = HardSwish::new();
    hard_tanh = HardtanhConfig::new().with_min_val(-0.4).with_max_val(0.6).init();
    leaky_relu = LeakyReluConfig::new().with_negative_slope(0.1).init();
    log_sigmoid = LogSigmoid::new();
    mish = Mish::new();
    prelu = PReluConfig::new().with_num_parameters(4).init(&flex());
    prelu_of_one_slope = PReluConfig::new().init(&flex());
    relu = Relu::new();
    relu6 = Relu6::new();
    rrelu [random] = RReluConfig::new().init();
    selu = Selu::new();
    shrink = ShrinkConfig::new().with_lambda(0.2).with_bias(0.1).init();
    sigmoid = Sigmoid::new();
    silu = SiLU::new();
    soft_shrink = SoftShrinkConfig::new().with_lambda(0.2).init();
    softplus = SoftplusConfig::new().init();
    softsign = Softsign::new();
    swiglu = SwiGluConfig::new(4, 3).init(&flex());
    tanh = Tanh::new();
    tanh_shrink = Tanhshrink::new();
    threshold = ThresholdConfig::new(0.1, -0.3).init();
    thresholded_relu = ThresholdedReluConfig::new().with_alpha(0.2).init();
}

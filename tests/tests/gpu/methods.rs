//! Every hypergradient method, in a run of three iterations and at its end.

use betty_runtime::HypergradientConfig;
use betty_schema::METHODS;
use betty_tests::devices::other;
use burn::tensor::Device;

use crate::apart;
use crate::problem::{engine, parameters};

/// A method with numbers that suit the problem: a network's Hessian curves downwards too, which most do not take without damping.
/// Without it, `minres` and `dense` answer what rounding makes of small eigenvalues.
fn method(name: &str) -> HypergradientConfig {
    let mut method: HypergradientConfig = name.parse().unwrap();
    match &mut method {
        HypergradientConfig::Cg(cg) => cg.damping = 1.0,
        HypergradientConfig::Minres(minres) => minres.damping = 1.0,
        HypergradientConfig::Gmres(gmres) => gmres.damping = 1.0,
        HypergradientConfig::Neumann(neumann) => neumann.damping = 1.0,
        HypergradientConfig::Nystrom(nystrom) => nystrom.damping = 1.0,
        HypergradientConfig::Penalty(penalty) => penalty.damping = 1.0,
        HypergradientConfig::Dense(dense) => dense.damping = 1.0,
        _ => {}
    }
    method
}

/// The hypergradient after three iterations, and the parameters there.
fn trained(device: &Device, method: &HypergradientConfig) -> (Vec<f64>, Vec<f64>) {
    let mut engine = engine(device, method);
    engine.run(3).unwrap();
    let gradient = engine.gradient("weights").unwrap().gradient.to_vec().unwrap();
    (gradient, parameters(&mut engine))
}

#[test]
fn every_method_answers_what_it_answers_on_the_cpu() {
    let device = other();
    // The user's own method has no numbers here.
    for name in METHODS.rows.iter().map(|row| row.name).filter(|&name| name != "custom") {
        let method = method(name);
        let (on_cpu, of_cpu) = trained(&Device::flex(), &method);
        let (found, of_device) = trained(&device, &method);
        let (gradient, parameters) = (apart(&found, &on_cpu), apart(&of_device, &of_cpu));
        println!("{name}: hypergradient {gradient:.1e}, parameters {parameters:.1e}");
        // f32 on both; a difference quotient loses half of the digits.
        let is_quotient = matches!(name, "finite_difference" | "penalty" | "sama" | "evolution");
        let tolerance = if is_quotient { 1e-2 } else { 1e-3 };
        assert!(gradient < tolerance && parameters < tolerance, "{name}: {gradient:.1e} {parameters:.1e}");
    }
}

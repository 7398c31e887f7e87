//! The methods that differentiate a best response.
//!
//! Throughout, H is the Hessian of a level's loss at its parameters, δ the damping, and v the cotangent that has
//! arrived at the level. Each method gives an estimate of (H + δI)⁻¹v; the mixed second derivatives then carry it to
//! the levels above. [`IdentityConfig`] and [`FiniteDifferenceConfig`] take H for a multiple of the identity.

use std::str::FromStr;

use betty_schema::METHODS;
use serde::{Deserialize, Serialize};

use super::error::ConfigError;
use super::unknown::unknown_in;

/// A method and its numbers; in JSON `{"method": "cg", "iterations": 20}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "snake_case")]
pub enum HypergradientConfig {
    /// Conjugate gradients.
    Cg(CgConfig),
    /// Minimal residuals.
    Minres(MinresConfig),
    /// Generalised minimal residuals.
    Gmres(GmresConfig),
    /// A truncated Neumann series.
    Neumann(NeumannConfig),
    /// The inverse of an approximation of low rank.
    Nystrom(NystromConfig),
    /// H for the identity, and the mixed product by central differences.
    FiniteDifference(FiniteDifferenceConfig),
    /// Gradients at a penalised copy of the level in the place of second derivatives.
    Penalty(PenaltyConfig),
    /// H for a multiple of the identity.
    Identity(IdentityConfig),
    /// The derivative of the optimizer's step in the place of H⁻¹.
    Sama(SamaConfig),
    /// The whole matrix H, factorized.
    Dense(DenseConfig),
    /// The level's own steps, differentiated in reverse.
    Unrolled(UnrolledConfig),
    /// The level's own steps, differentiated along with them for every upper parameter.
    Forward(ForwardConfig),
    /// The level's own steps, differentiated along with them in random directions.
    ForwardGradient(ForwardGradientConfig),
    /// The level's own steps, taken again from displaced upper parameters.
    Evolution(EvolutionConfig),
    /// The user's own method, which the program names.
    Custom(CustomConfig),
}

impl HypergradientConfig {
    /// The name of the method, as in a program and in JSON.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Cg(_) => "cg",
            Self::Minres(_) => "minres",
            Self::Gmres(_) => "gmres",
            Self::Neumann(_) => "neumann",
            Self::Nystrom(_) => "nystrom",
            Self::FiniteDifference(_) => "finite_difference",
            Self::Penalty(_) => "penalty",
            Self::Identity(_) => "identity",
            Self::Sama(_) => "sama",
            Self::Dense(_) => "dense",
            Self::Unrolled(_) => "unrolled",
            Self::Forward(_) => "forward",
            Self::ForwardGradient(_) => "forward_gradient",
            Self::Evolution(_) => "evolution",
            Self::Custom(_) => "custom",
        }
    }

    /// Which batch of the level the method uses.
    #[must_use]
    pub fn batch(&self) -> LowerBatch {
        match self {
            Self::Cg(config) => config.batch,
            Self::Minres(config) => config.batch,
            Self::Gmres(config) => config.batch,
            Self::Neumann(config) => config.batch,
            Self::Nystrom(config) => config.batch,
            Self::FiniteDifference(config) => config.batch,
            Self::Penalty(config) => config.batch,
            Self::Identity(config) => config.batch,
            Self::Sama(config) => config.batch,
            Self::Dense(config) => config.batch,
            Self::Custom(config) => config.batch,
            // Every step is differentiated on the batch that it was taken on.
            Self::Unrolled(_) | Self::Forward(_) | Self::ForwardGradient(_) | Self::Evolution(_) => LowerBatch::Last,
        }
    }
}

/// The method of that name with its default numbers.
impl FromStr for HypergradientConfig {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, ConfigError> {
        Ok(match name {
            "cg" => Self::Cg(CgConfig::default()),
            "minres" => Self::Minres(MinresConfig::default()),
            "gmres" => Self::Gmres(GmresConfig::default()),
            "neumann" => Self::Neumann(NeumannConfig::default()),
            "nystrom" => Self::Nystrom(NystromConfig::default()),
            "finite_difference" => Self::FiniteDifference(FiniteDifferenceConfig::default()),
            "penalty" => Self::Penalty(PenaltyConfig::default()),
            "identity" => Self::Identity(IdentityConfig::default()),
            "sama" => Self::Sama(SamaConfig::default()),
            "dense" => Self::Dense(DenseConfig::default()),
            "unrolled" => Self::Unrolled(UnrolledConfig::default()),
            "forward" => Self::Forward(ForwardConfig::default()),
            "forward_gradient" => Self::ForwardGradient(ForwardGradientConfig::default()),
            "evolution" => Self::Evolution(EvolutionConfig::default()),
            "custom" => Self::Custom(CustomConfig::default()),
            _ => return Err(unknown_in(&METHODS, "method", name)),
        })
    }
}

/// Conjugate gradients on (H + δI)x = v: exact after as many iterations as H has distinct eigenvalues, and needs
/// H + δI to be positive definite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CgConfig {
    /// The most iterations, one Hessian-vector product each; at least 1, by default 10.
    pub iterations: usize,
    /// Stops once ‖v − (H + δI)x‖ ≤ tolerance·‖v‖; not negative, by default 1e-10; 0 never stops early.
    pub tolerance: f64,
    /// δ, added to the diagonal of H; not negative, by default 0.
    pub damping: f64,
    /// Whether to start from the solution of the step before instead of from 0 (Arbel and Mairal, *AmIGO*, 2022,
    /// arXiv:2111.14580);
    /// by default `false`.
    pub warm_start: bool,
    /// The batch of the level on which H is taken; by default the last.
    pub batch: LowerBatch,
}

impl Default for CgConfig {
    fn default() -> Self {
        Self { iterations: 10, tolerance: 1e-10, damping: 0.0, warm_start: false, batch: LowerBatch::Last }
    }
}

/// Minimal residuals on (H + δI)x = v: the iterate of smallest residual, also where H + δI has eigenvalues of both signs,
/// so that conjugate gradients may break down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MinresConfig {
    /// The most iterations, one Hessian-vector product each; at least 1, by default 10.
    pub iterations: usize,
    /// Stops once ‖v − (H + δI)x‖ ≤ tolerance·‖v‖; not negative, by default 1e-10; 0 never stops early.
    pub tolerance: f64,
    /// δ, added to the diagonal of H; not negative, by default 0.
    pub damping: f64,
    /// Whether to start from the solution of the step before instead of from 0 (Arbel and Mairal, *AmIGO*, 2022,
    /// arXiv:2111.14580);
    /// by default `false`.
    pub warm_start: bool,
    /// The batch of the level on which H is taken; by default the last.
    pub batch: LowerBatch,
}

impl Default for MinresConfig {
    fn default() -> Self {
        Self { iterations: 10, tolerance: 1e-10, damping: 0.0, warm_start: false, batch: LowerBatch::Last }
    }
}

/// Generalised minimal residuals on (H + δI)x = v: the iterate of smallest residual, for conditions whose derivative H
/// is not symmetric as well. Keeps a basis of `restart` vectors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GmresConfig {
    /// The most iterations over all restarts, one product each; at least 1, by default 10. Each restart takes one more.
    pub iterations: usize,
    /// The most vectors of the basis, each of the size of the level's parameters; at least 1, by default 30.
    pub restart: usize,
    /// Stops once ‖v − (H + δI)x‖ ≤ tolerance·‖v‖; not negative, by default 1e-10; 0 stops at rounding errors.
    pub tolerance: f64,
    /// δ, added to the diagonal of H; not negative, by default 0.
    pub damping: f64,
    /// Whether to start from the solution of the step before instead of from 0 (Arbel and Mairal, *AmIGO*, 2022,
    /// arXiv:2111.14580);
    /// by default `false`.
    pub warm_start: bool,
    /// The batch of the level on which H is taken; by default the last.
    pub batch: LowerBatch,
}

impl Default for GmresConfig {
    fn default() -> Self {
        Self { iterations: 10, restart: 30, tolerance: 1e-10, damping: 0.0, warm_start: false, batch: LowerBatch::Last }
    }
}

/// The truncated Neumann series x = s·Σ_{k<K} (I − s(H + δI))ᵏ v: what K steps of gradient descent on the linear system
/// give; converges if s is less than 2 over the largest eigenvalue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NeumannConfig {
    /// K, the number of terms, one Hessian-vector product each but the first; at least 1, by default 10.
    pub terms: usize,
    /// s, the step size; greater than zero, by default 0.1.
    pub step_size: f64,
    /// δ, added to the diagonal of H; not negative, by default 0.
    pub damping: f64,
    /// Whether to start from the solution of the step before instead of from 0 (Arbel and Mairal, *AmIGO*, 2022,
    /// arXiv:2111.14580);
    /// by default `false`.
    pub warm_start: bool,
    /// The batch of the level on which H is taken; by default the last.
    pub batch: LowerBatch,
}

impl Default for NeumannConfig {
    fn default() -> Self {
        Self { terms: 10, step_size: 0.1, damping: 0.0, warm_start: false, batch: LowerBatch::Last }
    }
}

/// x = (Hₖ + δI)⁻¹v for the Nyström approximation Hₖ = HΩ(ΩᵀHΩ)⁻¹ΩᵀH of rank k with random Ω: no iteration that could
/// diverge, and accurate where all but k eigenvalues of H are small against δ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NystromConfig {
    /// k, one Hessian-vector product and up to four vectors of memory each; at least 1, by default 10.
    pub rank: usize,
    /// δ, added to the diagonal of Hₖ, which has no inverse without; greater than zero, by default 1e-2.
    pub damping: f64,
    /// Decides Ω; by default 0.
    pub seed: u64,
    /// The batch of the level on which H is taken; by default the last.
    pub batch: LowerBatch,
}

impl Default for NystromConfig {
    fn default() -> Self {
        Self { rank: 10, damping: 1e-2, seed: 0, batch: LowerBatch::Last }
    }
}

/// Central differences of the upper gradient along v, with H taken for the identity:
/// (∂c/∂λ(θ + εv) − ∂c/∂λ(θ − εv)) / 2ε with ε = perturbation / ‖v‖.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FiniteDifferenceConfig {
    /// How far the parameters are moved, ‖εv‖; greater than zero, by default 1e-2.
    pub perturbation: f64,
    /// The batch of the level on which gradients are taken; by default the last.
    pub batch: LowerBatch,
}

impl Default for FiniteDifferenceConfig {
    fn default() -> Self {
        Self { perturbation: 1e-2, batch: LowerBatch::Last }
    }
}

/// Gradients at two copies of the level in the place of all second derivatives (F2SA: Kwon et al., 2023,
/// arXiv:2301.10945): z = θ minimises c, y minimises c(λ, y) + ⟨v, y⟩/m, and the indirect gradient is
/// m·(∂c/∂λ(λ, y) − ∂c/∂λ(λ, z)), with an error of O(1/m). With y = z − x/m the steps of y are
/// x ← x + s·(v − m·(∇c(z) − ∇c(z − x/m)) − δx), which solve Hx = v as far as c is quadratic between z and y.
///
/// Choose m by how far y moves, ‖x‖/m: little enough that H is about the same there. Rounding needs no thought: y is never
/// looked at closer to z than √u·(1 + ‖θ‖), where u is the machine precision, 1e-7 in single and 2e-16 in double precision.
/// At that distance, which a large m always reaches, rounding costs about √u of the answer, and bias about as much.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PenaltyConfig {
    /// m, how much more the lower loss counts for y than the upper one; greater than zero, by default 100.
    pub multiplier: f64,
    /// K, the steps of y, one gradient each; at least 1, by default 10.
    pub steps: usize,
    /// s, the step size; greater than zero and below 2 over the largest eigenvalue of H + δI, by default 0.1.
    pub step_size: f64,
    /// δ, the weight of ½‖y − z‖², which makes the problem of y convex; not negative, by default 0.
    pub damping: f64,
    /// Whether y starts from where it was relative to z at the step before, instead of from z: few steps are then enough;
    /// by default `true`.
    pub warm_start: bool,
    /// The batch of the level on which gradients are taken; by default the last.
    pub batch: LowerBatch,
}

impl Default for PenaltyConfig {
    fn default() -> Self {
        Self { multiplier: 100.0, steps: 10, step_size: 0.1, damping: 0.0, warm_start: true, batch: LowerBatch::Last }
    }
}

/// x = scale·v: H⁻¹ taken for a multiple of the identity. With the learning rate for `scale` it is one unrolled step of
/// gradient descent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IdentityConfig {
    /// The multiple; greater than zero, by default 1.
    pub scale: f64,
    /// The batch of the level on which the mixed product is taken; by default the last.
    pub batch: LowerBatch,
}

impl Default for IdentityConfig {
    fn default() -> Self {
        Self { scale: 1.0, batch: LowerBatch::Last }
    }
}

/// x = −(∂Φ/∂g)ᵀv, Φ being the step that the level's optimizer would take next, and the mixed product by central
/// differences: exact for one more step, and as cheap as two gradients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SamaConfig {
    /// How far the parameters are moved, ‖εx‖; greater than zero, by default 1e-2.
    pub perturbation: f64,
    /// The batch of the level on which gradients are taken; by default the last.
    pub batch: LowerBatch,
}

impl Default for SamaConfig {
    fn default() -> Self {
        Self { perturbation: 1e-2, batch: LowerBatch::Last }
    }
}

/// The whole matrix H + δI, one product a column, factorized: exact, for few parameters and for checking the other
/// methods.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DenseConfig {
    /// δ, added to the diagonal of H; not negative, by default 0.
    pub damping: f64,
    /// The most parameters for which the matrix is formed; more are refused; at least 1, by default 4096.
    pub limit: usize,
    /// The batch of the level on which H is taken; by default the last.
    pub batch: LowerBatch,
}

impl Default for DenseConfig {
    fn default() -> Self {
        Self { damping: 0.0, limit: 4096, batch: LowerBatch::Last }
    }
}

/// The steps that the level took since the levels above took theirs, differentiated one by one, last one first, through
/// the optimizer's state, clipping and accumulation. Exact for what was computed, whether or not the level has converged.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UnrolledConfig {
    /// How many of the last steps are differentiated; at least 1 and at most the level's `unroll`, by default all.
    #[serde(with = "super::all")]
    pub truncate: Option<usize>,
    /// How many parameter vectors and optimizer states are kept at once; at least 1, by default one for each step. With
    /// fewer (4 at the least), only every so many steps are kept, and those between are taken again, bit for bit, when
    /// they are needed: with 2√K for K steps all of them once more. Batches are kept in any case, and so are all steps of
    /// a level that reads best responses itself.
    #[serde(with = "super::all")]
    pub memory: Option<usize>,
}

/// How the level's parameters move with each upper parameter, carried along with its steps: exact for the steps that were
/// taken, in memory that does not grow with their number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ForwardConfig {
    /// The most upper parameters, one Jacobian-vector product a step and one parameter vector with optimizer states each;
    /// more are refused; at least 1, by default 64.
    pub limit: usize,
}

impl Default for ForwardConfig {
    fn default() -> Self {
        Self { limit: 64 }
    }
}

/// The mean of (v·θ̇ᵤ)u over random directions u of the upper parameters, whose θ̇ᵤ = (∂θ/∂λ)u is carried along with the
/// level's steps: unbiased, in memory that does not grow with the number of steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ForwardGradientConfig {
    /// How many directions with entries ±1, other ones for every step of the levels above; one Jacobian-vector product a
    /// step and one parameter vector with optimizer states each; at least 1, by default 8. The variance falls as 1 over
    /// their number.
    pub directions: usize,
    /// Decides the directions, together with the run's seed; by default 0.
    pub seed: u64,
}

impl Default for ForwardGradientConfig {
    fn default() -> Self {
        Self { directions: 8, seed: 0 }
    }
}

/// The mean of (C(θ(λ + σε)) − C(θ(λ − σε)))/2σ·ε over normal ε, the level's steps being taken again from displaced upper
/// parameters: needs no derivative of the upper loss C.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvolutionConfig {
    /// How many ε, other ones for every step of the levels above; each takes all steps of the level twice more; at least 1,
    /// by default 8. The variance falls as 1 over their number.
    pub pairs: usize,
    /// σ, how far each upper parameter is moved; greater than zero, by default 0.1. What is estimated is the gradient of the
    /// loss smoothed at this width.
    pub sigma: f64,
    /// Decides ε, together with the run's seed; by default 0.
    pub seed: u64,
}

impl Default for EvolutionConfig {
    fn default() -> Self {
        Self { pairs: 8, sigma: 0.1, seed: 0 }
    }
}

/// The user's own [`HypergradientMethod`](crate::HypergradientMethod), a value in the program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CustomConfig {
    /// The batch of the level on which H is taken; by default the last.
    pub batch: LowerBatch,
}

impl Default for CustomConfig {
    fn default() -> Self {
        Self { batch: LowerBatch::Last }
    }
}

/// Which of a lower level's batches a hypergradient through it uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LowerBatch {
    /// The batch of the level's last step.
    #[default]
    Last,
    /// A batch of its own, taken from the level's stream.
    Fresh,
}

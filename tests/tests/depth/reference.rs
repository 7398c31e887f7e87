//! Total gradients of quadratic programs by dense linear algebra.
//!
//! Every level `s` minimises `½ zᵀQ_s z + q_sᵀz` over its own part of `z`, the parameters of all levels in one vector. All
//! total gradients are affine, `g_s = R_s z + r_s`, and their matrices follow from each other, lowest level first: the
//! levels below that answer to `s` solve `g_r = 0` together, which makes their parameters `Y` move by
//! `dY/dθ_s = −G⁻¹K` with `G = (∂g_r/∂Y)`, `K = (∂g_r/∂θ_s)`, and `R_s` is the `θ_s`-part of `Q_s` plus `(dY/dθ_s)ᵀ` times
//! its `Y`-part.

use betty_runtime::Schedule;

type Rows = Vec<Vec<f64>>;

/// A program of quadratic losses.
pub(crate) struct Quadratics {
    pub(crate) sizes: Vec<usize>,
    /// `Q_s`, symmetric, over the parameters of all levels.
    pub(crate) matrices: Vec<Rows>,
    /// `q_s`
    pub(crate) linear: Vec<Vec<f64>>,
}

impl Quadratics {
    /// Random losses: `s` reads the levels that the schedule says, convex enough in its own parameters and coupled to the
    /// others as strongly as said.
    pub(crate) fn random(schedule: &Schedule, sizes: &[usize], coupling: f64, mut random: impl FnMut() -> f64) -> Self {
        let total: usize = sizes.iter().sum();
        let mut program = Quadratics { sizes: sizes.to_vec(), matrices: Vec::new(), linear: Vec::new() };
        for (s, level) in schedule.levels.iter().enumerate() {
            let reads: Vec<usize> = [&[s], level.upper, level.lower].concat();
            let read: Vec<usize> = reads.iter().flat_map(|&of| program.part(of)).collect();
            let mut matrix = vec![vec![0.0; total]; total];
            let mut linear = vec![0.0; total];
            for &i in &read {
                linear[i] = random();
                for &j in &read {
                    let both_own = program.part(s).contains(&i) && program.part(s).contains(&j);
                    let entry = if both_own { 0.3 } else { coupling } * random();
                    matrix[i][j] += entry;
                    matrix[j][i] += entry;
                }
            }
            for i in program.part(s) {
                matrix[i][i] += 4.0;
            }
            program.matrices.push(matrix);
            program.linear.push(linear);
        }
        program
    }

    /// Where the parameters of a level stand among all.
    pub(crate) fn part(&self, level: usize) -> std::ops::Range<usize> {
        let start = self.sizes[..level].iter().sum();
        start..start + self.sizes[level]
    }

    /// The loss of `s` restricted to the parameters of these levels, in this order.
    pub(crate) fn restricted(&self, s: usize, levels: &[usize]) -> (Rows, Vec<f64>) {
        let read: Vec<usize> = levels.iter().flat_map(|&level| self.part(level)).collect();
        let row = |i: &usize| read.iter().map(|&j| self.matrices[s][*i][j]).collect();
        (read.iter().map(row).collect(), read.iter().map(|&i| self.linear[s][i]).collect())
    }

    /// The total gradient of every level at `z`, where the conditions of the levels `partial` are those of their own losses
    /// with their stops standing still.
    pub(crate) fn total_gradients(&self, schedule: &Schedule, partial: &[usize], z: &[f64]) -> Vec<Vec<f64>> {
        let gradients = self.affine(schedule, partial);
        gradients.iter().map(|(r, constant)| (0..r.len()).map(|i| dot(&r[i], z) + constant[i]).collect()).collect()
    }

    /// How the gradient of the loss of `s` by itself changes while the stops of `s` stand still.
    fn own_gradient(&self, schedule: &Schedule, s: usize) -> Rows {
        let mut rows: Rows = self.part(s).map(|i| self.matrices[s][i].clone()).collect();
        for still in schedule.levels[s].sweep.iter().flat_map(|stop| self.part(stop.level)) {
            rows.iter_mut().for_each(|row| row[still] = 0.0);
        }
        rows
    }

    /// `(R_s, r_s)` of every level.
    fn affine(&self, schedule: &Schedule, partial: &[usize]) -> Vec<(Rows, Vec<f64>)> {
        let levels = schedule.levels.len();
        let mut found: Vec<Option<(Rows, Vec<f64>)>> = vec![None; levels];
        while let Some(s) = (0..levels)
            .find(|&s| found[s].is_none() && schedule.levels[s].sweep.iter().all(|stop| found[stop.level].is_some()))
        {
            let stops: Vec<usize> = schedule.levels[s].sweep.iter().map(|stop| stop.level).collect();
            let below: Vec<usize> = stops.iter().flat_map(|&stop| self.part(stop)).collect();
            let condition = |stop: usize| match partial.contains(&stop) {
                true => self.own_gradient(schedule, stop),
                false => found[stop].clone().unwrap().0,
            };
            let conditions: Rows = stops.iter().flat_map(|&stop| condition(stop)).collect();
            let g: Rows = conditions.iter().map(|row| below.iter().map(|&j| row[j]).collect()).collect();
            let mut rows: Rows = Vec::new();
            let mut constants = Vec::new();
            for i in self.part(s) {
                let mut row = self.matrices[s][i].clone();
                let mut constant = self.linear[s][i];
                let right = conditions.iter().map(|condition| -condition[i]).collect();
                for (&y, change) in below.iter().zip(solve(g.clone(), right)) {
                    row.iter_mut().zip(&self.matrices[s][y]).for_each(|(sum, entry)| *sum += change * entry);
                    constant += change * self.linear[s][y];
                }
                rows.push(row);
                constants.push(constant);
            }
            found[s] = Some((rows, constants));
        }
        found.into_iter().map(Option::unwrap).collect()
    }
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

/// Gauss–Jordan elimination with partial pivoting.
pub(crate) fn solve(mut rows: Rows, mut b: Vec<f64>) -> Vec<f64> {
    let n = b.len();
    for k in 0..n {
        let pivot = (k..n).max_by(|&i, &j| rows[i][k].abs().total_cmp(&rows[j][k].abs())).unwrap();
        rows.swap(k, pivot);
        b.swap(k, pivot);
        for i in (0..n).filter(|&i| i != k) {
            let factor = rows[i][k] / rows[k][k];
            let row = rows[k].clone();
            rows[i].iter_mut().zip(row).for_each(|(x, p)| *x -= factor * p);
            b[i] -= factor * b[k];
        }
    }
    (0..n).map(|k| b[k] / rows[k][k]).collect()
}

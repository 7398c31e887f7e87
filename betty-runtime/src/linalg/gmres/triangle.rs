//! The least-squares problem of Arnoldi's process: a Hessenberg matrix, made triangular column by column.

/// The columns so far, and what they leave of the right-hand side.
pub(super) struct Triangle {
    /// The columns of the triangular factor of `H̄`.
    columns: Vec<Vec<f64>>,
    rotations: Vec<Rotation>,
    /// The rotated right-hand side `β·e₁`, without its last entry.
    right: Vec<f64>,
    /// The last entry of the rotated right-hand side: the norm of the residual, but for its sign.
    residual: f64,
    sign: f64,
}

/// A column that is not taken yet, the last entry being its pivot.
pub(super) struct Column {
    entries: Vec<f64>,
    rotation: Rotation,
}

impl Column {
    pub(super) fn pivot(&self) -> f64 {
        self.entries[self.entries.len() - 1]
    }
}

impl Triangle {
    /// Without columns, for a right-hand side of this norm.
    pub(super) fn new(norm: f64) -> Self {
        let (columns, rotations, right) = (Vec::new(), Vec::new(), Vec::new());
        Triangle { columns, rotations, right, residual: norm, sign: 1.0 }
    }

    pub(super) fn len(&self) -> usize {
        self.columns.len()
    }

    /// The norm of the residual.
    pub(super) fn residual(&self) -> f64 {
        self.residual
    }

    /// What the next column becomes, with what stands below its diagonal.
    pub(super) fn turned(&self, mut column: Vec<f64>, below: f64) -> Column {
        for (i, rotation) in self.rotations.iter().enumerate() {
            (column[i], column[i + 1]) = rotation.turn(column[i], column[i + 1]);
        }
        let k = self.len();
        let (rotation, pivot) = Rotation::onto_first(column[k], below);
        column[k] = pivot;
        Column { entries: column, rotation }
    }

    /// Takes a column.
    pub(super) fn push(&mut self, Column { entries, rotation }: Column) {
        let (kept, left) = rotation.turn(self.sign * self.residual, 0.0);
        self.right.push(kept);
        (self.residual, self.sign) = (left.abs(), left.signum());
        self.rotations.push(rotation);
        self.columns.push(entries);
    }

    /// The smallest pivot, with its column.
    pub(super) fn smallest_pivot(&self) -> (usize, f64) {
        let pivots = self.columns.iter().enumerate().map(|(k, column)| (k, column[k]));
        pivots.min_by(|(_, one), (_, other)| one.total_cmp(other)).unwrap_or((0, 0.0))
    }

    /// The coordinates of the smallest residual.
    pub(super) fn solve(self) -> Vec<f64> {
        let mut y = self.right;
        for k in (0..y.len()).rev() {
            y[k] /= self.columns[k][k];
            let (above, last) = y.split_at_mut(k);
            for (entry, factor) in above.iter_mut().zip(&self.columns[k]) {
                *entry -= last[0] * factor;
            }
        }
        y
    }
}

/// A rotation of the plane, by its cosine and sine.
struct Rotation {
    cosine: f64,
    sine: f64,
}

impl Rotation {
    /// The rotation that turns `(x, y)` into `(length, 0)`, and that length.
    fn onto_first(x: f64, y: f64) -> (Self, f64) {
        let length = x.hypot(y);
        if length == 0.0 {
            return (Rotation { cosine: 1.0, sine: 0.0 }, 0.0);
        }
        (Rotation { cosine: x / length, sine: y / length }, length)
    }

    fn turn(&self, x: f64, y: f64) -> (f64, f64) {
        (self.cosine * x + self.sine * y, self.cosine * y - self.sine * x)
    }
}

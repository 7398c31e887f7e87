//! Ranges, windows and convolution geometry inside operations.

/// `start..end` by `step` (positive) along one dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Range {
    /// First index.
    pub start: usize,
    /// One past the last index.
    pub end: usize,
    /// Distance between indices, at least 1.
    pub step: usize,
}

impl Range {
    /// All of a dimension of this size.
    pub fn full(size: usize) -> Self {
        Range { start: 0, end: size, step: 1 }
    }

    /// How many indices the range holds.
    pub fn len(&self) -> usize {
        self.end.saturating_sub(self.start).div_ceil(self.step)
    }

    /// Whether the range holds no index.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Geometry of a convolution over the dimensions after batch and channel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Convolution {
    /// Step of the window in each dimension.
    pub stride: Vec<usize>,
    /// Zeros added before and after in each dimension.
    pub padding: Vec<(usize, usize)>,
    /// Distance between the window's taps in each dimension.
    pub dilation: Vec<usize>,
    /// Number of channel groups that do not mix.
    pub groups: usize,
}

/// Geometry of a pooling window over the dimensions after batch and channel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// Size in each dimension.
    pub kernel: Vec<usize>,
    /// Step in each dimension.
    pub stride: Vec<usize>,
    /// Padding on both sides in each dimension.
    pub padding: Vec<usize>,
    /// Distance between taps in each dimension (max pooling only).
    pub dilation: Vec<usize>,
    /// Whether a last, partial window counts.
    pub ceil: bool,
    /// Whether padding counts in an average.
    pub count_padding: bool,
}

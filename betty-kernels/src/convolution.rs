//! Convolution of up to three dimensions and its two adjoints, each as one product over the windows of the whole batch.

use rayon::prelude::*;

use crate::Number;
use crate::contraction::contract;
use crate::gather::Operand;

/// The sizes of a convolution without groups: `x [batch, inputs, …input]`, `weight [outputs, inputs, …kernel]`, and the result
/// `[batch, outputs, …output]`. Missing dimensions have size 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// Examples.
    pub batch: usize,
    /// Channels of `x`.
    pub inputs: usize,
    /// Channels of the result.
    pub outputs: usize,
    /// Spatial dimensions of `x`.
    pub input: [usize; 3],
    /// Spatial dimensions of the result.
    pub output: [usize; 3],
    /// Dimensions of the window.
    pub kernel: [usize; 3],
    /// Step of the window.
    pub stride: [usize; 3],
    /// Zeros before the first entry.
    pub padding: [usize; 3],
    /// Distance between the window's taps.
    pub dilation: [usize; 3],
}

/// For each dimension.
fn each<T>(f: impl FnMut(usize) -> T) -> [T; 3] {
    std::array::from_fn(f)
}

/// Places of an array's entries: `Σ index·step` over all dimensions, the last one fastest.
fn places<const N: usize>(sizes: [usize; N], steps: [usize; N]) -> Vec<usize> {
    let mut places = vec![0];
    for (size, step) in sizes.into_iter().zip(steps) {
        places = places.iter().flat_map(|&place| (0..size).map(move |index| place + index * step)).collect();
    }
    places
}

/// Steps between entries of an array of channels with these spatial sizes: example, channel, three dimensions.
fn steps(channels: usize, [_, b, c]: [usize; 3], volume: usize) -> [usize; 5] {
    [channels * volume, volume, b * c, c, 1]
}

impl Convolution {
    /// `x * weight`
    ///
    /// # Panics
    /// When the slices are shorter than the sizes say.
    pub fn forward<T: Number>(&self, x: &[T], weight: &[T]) -> Vec<T> {
        T::forward(self, x, weight)
    }

    pub(crate) fn forward_in<T: Number>(&self, x: &[T], weight: &[T]) -> Vec<T> {
        let windows = self.windows();
        let x = windows.padded(x, self.batch * self.inputs, self.input);
        let (pixels, taps) = self.places(&windows);
        let terms = taps.len();
        let rows: Vec<usize> = (0..self.outputs).map(|output| output * terms).collect();
        let summed: Vec<usize> = (0..terms).collect();
        contract(
            Operand { data: weight, free: &rows, summed: &summed },
            Operand { data: &x, free: &pixels, summed: &taps },
            self.output.iter().product(),
        )
    }

    /// The adjoint in `weight`: `Σ over examples and places of cotangent·window of x`.
    ///
    /// # Panics
    /// When the slices are shorter than the sizes say.
    pub fn weight_adjoint<T: Number>(&self, x: &[T], cotangent: &[T]) -> Vec<T> {
        T::weight_adjoint(self, x, cotangent)
    }

    pub(crate) fn weight_adjoint_in<T: Number>(&self, x: &[T], cotangent: &[T]) -> Vec<T> {
        let windows = self.windows();
        let x = windows.padded(x, self.batch * self.inputs, self.input);
        let (pixels, taps) = self.places(&windows);
        let volume: usize = self.output.iter().product();
        let rows: Vec<usize> = (0..self.outputs).map(|output| output * volume).collect();
        let summed = places([self.batch, volume], [self.outputs * volume, 1]);
        contract(
            Operand { data: cotangent, free: &rows, summed: &summed },
            Operand { data: &x, free: &taps, summed: &pixels },
            taps.len(),
        )
    }

    /// The adjoint in `x`: a convolution of the cotangent with the turned weight, for each of the classes of places that meet
    /// the same taps, of which there is one for stride 1.
    ///
    /// # Panics
    /// When the slices are shorter than the sizes say.
    pub fn input_adjoint<T: Number>(&self, weight: &[T], cotangent: &[T]) -> Vec<T> {
        T::input_adjoint(self, weight, cotangent)
    }

    pub(crate) fn input_adjoint_in<T: Number>(&self, weight: &[T], cotangent: &[T]) -> Vec<T> {
        let kernel: usize = self.kernel.iter().product();
        let meetings = each(|d| self.meetings(d));
        let reach = Windows {
            before: each(|d| meetings[d].iter().map(Meeting::before).max().unwrap_or(0)),
            sizes: each(|d| {
                let before = meetings[d].iter().map(Meeting::before).max().unwrap_or(0);
                before + meetings[d].iter().map(Meeting::end).max().unwrap_or(0).max(self.output[d])
            }),
        };
        let cotangent = reach.padded(cotangent, self.batch * self.outputs, self.output);
        let [example, channel, a, b, c] = steps(self.outputs, reach.sizes, reach.sizes.iter().product());
        let rows: Vec<usize> = (0..self.inputs).map(|input| input * kernel).collect();
        let part = |[x, y, z]: [&Meeting; 3]| {
            let of = [x, y, z];
            let pixels = places([self.batch, x.count, y.count, z.count], [example, a, b, c]);
            let mut in_weight = Vec::new();
            let mut in_cotangent = Vec::new();
            for output in 0..self.outputs {
                for &(i, from) in &of[0].taps {
                    for &(j, and) in &of[1].taps {
                        for &(k, to) in &of[2].taps {
                            let tap = (i * self.kernel[1] + j) * self.kernel[2] + k;
                            in_weight.push(output * self.inputs * kernel + tap);
                            let at = |d: usize, shift: isize| shift.saturating_add_unsigned(reach.before[d]) as usize;
                            in_cotangent.push(output * channel + at(0, from) * a + at(1, and) * b + at(2, to) * c);
                        }
                    }
                }
            }
            contract(
                Operand { data: weight, free: &rows, summed: &in_weight },
                Operand { data: &cotangent, free: &pixels, summed: &in_cotangent },
                x.count * y.count * z.count,
            )
        };
        if self.stride == [1; 3] {
            return part(each(|d| &meetings[d][0]));
        }
        let mut out = vec![T::default(); self.batch * self.inputs * self.input.iter().product::<usize>()];
        for x in &meetings[0] {
            for y in &meetings[1] {
                for z in &meetings[2] {
                    // Places that no window has a tap on, such as three of four for a kernel of one tap and stride 2, stay zero.
                    if [x, y, z].iter().all(|meeting| !meeting.taps.is_empty()) {
                        self.spread(&mut out, &part([x, y, z]), [x, y, z]);
                    }
                }
            }
        }
        out
    }

    /// Writes what was computed for one class of places to those places.
    fn spread<T: Number>(&self, out: &mut [T], part: &[T], [x, y, z]: [&Meeting; 3]) {
        let count = x.count * y.count * z.count;
        let volume: usize = self.input.iter().product();
        if count == 0 || volume == 0 {
            return;
        }
        let [_, _, a, b, _] = steps(1, self.input, volume);
        out.par_chunks_mut(volume).zip(part.par_chunks(count)).with_min_len(16).for_each(|(out, part)| {
            let mut part = part.chunks(z.count);
            for i in 0..x.count {
                for j in 0..y.count {
                    let start = (x.first + i * self.stride[0]) * a + (y.first + j * self.stride[1]) * b + z.first;
                    let row = part.next().unwrap_or_default();
                    out[start..].iter_mut().step_by(self.stride[2]).zip(row).for_each(|(out, &value)| *out = value);
                }
            }
        });
    }

    /// Classes of places of `x` in one dimension that meet the same taps, by their remainder on division by the stride.
    fn meetings(&self, d: usize) -> Vec<Meeting> {
        let (stride, padding) = (self.stride[d] as isize, self.padding[d] as isize);
        let class = |first: usize| {
            let taps = (0..self.kernel[d]).filter_map(|tap| {
                let distance = first as isize + padding - (tap * self.dilation[d]) as isize;
                (distance.rem_euclid(stride) == 0).then_some((tap, distance.div_euclid(stride)))
            });
            let count = self.input[d].saturating_sub(first).div_ceil(self.stride[d]);
            Meeting { first, count, taps: taps.collect() }
        };
        (0..self.stride[d]).map(class).collect()
    }

    /// How `x` is laid out for windows: with zeros around it.
    fn windows(&self) -> Windows {
        let reach =
            each(|d| (self.output[d].max(1) - 1) * self.stride[d] + (self.kernel[d].max(1) - 1) * self.dilation[d] + 1);
        Windows { before: self.padding, sizes: each(|d| reach[d].max(self.padding[d] + self.input[d])) }
    }

    /// Where windows begin, and where in a window its entries are.
    fn places(&self, windows: &Windows) -> (Vec<usize>, Vec<usize>) {
        let [example, channel, a, b, c] = steps(self.inputs, windows.sizes, windows.sizes.iter().product());
        let [x, y, z] = self.output;
        let [i, j, k] = each(|d| self.stride[d]);
        let pixels = places([self.batch, x, y, z], [example, a * i, b * j, c * k]);
        let [x, y, z] = self.kernel;
        let [i, j, k] = self.dilation;
        (pixels, places([self.inputs, x, y, z], [channel, a * i, b * j, c * k]))
    }
}

/// Places in one dimension of `x` that meet the same taps of a window.
struct Meeting {
    /// The first of them; the others follow by the stride.
    first: usize,
    count: usize,
    /// A tap, and the place of the result whose window has it on the first.
    taps: Vec<(usize, isize)>,
}

impl Meeting {
    /// How far before the result the places of the result begin.
    fn before(&self) -> usize {
        self.taps.iter().map(|&(_, shift)| (-shift).max(0) as usize).max().unwrap_or(0)
    }

    /// One past the last place of the result.
    fn end(&self) -> usize {
        let last = self.count.max(1) as isize;
        self.taps.iter().map(|&(_, shift)| (shift + last).max(0) as usize).max().unwrap_or(0)
    }
}

/// Spatial sizes with zeros around.
struct Windows {
    before: [usize; 3],
    sizes: [usize; 3],
}

impl Windows {
    /// Planes of these sizes with the zeros around them.
    fn padded<'a, T: Number>(&self, data: &'a [T], planes: usize, from: [usize; 3]) -> std::borrow::Cow<'a, [T]> {
        if from == self.sizes {
            return data.into();
        }
        let (volume, padded): (usize, usize) = (from.iter().product(), self.sizes.iter().product());
        let mut out = vec![T::default(); planes * padded];
        if volume > 0 {
            let [_, b, c] = self.sizes;
            out.par_chunks_mut(padded).zip(data.par_chunks(volume)).with_min_len(16).for_each(|(out, data)| {
                for (number, row) in data.chunks(from[2]).enumerate() {
                    let (i, j) = (number / from[1] + self.before[0], number % from[1] + self.before[1]);
                    out[(i * b + j) * c + self.before[2]..][..row.len()].copy_from_slice(row);
                }
            });
        }
        out.into()
    }
}

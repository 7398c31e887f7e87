//! Shapes of convolutions and pools.

use burn::tensor::DType;

use super::arguments::Arguments;
use crate::graph::{Convolution, GraphError, Window};

pub(super) fn convolution(a: &Arguments<'_>, options: &Convolution) -> Result<(Vec<usize>, DType), GraphError> {
    let (x, weight) = (a.shape(0), a.shape(1));
    let spatial = options.stride.len();
    let fits = x.len() == spatial + 2
        && weight.len() == spatial + 2
        && options.groups > 0
        && x[1] == weight[1] * options.groups
        && weight[0] % options.groups == 0;
    if !fits {
        return Err(GraphError::ShapeMismatch { op: a.op.name(), left: x, right: weight });
    }
    let mut shape = vec![x[0], weight[0]];
    for d in 0..spatial {
        let padded = x[d + 2] + options.padding[d].0 + options.padding[d].1;
        let reach = options.dilation[d] * weight[d + 2].saturating_sub(1) + 1;
        if padded < reach || options.stride[d] == 0 {
            return a.invalid(x, format!("the window of size {reach} does not fit dimension {}", d + 2));
        }
        shape.push((padded - reach) / options.stride[d] + 1);
    }
    Ok((shape, a.same_dtype(0, 1)?))
}

pub(super) fn pooled(a: &Arguments<'_>, window: &Window) -> Result<Vec<usize>, GraphError> {
    let x = a.shape(0);
    if x.len() != window.kernel.len() + 2 {
        return a.invalid(x, format!("pooling needs {} dimensions", window.kernel.len() + 2));
    }
    let mut shape = x[..2].to_vec();
    for d in 0..window.kernel.len() {
        let padded = x[d + 2] + 2 * window.padding[d];
        let reach = window.dilation[d] * window.kernel[d].saturating_sub(1) + 1;
        let room = if window.ceil { padded + window.stride[d].saturating_sub(1) } else { padded };
        if room < reach || window.stride[d] == 0 {
            return a.invalid(x, format!("the window of size {reach} does not fit dimension {}", d + 2));
        }
        // With `ceil` the only window may be larger than what there is.
        let steps = padded.saturating_sub(reach);
        let count = if window.ceil { steps.div_ceil(window.stride[d]) } else { steps / window.stride[d] };
        // A last window that would start in the padding behind the data does not count.
        let starts_outside = window.ceil && count * window.stride[d] >= x[d + 2] + window.padding[d];
        shape.push(count + usize::from(!starts_outside));
    }
    Ok(shape)
}

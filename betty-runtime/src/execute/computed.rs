//! In which types a device computes.

use std::cell::RefCell;

use burn::tensor::{DType, Device, TensorData};
use burn_backend::ops::FloatTensorOps;
use burn_dispatch::{Dispatch, DispatchDevice};

use super::Value;
use crate::graph::{Graph, NodeId, Op, reachable};

thread_local! {
    /// Devices that were asked for an exponential of 64 bits, and whether that was what they answered.
    static ASKED: RefCell<Vec<(Device, bool)>> = const { RefCell::new(Vec::new()) };
}

/// Whether a device computes in this type: it has it, and its functions are those of the type.
///
/// Vulkan has exponentials, logarithms and powers of 16 and of 32 bits alone. A device there may have numbers of 64 bits all the same, adds
/// and multiplies them rightly, and answers what an exponential of them comes to with whatever stands in its registers. No property of
/// the device tells; so it is asked for one, once.
pub(crate) fn computes_in(device: &Device, dtype: DType) -> bool {
    device.supports_dtype(dtype) && (dtype != DType::F64 || has_functions_of_64_bits(device))
}

fn has_functions_of_64_bits(device: &Device) -> bool {
    if matches!(device.as_dispatch(), DispatchDevice::Flex(_)) {
        return true;
    }
    let known = ASKED.with_borrow(|asked| asked.iter().find(|(of, _)| of == device).map(|&(_, answer)| answer));
    known.unwrap_or_else(|| {
        let answer = is_exponential_right(device);
        ASKED.with_borrow_mut(|asked| asked.push((device.clone(), answer)));
        answer
    })
}

fn is_exponential_right(device: &Device) -> bool {
    let given = [-1.5_f64, 0.25, 2.0];
    let given_there = Value::from_data(TensorData::from(given), device);
    let Ok(found) = Value(Dispatch::float_exp(given_there.0)).to_data() else { return false };
    found.iter::<f64>().zip(given).all(|(found, x)| (found - x.exp()).abs() <= 1e-12 * x.exp())
}

/// The first type that `outputs` are computed in, or on the way to them, in which the device does not compute. To make a number one of
/// another type is no computation.
pub(crate) fn not_computed(graph: &Graph, outputs: &[NodeId], device: &Device) -> Option<DType> {
    let needed = reachable(graph, outputs);
    let nodes = graph.ids().filter(|id| needed[id.index()]).map(|id| graph.node(id));
    let computed = nodes.filter(|node| !matches!(node.op, Op::Input(_) | Op::Literal(_) | Op::Cast(_) | Op::Full(_)));
    computed.map(|node| node.dtype).find(|dtype| dtype.is_float() && !computes_in(device, *dtype))
}

#[cfg(test)]
mod tests {
    use burn::tensor::FloatDType;

    use super::*;
    use crate::graph::Unary;

    #[test]
    fn the_cpu_computes_in_64_bits() {
        let device = Device::flex();
        assert!(is_exponential_right(&device));
        for dtype in [DType::F64, DType::F32, DType::F16, DType::BF16] {
            assert!(computes_in(&device, dtype), "{dtype:?}");
        }
        assert!(!computes_in(&device, FloatDType::Flex32.into()));
    }

    #[test]
    fn what_is_only_made_another_type_is_not_computed_in() {
        let device = Device::flex();
        let mut graph = Graph::new();
        // No CPU computes in this one.
        let x = graph.input(&[2], DType::Flex32);
        let cast = graph.cast(x, DType::F32).expect("a type of numbers");
        let unused = graph.push(Op::Unary(Unary::Exp), &[x]).expect("a float");
        let inside = graph.cast(unused, DType::F32).expect("a type of numbers");
        assert_eq!(not_computed(&graph, &[cast], &device), None);
        assert_eq!(not_computed(&graph, &[cast, inside], &device), Some(DType::Flex32));
    }
}

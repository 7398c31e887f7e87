//! As what masks and positions are stored on a device.

use burn::tensor::{BoolStore, DType, Device, IntDType, TensorData};

/// What a device has in the place of types of the graph that it has not.
///
/// In a graph a mask is a `bool` and a position an `i64`. Burn's graphics processors store a truth value as a byte or a word, whichever the
/// device can convert, and WebGPU has no integers of 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    /// Type of masks.
    pub(super) mask: BoolStore,
    /// Type of positions.
    pub(super) index: IntDType,
}

impl Stored {
    /// What `device` has.
    pub(super) fn on(device: &Device) -> Self {
        let native = BoolStore::Native;
        let mask = if device.supports_dtype(DType::Bool(native)) { native } else { device.settings().bool_dtype };
        let index = if device.supports_dtype(DType::I64) { IntDType::I64 } else { IntDType::I32 };
        Stored { mask, index }
    }

    /// The type on the device of what has this one in a graph.
    pub(super) fn dtype(self, of: DType) -> DType {
        match of {
            DType::Bool(_) => DType::Bool(self.mask),
            DType::I64 => self.index.into(),
            other => other,
        }
    }

    /// Host data as the device has them.
    pub(super) fn data(self, data: TensorData) -> TensorData {
        let dtype = self.dtype(data.dtype());
        data.convert_dtype(dtype)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execute::{Program, Value};
    use crate::graph::{Comparison, Distribution, Graph, NodeId, Op, Scalar, Unary, Update, Window};

    /// What graphics processors have: a byte for a truth value, and integers of 32 bits. The CPU has them too.
    const NARROW: Stored = Stored { mask: BoolStore::U8, index: IntDType::I32 };

    /// Everything that makes, takes or keeps a mask or a position, of numbers of this shape.
    fn every_kind(graph: &mut Graph, x: NodeId) -> Vec<NodeId> {
        let shape = graph.shape(x).to_vec();
        let mut push = |op: Op, inputs: &[NodeId]| graph.push(op, inputs).expect("the shapes fit");
        let half = Scalar::Float(0.5);
        let large = push(Op::CompareScalar(Comparison::Greater, half), &[x]);
        let equal = push(Op::Compare(Comparison::Equal), &[x, x]);
        let is_nan = push(Op::Unary(Unary::IsNan), &[x]);
        let strange = push(Op::Unary(Unary::IsInf), &[x]);
        let small = push(Op::Unary(Unary::Not), &[large]);
        let both = push(Op::Binary(crate::graph::Binary::And), &[equal, small]);
        let any = push(Op::Binary(crate::graph::Binary::Or), &[is_nan, both]);
        let chosen = push(Op::Where, &[any, x, x]);
        let truth = push(Op::Where, &[large, any, strange]);
        let one = push(Op::Cast(DType::I64), &[large]);
        let as_float = push(Op::Cast(DType::F32), &[large]);
        let as_mask = push(Op::Cast(DType::Bool(BoolStore::Native)), &[x]);
        let again = push(Op::Cast(DType::Bool(BoolStore::Native)), &[one]);
        let is_true = push(Op::CompareScalar(Comparison::Equal, Scalar::Bool(true)), &[large]);
        let most = push(Op::ArgMax(1), &[x]);
        let least = push(Op::ArgMin(0), &[x]);
        let so_far = push(Op::CumArgMax(1), &[x]);
        let order = push(Op::ArgSort { axis: 1, descending: true }, &[x]);
        let order_of_ones = push(Op::ArgSort { axis: 1, descending: false }, &[one]);
        let first = push(Op::ArgTopK { axis: 1, count: 2 }, &[x]);
        let taken = push(Op::Gather(1), &[x, first]);
        let masks = push(Op::Gather(1), &[large, first]);
        let counted = push(Op::ScatterAdd { axis: 1, size: shape[1] }, &[order, one]);
        let put = push(Op::Scatter { axis: 1, update: Update::Assign, once: false }, &[one, order, so_far]);
        let as_images = push(Op::Reshape(vec![1, 1, shape[0], shape[1]]), &[x]);
        let window = Window {
            kernel: vec![2, 2],
            stride: vec![1, 1],
            padding: vec![0, 0],
            dilation: vec![1, 1],
            ceil: false,
            count_padding: false,
        };
        let pooled = push(Op::MaxPoolIndices(window), &[as_images]);
        let filled = [DType::I64, DType::Bool(BoolStore::Native)].map(|dtype| graph.full(&shape, dtype, 1.0));
        let drawn = graph.random(&shape, DType::I64, Distribution::Uniform(-5.0, 90.0));
        let literals = [TensorData::from([1_i64, -2]), TensorData::from([true, false])].map(|of| graph.literal(of));
        let all = [
            large,
            equal,
            is_nan,
            strange,
            small,
            both,
            any,
            chosen,
            truth,
            one,
            as_float,
            as_mask,
            again,
            is_true,
            most,
            least,
            so_far,
            order,
            order_of_ones,
            first,
            taken,
            masks,
            counted,
            put,
            pooled,
            drawn,
        ];
        all.into_iter().chain(filled).chain(literals).collect()
    }

    #[test]
    fn what_a_program_answers_does_not_depend_on_how_masks_and_positions_are_stored() {
        let device = Device::flex();
        let mut graph = Graph::new();
        let x = graph.input(&[3, 4], DType::F32);
        let outputs = every_kind(&mut graph, x);
        let numbers = [0.3, -1.0, 2.0, 0.5, f32::NAN, 0.7, f32::INFINITY, -0.1, 0.0, 4.0, 4.0, 1.5];
        let run = |stored| {
            let given = Value::from_data(TensorData::new(numbers.to_vec(), [3, 4]), &device);
            Program::storing(&graph, &[x], &outputs, device.clone(), stored).run([given], 3)
        };
        let (wide, narrow) = (run(Stored::on(&device)), run(NARROW));
        for ((wide, narrow), &node) in wide.iter().zip(&narrow).zip(&outputs) {
            let (op, dtype) = (&graph.node(node).op, graph.dtype(node));
            assert_eq!(wide.dtype(), dtype, "{op:?}");
            assert_eq!(narrow.dtype(), NARROW.dtype(dtype), "{op:?}");
            let bits = |value: &Value| -> Vec<u64> {
                value.to_vec().expect("host memory").into_iter().map(f64::to_bits).collect()
            };
            assert_eq!(bits(wide), bits(narrow), "{op:?}");
        }
    }

    #[test]
    fn a_mask_that_is_read_at_indices_is_a_mask() {
        let device = Device::flex();
        let mut graph = Graph::new();
        let x = graph.input(&[3], DType::F32);
        let places = graph.literal(TensorData::from([2_i64, 0, 2]));
        let large = graph.push(Op::CompareScalar(Comparison::Greater, Scalar::Float(0.0)), &[x]).expect("a mask");
        let read = [Op::Gather(0), Op::Select(0)].map(|op| {
            let read = graph.push(op, &[large, places]).expect("indices of one dimension");
            graph.push(Op::Unary(Unary::Not), &[read]).expect("a mask")
        });
        for stored in [Stored::on(&device), NARROW] {
            let given = Value::from_data(TensorData::from([1.0_f32, -1.0, -2.0]), &device);
            let found = Program::storing(&graph, &[x], &read, device.clone(), stored).run([given], 0);
            let found: Vec<Vec<f64>> = found.iter().map(|value| value.to_vec().expect("host memory")).collect();
            assert_eq!(found, [[1.0, 0.0, 1.0], [1.0, 0.0, 1.0]], "{stored:?}");
        }
    }

    #[test]
    fn host_data_become_what_a_device_has() {
        for (data, dtype) in [
            (TensorData::from([true, false]), DType::Bool(BoolStore::U8)),
            (TensorData::from([1_i64, 0]), DType::I32),
            (TensorData::from([1_i32, 0]), DType::I32),
            (TensorData::from([1.0_f64, 0.0]), DType::F64),
        ] {
            let stored = NARROW.data(data);
            assert_eq!((stored.dtype(), stored.iter::<f64>().collect::<Vec<_>>()), (dtype, vec![1.0, 0.0]));
        }
        let native = Stored { mask: BoolStore::Native, index: IntDType::I64 };
        assert_eq!(Stored::on(&Device::flex()), native);
        assert_eq!(native.data(NARROW.data(TensorData::from([true, false]))), TensorData::from([true, false]));
    }
}

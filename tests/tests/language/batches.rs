//! Everything a batch can be derived for.

use betty_runtime::{Batch, BatchMapper};
use burn::tensor::{Bool, Device, Int, Tensor};

#[derive(Clone, Batch)]
struct Named {
    pixels: Tensor<4>,
    labels: Tensor<1, Int>,
    mask: Tensor<2, Bool>,
    nested: Vec<Pair>,
    #[batch(skip)]
    classes: usize,
}

#[derive(Clone, Batch)]
struct Pair(Tensor<1>, #[batch(skip)] &'static str);

#[derive(Clone, Batch)]
struct Unit;

#[derive(Clone, Batch)]
struct Generic<T, P, const D: usize>
where
    P: Eq,
{
    inner: Vec<T>,
    tensor: Tensor<D>,
    #[batch(skip)]
    plain: P,
}

#[derive(Default)]
struct Count {
    tensors: usize,
    plain: usize,
}

impl BatchMapper for Count {
    fn float<const D: usize>(&mut self, tensor: Tensor<D>) -> Tensor<D> {
        self.tensors += 1;
        tensor
    }

    fn int<const D: usize>(&mut self, tensor: Tensor<D, Int>) -> Tensor<D, Int> {
        self.tensors += 1;
        tensor
    }

    fn bool<const D: usize>(&mut self, tensor: Tensor<D, Bool>) -> Tensor<D, Bool> {
        self.tensors += 1;
        tensor
    }

    fn plain(&mut self, _: u64) {
        self.plain += 1;
    }
}

#[test]
fn a_batch_is_mapped_by_its_parts() {
    let device = Device::flex();
    let ones = || Tensor::<1>::ones([1], &device);
    let mut count = Count::default();
    let named = Named {
        pixels: Tensor::ones([1, 1, 1, 1], &device),
        labels: Tensor::ones([1], &device),
        mask: Tensor::<2>::ones([1, 1], &device).greater_scalar(0.0),
        nested: vec![Pair(ones(), "a"), Pair(ones(), "b")],
        classes: 10,
    };
    let named = named.map(&mut count);
    assert_eq!(named.classes, 10);
    assert_eq!(named.nested[1].1, "b");
    assert_eq!(count.tensors, 5);
    // Two strings, the number of classes, and the length of the vector.
    assert_eq!(count.plain, 4);

    Unit.map(&mut count);
    let generic = Generic { inner: vec![ones()], tensor: ones(), plain: 'x' };
    let generic = generic.map(&mut count);
    assert_eq!(generic.plain, 'x');
    assert_eq!(count.tensors, 7);
}

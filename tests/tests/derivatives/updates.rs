//! Entries updated at indices in every way Burn knows, and coordinates as indices.

use burn::tensor::IndexingUpdateOp::{Add, Assign, Max, Min, Mul};
use burn::tensor::{Int, Tensor};

use crate::harness::{apart, data, given, indices, x};

cases! {
    scatter_assign(x([3, 5]), x([3, 2]), apart(5, 1, [3, 2])) = |a| {
        a.x::<2>(0).exp().scatter(1, a.indices::<2>(0), a.x::<2>(1).square(), Assign)
    };
    scatter_assign_first(x([5, 3]), x([2, 3]), apart(5, 0, [2, 3])) = |a| {
        a.x::<2>(0).exp().scatter(0, a.indices::<2>(0), a.x::<2>(1).exp(), Assign)
    };
    scatter_multiply(x([3, 5]), x([3, 2]), apart(5, 1, [3, 2])) = |a| {
        a.x::<2>(0).exp().scatter(1, a.indices::<2>(0), a.x::<2>(1).exp(), Mul)
    };
    scatter_minimum(x([3, 5]), x([3, 4]), apart(5, 1, [3, 4])) = |a| {
        a.x::<2>(0).exp().scatter(1, a.indices::<2>(0), a.x::<2>(1).exp() + 0.003, Min)
    };
    scatter_maximum(x([3, 5]), x([3, 4]), apart(5, 1, [3, 4])) = |a| {
        a.x::<2>(0).exp().scatter(1, a.indices::<2>(0), a.x::<2>(1).exp() + 0.003, Max)
    };
    scatter_tied(given([4], &[0.1, 0.2, 0.3, 0.4]), given([2], &[0.1, 0.3])) [kink] = |a| {
        let (x, v) = (a.x::<1>(0), a.x::<1>(1));
        let even = Tensor::<1, Int>::from_ints([0, 2], &x.device());
        x.clone().scatter(0, even.clone(), v.clone(), Max) + x.scatter(0, even, v, Min)
    };

    select_assign_all(x([4, 3]), x([2, 3]), apart(4, 0, [2])) = |a| {
        a.x::<2>(0).exp().select_assign(0, a.indices::<1>(0), a.x::<2>(1).square(), Assign)
    };
    select_multiply(x([4, 3]), x([4, 2]), apart(3, 0, [2])) = |a| {
        a.x::<2>(0).exp().select_assign(1, a.indices::<1>(0), a.x::<2>(1).exp(), Mul)
    };
    select_minimum(x([4, 3]), x([3, 3]), apart(4, 0, [3])) = |a| {
        a.x::<2>(0).exp().select_assign(0, a.indices::<1>(0), a.x::<2>(1).exp() + 0.003, Min)
    };
    select_maximum(x([4, 3]), x([3, 3]), apart(4, 0, [3])) = |a| {
        a.x::<2>(0).exp().select_assign(0, a.indices::<1>(0), a.x::<2>(1).exp() + 0.003, Max)
    };
    bool_updates(x([3, 4]), data([3, 4]), data([3, 2]), indices(4, [3, 2])) = |a| {
        let mask = a.data::<2>(0).greater_scalar(0.3);
        let more = a.data::<2>(1).greater_scalar(0.0);
        a.x::<2>(0).exp().mask_fill(mask.scatter(1, a.indices::<2>(0), more, Add), 0.5)
    };
    bool_rows(x([3, 4]), data([3, 4]), data([2, 4]), indices(3, [2])) = |a| {
        let mask = a.data::<2>(0).greater_scalar(0.3);
        let more = a.data::<2>(1).greater_scalar(0.0);
        let mask = mask.select_assign(0, a.indices::<1>(0), more, Add);
        a.x::<2>(0).exp().mask_fill(mask, 0.5)
    };
    integer_updates(x([3, 4]), indices(9, [3, 4]), apart(4, 1, [3, 2])) = |a| {
        let (x, i, at) = (a.x::<2>(0), a.indices::<2>(0), a.indices::<2>(1));
        let all = i.clone().scatter(1, at.clone(), at.clone() + 2, Assign) + i.clone().scatter(1, at.clone(), at.clone(), Mul)
            + i.clone().scatter(1, at.clone(), at.clone() * 2, Min) + i.scatter(1, at.clone(), at, Max);
        x.clone().exp() * all.float().cast(x.dtype())
    };

    gather_nd(x([3, 4, 2]), indices(3, [5, 2])) = |a| a.x::<3>(0).exp().gather_nd::<2, 2>(a.indices::<2>(0));
    gather_nd_elements(x([3, 4]), indices(3, [2, 3, 2])) = |a| a.x::<2>(0).exp().gather_nd::<3, 2>(a.indices::<3>(0));
    gather_nd_rows(x([3, 4]), indices(3, [5, 1])) = |a| a.x::<2>(0).exp().gather_nd::<2, 2>(a.indices::<2>(0));
    scatter_nd_add(x([3, 4]), x([5]), indices(3, [5, 2])) = |a| {
        a.x::<2>(0).exp().scatter_nd(a.indices::<2>(0), a.x::<1>(1).exp(), Add)
    };
    scatter_nd_assign(x([4, 3]), x([2, 3]), apart(4, 0, [2, 1])) = |a| {
        a.x::<2>(0).exp().scatter_nd(a.indices::<2>(0), a.x::<2>(1).exp(), Assign)
    };
    scatter_nd_multiply(x([4, 3]), x([2, 3]), apart(4, 0, [2, 1])) = |a| {
        a.x::<2>(0).exp().scatter_nd(a.indices::<2>(0), a.x::<2>(1).exp(), Mul)
    };
    scatter_nd_minimum(x([4, 3]), x([3, 3]), apart(4, 0, [3, 1])) = |a| {
        a.x::<2>(0).exp().scatter_nd(a.indices::<2>(0), a.x::<2>(1).exp() + 0.003, Min)
    };
    scatter_nd_maximum(x([4, 3]), x([3]), apart(3, 0, [3, 2])) = |a| {
        a.x::<2>(0).exp().scatter_nd(a.indices::<2>(0), a.x::<1>(1).exp() + 0.003, Max)
    };
}

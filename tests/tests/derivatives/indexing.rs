//! Reading and adding at indices, and products of matrices.

use burn::tensor::IndexingUpdateOp::Add;
use burn::tensor::IntDType;
use burn::tensor::module::embedding;

use crate::harness::{data, indices, x};

cases! {
    gather(x([3, 4]), indices(4, [3, 2])) = |a| a.x::<2>(0).exp().gather(1, a.indices::<2>(0));
    gather_first(x([3, 4]), indices(3, [5, 4])) = |a| a.x::<2>(0).exp().gather(0, a.indices::<2>(0));
    scatter(x([3, 4]), x([3, 2]), indices(4, [3, 2])) = |a| {
        a.x::<2>(0).exp().scatter(1, a.indices::<2>(0), a.x::<2>(1).square(), Add)
    };
    scatter_first(x([3, 4]), x([5, 4]), indices(3, [5, 4])) = |a| {
        a.x::<2>(0).exp().scatter(0, a.indices::<2>(0), a.x::<2>(1).square(), Add)
    };
    select(x([3, 4]), indices(3, [6])) = |a| a.x::<2>(0).exp().select(0, a.indices::<1>(0));
    select_last(x([3, 4]), indices(4, [2])) = |a| a.x::<2>(0).exp().select(1, a.indices::<1>(0));
    select_assign(x([3, 4]), x([5, 4]), indices(3, [5])) = |a| {
        a.x::<2>(0).exp().select_assign(0, a.indices::<1>(0), a.x::<2>(1).square(), Add)
    };
    select_assign_last(x([3, 4]), x([3, 6]), indices(4, [6])) = |a| {
        a.x::<2>(0).exp().select_assign(1, a.indices::<1>(0), a.x::<2>(1).square(), Add)
    };
    embed(x([5, 3]), indices(5, [2, 4])) = |a| embedding(a.x::<2>(0).exp(), a.indices::<2>(0));
    embed_times(x([5, 3]), indices(5, [2, 4]), x([2, 4, 3])) = |a| {
        embedding(a.x::<2>(0), a.indices::<2>(0)) * a.x::<3>(1).exp()
    };

    matmul(x([2, 3]), x([3, 4])) = |a| a.x::<2>(0).matmul(a.x::<2>(1));
    matmul_data(x([2, 3]), data([3, 4])) = |a| a.x::<2>(0).matmul(a.data::<2>(0)).tanh();
    matmul_chain(x([2, 3]), x([3, 4]), x([4, 2])) = |a| a.x::<2>(0).matmul(a.x::<2>(1)).tanh().matmul(a.x::<2>(2));
    matmul_itself(x([3, 3])) = |a| a.x::<2>(0).matmul(a.x::<2>(0));
    matmul_batched(x([2, 2, 3]), x([2, 3, 4])) = |a| a.x::<3>(0).matmul(a.x::<3>(1));
    matmul_broadcast_left(x([1, 2, 3]), x([4, 3, 2])) = |a| a.x::<3>(0).matmul(a.x::<3>(1));
    matmul_broadcast_right(x([4, 2, 3]), x([1, 3, 2])) = |a| a.x::<3>(0).matmul(a.x::<3>(1));
    matmul_broadcast_both(x([1, 3, 2, 3]), x([2, 1, 3, 2])) = |a| a.x::<4>(0).matmul(a.x::<4>(1));
    matmul_transposed(x([3, 2]), x([4, 3])) = |a| a.x::<2>(0).transpose().matmul(a.x::<2>(1).transpose());
    matmul_row(x([1, 3]), x([3, 1])) = |a| a.x::<2>(0).matmul(a.x::<2>(1));
    outer(x([3]), x([4])) = |a| a.x::<1>(0).unsqueeze_dim::<2>(1) * a.x::<1>(1).unsqueeze::<2>();

    gather_narrow(x([3, 4]), indices(4, [3, 2])) = |a| a.x::<2>(0).exp().gather(1, a.indices::<2>(0).cast(IntDType::I32));
    scatter_narrow(x([3, 4]), x([3, 2]), indices(4, [3, 2])) = |a| {
        a.x::<2>(0).exp().scatter(1, a.indices::<2>(0).cast(IntDType::I32), a.x::<2>(1).square(), Add)
    };
    select_narrow(x([3, 4]), indices(3, [6])) = |a| a.x::<2>(0).exp().select(0, a.indices::<1>(0).cast(IntDType::I32));
    embed_narrow(x([5, 3]), indices(5, [2, 4])) = |a| {
        embedding(a.x::<2>(0).exp(), a.indices::<2>(0).cast(IntDType::I32))
    };
    select_integers(x([3, 4]), indices(3, [6]), indices(4, [3, 2])) = |a| {
        // Indices of indices.
        let rows = a.indices::<2>(1).select(0, a.indices::<1>(0));
        a.x::<2>(0).exp().select(0, a.indices::<1>(0)).gather(1, rows)
    };
    gather_of_argmax(x([3, 4])) = |a| a.x::<2>(0).exp().gather(1, (-a.x::<2>(0)).argmax(1));
}

//! Elementwise functions, with numbers, broadcasting and masks.

use burn::tensor::DType;

use crate::harness::{data, given, indices, within, x};

cases! {
    neg(x([2, 3])) = |a| -a.x::<2>(0);
    exp(x([2, 3])) = |a| a.x::<2>(0).exp();
    log(within(0.5, 2.0, [2, 3])) = |a| a.x::<2>(0).log();
    log1p(within(-0.5, 2.0, [2, 3])) = |a| a.x::<2>(0).log1p();
    sqrt(within(0.5, 2.0, [2, 3])) = |a| a.x::<2>(0).sqrt();
    recip(within(0.5, 2.0, [2, 3])) = |a| a.x::<2>(0).recip();
    square(x([2, 3])) = |a| a.x::<2>(0).square();
    abs(x([2, 3])) = |a| a.x::<2>(0).abs();
    sign(x([2, 3])) = |a| a.x::<2>(0).sign() * a.x::<2>(0);
    sin(x([2, 3])) = |a| a.x::<2>(0).sin();
    cos(x([2, 3])) = |a| a.x::<2>(0).cos();
    tan(x([2, 3])) = |a| a.x::<2>(0).tan();
    sinh(x([2, 3])) = |a| a.x::<2>(0).sinh();
    cosh(x([2, 3])) = |a| a.x::<2>(0).cosh();
    tanh(x([2, 3])) = |a| a.x::<2>(0).tanh();
    asin(within(-0.8, 0.8, [2, 3])) = |a| a.x::<2>(0).asin();
    acos(within(-0.8, 0.8, [2, 3])) = |a| a.x::<2>(0).acos();
    atan(x([2, 3])) = |a| a.x::<2>(0).atan();
    asinh(x([2, 3])) = |a| a.x::<2>(0).asinh();
    acosh(within(1.5, 3.0, [2, 3])) = |a| a.x::<2>(0).acosh();
    atanh(within(-0.8, 0.8, [2, 3])) = |a| a.x::<2>(0).atanh();
    erf(x([2, 3])) = |a| a.x::<2>(0).erf();
    round(x([2, 3])) = |a| a.x::<2>(0).round() * a.x::<2>(0);
    floor(x([2, 3])) = |a| a.x::<2>(0).floor() * a.x::<2>(0);
    ceil(x([2, 3])) = |a| a.x::<2>(0).ceil() * a.x::<2>(0);
    trunc(within(-3.0, 3.0, [2, 4])) = |a| a.x::<2>(0).trunc() * a.x::<2>(0);

    add(x([2, 3]), x([2, 3])) = |a| a.x::<2>(0) + a.x::<2>(1);
    add_broadcast(x([2, 3]), x([2, 1])) = |a| a.x::<2>(0) + a.x::<2>(1);
    add_broadcast_both(x([1, 3]), x([2, 1])) = |a| a.x::<2>(0) + a.x::<2>(1);
    sub(x([2, 3]), x([2, 3])) = |a| a.x::<2>(0) - a.x::<2>(1);
    sub_broadcast(x([1, 3]), x([2, 3])) = |a| a.x::<2>(0) - a.x::<2>(1);
    mul(x([2, 3]), x([2, 3])) = |a| a.x::<2>(0) * a.x::<2>(1);
    mul_broadcast(x([2, 1, 3]), x([1, 4, 1])) = |a| a.x::<3>(0) * a.x::<3>(1);
    mul_itself(x([2, 3])) = |a| a.x::<2>(0) * a.x::<2>(0);
    div(x([2, 3]), within(0.5, 2.0, [2, 3])) = |a| a.x::<2>(0) / a.x::<2>(1);
    div_broadcast(x([2, 3]), within(0.5, 2.0, [2, 1])) = |a| a.x::<2>(0) / a.x::<2>(1);
    div_itself_powers(within(0.5, 2.0, [2, 3])) = |a| a.x::<2>(0).exp() / a.x::<2>(0).square();
    remainder(within(1.0, 5.0, [2, 3]), within(0.7, 0.9, [2, 3])) [kink] = |a| a.x::<2>(0).remainder(a.x::<2>(1));
    powf(within(0.5, 2.0, [2, 3]), x([2, 3])) = |a| a.x::<2>(0).powf(a.x::<2>(1));
    powf_broadcast(within(0.5, 2.0, [2, 3]), x([1, 3])) = |a| a.x::<2>(0).powf(a.x::<2>(1));
    atan2(x([2, 3]), x([2, 3])) = |a| a.x::<2>(0).atan2(a.x::<2>(1));
    with_data(x([2, 3]), data([2, 3])) = |a| (a.x::<2>(0) * a.data::<2>(0)).tanh();

    add_scalar(x([2, 3])) = |a| a.x::<2>(0) + 0.3;
    sub_scalar(x([2, 3])) = |a| a.x::<2>(0) - 0.3;
    mul_scalar(x([2, 3])) = |a| a.x::<2>(0) * 0.3;
    div_scalar(x([2, 3])) [eager < 1e-7] = |a| a.x::<2>(0) / 0.3;
    remainder_scalar(within(1.0, 5.0, [2, 3])) [kink] = |a| a.x::<2>(0).remainder_scalar(0.77);
    powf_scalar(within(0.5, 2.0, [2, 3])) = |a| a.x::<2>(0).powf_scalar(1.7);
    powf_scalar_half(within(0.5, 2.0, [2, 3])) = |a| a.x::<2>(0).powf_scalar(0.5);
    powf_scalar_minus_half(within(0.5, 2.0, [2, 3])) = |a| a.x::<2>(0).powf_scalar(-0.5);
    powf_scalar_two(x([2, 3])) = |a| a.x::<2>(0).powf_scalar(2.0);
    powf_scalar_one(x([2, 3])) = |a| a.x::<2>(0).powf_scalar(1.0);
    powf_scalar_zero(x([2, 3])) = |a| a.x::<2>(0).powf_scalar(0.0) + a.x::<2>(0);
    powi_scalar_two(x([2, 3])) = |a| a.x::<2>(0).powi_scalar(2);
    powi_scalar_three(x([2, 3])) = |a| a.x::<2>(0).powi_scalar(3);
    powi_scalar_seven(x([2, 3])) = |a| a.x::<2>(0).powi_scalar(7);
    powi_scalar_minus_two(within(0.5, 2.0, [2, 3])) = |a| a.x::<2>(0).powi_scalar(-2);
    powi_scalar_zero(x([2, 3])) = |a| a.x::<2>(0).powi_scalar(0) + a.x::<2>(0);
    powi_scalar_at_zero(given([4], &[0.0, 0.5, 0.0, -0.5])) = |a| a.x::<1>(0).powi_scalar(3);
    constant_power_at_zero(given([3], &[0.0, 0.5, -0.5])) = |a| a.x::<1>(0).powf_scalar(0.0) + a.x::<1>(0);
    square_at_zero(given([4], &[0.0, 0.5, 0.0, -0.5])) = |a| a.x::<1>(0).powi_scalar(2);
    scalars(x([2, 3])) [eager < 1e-7] = |a| ((a.x::<2>(0) * 2.0 + 1.0) * 3.0 - 4.0) / 0.7 + 0.0;

    clamp(x([2, 4])) = |a| a.x::<2>(0).clamp(-0.5, 0.5);
    clamp_min(x([2, 4])) = |a| a.x::<2>(0).clamp_min(-0.21).square();
    clamp_max(x([2, 4])) = |a| a.x::<2>(0).clamp_max(0.21).square();
    clamp_at_bound(given([4], &[-1.0, 0.5, 1.0, 2.0])) [kink] = |a| a.x::<1>(0).clamp(-1.0, 1.0);
    clamp_min_at_bound(given([3], &[-1.0, 0.5, -2.0])) [kink] = |a| a.x::<1>(0).clamp_min(-1.0);
    clamp_max_at_bound(given([3], &[1.0, 0.5, 2.0])) [kink] = |a| a.x::<1>(0).clamp_max(1.0);
    abs_at_zero(given([3], &[0.0, 0.5, -0.5])) [kink] = |a| a.x::<1>(0).abs();
    max_pair(x([2, 3]), x([2, 3])) = |a| a.x::<2>(0).max_pair(a.x::<2>(1));
    min_pair(x([2, 3]), x([2, 3])) = |a| a.x::<2>(0).min_pair(a.x::<2>(1));

    mask_where(x([2, 3]), x([2, 3]), data([2, 3])) = |a| {
        a.x::<2>(0).square().mask_where(a.data::<2>(0).greater_scalar(0.0), a.x::<2>(1).exp())
    };
    mask_where_not(x([2, 3]), x([2, 3]), data([2, 3])) = |a| {
        a.x::<2>(0).square().mask_where(a.data::<2>(0).greater_scalar(0.0).bool_not(), a.x::<2>(1).exp())
    };
    mask_where_not_of_data(x([2, 3]), data([2, 3])) = |a| {
        a.data::<2>(0).mask_where(a.data::<2>(0).greater_scalar(0.0).bool_not(), a.x::<2>(0).exp())
    };
    mask_fill(x([2, 3]), data([2, 3])) = |a| a.x::<2>(0).exp().mask_fill(a.data::<2>(0).lower_scalar(0.0), -3.0);
    mask_fill_not(x([2, 3]), data([2, 3])) = |a| {
        a.x::<2>(0).exp().mask_fill(a.data::<2>(0).lower_scalar(0.0).bool_not(), 0.0)
    };
    mask_fill_broadcast(x([2, 3]), data([1, 3])) = |a| {
        a.x::<2>(0).exp().mask_fill(a.data::<2>(0).lower_scalar(0.0).expand([2, 3]), 0.0)
    };
    mask_of_parameters(x([2, 3]), x([2, 3])) = |a| {
        a.x::<2>(0).exp().mask_where(a.x::<2>(0).greater_equal(a.x::<2>(1)), a.x::<2>(1).square())
    };
    mask_logic(x([2, 3]), data([2, 3]), data([2, 3])) = |a| {
        let (p, q) = (a.data::<2>(0).lower_scalar(0.2), a.data::<2>(1).greater_equal_scalar(-0.3));
        let both = p.clone().bool_and(q.clone());
        let one = p.clone().bool_xor(q.clone());
        let any = p.bool_or(q);
        let x = a.x::<2>(0);
        x.clone().exp() * both.float().cast(x.dtype()) + x.clone().mask_fill(one, 0.0) + x.square().mask_fill(any, 1.0)
    };
    comparisons(x([2, 3]), data([2, 3])) = |a| {
        let (x, y) = (a.x::<2>(0), a.data::<2>(0));
        let total = x.clone().lower(y.clone()).int() + x.clone().lower_equal(y.clone()).int()
            + x.clone().greater(y.clone()).int() * 3 + x.clone().equal(y.clone()).int() + x.clone().not_equal(y).int()
            + x.clone().equal_scalar(1.0).int() + x.clone().not_equal_scalar(1.0).int() + x.clone().lower_equal_scalar(0.1).int();
        x.clone().square() * total.float().cast(x.dtype())
    };
    bool_equality(x([2, 3]), data([2, 3]), data([2, 3])) = |a| {
        let (p, q) = (a.data::<2>(0).lower_scalar(0.2), a.data::<2>(1).lower_scalar(-0.3));
        a.x::<2>(0).exp().mask_fill(p.clone().equal(q.clone()), 0.5) + a.x::<2>(0).square().mask_fill(p.not_equal(q), 0.5)
    };
    any_and_all(x([2, 3]), data([2, 3])) = |a| {
        let p = a.data::<2>(0).lower_scalar(0.2);
        let x = a.x::<2>(0);
        let factor = p.clone().any().int() + p.clone().all().int() * 2 + p.bool_not().any().int() * 4;
        x.clone().square() * factor.float().cast(x.dtype()).unsqueeze::<2>()
    };
    is_nan_and_inf(x([2, 3])) = |a| {
        let x = a.x::<2>(0);
        let strange = x.clone().is_nan().bool_or(x.clone().is_inf());
        x.exp().mask_fill(strange, 0.0)
    };
    integer_arithmetic(x([2, 3]), indices(7, [2, 3])) = |a| {
        let i = a.indices::<2>(0);
        let j = ((i.clone() * 3 + 1) - i.clone() / 2) % 5 + i.clone() * i.clone().clamp(1, 3) + i.clone().equal_scalar(2).int().cast(i.dtype());
        let x = a.x::<2>(0);
        x.clone().tanh() * (-j).abs().float().cast(x.dtype())
    };
    cast_down_and_up(x([2, 3])) [kink, double] = |a| {
        let x = a.x::<2>(0);
        x.clone().cast(DType::F64).exp().cast(x.dtype())
    };
    cast_to_single(x([2, 3])) [single] = |a| {
        let x = a.x::<2>(0);
        x.clone().cast(DType::F32).exp().cast(x.dtype()) * x
    };
    cast_to_half(x([2, 3])) [kink, sum < 1e-3] = |a| {
        let x = a.x::<2>(0);
        x.clone().cast(DType::F16).square().cast(x.dtype())
    };
    cast_to_integers(within(-3.0, 3.0, [2, 3])) = |a| {
        let x = a.x::<2>(0);
        x.clone().int().float().cast(x.dtype()) * x
    };
}

//! Elementwise operations, comparisons and casts.

use betty_kernels::arithmetic::Arithmetic;
use betty_kernels::chain::Step;
use betty_kernels::entrywise::Function;
use burn::tensor::{DType, DispatchTensor};
use burn_backend::ops::{ActivationOps, BoolTensorOps, FloatTensorOps, IntTensorOps};
use burn_backend::{Scalar as Number, TensorMetadata};
use burn_dispatch::Dispatch as B;

use crate::execute::host;
use crate::execute::stored::Stored;
use crate::graph::{Binary, Comparison, Op, Unary, WithScalar};

pub(super) fn unary(f: Unary, mut x: DispatchTensor, stored: Stored) -> DispatchTensor {
    if function(f).is_some_and(|function| host::entrywise(&mut x, function)) {
        return x;
    }
    if f == Unary::Neg && host::scaled(&mut x, -1.0) {
        return x;
    }
    match f {
        Unary::Neg => by_number!(x, float_neg, int_neg),
        Unary::Abs => by_number!(x, float_abs, int_abs),
        Unary::Sign => by_number!(x, float_sign, int_sign),
        Unary::Exp => B::float_exp(x),
        Unary::Log => B::float_log(x),
        Unary::Log1p => B::float_log1p(x),
        Unary::Sqrt => B::float_sqrt(x),
        Unary::Recip => B::float_recip(x),
        Unary::Sin => B::float_sin(x),
        Unary::Cos => B::float_cos(x),
        Unary::Tan => B::float_tan(x),
        Unary::Sinh => B::float_sinh(x),
        Unary::Cosh => B::float_cosh(x),
        Unary::Tanh => B::float_tanh(x),
        Unary::Asin => B::float_asin(x),
        Unary::Acos => B::float_acos(x),
        Unary::Atan => B::float_atan(x),
        Unary::Asinh => B::float_asinh(x),
        Unary::Acosh => B::float_acosh(x),
        Unary::Atanh => B::float_atanh(x),
        Unary::Erf => B::float_erf(x),
        Unary::Sigmoid => B::sigmoid(x),
        Unary::LogSigmoid => B::log_sigmoid(x),
        Unary::Gelu => B::gelu(x),
        Unary::Relu => B::relu(x),
        Unary::Round => B::float_round(x),
        Unary::Floor => B::float_floor(x),
        Unary::Ceil => B::float_ceil(x),
        Unary::Trunc => B::float_trunc(x),
        Unary::Not if x.dtype().is_bool() => B::bool_not(x),
        Unary::Not => B::bitwise_not(x),
        Unary::IsNan => B::float_is_nan(x, stored.mask),
        Unary::IsInf => B::float_is_inf(x, stored.mask),
    }
}

/// The function, if it takes so long that for tensors in host memory we compute it ourselves, on all threads.
fn function(f: Unary) -> Option<Function> {
    Some(match f {
        Unary::Exp => Function::Exp,
        Unary::Log => Function::Log,
        Unary::Log1p => Function::Log1p,
        Unary::Sin => Function::Sin,
        Unary::Cos => Function::Cos,
        Unary::Tanh => Function::Tanh,
        Unary::Sigmoid => Function::Sigmoid,
        Unary::LogSigmoid => Function::LogSigmoid,
        Unary::Erf => Function::Erf,
        Unary::Gelu => Function::Gelu,
        _ => return None,
    })
}

/// The operation, if for large tensors in host memory we do it ourselves, on all threads.
fn arithmetic(f: Binary) -> Option<Arithmetic> {
    Some(match f {
        Binary::Add => Arithmetic::Add,
        Binary::Sub => Arithmetic::Sub,
        Binary::Mul => Arithmetic::Mul,
        Binary::Div => Arithmetic::Div,
        _ => return None,
    })
}

/// The operation on these values of a chain, if it can be a step of one.
pub(in crate::execute) fn step(op: &Op, values: &[usize]) -> Option<Step> {
    Some(match (op, values) {
        (Op::Binary(Binary::Gate), &[x, y]) => Step::Gate(x, y),
        (Op::Binary(f), &[x, y]) => Step::Of(arithmetic(*f)?, x, y),
        (Op::Unary(f), &[x, ..]) => match f {
            Unary::Neg => Step::Negative(x),
            Unary::Relu => Step::Relu(x),
            Unary::Sqrt => Step::Root(x),
            Unary::Recip => Step::Reciprocal(x),
            _ => Step::Function(function(*f)?, x),
        },
        (Op::WithScalar(f, value), &[x, ..]) => {
            let f = match f {
                WithScalar::Add => Arithmetic::Add,
                WithScalar::Mul => Arithmetic::Mul,
                WithScalar::Div => Arithmetic::Div,
                WithScalar::Pow if value.as_f64() == 2.0 => return Some(Step::Of(Arithmetic::Mul, x, x)),
                _ => return None,
            };
            Step::With(f, x, value.as_f64())
        }
        _ => return None,
    })
}

pub(super) fn binary(f: Binary, mut x: DispatchTensor, mut y: DispatchTensor) -> DispatchTensor {
    if let Some(result) = arithmetic(f).and_then(|of| host::arithmetic(of, &mut x, &mut y)) {
        return result;
    }
    match f {
        Binary::Add => by_number!(x, float_add, int_add, y),
        Binary::Sub => by_number!(x, float_sub, int_sub, y),
        Binary::Mul => by_number!(x, float_mul, int_mul, y),
        Binary::Div => by_number!(x, float_div, int_div, y),
        Binary::Rem => by_number!(x, float_remainder, int_remainder, y),
        Binary::Pow => by_number!(x, float_powf, int_powi, y),
        Binary::Atan2 => B::float_atan2(x, y),
        Binary::And => by_logic!(x, bool_and, bitwise_and, y),
        Binary::Or => by_logic!(x, bool_or, bitwise_or, y),
        Binary::Xor => by_logic!(x, bool_xor, bitwise_xor, y),
        Binary::ShiftLeft => B::bitwise_left_shift(x, y),
        Binary::ShiftRight => B::bitwise_right_shift(x, y),
        Binary::Gate => B::relu_backward(x, y),
    }
}

pub(super) fn with_scalar(f: WithScalar, mut x: DispatchTensor, c: Number) -> DispatchTensor {
    if let (WithScalar::Mul, Number::Float(factor)) = (f, c)
        && host::scaled(&mut x, factor)
    {
        return x;
    }
    match f {
        WithScalar::Add => by_number!(x, float_add_scalar, int_add_scalar, c),
        WithScalar::Mul => by_number!(x, float_mul_scalar, int_mul_scalar, c),
        WithScalar::Div => by_number!(x, float_div_scalar, int_div_scalar, c),
        WithScalar::Rem => by_number!(x, float_remainder_scalar, int_remainder_scalar, c),
        WithScalar::ClampMin => by_number!(x, float_clamp_min, int_clamp_min, c),
        WithScalar::ClampMax => by_number!(x, float_clamp_max, int_clamp_max, c),
        // A whole exponent is a repeated product: right for negative bases, and faster.
        WithScalar::Pow => match c {
            Number::Float(exponent) if exponent.fract() != 0.0 || exponent.abs() > 64.0 => B::float_powf_scalar(x, c),
            Number::Float(exponent) => B::float_powi_scalar(x, Number::Int(exponent as i64)),
            _ => by_number!(x, float_powi_scalar, int_powi_scalar, c),
        },
    }
}

pub(super) fn compare(relation: Comparison, x: DispatchTensor, y: DispatchTensor, stored: Stored) -> DispatchTensor {
    if x.dtype().is_bool() {
        return match relation {
            Comparison::NotEqual => B::bool_not_equal(x, y),
            _ => B::bool_equal(x, y),
        };
    }
    match relation {
        Comparison::Equal => by_number!(x, float_equal, int_equal, y, stored.mask),
        Comparison::NotEqual => by_number!(x, float_not_equal, int_not_equal, y, stored.mask),
        Comparison::Greater => by_number!(x, float_greater, int_greater, y, stored.mask),
        Comparison::GreaterEqual => by_number!(x, float_greater_equal, int_greater_equal, y, stored.mask),
        Comparison::Lower => by_number!(x, float_lower, int_lower, y, stored.mask),
        Comparison::LowerEqual => by_number!(x, float_lower_equal, int_lower_equal, y, stored.mask),
    }
}

pub(super) fn compare_scalar(relation: Comparison, x: DispatchTensor, c: Number, stored: Stored) -> DispatchTensor {
    match relation {
        Comparison::Equal => by_number!(x, float_equal_elem, int_equal_elem, c, stored.mask),
        Comparison::NotEqual => by_number!(x, float_not_equal_elem, int_not_equal_elem, c, stored.mask),
        Comparison::Greater => by_number!(x, float_greater_elem, int_greater_elem, c, stored.mask),
        Comparison::GreaterEqual => by_number!(x, float_greater_equal_elem, int_greater_equal_elem, c, stored.mask),
        Comparison::Lower => by_number!(x, float_lower_elem, int_lower_elem, c, stored.mask),
        Comparison::LowerEqual => by_number!(x, float_lower_equal_elem, int_lower_equal_elem, c, stored.mask),
    }
}

/// The type is one that the device has.
pub(super) fn cast(x: DispatchTensor, to: DType, stored: Stored) -> DispatchTensor {
    let from = x.dtype();
    match (from.is_float(), from.is_bool(), to.is_float(), to.is_bool()) {
        (true, _, true, _) => B::float_cast(x, to.into()),
        (true, _, _, true) => B::float_not_equal_elem(x, Number::Float(0.0), stored.mask),
        (true, ..) => B::float_into_int(x, to.into()),
        (_, true, true, _) => B::bool_into_float(x, to.into()),
        (_, true, _, true) => x,
        (_, true, ..) => B::bool_into_int(x, to.into()),
        (_, _, true, _) => B::int_into_float(x, to.into()),
        (_, _, _, true) => B::int_not_equal_elem(x, Number::Int(0), stored.mask),
        _ => B::int_cast(x, to.into()),
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::execute::Value;

    fn applied(f: Unary, numbers: &[f64], dtype: DType, is_view: bool) -> Vec<f64> {
        let data = TensorData::new(numbers.to_vec(), [numbers.len() / 2, 2]).convert_dtype(dtype);
        let x = Value::from_data(data, &Device::flex()).0;
        // Burn computes what does not lie in the order of its indices.
        let x = if is_view { B::float_permute(x, &[1, 0]) } else { x };
        let result = unary(f, x, Stored::on(&Device::flex()));
        let result = Value(if is_view { B::float_permute(result, &[1, 0]) } else { result });
        result.to_data().expect("host memory can be read").iter::<f64>().collect()
    }

    #[test]
    fn arithmetic_of_our_own_has_burns_bits() {
        let special = [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1e-40, -3e38, 7.0];
        let count = 70_000;
        let numbers = |seed: usize| -> Vec<f64> {
            (0..count)
                .map(|i| if i % 97 < 8 { special[(i + seed) % 8] } else { (i * seed) as f64 * 0.37 - 9e3 })
                .collect()
        };
        let (xs, ys) = (numbers(3), numbers(5));
        let tensor = |numbers: &[f64], dtype| {
            Value::from_data(TensorData::new(numbers.to_vec(), [count / 2, 2]).convert_dtype(dtype), &Device::flex()).0
        };
        let bits = |x: DispatchTensor| -> Vec<u64> {
            let data = Value(x).to_data().expect("host memory can be read");
            data.iter::<f64>().map(|x| if x.is_nan() { 1 } else { x.to_bits() }).collect()
        };
        for dtype in [DType::F32, DType::F64] {
            let (x, y) = (tensor(&xs, dtype), tensor(&ys, dtype));
            for f in [Binary::Add, Binary::Sub, Binary::Mul, Binary::Div] {
                let burn = |x, y| match f {
                    Binary::Add => B::float_add(x, y),
                    Binary::Sub => B::float_sub(x, y),
                    Binary::Mul => B::float_mul(x, y),
                    _ => B::float_div(x, y),
                };
                let expected = bits(burn(x.clone(), y.clone()));
                // Shared by both, by one, and by none: what is written to is nobody else's.
                assert_eq!(bits(binary(f, x.clone(), y.clone())), expected, "{f:?}");
                assert_eq!(bits(binary(f, tensor(&xs, dtype), y.clone())), expected, "{f:?}");
                assert_eq!(bits(binary(f, x.clone(), tensor(&ys, dtype))), expected, "{f:?}");
                assert_eq!(bits(binary(f, tensor(&xs, dtype), tensor(&ys, dtype))), expected, "{f:?}");
                let turned = |x: &DispatchTensor| B::float_permute(x.clone(), &[1, 0]);
                let own = binary(f, turned(&x), turned(&y));
                assert_eq!(bits(B::float_permute(own, &[1, 0])), expected, "{f:?}");
            }
            for factor in [-1.0, 0.0, 1e-30, 1e300, 0.3] {
                let number = Number::Float(factor);
                let expected = bits(B::float_mul_scalar(x.clone(), number));
                assert_eq!(bits(with_scalar(WithScalar::Mul, x.clone(), number)), expected, "{factor}");
                assert_eq!(bits(with_scalar(WithScalar::Mul, tensor(&xs, dtype), number)), expected, "{factor}");
            }
            assert_eq!(bits(unary(Unary::Neg, x.clone(), Stored::on(&Device::flex()))), bits(B::float_neg(x.clone())));
            assert_eq!((bits(x), bits(y)), (bits(tensor(&xs, dtype)), bits(tensor(&ys, dtype))));
        }
    }

    #[test]
    fn functions_of_our_own_are_burns() {
        use Unary::{Cos, Erf, Exp, Gelu, Log, Log1p, LogSigmoid, Sigmoid, Sin, Tanh};
        let special = [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 88.7, -88.7, 3e38];
        let spread = (0..40_000).map(|i| (f64::from(i) * 0.7).sin() * 10_f64.powi(i % 7 - 4));
        let numbers: Vec<f64> = special.into_iter().chain(spread).collect();
        for f in [Exp, Log, Log1p, Sin, Cos, Tanh, Sigmoid, LogSigmoid, Erf, Gelu] {
            assert!(function(f).is_some());
            for (dtype, bound) in [(DType::F32, 4e-7), (DType::F64, 1e-15)] {
                let [own, burn] = [false, true].map(|is_view| applied(f, &numbers, dtype, is_view));
                for ((x, own), burn) in numbers.iter().zip(own).zip(burn) {
                    let is_same = own == burn || own.is_nan() && burn.is_nan();
                    // What is left of `1 + erf(x)` below zero is rounding.
                    let size = if f == Gelu { x.abs() } else { burn.abs() };
                    assert!(
                        is_same || (own - burn).abs() <= bound * size + 1e-44,
                        "{f:?} of {x} in {dtype:?}: {own}, {burn}"
                    );
                }
            }
        }
    }
}

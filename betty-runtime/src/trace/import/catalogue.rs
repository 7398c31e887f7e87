//! Every operation Burn can record, and what its derivative is.
//!
//! One list makes the table of `docs/operations.md`, the names in errors, and a match that the compiler checks for
//! completeness: an operation that a new version of Burn adds does not build until it stands here.

use burn_ir::{
    ActivationOperationIr, BaseOperationIr, BoolOperationIr, DistributedOperationIr, FloatOperationIr, IntOperationIr,
    ModuleOperationIr, NumericOperationIr, OperationIr,
};

/// What the derivative of an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Derivative {
    /// Exact, to any order.
    Exact,
    /// Exact, to any order, away from ties and kinks; there by the convention that the remark states.
    Piecewise,
    /// Zero: the result does not change when the floats it is computed from do.
    Constant,
    /// None: neither floats nor made of floats by anything that has a slope.
    Discrete,
    /// Refused with an error; the remark says what can be done.
    Missing,
}

/// One operation of Burn.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The family and the name, as in `Numeric::Add`.
    pub(crate) name: &'static str,
    /// What its derivative is.
    pub(crate) derivative: Derivative,
    /// Conventions and limits; for what is missing, what to do instead.
    pub(crate) remark: &'static str,
}

macro_rules! catalogue {
    ($($family:ident: $ir:ident { $($derivative:ident($($name:ident),*) $remark:literal;)* })*) => {
        /// All operations, family by family.
        #[cfg(test)]
        pub(crate) const OPERATIONS: &[Entry] = &[$($($(
            Entry {
                name: concat!(stringify!($family), "::", stringify!($name)),
                derivative: Derivative::$derivative,
                remark: $remark,
            },
        )*)*)*];

        $(impl Listed for $ir {
            fn entry(&self) -> &'static Entry {
                match self {
                    $($($ir::$name { .. } => &Entry {
                        name: concat!(stringify!($family), "::", stringify!($name)),
                        derivative: Derivative::$derivative,
                        remark: $remark,
                    },)*)*
                }
            }
        })*
    };
}

/// Operations that stand in the catalogue.
pub(super) trait Listed {
    /// What it says of them.
    fn entry(&self) -> &'static Entry;
}

/// What the catalogue says of a recorded operation; nothing of what only manages tensors, or is not Burn's.
pub(crate) fn entry(operation: &OperationIr) -> Option<&'static Entry> {
    match operation {
        OperationIr::BaseFloat(op) | OperationIr::BaseInt(op) | OperationIr::BaseBool(op) => Some(op.entry()),
        OperationIr::NumericFloat(_, op) | OperationIr::NumericInt(_, op) => Some(op.entry()),
        OperationIr::Bool(op) => Some(op.entry()),
        OperationIr::Int(op) => Some(op.entry()),
        OperationIr::Float(_, op) => Some(op.entry()),
        OperationIr::Module(op) => Some(op.entry()),
        OperationIr::Distributed(op) => Some(op.entry()),
        OperationIr::Activation(op) => Some(op.entry()),
        OperationIr::Init(_) | OperationIr::Custom(_) | OperationIr::Drop(_) => None,
    }
}

catalogue! {
    Base: BaseOperationIr {
        Exact(Reshape, SwapDims, Permute, Flip, Expand) "";
        Exact(Unfold) "read at fixed positions";
        Exact(Slice, SliceAssign) "any step, also backwards";
        Exact(Select, Gather, GatherNd) "derivative by the values, none by the indices";
        Piecewise(SelectAssign, Scatter, ScatterNd)
            "entries written several times: exact, also where Burn's is not, but for assigned ones on a GPU, where Burn leaves open which value stays; a tie of minimum or maximum: each side has derivative 1";
        Exact(MaskWhere, MaskFill) "by both values, none by the mask";
        Exact(RepeatDim, Cat) "";
        Exact(Cast) "between floats; integers and truth values end a derivative";
        Constant(Empty, Ones, Zeros) "an empty tensor is filled with 0";
        Discrete(Equal, EqualElem, NotEqual, NotEqualElem, All, Any, AllDim, AnyDim) "";
    }
    Numeric: NumericOperationIr {
        Exact(Add, AddScalar, Sub, SubScalar, Mul, MulScalar, Div, DivScalar, Neg) "";
        Piecewise(Rem, RemScalar) "at a jump: the derivative beside it";
        Piecewise(Abs) "at 0: 0";
        Constant(Sign, Full) "";
        Exact(Sum, SumDim, SumDims, Mean, MeanDim) "";
        Exact(Prod, ProdDim) "in halves, without division: right where factors are 0, as long as no part of the product overflows";
        Exact(CumSum) "";
        Exact(CumProd) "without division: right where factors are 0, as long as no part of the product overflows; `log₂ n` products for `n` elements";
        Piecewise(CumMin, CumMax) "ties: the latest one";
        Piecewise(Max, Min, MaxDim, MinDim, MaxDimWithIndices, MinDimWithIndices) "ties: the first one";
        Piecewise(MaxAbs, MaxAbsDim) "ties: the first one; at 0: 0";
        Piecewise(Sort, SortWithIndices) "ties: in the order of Burn's own sort, which on a GPU runs on the host";
        Piecewise(TopK, TopKWithIndices) "ties: the ones that Burn's indices name";
        Discrete(ArgMax, ArgMin, ArgSort, ArgTopK, Greater, GreaterElem, GreaterEqual, GreaterEqualElem, Lower,
            LowerElem, LowerEqual, LowerEqualElem) "";
        Piecewise(Clamp, ClampMin, ClampMax) "at a bound: 1";
        Exact(Powi) "by the base; the exponent is an integer";
        Exact(PowiScalar) "";
        Exact(Pad) "constant, reflected and edge";
        Discrete(IntRandom) "one draw for value and derivatives";
    }
    Float: FloatOperationIr {
        Exact(Exp, Log, Log1p, Erf, Sqrt, Recip, Sin, Cos, Tan, Sinh, Cosh, Tanh, ArcSin, ArcCos, ArcTan,
            ArcSinh, ArcCosh, ArcTanh, ArcTan2) "";
        Exact(Powf) "by base and exponent; by the exponent for a positive base, and 0 for the base 0, where Burn's is no number";
        Exact(PowfScalar) "";
        Exact(Hypot) "at the origin: not a number";
        Exact(Matmul, Cross) "";
        Constant(Round, Floor, Ceil, Trunc) "";
        Constant(Random) "one draw for value and derivatives";
        Discrete(IntoInt) "";
        Discrete(IsNan, IsInf) "Burn records comparisons instead";
        Piecewise(GridSample2d) "bilinear; at a pixel: the derivative in the cell behind it; in pieces of the tensors' own types: cast image and grid of 16 bits to f32";
        Missing(Quantize, Dequantize) "keep quantised tensors out of a loss";
    }
    Int: IntOperationIr {
        Discrete(IntoFloat, Matmul, BitwiseAnd, BitwiseAndScalar, BitwiseOr, BitwiseOrScalar, BitwiseXor,
            BitwiseXorScalar, BitwiseNot, BitwiseLeftShift, BitwiseLeftShiftScalar, BitwiseRightShift,
            BitwiseRightShiftScalar) "";
    }
    Bool: BoolOperationIr {
        Discrete(IntoFloat, IntoInt, Not, And, Or, Xor) "";
    }
    Activation: ActivationOperationIr {
        Piecewise(Relu, ReluBackward) "at 0: 0";
        Piecewise(LeakyRelu, PRelu) "at 0: 1";
        Exact(Gelu) "by the error function";
        Exact(GeluBackward) "of the error function, also where a backend approximates it";
        Exact(Sigmoid, SigmoidBackward, LogSigmoid, LogSigmoidBackward) "";
        Piecewise(HardSigmoid) "at a bound: 1";
        Exact(Softmax, LogSoftmax) "also where they arrive in pieces";
        Exact(Softmin) "";
    }
    Module: ModuleOperationIr {
        Exact(Linear, LinearXBackward, LinearWeightBackward, LinearBiasBackward) "";
        Exact(Embedding, EmbeddingBackward) "by the weights";
        Exact(BatchNorm) "with given statistics";
        Exact(LayerNorm) "also where it arrives in pieces";
        Exact(Conv1d, Conv1dXBackward) "";
        Exact(Conv1dWeightBackward) "also with groups and a stride that leaves a rest, where Burn's is wrong";
        Exact(Conv1dBiasBackward, Conv2d, Conv2dXBackward, Conv2dWeightBackward, Conv2dBiasBackward, Conv3d, Conv3dXBackward,
            Conv3dWeightBackward, Conv3dBiasBackward, ConvTranspose1d, ConvTranspose1dWeightBackward,
            ConvTranspose1dBiasBackward, ConvTranspose2d, ConvTranspose2dWeightBackward,
            ConvTranspose2dBiasBackward, ConvTranspose3d, ConvTranspose3dWeightBackward,
            ConvTranspose3dBiasBackward, AvgPool1d, AvgPool1dBackward, AvgPool2d, AvgPool2dBackward,
            AdaptiveAvgPool1d, AdaptiveAvgPool1dBackward, AdaptiveAvgPool2d, AdaptiveAvgPool2dBackward,
            AdaptiveAvgPool3d, AdaptiveAvgPool3dBackward) "";
        Piecewise(MaxPool1d, MaxPool1dWithIndices, MaxPool2d, MaxPool2dWithIndices)
            "ties: the one that Burn's indices name";
        Exact(MaxPool1dWithIndicesBackward, MaxPool2dWithIndicesBackward) "by the cotangent";
        Exact(Interpolate, InterpolateBackward) "nearest, bilinear, bicubic and Lanczos";
        Exact(Unfold4d) "";
        Exact(Attention) "rows with nothing to attend to are 0";
        Piecewise(DeformableConv2d, DeformableConv2dBackward) "at a pixel: the derivative in the cell behind it";
        Missing(CtcLoss, CtcLossBackward) "record Burn's default form, whose pieces are differentiated";
    }
    Distributed: DistributedOperationIr {
        Missing(AllReduce, SyncCollective) "reduce over devices outside of the loss";
    }
}

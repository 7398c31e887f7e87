//! Constants of a program that are integers, whatever their type.

/// A constant that `multilevel!` found in the place of an integer: one `const STEPS: usize` may be `unroll`, which is a `usize`, and the
/// `rise` of a schedule, which is a `u64`.
pub struct Integer<T>(pub T);

macro_rules! integers {
    ($($of:ty)*) => {
        $(impl Integer<$of> {
            /// The number.
            pub const fn value(self) -> i128 {
                self.0 as i128
            }
        })*
    };
}

// Wider ones hold nothing that an option takes besides.
integers!(u8 u16 u32 u64 usize i8 i16 i32 i64 isize);

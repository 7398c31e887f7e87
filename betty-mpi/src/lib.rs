//! Ranks of a distributed run as processes that MPI connects: `mpirun -n 4 program`.
//!
//! Without the feature `mpi` this crate is empty and needs nothing. With it, it needs an MPI library (Open MPI is what it is tested
//! with), `clang` and `pkg-config` to build.
//!
//! ```ignore
//! let mut engine = Engine::new(problem, data, config)?.distributed(betty_mpi::Mpi::start(deadline)?)?;
//! ```
//!
//! This is the one crate of betty with unsafe code: calls of the C interface, because only that tells whether a message has come
//! through, and lets a rank stop waiting for one.

#[cfg(feature = "mpi")]
mod mpi;

#[cfg(feature = "mpi")]
pub use self::mpi::Mpi;

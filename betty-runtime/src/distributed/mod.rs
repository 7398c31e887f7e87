//! Many processes, one program: every rank runs the same program on its own share of the examples, and all of them follow the
//! gradient of the joined batch.
//!
//! A loss that is a mean over the examples of a batch is the weighted mean of the losses of its shards, and everything that a
//! hypergradient is made of is linear in the losses of the levels: gradients, and products with second derivatives of
//! Lagrangians. So with
//!
//! ```text
//! C = Σᵣ wᵣ·Cᵣ,    wᵣ = nᵣ / Σₛ nₛ    for nᵣ examples on rank r
//! ```
//!
//! each rank computes with `wᵣ·Cᵣ` in the place of its loss, and sums over ranks give gradients and products of the joined batch.
//! Solvers, optimizers and schedules see these sums only, which are the same bits on every rank, so ranks take the same
//! branches and the same steps. What is not linear in the losses is refused, or is not sharded.
//!
//! | file | what is in it |
//! |---|---|
//! | `collective` | [`Collective`]: what a transport of messages has to do |
//! | `single`, `threads` | transports: none, and one between threads of a process |
//! | `header`, `ranks` | the protocol over a transport: every message is announced, so that an error of one rank is one of all |
//! | `apart` | what ranks do each by itself in between |
//! | `launch` | which of how many processes this is, as the environment says |
//! | `link` | what messages take, from the latency and the bandwidth of a [`Link`], given or [measured](measure) |
//! | `inside` | [sums](sum) over ranks inside of losses and steps |
//! | `split` | [`Split`]: what of the work each rank takes |
//! | `sum` | vectors and numbers summed over ranks, in one message |
//! | `first` | tensors of one rank, given to all |
//!
//! Here no level is known, and no loss.

mod apart;
mod collective;
mod error;
mod first;
mod header;
mod inside;
mod launch;
mod link;
mod ranks;
mod single;
mod split;
mod sum;
mod threads;

pub use self::collective::{Collective, CollectiveError};
pub use self::error::DistributedError;
pub use self::inside::sum;
pub use self::launch::{Launch, LaunchError};
pub use self::link::{Link, measure};
pub(crate) use self::ranks::Ranks;
pub use self::single::SingleProcess;
pub use self::split::Split;
pub use self::threads::Threads;

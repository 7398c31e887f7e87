//! Hypergradients through any acyclic graph of levels, against closed forms and brute force.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod accumulated;
mod adjoint;
mod beside;
mod chains;
mod cost;
mod costly;
mod counted;
mod equilibrium;
mod followed;
mod inexact;
mod joint;
mod level;
mod order;
mod partial;
mod plot;
mod quadratics;
mod read;
mod reference;
mod rounds;
mod run;
mod selection;
mod shared;
mod single_loop;
mod smooth;
mod table;
mod twice;
mod unrolled;
mod waiting;

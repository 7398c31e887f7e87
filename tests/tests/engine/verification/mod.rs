//! Gradients compared with Burn's: what is stopped, what is not, and what cannot be compared.

mod drawn;
mod parts;
mod programs;
mod properties;
mod together;
mod unchecked;

//! Data sets: splits, noise and batches, and files in every form that they come in.

mod cifar;
mod folders;
mod idx;
mod programs;
mod sets;

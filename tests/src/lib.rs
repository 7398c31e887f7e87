//! What the tests and benchmarks of betty share: whole models, made of Burn's `nn`, and the vectors of small problems; and the
//! programs of the book, as doc tests.

pub mod devices;
pub mod models;
pub mod vectors;

/// The programs of the book, chapter by chapter (`build.rs` takes them out of it).
#[cfg(doctest)]
mod book {
    include!(concat!(env!("OUT_DIR"), "/book.rs"));
}

#[cfg(test)]
mod links;

//! Batches that are computed from the program: rollouts, environments, hard examples.

use std::any::{Any, type_name};

use super::source::{Ask, Next, Past, Source};
use super::{Stream, StreamError};
use crate::error::DataError;
use crate::trace::Batch;

impl<B: Batch> Stream<B> {
    /// Batches that depend on the program: `batch` makes each of the program with its current parameters, and of the number of
    /// batches that the level has taken before. For a level that takes one batch a step, that is the number of its steps.
    ///
    /// The parameters are those at the moment when the batch is drawn: of a level's own batch, after the steps of the levels
    /// below. No derivative goes through what is computed here; what a batch depends on by a formula belongs into the loss.
    ///
    /// A run that resumes goes on bit for bit if equal programs and numbers give equal batches: what is drawn at random shall
    /// be drawn from a generator that the number seeds. Batches from before are not computed again then, so that
    /// `StreamPosition::Start` only counts them. A best response that would be differentiated on one of them, which happens to
    /// levels that several others share in different rhythms, is differentiated on the next batch instead. A batch that only a
    /// question has looked at is made again for the step.
    ///
    /// ```
    /// use betty_runtime::Stream;
    /// use burn::nn::Linear;
    /// use burn::tensor::{Device, Tensor};
    /// # use std::convert::Infallible;
    ///
    /// struct Fitting {
    ///     model: Linear,
    /// }
    ///
    /// /// The half of the examples that the model is worst at.
    /// fn hard_examples(all: Tensor<2>, targets: Tensor<2>) -> Stream<(Tensor<2>, Tensor<2>)> {
    ///     Stream::of_program(move |program: &Fitting, _number| {
    ///         let losses = (program.model.forward(all.clone()) - targets.clone()).square().sum_dim(1).squeeze_dim::<1>(1);
    ///         let worst = losses.argsort_descending(0).slice(0..all.dims()[0] / 2);
    ///         Ok::<_, Infallible>((all.clone().select(0, worst.clone()), targets.clone().select(0, worst)))
    ///     })
    /// }
    /// ```
    ///
    /// The stream fails as `batch` does. Given to a level of another program it fails with a [`StreamError::OtherProgram`]. An
    /// [`Engine`](crate::Engine) refuses it for tasks that are computed together
    /// ([`EngineError::DataTogether`](crate::EngineError::DataTogether)).
    pub fn of_program<P: 'static, E: Into<DataError>>(
        mut batch: impl FnMut(&P, u64) -> Result<B, E> + 'static,
    ) -> Self {
        let make = move |program: Option<&dyn Any>, taken| {
            let program = program.ok_or(StreamError::NoProgram)?;
            let program = program.downcast_ref().ok_or(StreamError::OtherProgram { wanted: type_name::<P>() })?;
            batch(program, taken).map_err(Into::into)
        };
        Stream { source: Box::new(OfProgram(make)) }
    }
}

struct OfProgram<F>(F);

impl<B, F: FnMut(Option<&dyn Any>, u64) -> Result<B, DataError>> Source<B> for OfProgram<F> {
    fn next(&mut self, ask: &Ask<'_>) -> Next<B> {
        Some(match *ask {
            Ask::Next { program, taken } => (self.0)(program, taken).map(Some),
            Ask::Skip => Ok(None),
        })
    }

    fn reads_program(&self) -> bool {
        true
    }

    /// A batch is made again whenever it is asked for.
    fn turn(&mut self, _past: Past) {}
}

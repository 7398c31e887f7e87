//! What turned out while losses were recorded, told to observers before the next step.

use super::host::Host;
use super::run::Run;
use crate::event::tell;
use crate::program::News;

impl Run {
    /// Tells observers.
    pub(super) fn tell_of(&mut self, host: &mut dyn Host, news: &News) {
        let names: Vec<&'static str> = self.program.levels.iter().map(|level| level.name).collect();
        tell(news, &names, |event| self.emit(host, event));
    }
}

//! What turned out while losses were recorded, told to observers before the next step.

use super::host::Host;
use super::run::Run;
use crate::event::tell;

impl Run {
    /// Tells observers.
    pub(super) fn tell_news(&mut self, host: &mut dyn Host) {
        for news in std::mem::take(&mut self.program.losses.news) {
            let names: Vec<&'static str> = self.program.levels.iter().map(|level| level.name).collect();
            tell(&news, &names, |event| self.emit(host, event));
        }
    }
}

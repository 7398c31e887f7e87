//! How a level's learning rate changes from step to step.

use std::f64::consts::PI;

use betty_macros::configs;

configs! {
    /// How the learning rate of a level's steps changes: a factor of the optimizer's `lr` that depends on the number of the step
    /// and on nothing else, so that a run that is resumed goes on with it. In JSON `{"name": "cosine", "steps": 1000}`.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub enum ScheduleConfig {}
}

impl ScheduleConfig {
    /// The factor of the learning rate at step `t`, which counts from 0: from the beginning of the run, or, if the schedule
    /// [restarts](Self::restarts), from where the level last began anew.
    ///
    /// ```
    /// use betty_runtime::{LinearScheduleConfig, ScheduleConfig};
    ///
    /// let falling = ScheduleConfig::LinearSchedule(LinearScheduleConfig { from: 1.0, to: 0.2, steps: 4, rise: 1, restart: false });
    /// let factors = [0.5, 1.0, 0.8, 0.6, 0.4, 0.2, 0.2];
    /// for (t, expected) in factors.into_iter().enumerate() {
    ///     assert!((falling.factor(t as u64) - expected).abs() < 1e-15);
    /// }
    /// ```
    #[must_use]
    pub fn factor(&self, t: u64) -> f64 {
        let rise = match self {
            Self::CosineSchedule(of) => of.rise,
            Self::LinearSchedule(of) => of.rise,
            Self::ExponentialSchedule(of) => of.rise,
            Self::StepSchedule(of) => of.rise,
            Self::NoamSchedule(_) => 0,
        };
        match t.checked_sub(rise) {
            Some(t) => self.behind_rise(t as f64),
            None => self.behind_rise(0.0) * (t + 1) as f64 / (rise as f64 + 1.0),
        }
    }

    /// The factor of step `t` behind those in which it rises.
    fn behind_rise(&self, t: f64) -> f64 {
        match self {
            Self::CosineSchedule(CosineScheduleConfig { to, steps, .. })
            | Self::LinearSchedule(LinearScheduleConfig { to, steps, .. })
                if t >= *steps as f64 =>
            {
                *to
            }
            Self::CosineSchedule(of) => of.to + 0.5 * (of.from - of.to) * (1.0 + (PI * t / of.steps as f64).cos()),
            Self::LinearSchedule(of) => of.from + (of.to - of.from) * t / of.steps as f64,
            Self::ExponentialSchedule(of) => of.gamma.powf(t),
            Self::StepSchedule(of) => of.gamma.powf((t / of.steps as f64).floor()),
            Self::NoamSchedule(of) => {
                let step = t + 1.0;
                (of.size as f64).powf(-0.5) * step.powf(-0.5).min(step * (of.rise as f64).powf(-1.5))
            }
        }
    }

    /// Whether steps are counted from where the level last began anew.
    #[must_use]
    pub fn restarts(&self) -> bool {
        match self {
            Self::CosineSchedule(of) => of.restart,
            Self::LinearSchedule(of) => of.restart,
            Self::ExponentialSchedule(of) => of.restart,
            Self::StepSchedule(of) => of.restart,
            Self::NoamSchedule(of) => of.restart,
        }
    }
}

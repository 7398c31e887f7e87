//! Which of how many processes this is, as whoever started it says: `mpirun`, `srun`, `torchrun` and their like.

use std::env::{self, VarError};

/// Which of how many processes this is.
///
/// | started by | variables |
/// |---|---|
/// | `torchrun` and the like | `RANK`, `WORLD_SIZE`, `LOCAL_RANK` |
/// | Open MPI | `OMPI_COMM_WORLD_RANK`, `OMPI_COMM_WORLD_SIZE`, `OMPI_COMM_WORLD_LOCAL_RANK` |
/// | MPICH, Intel MPI | `PMI_RANK`, `PMI_SIZE`, `MPI_LOCALRANKID` |
/// | `srun` | `SLURM_PROCID`, `SLURM_NTASKS`, `SLURM_LOCALID` |
///
/// All of them are read, and have to say the same. Those of Slurm count where no others are set: a batch job has them for the
/// script in which another starter runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Launch {
    /// The number of this process, from 0.
    pub rank: usize,
    /// How many there are.
    pub size: usize,
    /// The number of this process among those on its machine, where it is said: which GPU to take, for instance.
    pub local_rank: Option<usize>,
}

/// The variables of one who starts processes: the number of this one, how many there are, and its number on the machine.
const STARTERS: [[&str; 3]; 4] = [
    ["RANK", "WORLD_SIZE", "LOCAL_RANK"],
    ["OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"],
    ["PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID"],
    ["SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"],
];

/// Variables of the environment do not say which of how many processes this is.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// A variable holds no number.
    #[error(
        "the variable `{name}` is `{value}`, which is no number of a process; unset it, or start with `mpirun` or `srun`"
    )]
    NotANumber {
        /// The variable.
        name: &'static str,
        /// What it holds.
        value: String,
    },
    /// One of two variables that belong together is missing.
    #[error("the variable `{set}` is set and `{missing}` is not; set both, or none")]
    Half {
        /// The one that is set.
        set: &'static str,
        /// The one that is not.
        missing: &'static str,
    },
    /// A process has a number that is not among those of all.
    #[error("`{name}` is {rank}, but there are {size} processes, whose numbers begin at 0")]
    OutOfRange {
        /// The variable.
        name: &'static str,
        /// The number.
        rank: usize,
        /// How many processes there are.
        size: usize,
    },
    /// Two who start processes say different things.
    #[error(
        "`{one}` says that this is process {first}, and `{other}` that it is process {second}; unset those of one of them"
    )]
    Conflict {
        /// A variable of the one.
        one: &'static str,
        /// What it says: the number, and of how many.
        first: String,
        /// A variable of the other.
        other: &'static str,
        /// What that says.
        second: String,
    },
}

crate::report::debug_as_report!(LaunchError);

impl Launch {
    /// What the environment says, if it says anything.
    ///
    /// # Errors
    /// [`LaunchError`] where variables contradict each other, or themselves.
    pub fn from_environment() -> Result<Option<Self>, LaunchError> {
        Self::from_variables(|name| match env::var(name) {
            Ok(value) => Some(value),
            Err(VarError::NotPresent) => None,
            Err(VarError::NotUnicode(value)) => Some(value.to_string_lossy().into_owned()),
        })
    }

    /// As [`from_environment`](Self::from_environment), from variables that somebody looks up.
    ///
    /// ```
    /// use betty_runtime::distributed::Launch;
    ///
    /// let variables = [("OMPI_COMM_WORLD_RANK", "2"), ("OMPI_COMM_WORLD_SIZE", "4")];
    /// let look_up = |name: &str| variables.iter().find(|(of, _)| *of == name).map(|(_, value)| value.to_string());
    /// assert_eq!(Launch::from_variables(look_up)?, Some(Launch { rank: 2, size: 4, local_rank: None }));
    /// # Ok::<(), betty_runtime::distributed::LaunchError>(())
    /// ```
    ///
    /// # Errors
    /// As [`from_environment`](Self::from_environment).
    pub fn from_variables(look_up: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, LaunchError> {
        let mut found: Option<(&'static str, Launch)> = None;
        for [rank, size, local] in STARTERS {
            if rank.starts_with("SLURM") && found.is_some() {
                break;
            }
            let number = |name: &'static str| {
                let Some(value) = look_up(name) else { return Ok(None) };
                value.trim().parse().map(Some).map_err(|_| LaunchError::NotANumber { name, value })
            };
            let of = match (number(rank)?, number(size)?) {
                (None, None) => continue,
                (Some(_), None) => return Err(LaunchError::Half { set: rank, missing: size }),
                (None, Some(_)) => return Err(LaunchError::Half { set: size, missing: rank }),
                (Some(of), Some(all)) if of >= all => {
                    return Err(LaunchError::OutOfRange { name: rank, rank: of, size: all });
                }
                (Some(rank), Some(size)) => Launch { rank, size, local_rank: number(local)? },
            };
            match &mut found {
                None => found = Some((rank, of)),
                Some((_, first)) if (first.rank, first.size) == (of.rank, of.size) => {
                    first.local_rank = first.local_rank.or(of.local_rank);
                }
                Some((one, first)) => {
                    let said = |of: &Launch| format!("{} of {}", of.rank, of.size);
                    let (first, second) = (said(first), said(&of));
                    return Err(LaunchError::Conflict { one, first, other: rank, second });
                }
            }
        }
        Ok(found.map(|(_, launch)| launch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch(variables: &[(&str, &str)]) -> Result<Option<Launch>, LaunchError> {
        Launch::from_variables(|name| {
            variables.iter().find(|(of, _)| *of == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn every_starter_is_understood() {
        for [rank, size, local] in STARTERS {
            let found = launch(&[(rank, "3"), (size, "4"), (local, "1")]);
            assert_eq!(found, Ok(Some(Launch { rank: 3, size: 4, local_rank: Some(1) })));
        }
        assert_eq!(launch(&[("HOME", "/")]), Ok(None));
        // One started by another, in a batch job.
        let nested =
            [("PMI_RANK", "1"), ("PMI_SIZE", "2"), ("RANK", "1"), ("WORLD_SIZE", "2"), ("MPI_LOCALRANKID", "0")];
        let job = [("SLURM_PROCID", "0"), ("SLURM_NTASKS", "8")];
        assert_eq!(launch(&[&nested[..], &job].concat()), Ok(Some(Launch { rank: 1, size: 2, local_rank: Some(0) })));
    }

    #[test]
    fn what_does_not_fit_together_is_an_error() {
        let error = |variables: &[(&str, &str)]| launch(variables).expect_err("it does not fit").to_string();
        assert!(error(&[("RANK", "0")]).contains("`RANK` is set and `WORLD_SIZE` is not"));
        assert!(error(&[("RANK", "2"), ("WORLD_SIZE", "2")]).contains("`RANK` is 2, but there are 2 processes"));
        assert!(error(&[("RANK", "first"), ("WORLD_SIZE", "2")]).contains("`RANK` is `first`"));
        let both = [("RANK", "0"), ("WORLD_SIZE", "2"), ("PMI_RANK", "0"), ("PMI_SIZE", "3")];
        let text = error(&both);
        assert!(
            text.contains("`RANK` says that this is process 0 of 2, and `PMI_RANK` that it is process 0 of 3"),
            "{text}"
        );
    }
}

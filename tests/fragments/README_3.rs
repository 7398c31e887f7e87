//- the program
use betty_runtime::watch::*;
use betty_runtime::{EngineError, Score};

/// What validation judges a program by.
type Judged = fn(&Reweighting) -> Result<f64, EngineError>;

fn beside(
    (loss, accuracy): (Judged, Judged),
    (problem, data, config): (Reweighting, ReweightingData, ReweightingConfig),
) -> Result<(), Box<dyn std::error::Error>> {
    //- the fragment
    Ok(())
}

//- the program
use betty_runtime::watch::*;
use betty_runtime::{EngineError, Score};

fn loss(_: &Reweighting) -> Result<f64, EngineError> {
    unimplemented!()
}

fn accuracy(_: &Reweighting) -> Result<f64, EngineError> {
    unimplemented!()
}

fn beside(problem: Reweighting, data: ReweightingData, config: ReweightingConfig) -> Result<(), Box<dyn std::error::Error>> {
    //- the fragment
    Ok(())
}

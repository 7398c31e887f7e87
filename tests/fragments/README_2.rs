//- the program
use betty_runtime::StreamPosition;

fn beside(problem: Reweighting, data: ReweightingData, config: ReweightingConfig) -> Result<(), Box<dyn std::error::Error>> {
    //- the fragment
    Ok(())
}

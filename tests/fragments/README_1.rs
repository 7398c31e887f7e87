//- the program
use betty_runtime::Hypergradient;
use burn::optim::AdamConfig;

fn beside(mut all: Reweighting, held_out: Examples, batch: Examples) -> Result<(), Box<dyn std::error::Error>> {
    let mut optimizer = AdamConfig::new().init();
    //- the fragment
    Ok(())
}

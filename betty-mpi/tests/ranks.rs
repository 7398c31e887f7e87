//! A program for several ranks that `mpirun` starts: `tools/mpi-check` runs it, with what shall go wrong as its arguments.
//!
//! `exact` compares runs on shares, and runs whose ranks take whole tasks or some directions each, with runs on whole batches in the
//! same process. `run FAULT RANK ITERATION` lets something happen to
//! a rank, and saves to the file that `BETTY_CHECKPOINT` names, if it does.

use std::collections::hash_map::DefaultHasher;
use std::error::Error;
use std::hash::{Hash, Hasher};
use std::io;
use std::process::{Command, ExitCode};
use std::rc::Rc;
use std::time::{Duration, Instant};

use betty_mpi::Mpi;
use betty_runtime::distributed::{Collective, Split};
use betty_runtime::{Batch, Engine, EngineError, Event, ProgramConfig, Stream, StreamPosition, multilevel};
use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor, TensorData};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

#[derive(Module, Debug)]
struct Net {
    first: Param<Tensor<2>>,
    second: Param<Tensor<2>>,
}

#[derive(Clone, Batch)]
struct Samples {
    x: Tensor<2>,
    y: Tensor<2>,
}

fn random<const D: usize>(shape: [usize; D], generator: &mut StdRng) -> Tensor<D> {
    let values: Vec<f64> = (0..shape.iter().product()).map(|_| generator.random_range(-1.0..1.0)).collect();
    Tensor::from_data(TensorData::new(values, shape), (&Device::flex(), DType::F64))
}

fn error(net: &Net, batch: Samples) -> Tensor<1> {
    let found = batch.x.matmul(net.first.val()).tanh().matmul(net.second.val());
    (found - batch.y).powi_scalar(2).mean()
}

fn fit(net: &Net, knobs: &Param<Tensor<1>>, batch: Samples) -> Tensor<1> {
    let penalty = net.first.val().powi_scalar(2).sum() + net.second.val().powi_scalar(2).sum();
    error(net, batch) + penalty * (knobs.val().exp() + 1.0)
}

fn choose(_knobs: &Param<Tensor<1>>, net: &Net, batch: Samples) -> Tensor<1> {
    error(net, batch)
}

multilevel! {
    struct Choice;
    level knobs: Param<Tensor<1>> { lower: [net], batch: Samples, loss: choose, optimizer: adam(lr = 0.01) }
    level net: Net {
        upper: [knobs], batch: Samples, loss: fit, optimizer: sgd(lr = 0.1, momentum = 0.5), unroll: 3, hypergradient: cg,
    }
}

/// The examples of one rank, or of all: rank `r` of `n` has `r + 1` and `n - r` of them in turns.
fn samples(seed: u64, size: usize, rank: Option<usize>, faulty: Option<(Fault, u64)>) -> Stream<Samples> {
    let batches = (0_u64..).map(move |index| {
        let counts: Vec<usize> = (0..size).map(|of| if index % 2 == 0 { of + 1 } else { size - of }).collect();
        let generator = &mut StdRng::seed_from_u64(1000 * seed + index);
        let rows: usize = counts.iter().sum();
        let (mut x, y) = (random([rows, 3], generator), random([rows, 2], generator));
        match faulty {
            Some((Fault::Nan, at)) if index == at => x = x * f64::NAN,
            Some((Fault::Data, at)) if index == at => return Err(io::Error::other("the data are gone")),
            _ => {}
        }
        let (start, count) = rank.map_or((0, rows), |rank| (counts[..rank].iter().sum(), counts[rank]));
        Ok(Samples { x: x.narrow(0, start, count), y: y.narrow(0, start, count) })
    });
    Stream::batches(batches)
}

fn engine(
    size: usize,
    rank: Option<usize>,
    faulty: Option<(Fault, u64)>,
    json: &str,
) -> Result<Engine<Choice>, EngineError> {
    let generator = &mut StdRng::seed_from_u64(5);
    let net = Net {
        first: Param::from_tensor(random([3, 4], generator)),
        second: Param::from_tensor(random([4, 2], generator)),
    };
    let knobs = Param::from_tensor(random([1], generator));
    let data = ChoiceData { knobs: samples(1, size, rank, None), net: samples(2, size, rank, faulty) };
    Engine::new(Choice { knobs, net }, data, ChoiceConfig::from_json(json)?)
}

fn values(engine: &mut Engine<Choice>) -> Result<Vec<f64>, Box<dyn Error>> {
    let Choice { knobs, net } = engine.problem();
    let parts = [knobs.val().into_data(), net.first.val().into_data(), net.second.val().into_data()];
    Ok(parts.iter().flat_map(|part| part.iter::<f64>()).collect())
}

/// What happens to a rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    Kill,
    Stop,
    Exit,
    Panic,
    Nan,
    Data,
    Config,
    Leave,
}

const FAULTS: [(&str, Fault); 9] = [
    ("none", Fault::None),
    ("kill", Fault::Kill),
    ("stop", Fault::Stop),
    ("exit", Fault::Exit),
    ("panic", Fault::Panic),
    ("nan", Fault::Nan),
    ("data", Fault::Data),
    ("config", Fault::Config),
    ("leave", Fault::Leave),
];

impl Fault {
    fn happen(self) {
        let signal = |name: &str| {
            let sent = Command::new("kill").args([name, &std::process::id().to_string()]).status();
            sent.map_or_else(|error| eprintln!("cannot send a signal: {error}"), |_| ());
        };
        match self {
            Fault::Kill => signal("-KILL"),
            Fault::Stop => signal("-STOP"),
            Fault::Exit => std::process::exit(3),
            Fault::Panic => panic!("a panic that was asked for"),
            Fault::None | Fault::Nan | Fault::Data | Fault::Config | Fault::Leave => {}
        }
    }
}

/// Runs on shares against runs on whole batches.
fn exact(mpi: &Rc<Mpi>) -> Result<(), Box<dyn Error>> {
    let (rank, size) = (mpi.rank(), mpi.size());
    for method in ["cg", "minres", "gmres", "nystrom", "neumann", "dense", "unrolled", "forward", "forward_gradient"] {
        let json = format!(r#"{{ "net": {{ "hypergradient": {{ "method": "{method}" }} }} }}"#);
        let mut whole = engine(size, None, None, &json)?;
        whole.run(3)?;
        let mut shared = engine(size, Some(rank), None, &json)?.distributed(Rc::clone(mpi))?;
        let begun = Instant::now();
        shared.run(3)?;
        compare(mpi, method, &values(&mut whole)?, &values(&mut shared)?, begun)?;
    }
    let split = [
        (Split::Directions, r#"{ "net": { "hypergradient": { "method": "forward_gradient", "directions": 5 } } }"#),
        (Split::Directions, r#"{ "net": { "hypergradient": { "method": "evolution", "pairs": 5 } } }"#),
        (Split::Tasks, r#"{ "knobs": { "tasks": 5 }, "net": { "start": "initial" } }"#),
        (
            Split::Tasks,
            r#"{ "knobs": { "tasks": 5, "vectorize": true }, "net": { "start": "initial", "hypergradient": { "method": "unrolled" } } }"#,
        ),
    ];
    for (split, json) in split {
        let mut whole = engine(size, None, None, json)?;
        whole.run(3)?;
        let mut divided = engine(size, None, None, json)?.split(split)?.distributed(Rc::clone(mpi))?;
        let begun = Instant::now();
        divided.run(3)?;
        compare(mpi, &format!("{split:?}"), &values(&mut whole)?, &values(&mut divided)?, begun)?;
    }
    Ok(())
}

/// Compares what ranks came to with one process, and with each other.
fn compare(mpi: &Rc<Mpi>, of: &str, whole: &[f64], shared: &[f64], begun: Instant) -> Result<(), Box<dyn Error>> {
    let size_of = |x: &[f64]| x.iter().fold(0.0_f64, |largest, x| largest.max(x.abs()));
    let gaps: Vec<f64> = whole.iter().zip(shared).map(|(x, y)| x - y).collect();
    let gap = size_of(&gaps) / size_of(whole);
    let mut hasher = DefaultHasher::new();
    shared.iter().for_each(|x| x.to_bits().hash(&mut hasher));
    let all = mpi.gather(&hasher.finish().to_le_bytes())?;
    let (all, _) = all.as_chunks::<8>();
    if all.iter().any(|of| *of != all[0]) {
        return Err(format!("{of}: ranks have different parameters").into());
    }
    // Differences of losses leave fewer digits.
    if gap.is_nan() || gap > if of == "Directions" { 1e-10 } else { 1e-12 } {
        return Err(format!("{of}: {gap:e} from one process").into());
    }
    if mpi.rank() == 0 {
        println!("{of}: {gap:.1e} from one process on {} ranks, equal bit for bit, {:?}", mpi.size(), begun.elapsed());
    }
    Ok(())
}

/// How long messages take.
fn measure(mpi: &Rc<Mpi>) -> Result<(), Box<dyn Error>> {
    for length in [1, 256, 250_000, 12_500_000] {
        let mut numbers = vec![1.0_f32; length];
        mpi.sum_f32(&mut numbers)?;
        let times = if length > 1000 { 10 } else { 2000 };
        let begun = Instant::now();
        for _ in 0..times {
            mpi.sum_f32(&mut numbers)?;
            numbers.fill(1.0);
        }
        let each = begun.elapsed().as_secs_f64() / f64::from(times);
        if mpi.rank() == 0 {
            println!("a sum of {} bytes over {} ranks takes {:.1} µs", 4 * length, mpi.size(), 1e6 * each);
        }
    }
    let begun = Instant::now();
    for _ in 0..2000 {
        mpi.gather(&[0; 32])?;
    }
    if mpi.rank() == 0 {
        println!("a header takes {:.1} µs", 1e6 * begun.elapsed().as_secs_f64() / 2000.0);
    }
    Ok(())
}

/// A run in which something happens to one rank.
fn run(mpi: &Rc<Mpi>, fault: Fault, faulty: usize, at: u64) -> Result<(), Box<dyn Error>> {
    let (rank, size) = (mpi.rank(), mpi.size());
    let happens = rank == faulty;
    if happens && fault == Fault::Leave {
        return Err("its data are not there".into());
    }
    let json = match fault {
        Fault::Config if happens => r#"{ "net": { "unroll": 4 } }"#,
        _ => "{}",
    };
    let mut engine = engine(size, Some(rank), happens.then_some((fault, at)), json)?.distributed(Rc::clone(mpi))?;
    let file = std::env::var_os("BETTY_CHECKPOINT");
    if let Some(file) = &file {
        engine = engine.save_every(1, file);
        engine.resume_if_present(file, StreamPosition::Start)?;
    }
    let mut engine = engine.observe(move |event| {
        if matches!(event, Event::Iteration { iteration } if happens && *iteration == at) {
            fault.happen();
        }
    });
    engine.run_until(30)?;
    let mut hasher = DefaultHasher::new();
    values(&mut engine)?.iter().for_each(|x| x.to_bits().hash(&mut hasher));
    println!("ended with {:016x}", hasher.finish());
    Ok(())
}

fn started() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // A rank that was stopped is given up soon; where nothing is wrong, one may well wait longer for its disk or for the others; and
    // one that leaves is not waited for at all.
    let deadline = if matches!(words[..], ["run", fault, ..] if fault != "none" && fault != "leave") { 3 } else { 30 };
    let mpi = Rc::new(Mpi::start(Duration::from_secs(deadline))?);
    match words[..] {
        ["exact"] => exact(&mpi),
        ["measure"] => measure(&mpi),
        ["run", fault, rank, at] => {
            let known = FAULTS.iter().find(|(name, _)| *name == fault);
            let (_, fault) = known.ok_or_else(|| format!("no fault `{fault}`"))?;
            run(&mpi, *fault, rank.parse()?, at.parse()?)
        }
        _ => Err("exact, measure, or run FAULT RANK ITERATION".into()),
    }
}

fn main() -> ExitCode {
    match started() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

//! The command of the simulator: runs seeds and scenarios, draws ladders.
//!
//! The only place that looks at a real clock: a soak lasts as long as it is told to.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line talks"
)]

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sim::scenarios::{self, Stage};
use sim::soak;

const USAGE: &str = "\
usage: cargo run -p sim -- run --seed N [--steps N] [--ladder]
       cargo run -p sim -- replay FILE [--steps N] [--ladder]
       cargo run -p sim -- soak --seconds N [--from-seed N] [--steps N]
       cargo run -p sim -- cluster --seconds N [--from-seed N]
       cargo run -p sim -- scenario NAME [--ladder]
       cargo run -p sim -- list";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.first().map(String::as_str) {
        Some("run") => Options::read(&arguments[1..]).and_then(run),
        Some("replay") => match arguments.get(1) {
            Some(file) => {
                Options::read(&arguments[2..]).and_then(|options| replay_file(file, &options))
            }
            None => Err("`replay` needs the file that the fuzz target `world` left".to_owned()),
        },
        Some("soak") => Options::read(&arguments[1..]).and_then(|options| soak(&options)),
        Some("cluster") => Options::read(&arguments[1..]).map(|options| cluster(&options)),
        Some("scenario") => match arguments.get(1) {
            Some(name) => {
                Options::read(&arguments[2..]).and_then(|options| scenario(name, &options))
            }
            None => Err("a scenario needs its name; `list` shows them".to_owned()),
        },
        Some("list") => {
            for scenario in scenarios::all() {
                println!("{:<36} {}", scenario.name, scenario.story);
            }
            Ok(ExitCode::SUCCESS)
        }
        Some(_) | None => Err(USAGE.to_owned()),
    };
    result.unwrap_or_else(|sentence| {
        eprintln!("{sentence}");
        ExitCode::from(2)
    })
}

struct Options {
    seed: u64,
    steps: Option<u64>,
    seconds: u64,
    ladder: bool,
}

impl Options {
    fn read(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self {
            seed: 0,
            steps: None,
            seconds: 60,
            ladder: false,
        };
        let mut rest = arguments.iter();
        while let Some(name) = rest.next() {
            let mut number = || {
                let value = rest.next().map(|value| value.parse());
                value
                    .and_then(Result::ok)
                    .ok_or_else(|| format!("{name} must be followed by a number"))
            };
            match name.as_str() {
                "--seed" | "--from-seed" => options.seed = number()?,
                "--steps" => options.steps = Some(number()?),
                "--seconds" => options.seconds = number()?,
                "--ladder" => options.ladder = true,
                _ => return Err(format!("unknown option {name}\n{USAGE}")),
            }
        }
        Ok(options)
    }

    fn usual_steps(&self) -> u64 {
        self.steps.unwrap_or(soak::USUAL_STEPS)
    }
}

fn run(options: Options) -> Result<ExitCode, String> {
    let outcome = soak::run(options.seed, options.usual_steps(), options.ladder);
    Ok(tell(&format!("seed {}", options.seed), outcome))
}

fn replay_file(file: &str, options: &Options) -> Result<ExitCode, String> {
    let choices = std::fs::read(file).map_err(|error| format!("{file} cannot be read: {error}"))?;
    let steps = options.steps.unwrap_or(soak::FUZZED_STEPS);
    let outcome = soak::run_choices(&choices, steps, options.ladder);
    Ok(tell(file, outcome))
}

fn tell(what: &str, outcome: soak::Outcome) -> ExitCode {
    if let Some(ladder) = &outcome.ladder {
        print!("{ladder}");
    }
    println!(
        "{what}: {} steps, {} calls, digest {:016x}",
        outcome.steps, outcome.calls, outcome.digest
    );
    match outcome.fault {
        Some(fault) => {
            println!("{fault}");
            ExitCode::FAILURE
        }
        None => ExitCode::SUCCESS,
    }
}

/// Threads of a soak, each with its own seeds: a seed is one run on whichever thread.
const LANES: u64 = 2;
/// A run takes some milliseconds; one that takes so long hangs.
const HANGS_AFTER: Duration = Duration::from_secs(30);

/// What one thread of a soak is doing.
struct Lane {
    seed: AtomicU64,
    is_done: AtomicBool,
}

fn soak(options: &Options) -> Result<ExitCode, String> {
    let end = Instant::now() + Duration::from_secs(options.seconds);
    let lanes: Vec<Lane> = (0..LANES)
        .map(|lane| Lane {
            seed: AtomicU64::new(options.seed + lane),
            is_done: AtomicBool::new(false),
        })
        .collect();
    let tallies = std::thread::scope(|scope| {
        let running: Vec<_> = lanes
            .iter()
            .map(|lane| scope.spawn(|| soak_lane(lane, options, end)))
            .collect();
        watch(&lanes, options);
        running
            .into_iter()
            .map(|lane| lane.join().map_err(|_| "a run has panicked".to_owned()))
            .collect::<Result<Vec<_>, _>>()
    })?;
    let sum = |what: fn(&Tally) -> u64| tallies.iter().map(what).sum::<u64>();
    println!(
        "{} seeds from {}, {} steps, {} calls, {} sessions resumed and {} expired, {} packets relayed, {} calls by telephone",
        sum(|t| t.seeds),
        options.seed,
        sum(|t| t.steps),
        sum(|t| t.calls as u64),
        sum(|t| t.resumed),
        sum(|t| t.expired),
        sum(|t| t.relayed),
        sum(|t| t.telephoned)
    );
    let failed = tallies
        .iter()
        .filter_map(|tally| tally.fault.as_ref())
        .min();
    match failed {
        Some((seed, sentence)) => {
            println!("seed {seed}: {sentence}");
            println!("{}", replay(*seed, options));
            Ok(ExitCode::FAILURE)
        }
        None => Ok(ExitCode::SUCCESS),
    }
}

/// Random runs of several servers that work as one.
fn cluster(options: &Options) -> ExitCode {
    let end = Instant::now() + Duration::from_secs(options.seconds);
    let mut seed = options.seed;
    loop {
        if let Err(what) =
            sim::cluster::soak::run(seed).and_then(|()| sim::cluster::history::run(seed))
        {
            println!("seed {seed}: {what}");
            println!("cargo run -p sim -- cluster --seconds 0 --from-seed {seed}");
            return ExitCode::FAILURE;
        }
        seed += 1;
        if Instant::now() >= end {
            println!(
                "{} seeds of a cluster from {}",
                seed - options.seed,
                options.seed
            );
            return ExitCode::SUCCESS;
        }
    }
}

fn replay(seed: u64, options: &Options) -> String {
    let steps = options.usual_steps();
    format!("cargo run -p sim -- run --seed {seed} --steps {steps} --ladder")
}

fn soak_lane(lane: &Lane, options: &Options, end: Instant) -> Tally {
    let _done = Done(lane);
    let mut tally = Tally::default();
    let mut seed = lane.seed.load(Ordering::Relaxed);
    while Instant::now() < end && tally.fault.is_none() {
        lane.seed.store(seed, Ordering::Relaxed);
        let outcome = soak::run(seed, options.usual_steps(), false);
        tally.seeds += 1;
        tally.steps += outcome.steps;
        tally.calls += outcome.calls;
        tally.resumed += outcome.resumed;
        tally.expired += outcome.expired;
        tally.relayed += outcome.relayed;
        tally.telephoned += outcome.telephoned;
        tally.fault = outcome.fault.map(|fault| (seed, fault.to_string()));
        seed += LANES;
    }
    tally
}

/// Says so when a lane is done, also if it panicked.
struct Done<'a>(&'a Lane);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.is_done.store(true, Ordering::Relaxed);
    }
}

/// Waits until every lane is done; ends the process if one is at the same seed for far too long.
fn watch(lanes: &[Lane], options: &Options) {
    let mut seen: Vec<(u64, Instant)> = lanes.iter().map(|_| (0, Instant::now())).collect();
    while !lanes
        .iter()
        .all(|lane| lane.is_done.load(Ordering::Relaxed))
    {
        for (lane, seen) in lanes.iter().zip(&mut seen) {
            let seed = lane.seed.load(Ordering::Relaxed);
            if seed != seen.0 {
                *seen = (seed, Instant::now());
            }
            if seen.1.elapsed() > HANGS_AFTER && !lane.is_done.load(Ordering::Relaxed) {
                println!("seed {seed}: one step has not ended in {HANGS_AFTER:?}: it hangs");
                println!("{}", replay(seed, options));
                std::process::exit(1);
            }
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

#[derive(Default)]
struct Tally {
    seeds: u64,
    steps: u64,
    calls: usize,
    resumed: u64,
    expired: u64,
    relayed: u64,
    telephoned: u64,
    fault: Option<(u64, String)>,
}

fn scenario(name: &str, options: &Options) -> Result<ExitCode, String> {
    let scenario = scenarios::find(name)
        .ok_or_else(|| format!("there is no scenario {name}; `list` shows them"))?;
    let mut stage = Stage::new();
    // A scenario that fails panics with its ladder; the process then ends with a failure.
    (scenario.play)(&mut stage);
    stage.ends();
    if options.ladder {
        print!("{}", stage.world.ladder());
    }
    println!("{name}: {}", scenario.story);
    Ok(ExitCode::SUCCESS)
}

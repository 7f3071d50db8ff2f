//! `cargo xtask soak`: the release binary under load for an hour, while generators, and the server itself, are killed at drawn
//! moments. After each round files, threads, memory and tables must be what they were.
//!
//! `--seed` repeats what is drawn, not the moments at which processes get their turn. docs/performance.md says how it is judged.

mod dice;
mod load;
mod plan;
mod records;
mod round;
mod site;
mod strangers;
mod verdict;

use std::fmt::Write as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use self::plan::{Fate, Round, Stage};
use self::round::Play;
use self::site::Site;
use self::verdict::{Figures, Trend, trend};
use crate::install;
use crate::scripts;
use crate::step::{cargo, run as step, succeed};
use crate::workspace;

const FLAGS: &str = "[--minutes N] [--seed N]";
/// Programs, and the Debian packages that bring them.
const NEEDS: [(&str, &[&str]); 4] = [
    ("curl", &["curl"]),
    ("openssl", &["openssl"]),
    ("python3", &["python3"]),
    ("setpriv", &["util-linux"]),
];

#[derive(Debug, PartialEq, Eq)]
struct Wish {
    minutes: u64,
    seed: Option<u64>,
}

impl Wish {
    fn read(arguments: &[String]) -> Result<Self, String> {
        let mut wish = Self {
            minutes: 60,
            seed: None,
        };
        let mut words = arguments.iter();
        while let Some(flag) = words.next() {
            let number: Option<u64> = words.next().and_then(|word| word.parse().ok());
            let number = number.ok_or_else(|| format!("`{flag}` wants a whole number"));
            match flag.as_str() {
                "--minutes" => wish.minutes = number?,
                "--seed" => wish.seed = Some(number?),
                other => return Err(format!("soak knows only {FLAGS}, not `{other}`")),
            }
        }
        Ok(wish)
    }
}

/// Soaks, and gives the verdict.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let wish = Wish::read(arguments)?;
    install::packages(&NEEDS)?;
    let root = workspace::root();
    let target = workspace::target_folder(&root)?;
    let program = match scripts::server_of_its_own() {
        Some(program) => program,
        None => {
            let words = [
                "build",
                "--release",
                "-p",
                "offhook",
                "--features",
                "heap-count",
            ];
            step("build", || succeed(cargo().args(words).current_dir(&root)))?;
            target.join("release").join("offhook")
        }
    };
    let folder = target.join(format!("soak-{}", std::process::id()));
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let seed = wish
        .seed
        .unwrap_or_else(|| now.map_or(1, |now| now.as_secs()));
    println!(
        "seed {seed}, {} minutes, {}",
        wish.minutes,
        folder.display()
    );
    let mut soak = Soak {
        site: Site::prepare(&program, &folder)?,
        seed,
        base: Figures::default(),
        history: Vec::new(),
        findings: Vec::new(),
    };
    let outcome = soak.run(Duration::from_secs(60 * wish.minutes));
    println!("{}", table(&soak.history));
    soak.findings.extend(outcome.err());
    soak.findings.extend(soak.creeps());
    if soak.findings.is_empty() {
        drop(soak);
        println!("everything came back, and nothing failed that was not disturbed");
        // What is left lies in the folder of what is built.
        let _ = std::fs::remove_dir_all(&folder);
        return Ok(());
    }
    Err(format!(
        "{}\nseed {seed}; the server's folder and log are kept in {}",
        soak.findings.join("\n"),
        folder.display()
    ))
}

/// A round that is over.
struct Past {
    stage: Stage,
    loads: usize,
    killed: usize,
    /// Lives are numbered: each start of the server begins one.
    life: usize,
    figures: Figures,
    rest: Duration,
}

struct Soak {
    site: Site,
    seed: u64,
    /// What this life of the server began with.
    base: Figures,
    history: Vec<Past>,
    findings: Vec<String>,
}

impl Soak {
    fn run(&mut self, time: Duration) -> Result<(), String> {
        self.start(false)?;
        let first = self.base.clone();
        let begun = Instant::now();
        let mut life = 0;
        let mut is_now = Stage::Restarts;
        loop {
            let done = Stage::ALL.map(|stage| {
                let rounds = self.history.iter();
                rounds.filter(|past| past.stage == stage).count()
            });
            let Some(stage) = Stage::next(begun.elapsed().as_secs(), time.as_secs(), done) else {
                return Ok(());
            };
            if stage != is_now {
                is_now = stage;
                life += 1;
                self.site.end(plan::End::Stop)?;
                self.start(stage == Stage::Tls)?;
            }
            let number = self.history.len() as u64 + 1;
            let past = self
                .round(number, stage, &mut life)
                .map_err(|sentence| format!("round {number}: {sentence}"))?;
            self.history.push(past);
            // What one life begins with, the next one does as well.
            if let Some(sentence) = verdict::not_back(&first, &self.base, &[]) {
                self.findings
                    .push(format!("a server that was started again has {sentence}"));
            }
        }
    }

    fn start(&mut self, is_tls: bool) -> Result<(), String> {
        self.site.start(is_tls)?;
        self.base = self.site.figures()?;
        self.site.await_accounts()
    }

    fn round(&mut self, number: u64, stage: Stage, life: &mut usize) -> Result<Past, String> {
        let round = Round::draw(self.seed, number, stage);
        println!("{number:3} {}: {round}", stage.name());
        let begun = Instant::now();
        let mut play = Play::new(&mut self.site, &round, &mut self.base);
        let played = play.run();
        let rested = played.and_then(|()| play.rest());
        let findings = std::mem::take(&mut play.findings);
        let restart = play.restart.take();
        drop(play);
        for finding in findings {
            println!("    FOUND {finding}");
            self.findings.push(format!("round {number}: {finding}"));
        }
        let (rest, figures) = rested?;
        if restart.is_some() {
            *life += 1;
        }
        println!(
            "    {} files, {} threads, {} KiB, {} of them in use, log {} KiB, tables {}; {:.0} s, {:.0} of them until at rest{}",
            figures.files,
            figures.threads,
            figures.memory_kib,
            figures.heap_kib,
            figures.log_kib,
            words_of(&figures),
            begun.elapsed().as_secs_f64(),
            rest.as_secs_f64(),
            restart.map_or(String::new(), |restart| format!(
                "; {} calls cut off, served again after {} ms",
                restart.calls,
                restart.took.as_millis()
            )),
        );
        Ok(Past {
            stage,
            loads: round.loads.len(),
            killed: round
                .loads
                .iter()
                .filter(|load| load.fate != Fate::Undisturbed)
                .count(),
            life: *life,
            figures,
            rest,
        })
    }

    /// A sentence for each life in which memory creeps.
    fn creeps(&self) -> Vec<String> {
        let last = self.history.last().map_or(0, |past| past.life);
        let gauges = [Gauge::Heap, Gauge::Process];
        let lives = (0..=last).flat_map(|life| gauges.map(|gauge| (life, gauge)));
        lives
            .filter_map(|(life, gauge)| {
                let rounds = self.history.iter().filter(|past| past.life == life);
                match gauge.trend(rounds) {
                    Trend::Creeps { middle, last } => Some(format!(
                        "{} creeps: from {middle} to {last} KiB at least, between the middle and the last third of a server's life",
                        gauge.name()
                    )),
                    Trend::Flat { .. } | Trend::Unknown => None,
                }
            })
            .collect()
    }
}

/// The two sorts of memory that are judged.
#[derive(Clone, Copy)]
enum Gauge {
    Heap,
    Process,
}

impl Gauge {
    fn name(self) -> &'static str {
        match self {
            Self::Heap => "memory in use",
            Self::Process => "memory of the process",
        }
    }

    fn read(self, past: &Past) -> u64 {
        match self {
            Self::Heap => past.figures.heap_kib,
            Self::Process => past.figures.memory_kib,
        }
    }

    fn trend<'a>(self, rounds: impl Iterator<Item = &'a Past>) -> Trend {
        let kib: Vec<_> = rounds.map(|past| self.read(past)).collect();
        let creep = match self {
            Self::Heap => verdict::HEAP_CREEP_KIB,
            Self::Process => verdict::MEMORY_CREEP_KIB,
        };
        trend(&kib, creep)
    }
}

/// What is not empty.
fn words_of(figures: &Figures) -> String {
    let tables = figures.tables.iter();
    let held: Vec<_> = tables
        .filter(|(name, number)| **number > 0 && *name != "shards")
        .map(|(name, number)| format!("{name} {number}"))
        .collect();
    if held.is_empty() {
        "empty".to_owned()
    } else {
        held.join(", ")
    }
}

/// A row for each stage.
fn table(history: &[Past]) -> String {
    let mut text = String::from(
        "\n| stage | rounds | generators, killed | files | threads | MiB of the process, floor of middle and last third | MiB in use, floor of middle and last third | s until at rest, at most |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for stage in Stage::ALL {
        let rounds: Vec<_> = history.iter().filter(|past| past.stage == stage).collect();
        let range = |figure: &dyn Fn(&Past) -> u64| {
            let figures = rounds.iter().map(|past| figure(past));
            let least = figures.clone().min().unwrap_or(0);
            (least, figures.max().unwrap_or(0))
        };
        let files = range(&|past| past.figures.files);
        let threads = range(&|past| past.figures.threads);
        let rest = range(&|past| past.rest.as_secs());
        let memory = [Gauge::Process, Gauge::Heap].map(|gauge| {
            let (least, most) = range(&|past| gauge.read(past));
            let trend = match gauge.trend(rounds.iter().copied()) {
                _ if stage == Stage::Restarts => "each life anew".to_owned(),
                Trend::Unknown => "too few rounds".to_owned(),
                Trend::Flat { middle, last } | Trend::Creeps { middle, last } => {
                    format!("{}, {}", mib(middle), mib(last))
                }
            };
            format!("{} to {}; {trend}", mib(least), mib(most))
        });
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {}, {} | {} to {} | {} to {} | {} | {} |",
            stage.name(),
            rounds.len(),
            rounds.iter().map(|past| past.loads).sum::<usize>(),
            rounds.iter().map(|past| past.killed).sum::<usize>(),
            files.0,
            files.1,
            threads.0,
            threads.1,
            memory.join(" | "),
            rest.1,
        );
    }
    text
}

fn mib(kib: u64) -> String {
    format!("{:.1}", kib as f64 / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(text: &str) -> Result<Wish, String> {
        let words: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
        Wish::read(&words)
    }

    #[test]
    fn a_wish_is_read_or_refused() {
        let read = wish("--minutes 2 --seed 7").unwrap();
        assert_eq!((read.minutes, read.seed), (2, Some(7)));
        assert_eq!(wish("").unwrap().minutes, 60);
        assert!(wish("--minutes soon").is_err() && wish("--hours 1").is_err());
    }

    #[test]
    fn the_table_has_a_row_for_each_stage() {
        let past = |memory_kib, heap_kib| Past {
            stage: Stage::Plain,
            loads: 2,
            killed: 1,
            life: 0,
            figures: Figures {
                files: 40,
                memory_kib,
                heap_kib,
                ..Figures::default()
            },
            rest: Duration::from_secs(33),
        };
        let text = table(&[past(51_200, 4_096), past(61_440, 4_608)]);
        assert!(
            text.contains("| ws | 2 | 4, 2 | 40 to 40 | 0 to 0 | 50.0 to 60.0; too few rounds | 4.0 to 4.5; too few rounds | 33 |"),
            "{text}"
        );
    }
}

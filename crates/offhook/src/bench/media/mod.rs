//! `offhook bench media`: how many packets a media gateway forwards between browsers and telephones, what transcoding costs it, and
//! what memory a call takes.
//!
//! Works with our own gateway and with rtpengine: both are told by the same protocol (`ng`), get the same packets, and are counted by
//! the same loop. Never part of what serves. docs/media.md says how to read its figures.

mod bencode;
mod browser;
mod calls;
mod gateway;
mod ng;
mod plan;
mod pump;
mod report;
mod sound;
mod telephone;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::anyhow;
use clap::Args;

use self::calls::Calls;
pub(super) use self::gateway::GatewayFlags;
use self::plan::{Load, Sound};
use self::pump::Pump;
use self::report::{Memory, Report};
use crate::bench::companion::Companion;
use crate::bench::processor;
use crate::cli::Failure;
use crate::cli::output::{print, print_json};

/// Sockets and files beside those of the calls.
const OTHER_FILES: u64 = 64;
/// What is sent and not counted before the clock starts, as a part of the whole, and at most.
const WARM_UP: f64 = 0.1;
const WARM_UP_MAX: Duration = Duration::from_secs(1);

/// Flags of `offhook bench media`.
#[derive(Args)]
pub(crate) struct MediaFlags {
    /// A media gateway that speaks the ng protocol of rtpengine over UDP [default: our own, which is started for it]
    #[arg(long, value_name = "ADDRESS:PORT")]
    gateway: Option<SocketAddr>,
    /// Its process, if it runs here: says what a packet and a call cost it
    #[arg(long, value_name = "PROCESS", requires = "gateway")]
    pid: Option<u32>,
    /// Run our own gateway on this processor alone
    #[arg(long, value_name = "NUMBER", conflicts_with = "gateway")]
    gateway_cpu: Option<usize>,
    /// What browsers speak; telephones speak PCMU
    #[arg(long, value_enum, default_value_t = Sound::Pcmu)]
    codec: Sound,
    /// Calls, each between a browser and a telephone
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000)]
    calls: usize,
    /// For how long packets are counted
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    seconds: f64,
    /// Packets under way at most [default: 128]
    #[arg(long, value_name = "NUMBER")]
    window: Option<usize>,
    /// Offer so many packets a second, come what may; a call of 20 ms a packet has 100, both ways together
    #[arg(long, value_name = "PACKETS")]
    rate: Option<f64>,
    /// Run on this processor alone
    #[arg(long, value_name = "NUMBER")]
    cpu: Option<usize>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl MediaFlags {
    pub(super) fn run(self) -> Result<(), Failure> {
        let load = Load::new(self.codec, self.calls, self.window, self.rate, self.seconds)
            .map_err(Failure::usage)?;
        // Before this thread is bound to a processor, which children would be as well.
        let own = match self.gateway {
            Some(_) => None,
            None => Some(Companion::start(
                "the media gateway",
                &["gateway"],
                self.gateway_cpu,
            )?),
        };
        processor::allow_open_files(self.calls as u64 + OTHER_FILES)?;
        self.cpu.map_or(Ok(()), processor::pin)?;
        let report = match (&own, self.gateway) {
            (None, Some(gateway)) => measure(&gateway.to_string(), gateway, self.pid, &load),
            (Some(own), _) => measure("offhook", own.address(), Some(own.id()), &load),
            (None, None) => return Err(Failure::usage("there is no gateway to measure")),
        }?;
        if self.json {
            print_json(&report.json())?;
        } else {
            print(report.text())?;
        }
        Ok(())
    }
}

fn measure(
    what: &str,
    gateway: SocketAddr,
    pid: Option<u32>,
    load: &Load,
) -> anyhow::Result<Report> {
    let resident = || pid.map(processor::resident).transpose();
    let used = || pid.map(processor::used_by).transpose();
    let is_transcoding = load.sound == Sound::Opus;
    let codec = || is_transcoding.then(sound::cost_of_a_frame).transpose();
    let before = resident()?;
    let codec_before = codec()?;
    let mut calls = Calls::open(gateway, load)?;
    let connected = resident()?;
    let mut pump = Pump::new(load, &calls)?;
    let warm_up = load.length.mul_f64(WARM_UP).min(WARM_UP_MAX);
    calls.make_ready(load, warm_up + load.length)?;
    pump.run_for(&mut calls, warm_up)?;
    pump.drain(&mut calls)?;
    pump.forget();
    let used_before = used()?;
    let elapsed = pump.run_for(&mut calls, load.length)?;
    let (used_after, in_time) = (used()?, pump.counts().received());
    pump.drain(&mut calls)?;
    let after = resident()?;
    let counts = pump.counts();
    if counts.received() == 0 {
        return Err(anyhow!(
            "{} packets went in and none came out of {what}",
            counts.sent
        ));
    }
    calls.close()?;
    let memory = match (before, connected, after) {
        (Some(before), Some(connected), Some(after)) => Some(Memory {
            before,
            connected,
            after,
        }),
        (_, _, _) => None,
    };
    // The machine has moods: before and after.
    let codec = codec_before.zip(codec()?);
    Ok(Report {
        what: what.to_owned(),
        load: load.clone(),
        elapsed,
        counts,
        received_in_time: in_time,
        spent: used_after
            .zip(used_before)
            .map(|(after, before)| after - before),
        memory,
        codec: codec.map(|(before, after)| (before + after) / 2),
    })
}

//! What is to be measured: how many calls, in which codec, at which rate.
//!
//! Only words and numbers that fit together get in: the checks stand here, and nothing behind them asks again.

use std::fmt;
use std::time::Duration;

/// Packets that may be under way when nothing else is said.
const WINDOW: usize = 128;
/// A packet each 20 ms, each way.
const PACKETS_PER_CALL: f64 = 100.0;
/// Ports of one address are what calls need most of: two at the gateway for each telephone, or four.
const CALLS_MAX: usize = 8_000;
/// Packets are encrypted before the clock starts, for so many a second at most.
const READY_PER_S: f64 = 300_000.0;

/// What browsers speak; telephones speak PCMU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Sound {
    /// The same as the telephones: nothing is to be transcoded
    Pcmu,
    /// Opus: everything is transcoded, 50 packets a second each way
    Opus,
}

impl fmt::Display for Sound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pcmu => "PCMU",
            Self::Opus => "opus",
        })
    }
}

/// How many packets are offered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Pace {
    /// As many as come out at the other end, with at most so many under way.
    Window(u64),
    /// So many a second, whatever becomes of them.
    Rate(f64),
}

/// What runs through the gateway.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Load {
    pub(super) sound: Sound,
    pub(super) calls: usize,
    pub(super) pace: Pace,
    pub(super) length: Duration,
}

impl Load {
    /// A load that makes sense, or the sentence that says why not.
    pub(super) fn new(
        sound: Sound,
        calls: usize,
        window: Option<usize>,
        rate: Option<f64>,
        seconds: f64,
    ) -> Result<Self, String> {
        if !(1..=CALLS_MAX).contains(&calls) {
            return Err(format!("--calls wants 1 to {CALLS_MAX}, not {calls}"));
        }
        if !(0.05..=600.0).contains(&seconds) {
            return Err("--seconds wants 0.05 to 600".to_owned());
        }
        let pace = match (sound, window, rate) {
            (Sound::Opus, None, None) => Pace::Rate(PACKETS_PER_CALL * calls as f64),
            (Sound::Opus, _, _) => {
                return Err(
                    "transcoded calls have 50 packets a second each way: --codec opus goes without --window and --rate"
                        .to_owned(),
                );
            }
            (Sound::Pcmu, Some(_), Some(_)) => {
                return Err(
                    "--window is for runs without --rate: a fixed rate waits for nothing"
                        .to_owned(),
                );
            }
            (Sound::Pcmu, None, Some(rate)) if !(1.0..=READY_PER_S).contains(&rate) => {
                return Err(format!(
                    "--rate wants packets a second, from 1 to {READY_PER_S}"
                ));
            }
            (Sound::Pcmu, None, Some(rate)) => Pace::Rate(rate),
            (Sound::Pcmu, window, None) => {
                let window = window.unwrap_or(WINDOW);
                if window < 2 {
                    return Err(format!(
                        "--window wants 2 at least, one each way, not {window}"
                    ));
                }
                Pace::Window(window as u64)
            }
        };
        Ok(Self {
            sound,
            calls,
            pace,
            length: Duration::from_secs_f64(seconds),
        })
    }

    /// Packets that a browser needs for so long, and some more.
    pub(super) fn ready(&self, length: Duration) -> usize {
        let rate = match self.pace {
            Pace::Window(_) => READY_PER_S,
            Pace::Rate(rate) => rate,
        };
        (rate * length.as_secs_f64() / 2.0 / self.calls as f64) as usize + 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_together_is_said() {
        let load = |sound, calls, window, rate| Load::new(sound, calls, window, rate, 1.0);
        let fault = |load: Result<Load, String>| load.unwrap_err();
        let pace = |load: Result<Load, String>| load.unwrap().pace;
        assert_eq!(
            pace(load(Sound::Pcmu, 1_000, None, None)),
            Pace::Window(128)
        );
        assert_eq!(
            pace(load(Sound::Pcmu, 10, None, Some(1e3))),
            Pace::Rate(1e3)
        );
        assert_eq!(pace(load(Sound::Opus, 80, None, None)), Pace::Rate(8_000.0));
        assert!(fault(load(Sound::Opus, 80, None, Some(1.0))).contains("--codec opus"));
        assert!(fault(load(Sound::Pcmu, 0, None, None)).contains("not 0"));
        assert!(fault(load(Sound::Pcmu, 1, Some(1), None)).contains("not 1"));
        assert!(fault(load(Sound::Pcmu, 1, Some(9), Some(9.0))).contains("--window"));
        assert!(fault(load(Sound::Pcmu, 1, None, Some(f64::NAN))).contains("--rate"));
        assert!(Load::new(Sound::Pcmu, 1, None, None, 0.0).is_err());
    }

    #[test]
    fn enough_is_made_ready() {
        let load = Load::new(Sound::Opus, 80, None, None, 1.0).unwrap();
        assert_eq!(load.ready(Duration::from_secs(10)), 502);
    }
}

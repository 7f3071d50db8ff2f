//! What a run found, for people and for programs.
//!
//! Never judges: which figure matters, docs/media.md says.

use std::time::Duration;

use serde_json::{Value, json};

use super::plan::{Load, Pace};
use super::pump::Counts;
use crate::cli::output::{count, labelled};

/// A frame of a call is 20 ms.
const FRAMES_PER_S: f64 = 50.0;

/// What the gateway's process holds, in bytes (resident set).
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    pub(super) before: u64,
    pub(super) connected: u64,
    pub(super) after: u64,
}

/// One run's figures.
pub(super) struct Report {
    pub(super) what: String,
    pub(super) load: Load,
    pub(super) elapsed: Duration,
    pub(super) counts: Counts,
    /// Received while the clock ran; `counts` has what came after it as well.
    pub(super) received_in_time: u64,
    /// Processor time of the gateway, if it was asked for.
    pub(super) spent: Option<Duration>,
    pub(super) memory: Option<Memory>,
    /// Processor time of a frame that is encoded and one that is decoded, where there is transcoding.
    pub(super) codec: Option<Duration>,
}

impl Report {
    /// Packets a second that came out.
    pub(super) fn rate(&self) -> f64 {
        self.received_in_time as f64 / self.elapsed.as_secs_f64()
    }

    fn lost(&self) -> u64 {
        self.counts.sent.saturating_sub(self.counts.received())
    }

    fn lost_percent(&self) -> f64 {
        self.lost() as f64 * 100.0 / self.counts.sent.max(1) as f64
    }

    fn idle_percent(&self) -> f64 {
        self.counts.idle_ns as f64 / self.elapsed.as_nanos() as f64 * 100.0
    }

    /// The gateway's share of one core.
    fn share(&self) -> Option<f64> {
        Some(self.spent?.as_secs_f64() / self.elapsed.as_secs_f64())
    }

    fn packet_us(&self) -> Option<f64> {
        Some(self.spent?.as_secs_f64() * 1e6 / self.received_in_time.max(1) as f64)
    }

    /// Calls of 50 packets a second each way that a core carries.
    fn calls_per_core(&self) -> Option<f64> {
        let packets = 1e6 / self.packet_us()?;
        Some(packets / (2.0 * FRAMES_PER_S))
    }

    /// Calls that a core could carry, were the codec all that they cost.
    fn calls_of_codec(&self) -> Option<f64> {
        Some(1.0 / (self.codec?.as_secs_f64() * FRAMES_PER_S))
    }

    fn bytes_of_a_call(&self, memory: u64) -> Option<u64> {
        let before = self.memory?.before;
        Some(memory.saturating_sub(before) / self.load.calls as u64)
    }

    /// Aligned lines.
    pub(super) fn text(&self) -> String {
        let pace = match self.load.pace {
            Pace::Window(window) => format!("at most {window} under way"),
            Pace::Rate(rate) => format!("{} offered a second", count(rate.round() as u64)),
        };
        labelled([
            ("gateway", self.what.clone()),
            (
                "load",
                format!(
                    "{} calls, browsers with {}, telephones with PCMU, for {:.1} s, {pace}",
                    count(self.load.calls as u64),
                    self.load.sound,
                    self.elapsed.as_secs_f64(),
                ),
            ),
            (
                "rate",
                format!("{} packets/s", count(self.rate().round() as u64)),
            ),
            (
                "packets",
                format!(
                    "{} sent, {} received ({} by telephones), {} lost ({:.3} %)",
                    count(self.counts.sent),
                    count(self.counts.received()),
                    count(self.counts.to_telephones),
                    count(self.lost()),
                    self.lost_percent()
                ),
            ),
            (
                "payloads",
                format!(
                    "{} looked at, {} altered",
                    count(self.counts.looked_at),
                    count(self.counts.altered)
                ),
            ),
            ("gateway's processor", self.processor_in_words()),
            ("codec", self.codec_in_words()),
            ("memory", self.memory_in_words()),
            (
                "generator",
                format!("waited {:.0} % of the time", self.idle_percent()),
            ),
        ])
    }

    fn processor_in_words(&self) -> String {
        let (Some(share), Some(packet_us), Some(calls)) =
            (self.share(), self.packet_us(), self.calls_per_core())
        else {
            return "not looked at (--pid names its process)".to_owned();
        };
        format!(
            "{:.0} % of a core, {packet_us:.2} µs a packet, so {} calls of 50 packets/s each way for a core",
            share * 100.0,
            count(calls as u64)
        )
    }

    fn codec_in_words(&self) -> String {
        let (Some(codec), Some(alone)) = (self.codec, self.calls_of_codec()) else {
            return "nothing is to be transcoded".to_owned();
        };
        let share = self.calls_per_core().map(|calls| calls / alone);
        let share = share.map_or_else(String::new, |share| format!(", {share:.2} of that reached"));
        format!(
            "a frame encoded and one decoded take {:.1} µs, so {alone:.0} calls for a core by the codec alone{share}",
            codec.as_secs_f64() * 1e6
        )
    }

    fn memory_in_words(&self) -> String {
        let Some(memory) = self.memory else {
            return "not looked at (--pid names its process)".to_owned();
        };
        let kib = |bytes| self.bytes_of_a_call(bytes).unwrap_or_default() as f64 / 1_024.0;
        format!(
            "{:.1} KiB a call when connected, {:.1} after the load; {} MiB without calls",
            kib(memory.connected),
            kib(memory.after),
            memory.before >> 20
        )
    }

    /// One object.
    pub(super) fn json(&self) -> Value {
        let (window, offered) = match self.load.pace {
            Pace::Window(window) => (Some(window), None),
            Pace::Rate(rate) => (None, Some(rate)),
        };
        let memory = |at: fn(Memory) -> u64| self.bytes_of_a_call(at(self.memory?));
        json!({
            "gateway": self.what,
            "codec": self.load.sound.to_string(),
            "calls": self.load.calls,
            "window": window,
            "offered_per_s": offered,
            "elapsed_s": self.elapsed.as_secs_f64(),
            "sent": self.counts.sent,
            "received": self.counts.received(),
            "received_by_telephones": self.counts.to_telephones,
            "received_by_browsers": self.counts.to_browsers,
            "lost": self.lost(),
            "lost_percent": self.lost_percent(),
            "payloads_looked_at": self.counts.looked_at,
            "payloads_altered": self.counts.altered,
            "rate_per_s": self.rate(),
            "gateway_cpu_percent": self.share().map(|share| share * 100.0),
            "gateway_cpu_us_per_packet": self.packet_us(),
            "calls_per_core": self.calls_per_core(),
            "codec_us_per_frame": self.codec.map(|codec| codec.as_secs_f64() * 1e6),
            "calls_per_core_of_codec": self.calls_of_codec(),
            "bytes_per_call_connected": memory(|memory| memory.connected),
            "bytes_per_call_after_load": memory(|memory| memory.after),
            "generator_idle_percent": self.idle_percent(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::Sound;
    use super::*;

    fn report(sound: Sound, spent: Option<Duration>) -> Report {
        let memory = Memory {
            before: 20 << 20,
            connected: 40 << 20,
            after: 50 << 20,
        };
        let counts = Counts {
            sent: 200_002,
            to_telephones: 100_000,
            to_browsers: 100_000,
            altered: 1,
            looked_at: 100_500,
            idle_ns: 500_000_000,
        };
        Report {
            what: "127.0.0.1:2223".to_owned(),
            load: Load::new(sound, 100, None, None, 2.0).unwrap(),
            elapsed: Duration::from_secs(2),
            counts,
            received_in_time: 200_000,
            spent,
            memory: spent.map(|_| memory),
            codec: (sound == Sound::Opus).then_some(Duration::from_micros(200)),
        }
    }

    #[test]
    fn the_text_has_each_figure_in_words() {
        let text = report(Sound::Pcmu, Some(Duration::from_secs(1))).text();
        for words in [
            "100 calls, browsers with PCMU, telephones with PCMU, for 2.0 s, at most 128 under way",
            "100,000 packets/s",
            "200,002 sent, 200,000 received (100,000 by telephones), 2 lost (0.001 %)",
            "100,500 looked at, 1 altered",
            "50 % of a core, 5.00 µs a packet, so 2,000 calls of 50",
            "204.8 KiB a call when connected, 307.2 after the load; 20 MiB",
            "waited 25 % of the time",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        let text = report(Sound::Opus, None).text();
        assert!(
            text.contains("take 200.0 µs, so 100 calls for a core by the codec alone"),
            "{text}"
        );
        assert!(text.contains("--pid"), "{text}");
    }

    #[test]
    fn the_object_has_numbers_with_their_units() {
        let object = report(Sound::Opus, Some(Duration::from_secs(1))).json();
        assert_eq!(object["rate_per_s"], 100_000.0);
        assert_eq!(object["lost"], 2);
        assert_eq!(object["gateway_cpu_us_per_packet"], 5.0);
        assert_eq!(object["bytes_per_call_connected"], 209_715);
        assert_eq!(object["calls_per_core_of_codec"], 100.0);
        assert_eq!(object["window"], Value::Null);
    }
}

//! Calls as a media gateway is told of them: a telephone's offer, a browser's answer, and handshakes until all are connected.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};

use super::bencode::{Dictionary, Value};
use super::browser::{Browser, HANDSHAKE_TIME, Kit};
use super::ng::{Control, word};
use super::plan::{Load, Sound};
use super::sound::Voice;
use super::telephone::Telephones;

/// Calls whose handshakes are under way together.
const TOGETHER: usize = 50;

/// All calls of a run.
pub(super) struct Calls {
    control: Control,
    pub(super) browsers: Vec<Browser>,
    pub(super) telephones: Telephones,
    ids: Vec<String>,
    voice: Voice,
    /// Packets that each browser has made ready.
    number: u32,
}

impl Calls {
    /// Makes so many, and waits until each is connected.
    pub(super) fn open(gateway: SocketAddr, load: &Load) -> anyhow::Result<Self> {
        let kit = Kit::new()?;
        let mut calls = Self {
            control: Control::new(gateway)?,
            browsers: Vec::with_capacity(load.calls),
            telephones: Telephones::new()?,
            ids: Vec::new(),
            voice: Voice::new(load.sound)?,
            number: 0,
        };
        calls.control.ask("ping", Dictionary::new())?;
        while calls.browsers.len() < load.calls {
            for _ in 0..TOGETHER.min(load.calls - calls.browsers.len()) {
                calls.add(&kit, load.sound)?;
            }
            calls.connect()?;
        }
        Ok(calls)
    }

    fn add(&mut self, kit: &Kit, sound: Sound) -> anyhow::Result<()> {
        let id = format!("bench-{}-{}", std::process::id(), self.ids.len());
        let offer = self.telephones.offer();
        let answer = self.control.ask("offer", offered(&id, sound, &offer))?;
        let offer = word(&answer, "sdp").context("the media gateway gives no SDP")?;
        let (browser, answer) = Browser::answer(kit, sound, offer)?;
        let answer = self.control.ask("answer", answered(&id, &answer))?;
        let answer = word(&answer, "sdp").context("the media gateway gives no SDP")?;
        self.telephones.add(answer)?;
        self.browsers.push(browser);
        self.ids.push(id);
        Ok(())
    }

    fn connect(&mut self) -> anyhow::Result<()> {
        let until = Instant::now() + HANDSHAKE_TIME;
        while self.browsers.iter().any(|browser| !browser.is_connected) {
            let now = Instant::now();
            if now > until {
                return Err(anyhow!(
                    "no ICE and DTLS with the media gateway within {} s",
                    HANDSHAKE_TIME.as_secs()
                ));
            }
            for browser in &mut self.browsers {
                if !browser.is_connected || now >= browser.due {
                    browser.step(now)?;
                }
            }
        }
        Ok(())
    }

    /// Encrypts what browsers say for so long.
    pub(super) fn make_ready(&mut self, load: &Load, length: Duration) -> anyhow::Result<()> {
        let count = load.ready(length) as u32;
        for at in 0..self.browsers.len() {
            let now = Instant::now();
            self.browsers[at].forget_ready();
            for number in self.number..self.number + count {
                let payload = self.voice.payload(at, number);
                let timestamp = number.wrapping_mul(self.voice.step());
                self.browsers[at].prepare(now, timestamp, &payload)?;
            }
            // Nobody is to be taken for gone meanwhile.
            for browser in &mut self.browsers {
                browser.keep_time(now)?;
            }
        }
        self.number += count;
        for browser in &mut self.browsers {
            browser.step(Instant::now())?;
            browser.connect()?;
        }
        Ok(())
    }

    /// Gives all calls back.
    pub(super) fn close(mut self) -> anyhow::Result<()> {
        for id in &self.ids {
            self.control.ask("delete", named(id))?;
        }
        Ok(())
    }
}

/// What rtpengine wants to be told, and offhook knows by itself: what browsers speak (RFC 8827), and telephones.
fn offered(id: &str, sound: Sound, sdp: &str) -> Dictionary {
    let mut entries = named(id);
    let mut put = |key: &str, value| entries.insert(key.to_owned(), value);
    put("sdp", Value::text(sdp));
    put("transport-protocol", Value::text("UDP/TLS/RTP/SAVPF"));
    put("ICE", Value::text("force"));
    put("SDES", Value::texts(&["off"]));
    put("rtcp-mux", Value::texts(&["offer", "require"]));
    put("flags", Value::texts(&["generate-mid"]));
    if sound == Sound::Opus {
        let codec = [
            ("mask", Value::texts(&["PCMU"])),
            ("transcode", Value::texts(&["opus"])),
        ];
        let codec = codec.map(|(key, value)| (key.to_owned(), value));
        put("codec", Value::Dictionary(Dictionary::from(codec)));
    }
    entries
}

fn answered(id: &str, sdp: &str) -> Dictionary {
    let mut entries = named(id);
    let mut put = |key: &str, value| entries.insert(key.to_owned(), value);
    put("sdp", Value::text(sdp));
    put("to-tag", Value::text("browser"));
    put("transport-protocol", Value::text("RTP/AVP"));
    put("ICE", Value::text("remove"));
    put("rtcp-mux", Value::texts(&["demux"]));
    entries
}

fn named(id: &str) -> Dictionary {
    let entries = [
        ("call-id", Value::text(id)),
        ("from-tag", Value::text("telephone")),
    ];
    Dictionary::from(entries.map(|(key, value)| (key.to_owned(), value)))
}

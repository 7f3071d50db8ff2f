//! A telephone of RTP, plain or protected, which speaks one codec, with keys as events.
//!
//! Never answers for itself: the test says what it offers.

use std::net::SocketAddr;

use media::Input;
use media::codec::{Codec, Encoding};
use media::dtmf::{EventReader, EventWriter, Heard};
use media::rtp::{Outgoing, Packet, RtpPort, is_rtcp};
use media::srtp::{Opener, Sealer};
use model::media::LegId;

use crate::world::{World, address};

pub(crate) struct Phone {
    pub(crate) leg: LegId,
    pub(crate) address: SocketAddr,
    /// The payload type of its sound.
    pub(crate) number: u8,
    pub(crate) codec: Box<dyn Codec>,
    clock: u32,
    out: Outgoing,
    pub(crate) says: Vec<i16>,
    /// Whether it sends packets at all.
    pub(crate) is_silent: bool,
    frame: usize,
    pub(crate) keys: EventWriter,
    pub(crate) heard: Vec<i16>,
    pub(crate) payloads: Vec<Vec<u8>>,
    pub(crate) heard_keys: String,
    reader: EventReader,
    pub(crate) timestamps: Vec<u32>,
    /// What it protects its packets with, and what those that it hears are protected with.
    pub(crate) srtp: Option<(Sealer, Opener)>,
    /// Reports that it has had.
    pub(crate) reports: usize,
}

impl Phone {
    pub(crate) fn new(leg: LegId, at: &str, encoding: Encoding) -> Self {
        let codec = encoding.codec().unwrap();
        Self {
            leg,
            address: address(at),
            number: match encoding {
                Encoding::Pcmu => 0,
                Encoding::Pcma => 8,
                Encoding::Opus => 111,
                Encoding::Linear(_) => panic!("no telephone speaks it"),
            },
            says: vec![0; codec.rate().hz() as usize],
            codec,
            clock: encoding.clock(),
            out: Outgoing::new(99, encoding.clock()),
            is_silent: false,
            frame: 0,
            keys: EventWriter::new(8_000),
            heard: Vec::new(),
            payloads: Vec::new(),
            heard_keys: String::new(),
            reader: EventReader::default(),
            timestamps: Vec::new(),
            srtp: None,
            reports: 0,
        }
    }

    /// Its offer or its answer, with its codec and keys as events.
    pub(crate) fn sdp(&self) -> String {
        let map = match self.number {
            111 => "a=rtpmap:111 opus/48000/2\r\n",
            _ => "",
        };
        format!(
            "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP {number} 101\r\n{map}\
             a=rtpmap:101 telephone-event/8000\r\n",
            ip = self.address.ip(),
            port = self.address.port(),
            number = self.number,
        )
    }

    /// So long, with the world around it.
    pub(crate) fn run(&mut self, world: &mut World, ms: u64) {
        run(world, &mut [self], ms);
    }

    fn take(&mut self, world: &World, to: SocketAddr, bytes: &[u8]) {
        let mut clear = Vec::new();
        if is_rtcp(bytes) {
            if let Some((_, opener)) = &mut self.srtp {
                opener.open_report(bytes, &mut clear).unwrap();
            }
            self.reports += 1;
            return;
        }
        if to != self.address {
            return;
        }
        let bytes = match &mut self.srtp {
            Some((_, opener)) => {
                opener.open(bytes, &mut clear).unwrap();
                &clear
            }
            None => bytes,
        };
        let packet = Packet::read(bytes).unwrap();
        if packet.payload_type == self.number {
            self.codec.decode(packet.payload, &mut self.heard).unwrap();
            self.payloads.push(packet.payload.to_vec());
            self.timestamps.push(packet.timestamp);
        } else {
            let now = world.clock().mono;
            let heard = self.reader.take(now, packet.timestamp, packet.payload);
            for heard in heard.into_iter().flatten() {
                if let Heard::Begin(digit) = heard {
                    self.heard_keys.push(digit.key());
                }
            }
        }
    }

    pub(crate) fn next(&mut self, world: &World) -> Vec<u8> {
        let now = world.clock().mono;
        let mut bytes = Vec::new();
        let timestamp = self.frame as u32 * (self.clock / 50);
        let whole = self.codec.rate().frame();
        let sound: Vec<i16> = (0..whole)
            .map(|at| self.says[(self.frame * whole + at) % self.says.len()])
            .collect();
        self.frame += 1;
        if let Some(key) = self.keys.tick(timestamp) {
            let out = &mut self.out;
            out.write(
                now,
                101,
                key.marker,
                key.timestamp,
                &key.payload,
                &mut bytes,
            );
        } else {
            let mut payload = Vec::new();
            self.codec.encode(&sound, &mut payload).unwrap();
            self.out
                .write(now, self.number, false, timestamp, &payload, &mut bytes);
        }
        if let Some((sealer, _)) = &mut self.srtp {
            sealer.seal(&mut bytes).unwrap();
        }
        bytes
    }
}

/// So long, with the world around them.
pub(crate) fn run(world: &mut World, phones: &mut [&mut Phone], ms: u64) {
    for _ in 0..ms {
        world.step();
        for (leg, to, bytes) in std::mem::take(&mut world.rtp) {
            let phone = phones.iter_mut().find(|phone| phone.leg == leg).unwrap();
            phone.take(world, to, &bytes);
        }
        if !world.clock().mono.as_micros().is_multiple_of(20_000) {
            continue;
        }
        for phone in phones.iter_mut().filter(|phone| !phone.is_silent) {
            let bytes = phone.next(world);
            let (leg, port, from) = (phone.leg, RtpPort::Rtp, phone.address);
            let bytes = &bytes;
            world.give(Input::Rtp {
                leg,
                port,
                from,
                bytes,
            });
        }
    }
}

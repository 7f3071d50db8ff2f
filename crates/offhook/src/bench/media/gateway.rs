//! `offhook bench gateway`: our media gateway by itself, told what to do by the protocol by which rtpengine is (`ng`), so that both
//! are measured by the same commands.
//!
//! The sockets, the thread and the worker are those that serve; the softswitch is not there.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::ops::RangeInclusive;

use clap::Args;
use node::LoneGateway;
use node::model::media::{LegId, LegKind, MediaCommand, MediaEvent, SessionId};

use super::bencode::{Dictionary, Value};
use super::ng;
use crate::bench::companion::LISTENS;
use crate::bench::processor;
use crate::cli::output::print;

/// Two ports for each call.
const PORTS: RangeInclusive<u16> = 30_000..=65_535;
const TELEPHONE: u8 = 0;
const BROWSER: u8 = 1;

/// Flags of `offhook bench gateway`.
#[derive(Args)]
pub(crate) struct GatewayFlags {
    /// Where it is told what to do (UDP); media is at other ports of this address
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Run on this processor alone
    #[arg(long, value_name = "NUMBER")]
    cpu: Option<usize>,
}

impl GatewayFlags {
    pub(in crate::bench) fn run(self) -> anyhow::Result<()> {
        self.cpu.map_or(Ok(()), processor::pin)?;
        processor::allow_most_open_files()?;
        let socket = UdpSocket::bind(self.listen)?;
        let media = SocketAddr::new(self.listen.ip(), 0);
        let gateway = LoneGateway::start(media, PORTS, &std::env::temp_dir())?;
        print(format_args!("{LISTENS}{}", socket.local_addr()?))?;
        let mut desk = Desk {
            gateway,
            calls: BTreeMap::new(),
            opened: 0,
        };
        let mut bytes = vec![0; ng::DATAGRAM];
        loop {
            let (length, from) = socket.recv_from(&mut bytes)?;
            let Some((cookie, question)) = ng::read(&bytes[..length]) else {
                continue;
            };
            let answer = ng::message(cookie, desk.answer(&question));
            socket.send_to(&answer, from)?;
        }
    }
}

/// Does what it is told.
struct Desk {
    gateway: LoneGateway,
    calls: BTreeMap<String, Call>,
    opened: u64,
}

struct Call {
    session: SessionId,
    /// Our answer to the telephone, which is given with that to the browser.
    telephone: String,
}

impl Desk {
    fn answer(&mut self, question: &Dictionary) -> Dictionary {
        let id = ng::word(question, "call-id").unwrap_or_default();
        let sdp = ng::word(question, "sdp").unwrap_or_default();
        let done = match ng::word(question, "command").unwrap_or_default() {
            "ping" => return said("pong", []),
            "offer" => self.on_offer(id, sdp).map(Some),
            "answer" => self.on_answer(id, sdp).map(Some),
            "delete" => self.on_delete(id).map(|()| None),
            other => Err(format!("there is no command `{other}` here")),
        };
        match done {
            Ok(Some(sdp)) => said("ok", [("sdp", sdp)]),
            Ok(None) => said("ok", []),
            Err(sentence) => said("error", [("error-reason", sentence)]),
        }
    }

    /// A telephone's offer; gives ours to the browser.
    fn on_offer(&mut self, id: &str, sdp: &str) -> Result<String, String> {
        self.opened += 1;
        let session = SessionId::of_shard(0, self.opened);
        let kind = LegKind::Rtp {
            allowed: Vec::new(),
        };
        let telephone = self.ask(
            session,
            TELEPHONE,
            MediaCommand::Answer {
                leg: leg(session, TELEPHONE),
                kind,
                offer: sdp.into(),
            },
        )?;
        let offer = self.ask(
            session,
            BROWSER,
            MediaCommand::Offer {
                leg: leg(session, BROWSER),
                kind: LegKind::WebRtc,
            },
        )?;
        self.calls
            .insert(id.to_owned(), Call { session, telephone });
        Ok(offer)
    }

    /// The browser's answer; gives ours to the telephone.
    fn on_answer(&mut self, id: &str, sdp: &str) -> Result<String, String> {
        let call = self.calls.get(id).ok_or("there is no such call")?;
        self.gateway.put(MediaCommand::Accept {
            leg: leg(call.session, BROWSER),
            answer: sdp.into(),
        });
        self.gateway.put(MediaCommand::Join {
            leg: leg(call.session, TELEPHONE),
            other: BROWSER,
        });
        Ok(call.telephone.clone())
    }

    fn on_delete(&mut self, id: &str) -> Result<(), String> {
        let call = self.calls.remove(id).ok_or("there is no such call")?;
        let session = call.session;
        self.gateway.put(MediaCommand::Close { session });
        Ok(())
    }

    /// Opens a leg; our SDP.
    fn ask(&self, session: SessionId, place: u8, command: MediaCommand) -> Result<String, String> {
        self.gateway.put(command);
        let asked = leg(session, place);
        while let Some(event) = self.gateway.next_event() {
            match event {
                MediaEvent::Answered { leg, answer: sdp }
                | MediaEvent::Offered { leg, offer: sdp }
                    if leg == asked =>
                {
                    return Ok(sdp.to_string());
                }
                MediaEvent::Refused { leg, sentence } if leg == asked => return Err(sentence),
                MediaEvent::Answered { .. }
                | MediaEvent::Offered { .. }
                | MediaEvent::Refused { .. }
                | MediaEvent::NotEntered { .. }
                | MediaEvent::Connected { .. }
                | MediaEvent::Digit { .. }
                | MediaEvent::Played { .. }
                | MediaEvent::Recording { .. }
                | MediaEvent::Recorded { .. }
                | MediaEvent::StreamEnded { .. }
                | MediaEvent::Ended { .. } => {}
            }
        }
        Err("the media gateway has ended".to_owned())
    }
}

fn leg(session: SessionId, place: u8) -> LegId {
    LegId { session, place }
}

fn said<const N: usize>(result: &str, more: [(&str, String); N]) -> Dictionary {
    let mut answer = Dictionary::from([("result".to_owned(), Value::text(result))]);
    for (key, text) in more {
        answer.insert(key.to_owned(), Value::Text(text));
    }
    answer
}

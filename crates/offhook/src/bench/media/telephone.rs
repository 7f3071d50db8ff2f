//! The plain RTP side of all calls: telephones that share one port, so that one system call sends or takes for many of them.
//!
//! Never looks whose packet it is: the stamp in it says that.

use std::io::{IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

use anyhow::{Context as _, anyhow};
use nix::errno::Errno;
use nix::sys::socket::sockopt::RcvBuf;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg, setsockopt};

use super::browser::is_rtp;
use super::sound::{G711_LEN, filler, stamp};

/// Packets that one system call carries at most.
pub(super) const BATCH: usize = 32;
const HEAD: usize = 12;
const PACKET: usize = HEAD + G711_LEN;
/// More than any packet has.
const ROOM: usize = 512;
/// What the port may hold back, if the system allows so much.
const RECEIVE_BUFFER: usize = 4 << 20;
/// Pairs of ports that are tried.
const ATTEMPTS: usize = 100;

/// All telephones.
pub(super) struct Telephones {
    socket: UdpSocket,
    /// Takes reports, which nobody reads.
    _reports: UdpSocket,
    port: u16,
    lines: Vec<Line>,
    packets: Box<[[u8; PACKET]; BATCH]>,
    headers: MultiHeaders<SockaddrStorage>,
    came: Box<[[u8; ROOM]; BATCH]>,
    came_headers: MultiHeaders<()>,
}

/// One telephone.
struct Line {
    target: SockaddrStorage,
    sent: u32,
}

impl Telephones {
    pub(super) fn new() -> anyhow::Result<Self> {
        let (socket, reports) = pair()?;
        // Less will do: what is lost is counted.
        let _ = setsockopt(&socket, RcvBuf, &RECEIVE_BUFFER);
        let mut packet = [0; PACKET];
        packet[0] = 0x80;
        packet[HEAD..].copy_from_slice(&filler());
        Ok(Self {
            port: socket.local_addr()?.port(),
            socket,
            _reports: reports,
            lines: Vec::new(),
            packets: Box::new([packet; BATCH]),
            headers: MultiHeaders::preallocate(BATCH, None),
            came: Box::new([[0; ROOM]; BATCH]),
            came_headers: MultiHeaders::preallocate(BATCH, None),
        })
    }

    /// What each of them offers.
    pub(super) fn offer(&self) -> String {
        format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {} RTP/AVP 0 101\r\n\
             a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\na=sendrecv\r\n",
            self.port
        )
    }

    /// Another call has this answer.
    pub(super) fn add(&mut self, answer: &str) -> anyhow::Result<()> {
        let row = |start: &str| answer.lines().find_map(|line| line.strip_prefix(start));
        let host = row("c=IN IP4 ").context("the gateway's answer has no c=IN IP4")?;
        let media = row("m=audio ").context("the gateway's answer has no m=audio")?;
        let port = media.split(' ').next().unwrap_or_default();
        let target = SocketAddr::new(host.trim().parse()?, port.parse()?);
        self.lines.push(Line {
            target: target.into(),
            sent: 0,
        });
        Ok(())
    }

    /// Sends the next packet of each of these calls.
    pub(super) fn send(&mut self, calls: &[usize]) -> anyhow::Result<()> {
        let mut targets = [None; BATCH];
        for ((packet, target), call) in self.packets.iter_mut().zip(&mut targets).zip(calls) {
            let line = &mut self.lines[*call];
            line.sent += 1;
            *target = Some(line.target);
            packet[2..4].copy_from_slice(&(line.sent as u16).to_be_bytes());
            packet[4..8].copy_from_slice(&line.sent.wrapping_mul(G711_LEN as u32).to_be_bytes());
            packet[8..HEAD].copy_from_slice(&(*call as u32 + 1).to_be_bytes());
            stamp(&mut packet[HEAD..], *call, line.sent);
        }
        let slices = self.packets.each_ref().map(|packet| [IoSlice::new(packet)]);
        let socket = self.socket.as_raw_fd();
        let (slices, targets) = (&slices[..calls.len()], &targets[..calls.len()]);
        let sent = sendmmsg(
            socket,
            &mut self.headers,
            slices,
            targets,
            [],
            MsgFlags::empty(),
        );
        match sent {
            Ok(_) | Err(Errno::EINTR | Errno::ENOBUFS | Errno::EAGAIN | Errno::ECONNREFUSED) => {
                Ok(())
            }
            Err(error) => Err(error).context("packets cannot be sent"),
        }
    }

    /// Takes what came, at most as much as one system call takes; `each` is given payloads.
    pub(super) fn take(&mut self, mut each: impl FnMut(&[u8])) -> anyhow::Result<()> {
        let mut slices = self.came.each_mut().map(|room| [IoSliceMut::new(room)]);
        let socket = self.socket.as_raw_fd();
        let flags = MsgFlags::MSG_DONTWAIT;
        let received = recvmmsg(
            socket,
            &mut self.came_headers,
            slices.iter_mut(),
            flags,
            None,
        );
        let received = match received {
            Ok(received) => received,
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ECONNREFUSED) => return Ok(()),
            Err(error) => return Err(error).context("packets cannot be received"),
        };
        for message in received {
            let packet = message.iovs().next().unwrap_or_default();
            let packet = &packet[..message.bytes.min(packet.len())];
            if is_rtp(packet) {
                each(payload(packet).unwrap_or_default());
            }
        }
        Ok(())
    }
}

/// What stands behind the head of a packet and its extension (RFC 3550 §5.1, §5.3.1); a gateway may leave that as it was.
fn payload(packet: &[u8]) -> Option<&[u8]> {
    let first = packet.first()?;
    let begin = HEAD + 4 * usize::from(first & 0x0f);
    if first & 0x10 == 0 {
        return packet.get(begin..);
    }
    let words = packet.get(begin + 2..begin + 4)?;
    packet.get(begin + 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]]))..)
}

/// An even port and the next one.
fn pair() -> anyhow::Result<(UdpSocket, UdpSocket)> {
    for _ in 0..ATTEMPTS {
        let first = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = first.local_addr()?.port();
        if port.is_multiple_of(2)
            && let Ok(second) = UdpSocket::bind((Ipv4Addr::LOCALHOST, port + 1))
        {
            return Ok((first, second));
        }
    }
    Err(anyhow!("no pair of ports is free for the telephones"))
}

#[cfg(test)]
mod tests {
    use super::super::sound::is_whole;
    use super::*;

    #[test]
    fn a_payload_begins_behind_the_extension() {
        let mut packet = vec![0x80; 20];
        assert_eq!(payload(&packet).map(<[u8]>::len), Some(8));
        packet[0] = 0x90;
        packet[12..16].copy_from_slice(&[0xbe, 0xde, 0, 1]);
        assert_eq!(payload(&packet), Some(&[][..]));
        packet[15] = 2;
        assert_eq!(payload(&packet), None);
        assert_eq!(payload(&[]), None);
    }

    #[test]
    fn a_telephone_sends_to_where_its_answer_says_and_takes_what_comes() {
        let mut telephones = Telephones::new().unwrap();
        assert!(telephones.offer().contains("RTP/AVP 0 101"));
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        let at = peer.local_addr().unwrap();
        let answer = format!("c=IN IP4 127.0.0.1\r\nm=audio {} RTP/AVP 0\r\n", at.port());
        telephones.add(&answer).unwrap();
        assert!(telephones.add("m=audio 4000 RTP/AVP 0\r\n").is_err());
        telephones.send(&[0, 0]).unwrap();
        let mut bytes = [0; 1_000];
        for number in [1, 2] {
            let (length, from) = peer.recv_from(&mut bytes).unwrap();
            assert_eq!((length, from.port()), (PACKET, telephones.port));
            assert_eq!(bytes[2..4], [0, number]);
            assert!(is_whole(&bytes[HEAD..length], 1));
            peer.send_to(&bytes[..length], from).unwrap();
        }
        let mut came = 0;
        while came < 2 {
            let each = |payload: &[u8]| came += usize::from(is_whole(payload, 1));
            telephones.take(each).unwrap();
        }
    }
}

//! Candidates as SDP carries them, and the servers that a page was told of.
//!
//! Reads only what this world's pages write (RFC 8839 §5.1), and `RTCIceServer[]` as the server prints it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// Where a candidate comes from (RFC 8445 §5.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A relayed address.
    Relay,
    /// Learnt from a check.
    PeerReflexive,
    /// What a NAT makes of a host's address.
    ServerReflexive,
    /// A host's own address.
    Host,
}

impl Source {
    const fn word(self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::PeerReflexive => "prflx",
            Self::ServerReflexive => "srflx",
            Self::Host => "host",
        }
    }

    /// RFC 8445 §5.1.2.2.
    const fn preference(self) -> u32 {
        match self {
            Self::Relay => 0,
            Self::ServerReflexive => 100,
            Self::PeerReflexive => 110,
            Self::Host => 126,
        }
    }
}

/// An address under which a side may be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Where it comes from.
    pub source: Source,
    /// The address.
    pub address: SocketAddr,
}

impl fmt::Display for Candidate {
    /// The line of SDP without its end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ip, port) = (self.address.ip(), self.address.port());
        let priority = self.source.preference() << 24 | 0xffff << 8 | 255;
        let word = self.source.word();
        write!(
            f,
            "a=candidate:{priority} 1 udp {priority} {ip} {port} typ {word}"
        )?;
        match (self.source, ip) {
            (Source::Host, _) => Ok(()),
            // As browsers hide it.
            (_, IpAddr::V4(_)) => write!(f, " raddr 0.0.0.0 rport 0"),
            (_, IpAddr::V6(_)) => write!(f, " raddr :: rport 0"),
        }
    }
}

/// What a session description says of the way to its side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Described {
    /// `a=ice-ufrag`: another one means that the way is sought anew (RFC 8445 §9).
    pub ufrag: String,
    /// Its candidates.
    pub candidates: Vec<Candidate>,
}

impl Described {
    /// Reads a body.
    pub fn read(sdp: &[u8]) -> Self {
        let text = String::from_utf8_lossy(sdp);
        let mut described = Self::default();
        for line in text.lines() {
            if let Some(ufrag) = line.strip_prefix("a=ice-ufrag:") {
                ufrag.clone_into(&mut described.ufrag);
            } else if let Some(rest) = line.strip_prefix("a=candidate:") {
                described.candidates.extend(read_candidate(rest));
            }
        }
        described
    }
}

fn read_candidate(rest: &str) -> Option<Candidate> {
    let words: Vec<&str> = rest.split_whitespace().collect();
    let (ip, port) = (words.get(4)?.parse().ok()?, words.get(5)?.parse().ok()?);
    let source = match *words.get(7)? {
        "relay" => Source::Relay,
        "srflx" => Source::ServerReflexive,
        "prflx" => Source::PeerReflexive,
        "host" => Source::Host,
        _ => return None,
    };
    Some(Candidate {
        source,
        address: SocketAddr::new(ip, port),
    })
}

/// The TURN server that a page was told of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IceServer {
    /// Where it speaks UDP.
    pub udp: Option<SocketAddr>,
    /// Where it speaks TCP.
    pub tcp: Option<SocketAddr>,
    /// The credential.
    pub username: String,
    /// See `username`.
    pub password: String,
}

impl IceServer {
    /// Reads the answer to OPTIONS.
    pub fn read(json: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(json);
        // Every second piece between quotation marks is a string: none of these has one inside.
        let strings: Vec<&str> = text.split('"').skip(1).step_by(2).collect();
        let behind = |name: &str| {
            let at = strings.iter().position(|string| *string == name)?;
            strings.get(at + 1).map(|found| (*found).to_owned())
        };
        let url = |transport: &str| {
            strings.iter().find_map(|url| {
                let rest = url.strip_prefix("turn:")?;
                rest.strip_suffix(transport)?.parse().ok()
            })
        };
        Some(Self {
            udp: url("?transport=udp"),
            tcp: url("?transport=tcp"),
            username: behind("username")?,
            password: behind("credential")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_page_writes_another_reads() {
        let candidate = Candidate {
            source: Source::ServerReflexive,
            address: "5.0.0.1:40000".parse().unwrap(),
        };
        let sdp = format!("v=0\r\na=ice-ufrag:abcd\r\n{candidate}\r\n");
        let read = Described::read(sdp.as_bytes());
        assert_eq!(read.ufrag, "abcd");
        assert_eq!(read.candidates, [candidate]);
    }

    #[test]
    fn servers_are_read_as_they_are_printed() {
        let json = br#"[{"urls":["turn:5.0.0.9:3478?transport=udp","turn:5.0.0.9:3479?transport=tcp"],"username":"1:c","credential":"x/+"}]"#;
        let read = IceServer::read(json).unwrap();
        assert_eq!(read.udp, Some("5.0.0.9:3478".parse().unwrap()));
        assert_eq!(read.tcp, Some("5.0.0.9:3479".parse().unwrap()));
        assert_eq!(
            (read.username.as_str(), read.password.as_str()),
            ("1:c", "x/+")
        );
        assert_eq!(IceServer::read(b"[]"), None);
    }
}

//! Trunks: SIP peers of an account that are no browsers, such as a provider of telephone numbers or a PBX.
//!
//! Says who a peer is and what may pass; sending and receiving is `switch::trunk`'s and the shell's. Never resolves a name.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::directory::SecretBytes;
use crate::id::{AccountId, ServiceName, TrunkName};
use crate::limits;
use crate::media::{LegKind, Network};
use crate::peer::PeerPlace;

/// A SIP peer of an account. Always well-formed; see [`Trunk::check`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trunk {
    /// Whose it is.
    pub account: AccountId,
    /// What the operator calls it.
    pub name: TrunkName,
    /// How it speaks SIP.
    pub transport: TrunkTransport,
    /// How sound passes.
    pub media: TrunkMedia,
    /// Where it is, as the operator says: what comes first is tried first.
    pub places: Vec<PeerPlace>,
    /// Where that is, as far as is known: the addresses among those, and where their names lead now. The first that answers is used.
    pub peers: Vec<SocketAddr>,
    /// Where its names led before, as long as calls go on with whoever is there.
    pub former: Vec<SocketAddr>,
    /// Whence it may send besides, SIP and media; anything from elsewhere gets no answer.
    pub networks: Vec<Network>,
    /// The host in the addresses of its numbers (RFC 3261 §19.1.1).
    pub domain: String,
    /// How we answer its challenges (RFC 8760); nothing: a challenge is a refusal.
    pub login: Option<TrunkLogin>,
    /// How long a registration with it lasts (RFC 3261 §10); nothing: it knows where we are.
    pub registration: Option<Duration>,
    /// How often it is asked by OPTIONS whether it is there; nothing: it always counts as there.
    pub check: Option<Duration>,
    /// How often the session of a call is refreshed (RFC 4028); nothing: never.
    pub session: Option<Duration>,
    /// Which service its callers reach, by the number that they call; the first that fits.
    pub numbers: Vec<(NumberPattern, ServiceName)>,
    /// Who calls, if an application says nobody that is a number.
    pub caller: Option<Number>,
    /// Whether it is told who calls by P-Asserted-Identity (RFC 3325).
    pub is_trusted: bool,
    /// To whom its peers may transfer calls.
    pub transfer: TrunkTransfer,
}

/// To whom a trunk's peers may transfer the calls that they have with us (RFC 3515, RFC 3891).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrunkTransfer {
    /// To nobody.
    None,
    /// To whom their own calls reach, services and clients, and to others whom they talk with: nobody pays for what a stranger asks for.
    #[default]
    Inward,
    /// Back to the same trunk as well: for a PBX and not for a provider, which lets its callers speak for it.
    Own,
    /// To numbers of the account's other trunks as well.
    Any,
}

impl TrunkTransfer {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::None, Self::Inward, Self::Own, Self::Any];

    /// As it is configured.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Inward => "inward",
            Self::Own => "own",
            Self::Any => "any",
        }
    }

    /// Whether there are transfers at all.
    pub const fn is_any(self) -> bool {
        match self {
            Self::None => false,
            Self::Inward | Self::Own | Self::Any => true,
        }
    }
}

/// By what SIP comes to a peer and from it (RFC 3261 §18).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum TrunkTransport {
    /// A datagram for each message.
    #[default]
    Udp,
    /// Connections.
    Tcp,
    /// Connections that nobody can read or change, to a peer that has shown its certificate (RFC 5922).
    Tls,
}

impl TrunkTransport {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Udp, Self::Tcp, Self::Tls];

    /// As it is configured, and as it stands in addresses (RFC 3261 §19.1.1).
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }

    /// As it stands in Via (RFC 3261 §20.42).
    pub const fn in_via(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        }
    }

    /// Where a peer listens that names no port (RFC 3261 §19.1.2).
    pub const fn port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 5060,
            Self::Tls => 5061,
        }
    }

    /// Whether messages come by connections, whole and in order.
    pub const fn is_stream(self) -> bool {
        match self {
            Self::Udp => false,
            Self::Tcp | Self::Tls => true,
        }
    }
}

/// Whether the sound of a trunk's calls is protected (RFC 3711), with keys that its SIP carries (RFC 4568).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrunkMedia {
    /// It is not.
    #[default]
    Rtp,
    /// It always is.
    Srtp,
    /// It is in calls to the peer, and in those of the peer that ask for it.
    SrtpOrRtp,
}

impl TrunkMedia {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Rtp, Self::Srtp, Self::SrtpOrRtp];

    /// As it is configured.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rtp => "rtp",
            Self::Srtp => "srtp",
            Self::SrtpOrRtp => "srtp-or-rtp",
        }
    }
}

/// What we show to a peer that asks who we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrunkLogin {
    /// The user.
    pub user: String,
    /// The password.
    pub password: SecretBytes,
}

/// A telephone number: E.164 with its `+`, or the digits of a private plan.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number(Box<str>);

/// A number, or all that begin with the same digits: `+441234567890`, `+44123*`, `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberPattern {
    digits: Box<str>,
    is_prefix: bool,
}

/// A trunk that nobody can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTrunk {
    /// Nobody could be called.
    #[error(
        "a trunk needs at least one peer, a name such as sip.example.com or an address with its port such as 192.0.2.10:5060"
    )]
    NoPeer,
    /// More than may be.
    #[error("a trunk has at most {max} peers, not {0}", max = limits::TRUNK_PEERS)]
    TooManyPeers(usize),
    /// More than may be.
    #[error("a trunk has at most {max} numbers, not {0}", max = limits::TRUNK_NUMBERS)]
    TooManyNumbers(usize),
    /// More than may be.
    #[error("a trunk has at most {max} networks, not {0}", max = limits::TRUNK_NETWORKS)]
    TooManyNetworks(usize),
    /// Whoever hears its SIP would have the keys of its sound.
    #[error(
        "keys of SRTP stand in SIP, which everybody can read by {}: give transport = \"tls\" as well, or media = \"rtp\"",
        .0.as_str()
    )]
    KeysInClear(TrunkTransport),
    /// It registers as nobody.
    #[error("a trunk that registers needs a user and a password")]
    NoLogin,
    /// No time for the peer, or for us.
    #[error("a registration lasts 60 to 86400 seconds, not {0}")]
    Registration(u64),
    /// Too often, or too seldom to be of use.
    #[error("a trunk is asked whether it is there every 5 to 3600 seconds, not {0}")]
    Check(u64),
    /// Shorter than RFC 4028 lets it be, or too long to be of use.
    #[error("the session of a call is refreshed every 90 to 86400 seconds, not {0}")]
    Session(u64),
    /// It would break out of a SIP address.
    #[error("{0:?} is no host name or address of at most 253 characters")]
    Domain(String),
    /// It would break out of a header.
    #[error(
        "{0:?} is no user of 1 to 128 characters without spaces, quotes and control characters"
    )]
    User(String),
}

/// Text that is no number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no telephone number: it has 1 to 32 digits, perhaps behind a '+'{star}", star = if *is_pattern { ", and may end with '*'" } else { "" })]
pub struct InvalidNumber {
    /// What was given.
    pub text: String,
    /// Whether a pattern would have done.
    pub is_pattern: bool,
}

impl Trunk {
    /// Whether it can be.
    pub fn check(&self) -> Result<(), InvalidTrunk> {
        if self.places.is_empty() {
            return Err(InvalidTrunk::NoPeer);
        }
        if self.places.len() > limits::TRUNK_PEERS {
            return Err(InvalidTrunk::TooManyPeers(self.places.len()));
        }
        if self.numbers.len() > limits::TRUNK_NUMBERS {
            return Err(InvalidTrunk::TooManyNumbers(self.numbers.len()));
        }
        if self.networks.len() > limits::TRUNK_NETWORKS {
            return Err(InvalidTrunk::TooManyNetworks(self.networks.len()));
        }
        match (self.media, self.transport) {
            (TrunkMedia::Rtp, _) | (_, TrunkTransport::Tls) => {}
            (
                TrunkMedia::Srtp | TrunkMedia::SrtpOrRtp,
                TrunkTransport::Udp | TrunkTransport::Tcp,
            ) => return Err(InvalidTrunk::KeysInClear(self.transport)),
        }
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
        if !(1..=253).contains(&self.domain.len()) || !self.domain.bytes().all(is_host) {
            return Err(InvalidTrunk::Domain(self.domain.clone()));
        }
        if let Some(login) = &self.login {
            let is_user = |byte: u8| byte.is_ascii_graphic() && !b"\"\\<>".contains(&byte);
            if !(1..=128).contains(&login.user.len()) || !login.user.bytes().all(is_user) {
                return Err(InvalidTrunk::User(login.user.clone()));
            }
        }
        if let Some(lasts) = self.registration {
            if self.login.is_none() {
                return Err(InvalidTrunk::NoLogin);
            }
            if !(60..=86_400).contains(&lasts.as_secs()) {
                return Err(InvalidTrunk::Registration(lasts.as_secs()));
            }
        }
        if let Some(lasts) = self.session
            && !(limits::SESSION_TIME_MIN..=limits::SESSION_TIME_MAX).contains(&lasts)
        {
            return Err(InvalidTrunk::Session(lasts.as_secs()));
        }
        match self.check {
            Some(pause) if !(5..=3_600).contains(&pause.as_secs()) => {
                Err(InvalidTrunk::Check(pause.as_secs()))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Each address that is a peer's, or still is for calls that go on.
    pub fn known(&self) -> impl Iterator<Item = &SocketAddr> {
        self.peers.iter().chain(&self.former)
    }

    /// The addresses among its places: no name leads another trunk there.
    pub fn literals(&self) -> impl Iterator<Item = SocketAddr> {
        self.places.iter().filter_map(PeerPlace::address)
    }

    /// Whether it may speak from there.
    pub fn admits(&self, source: IpAddr) -> bool {
        self.may_begin(source) || self.former.iter().any(|peer| is_on(peer, source))
    }

    /// Whether it may begin something from there, and not only go on with its calls.
    pub fn may_begin(&self, source: IpAddr) -> bool {
        self.peers.iter().any(|peer| is_on(peer, source)) || self.has_network_of(source)
    }

    /// Whether the operator has written down a network that this is in.
    pub fn has_network_of(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.networks.iter().any(|own| own.contains(ip))
    }

    /// What its legs speak.
    pub fn leg_kind(&self) -> LegKind {
        let allowed = self.media_networks();
        match self.media {
            TrunkMedia::Rtp => LegKind::Rtp { allowed },
            TrunkMedia::Srtp | TrunkMedia::SrtpOrRtp => LegKind::Srtp {
                allowed,
                is_required: self.media == TrunkMedia::Srtp,
            },
        }
    }

    /// Whence its media may come.
    fn media_networks(&self) -> Vec<Network> {
        let peers = self.known().filter_map(|peer| {
            let ip = peer.ip().to_canonical();
            Network::new(ip, if ip.is_ipv4() { 32 } else { 128 })
        });
        peers.chain(self.networks.iter().copied()).collect()
    }

    /// The service that whoever calls this number reaches.
    pub fn service_for(&self, number: &Number) -> Option<&ServiceName> {
        let mut all = self.numbers.iter();
        let (_, service) = all.find(|(pattern, _)| pattern.fits(number))?;
        Some(service)
    }
}

/// Whether a peer is on this machine.
fn is_on(peer: &SocketAddr, ip: IpAddr) -> bool {
    peer.ip().to_canonical() == ip.to_canonical()
}

impl Number {
    /// Digits, perhaps behind a `+`. What people write between them (RFC 3966 §5.1.1) is left out.
    pub fn parse(text: &str) -> Result<Self, InvalidNumber> {
        match digits(text) {
            Some(digits) => Ok(Self(digits)),
            None => Err(InvalidNumber {
                text: text.chars().take(64).collect(),
                is_pattern: false,
            }),
        }
    }

    /// As it stands in addresses.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl NumberPattern {
    /// A number, or its beginning and `*`.
    pub fn parse(text: &str) -> Result<Self, InvalidNumber> {
        let (start, is_prefix) = match text.strip_suffix('*') {
            Some(start) => (start, true),
            None => (text, false),
        };
        let known = match start {
            "" | "+" if is_prefix => Some(start.into()),
            _ => digits(start),
        };
        match known {
            Some(digits) => Ok(Self { digits, is_prefix }),
            None => Err(InvalidNumber {
                text: text.chars().take(64).collect(),
                is_pattern: true,
            }),
        }
    }

    /// Whether a number is meant.
    pub fn fits(&self, number: &Number) -> bool {
        match self.is_prefix {
            true => number.0.starts_with(&*self.digits),
            false => number.0 == self.digits,
        }
    }
}

fn digits(text: &str) -> Option<Box<str>> {
    let (plus, rest) = match text.strip_prefix('+') {
        Some(rest) => ("+", rest),
        None => ("", text),
    };
    let mut found = String::from(plus);
    for character in rest.chars() {
        match character {
            '0'..='9' => found.push(character),
            '-' | '.' | '(' | ')' | ' ' => {}
            _ => return None,
        }
    }
    let count = found.len() - plus.len();
    (1..=limits::NUMBER_DIGITS)
        .contains(&count)
        .then(|| found.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        Number::parse(text).unwrap()
    }

    #[test]
    fn a_number_is_its_digits_however_it_is_written() {
        assert_eq!(
            number("+44 (0)1908-27 38").as_str(),
            "+4401908 2738".replace(' ', "")
        );
        assert_eq!(number("112").as_str(), "112");
        for wrong in ["", "+", "alice", "+44x", "++44", &"1".repeat(33)] {
            let fault = Number::parse(wrong).unwrap_err();
            assert!(fault.to_string().contains("1 to 32 digits"), "{fault}");
        }
    }

    #[test]
    fn a_pattern_fits_one_number_or_all_that_begin_so() {
        let fits = |pattern, text| NumberPattern::parse(pattern).unwrap().fits(&number(text));
        assert!(fits("+44123", "+44123") && !fits("+44123", "+441234"));
        assert!(fits("+44*", "+44123") && !fits("+44*", "44123"));
        assert!(fits("*", "112") && fits("*", "+44123"));
        assert!(fits("+*", "+44") && !fits("+*", "112"));
        let fault = NumberPattern::parse("4*4").unwrap_err();
        assert!(fault.to_string().contains("may end with '*'"), "{fault}");
    }

    #[test]
    fn a_trunk_says_what_it_cannot_be() {
        let trunk = Trunk {
            account: AccountId(1),
            name: TrunkName::parse("provider").unwrap(),
            transport: TrunkTransport::Udp,
            media: TrunkMedia::Rtp,
            places: PeerPlace::addresses(&["192.0.2.10:5060".parse().unwrap()]),
            peers: vec!["192.0.2.10:5060".parse().unwrap()],
            former: vec!["192.0.2.20:5060".parse().unwrap()],
            networks: vec![Network::new("198.51.100.0".parse().unwrap(), 24).unwrap()],
            domain: "sip.example.com".into(),
            login: None,
            registration: None,
            check: Some(Duration::from_secs(30)),
            numbers: Vec::new(),
            caller: None,
            session: None,
            is_trusted: false,
            transfer: TrunkTransfer::Own,
        };
        assert_eq!(trunk.check(), Ok(()));
        assert!(trunk.admits("192.0.2.10".parse().unwrap()));
        assert!(trunk.admits("::ffff:198.51.100.7".parse().unwrap()));
        assert!(trunk.admits("192.0.2.20".parse().unwrap()));
        assert!(!trunk.admits("192.0.2.11".parse().unwrap()));
        assert_eq!(trunk.media_networks().len(), 3);
        let fault = |change: &dyn Fn(&mut Trunk)| {
            let mut changed = trunk.clone();
            change(&mut changed);
            changed.check().unwrap_err()
        };
        assert_eq!(fault(&|trunk| trunk.places.clear()), InvalidTrunk::NoPeer);
        let registers = |trunk: &mut Trunk| trunk.registration = Some(Duration::from_secs(300));
        assert_eq!(fault(&registers), InvalidTrunk::NoLogin);
        assert!(matches!(
            fault(&|trunk| trunk.domain = "a>b".into()),
            InvalidTrunk::Domain(_)
        ));
        assert_eq!(
            fault(&|trunk| trunk.check = Some(Duration::from_secs(1))),
            InvalidTrunk::Check(1)
        );
        let protects = |trunk: &mut Trunk| trunk.media = TrunkMedia::SrtpOrRtp;
        let in_clear = InvalidTrunk::KeysInClear(TrunkTransport::Udp);
        assert_eq!(fault(&protects), in_clear);
        let mut protected = Trunk {
            media: TrunkMedia::Srtp,
            transport: TrunkTransport::Tls,
            ..trunk
        };
        assert_eq!(protected.check(), Ok(()));
        let is_required = |trunk: &Trunk| match trunk.leg_kind() {
            LegKind::Srtp { is_required, .. } => Some(is_required),
            LegKind::Rtp { .. } | LegKind::WebRtc => None,
        };
        assert_eq!(is_required(&protected), Some(true));
        protected.media = TrunkMedia::SrtpOrRtp;
        assert_eq!(is_required(&protected), Some(false));
    }
}

//! Where the peers of a trunk are and by what they speak, as texts of the configuration file.
//!
//! Resolves no name. Reads the certificates that vouch for peers, when a server is to start and not before.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use node::model::media::Network;
use node::model::{PeerName, PeerPlace, TrunkMedia, TrunkTransport};
use node::wanted_trunk::Authority;

use super::config_turn::parse_network;

/// A file that the value of a key names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedFile {
    pub(super) path: PathBuf,
    /// File and line where that is said.
    pub(super) place: String,
}

/// The certificates of a PEM file.
pub(super) fn read_ca(file: &NamedFile) -> Result<Authority, String> {
    let NamedFile { path, place } = file;
    Authority::read(path).map_err(|fault| format!("{place}: {fault}"))
}

pub(super) fn parse_transport(text: &str) -> Result<TrunkTransport, String> {
    let mut all = TrunkTransport::ALL.into_iter();
    let known = all.find(|transport| transport.as_str() == text);
    known.ok_or_else(|| "it must be udp, tcp or tls".to_owned())
}

pub(super) fn parse_media(text: &str) -> Result<TrunkMedia, String> {
    let mut all = TrunkMedia::ALL.into_iter();
    let known = all.find(|media| media.as_str() == text);
    known.ok_or_else(|| "it must be rtp, srtp or srtp-or-rtp".to_owned())
}

/// The first peer as a host of SIP addresses.
pub(super) fn host(places: &[PeerPlace]) -> String {
    match places.first() {
        Some(PeerPlace::Name(name)) => name.host().to_owned(),
        Some(PeerPlace::Address(address)) => match address.ip() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        },
        None => String::new(),
    }
}

pub(super) fn parse_peer(text: &str, transport: TrunkTransport) -> Result<PeerPlace, String> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let alone = bare.unwrap_or(text).parse::<IpAddr>();
    let alone = alone.map(|ip| SocketAddr::new(ip, transport.port()));
    let Ok(peer) = text.parse::<SocketAddr>().or(alone) else {
        let name = PeerName::parse(text).map(PeerPlace::Name);
        return name.map_err(|fault| {
            format!("it must be an IP address or a name, perhaps with a port, such as 192.0.2.10:5060 or sip.example.com; {fault}")
        });
    };
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    if peer.ip().is_unspecified() || peer.ip().is_multicast() || peer.port() == 0 {
        return Err("nobody can be there".to_owned());
    }
    Ok(PeerPlace::Address(peer))
}

pub(super) fn parse_own_network(text: &str) -> Result<Network, String> {
    let network = parse_network(text)?;
    Network::new(network.address, network.prefix).ok_or_else(|| "it has too many bits".to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::config_file::ConfigFile;
    use super::*;

    #[test]
    fn a_peer_without_a_port_has_that_of_its_transport() {
        for (transport, peer) in [
            ("udp", "192.0.2.10:5060"),
            ("tcp", "192.0.2.10:5060"),
            ("tls", "192.0.2.10:5061"),
        ] {
            let transport = parse_transport(transport).unwrap();
            assert_eq!(
                parse_peer("192.0.2.10", transport),
                Ok(PeerPlace::Address(peer.parse().unwrap()))
            );
            let at = PeerPlace::Address("[2001:db8::1]:7".parse().unwrap());
            assert_eq!(parse_peer("[2001:db8::1]:7", transport), Ok(at));
        }
        let named = |text| parse_peer(text, TrunkTransport::Tls).map(|peer| peer.to_string());
        assert_eq!(named("SIP.example.com"), Ok("sip.example.com".to_owned()));
        assert_eq!(named("pbx:5070"), Ok("pbx:5070".to_owned()));
        for wrong in ["_sip._udp.example.com", "a..b", "pbx:0", "1.2.3"] {
            let rule = named(wrong).unwrap_err();
            assert!(
                rule.contains("or a name") && rule.contains("is no name"),
                "{rule}"
            );
        }
        assert!(
            parse_transport("sctp")
                .unwrap_err()
                .contains("udp, tcp or tls")
        );
    }

    #[test]
    fn a_name_is_taken_without_asking_dns_and_is_the_domain() {
        let text = "[[trunk]]\naccount = \"1-2-0/a@b.c\"\nname = \"t\"\n\
                    peers = [\"SIP.example.com\", \"192.0.2.1\", \"pbx:5070\"]";
        let trunk = ConfigFile::sound(Path::new("offhook.toml"), text)
            .unwrap()
            .trunks()[0]
            .wanted
            .trunk
            .clone();
        let places: Vec<String> = trunk.places.iter().map(ToString::to_string).collect();
        assert_eq!(places, ["sip.example.com", "192.0.2.1:5060", "pbx:5070"]);
        assert_eq!(trunk.peers, ["192.0.2.1:5060".parse().unwrap()]);
        assert_eq!(trunk.domain, "sip.example.com");
    }

    #[test]
    fn what_is_no_certificate_is_told_with_file_and_place() {
        let folder = tempfile::tempdir().unwrap();
        let read = |name: &str| {
            let place = "offhook.toml line 4".to_owned();
            let path = folder.path().join(name);
            read_ca(&NamedFile { path, place }).unwrap_err()
        };
        std::fs::write(folder.path().join("empty.pem"), "nothing").unwrap();
        let fault = read("empty.pem");
        assert!(
            fault.starts_with("offhook.toml line 4: ") && fault.contains("BEGIN CERTIFICATE"),
            "{fault}"
        );
        let fault = read("none.pem");
        assert!(
            fault.contains("none.pem") && fault.contains("cannot"),
            "{fault}"
        );
    }
}

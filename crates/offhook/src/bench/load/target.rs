//! The server as the command line names it, and how its clients reach it.
//!
//! Certificates are not checked: who measures a server knows which one it is.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

/// Connections that come from one address, where there are several: servers bound them.
const PER_SOURCE: usize = 1_500;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) address: SocketAddr,
    /// As it stands in `Host`.
    pub(super) host: String,
    /// Of the WebSocket.
    pub(super) path: String,
    pub(super) tls: Option<Tls>,
    /// Whether its clients never sleep.
    pub(super) spins: bool,
}

/// What a TLS connection needs.
#[derive(Clone, Debug)]
pub(super) struct Tls {
    pub(super) config: Arc<ClientConfig>,
    pub(super) name: ServerName<'static>,
}

impl Target {
    /// Reads `ws://HOST:PORT/PATH` or `wss://…`; `http` and `https` mean the same.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let wrong = || format!("--server wants ws://HOST:PORT/PATH or wss://…, not `{url}`");
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
        let is_tls = match scheme {
            "ws" | "http" => false,
            "wss" | "https" => true,
            _ => return Err(wrong()),
        };
        let (host, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, "/sipproxy"),
        };
        let bare = host.rsplit_once(':').map_or(host, |(bare, _)| bare);
        let with_port = if host.len() == bare.len() || host.ends_with(']') {
            format!("{host}:{}", if is_tls { 443 } else { 80 })
        } else {
            host.to_owned()
        };
        let address = with_port
            .to_socket_addrs()
            .ok()
            .and_then(|mut found| found.next())
            .ok_or_else(|| format!("--server: there is no host {host}"))?;
        let name = bare.trim_matches(['[', ']']).to_owned();
        let tls = is_tls
            .then(|| {
                let name = ServerName::try_from(name).map_err(|_| wrong())?;
                Ok::<_, String>(Tls {
                    config: Arc::new(config()),
                    name,
                })
            })
            .transpose()?;
        Ok(Self {
            address,
            host: host.to_owned(),
            path: path.to_owned(),
            tls,
            spins: false,
        })
    }

    /// Where the connection of this number comes from. On loopback there are addresses enough, so that no server takes all
    /// clients for one.
    pub(super) fn source(&self, number: usize) -> Option<IpAddr> {
        let is_loopback = self.address.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST);
        let block = u32::try_from(number / PER_SOURCE).ok()?;
        is_loopback
            .then(|| Ipv4Addr::from_bits(Ipv4Addr::new(127, 0, 1, 1).to_bits() + block).into())
    }
}

fn config() -> ClientConfig {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("the provider has suites for them")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    // Every client is a stranger.
    config.resumption = Resumption::disabled();
    config
}

/// Takes every certificate.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_address_host_path_and_whether_there_is_tls() {
        let plain = Target::parse("ws://127.0.0.1:8080/sipproxy").unwrap();
        assert_eq!(plain.address, "127.0.0.1:8080".parse().unwrap());
        assert_eq!(
            (plain.host.as_str(), plain.path.as_str()),
            ("127.0.0.1:8080", "/sipproxy")
        );
        assert!(plain.tls.is_none());
        let sealed = Target::parse("wss://localhost").unwrap();
        assert_eq!(
            (sealed.address.port(), sealed.path.as_str()),
            (443, "/sipproxy")
        );
        assert!(sealed.tls.is_some());
        assert_eq!(Target::parse("ws://[::1]:9/").unwrap().address.port(), 9);
        for wrong in ["127.0.0.1:80", "sip://127.0.0.1:80"] {
            assert!(
                Target::parse(wrong).unwrap_err().contains("wants ws://"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn on_loopback_clients_come_from_many_addresses() {
        let target = Target::parse("ws://127.0.0.1:8080").unwrap();
        assert_eq!(target.source(0), Some("127.0.1.1".parse().unwrap()));
        assert_eq!(
            target.source(PER_SOURCE),
            Some("127.0.1.2".parse().unwrap())
        );
        let elsewhere = Target::parse("ws://192.0.2.1:8080").unwrap();
        assert_eq!(elsewhere.source(0), None);
    }
}

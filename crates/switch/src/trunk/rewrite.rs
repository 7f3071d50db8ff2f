//! What a message becomes on its way through a line: other Via, Contact and CSeq rows, the rest as it came.
//!
//! Never decides where a message goes, and keeps nothing.

use std::net::SocketAddr;

use sip::{Contact, Headers, Message, MessageWriter, Method, Name, Request, Response, Uri, Via};

use super::way::Way;

use super::here::Here;

/// What is another in a request that a shard sends.
pub(super) struct Outgoing<'a> {
    /// Where peers reach us: host of Via and Contact.
    pub(super) own: Here,
    /// In place of a host that names no address.
    pub(super) domain: &'a str,
    pub(super) branch: &'a str,
    pub(super) cseq: u32,
    /// The route set, the next hop first.
    pub(super) routes: &'a [String],
    /// Name and value of the row that answers a challenge.
    pub(super) authorization: Option<&'a (&'static str, String)>,
}

/// Bytes that were parsed before, or that we wrote.
pub(super) fn request_of(bytes: &[u8]) -> Option<Request<'_>> {
    match sip::parse(bytes) {
        Ok(Message::Request(request)) => Some(request),
        Ok(Message::Response(_)) | Err(_) => None,
    }
}

/// A shard's request, as the peer gets it.
pub(super) fn to_peer(request: &Request<'_>, changes: &Outgoing<'_>) -> Vec<u8> {
    let method = request.method.as_str();
    let way = Way::to(placed(request, changes.domain), changes.routes);
    let mut writer = MessageWriter::request(method, &way.uri);
    writer.header("Via", changes.own.via(changes.branch));
    for route in &way.routes {
        writer.header("Route", route);
    }
    #[expect(clippy::wildcard_enum_match_arm, reason = "every other row passes")]
    for row in request.headers.iter() {
        match row.name {
            Name::Via | Name::Route | Name::Contact | Name::ContentLength => {}
            Name::CSeq => {
                writer.header("CSeq", format_args!("{} {method}", changes.cseq));
            }
            name => {
                writer.header(name.as_str(), row.unfolded());
            }
        }
    }
    if request.method == Method::Invite {
        writer.header("Supported", crate::capabilities::RELIABLE);
    }
    push_contact(&mut writer, &request.headers, changes.own);
    if let Some((name, value)) = changes.authorization {
        writer.header(name, value);
    }
    writer.finish_with(request.body)
}

/// A shard's answer, as the peer gets it. `record_routes` are the rows of its request (RFC 3261 §12.1.1).
pub(super) fn answer_to_peer(
    response: &Response<'_>,
    own: Here,
    record_routes: &[String],
) -> Vec<u8> {
    let mut writer = MessageWriter::response(response.status, response.reason);
    #[expect(clippy::wildcard_enum_match_arm, reason = "every other row passes")]
    for row in response.headers.iter() {
        match row.name {
            Name::Contact | Name::ContentLength | Name::RecordRoute => {}
            name => {
                writer.header(name.as_str(), row.unfolded());
            }
        }
    }
    for route in record_routes {
        writer.header("Record-Route", route);
    }
    push_contact(&mut writer, &response.headers, own);
    writer.finish_with(response.body)
}

/// A peer's request, as the shard gets it: its first Via says whence it came (RFC 3581 §4), so that every answer does.
pub(super) fn to_shard(request: &Request<'_>, from: SocketAddr) -> Vec<u8> {
    let mut writer = MessageWriter::request(request.method.as_str(), request.uri);
    push_seen_vias(&mut writer, &request.headers, from);
    push_others(&mut writer, &request.headers, None);
    writer.finish_with(request.body)
}

/// A peer's answer, as the shard gets it: with its own Via and its own CSeq.
pub(super) fn answer_to_shard(response: &Response<'_>, via: &str, cseq: u32) -> Vec<u8> {
    answer_with(response, via, cseq, None)
}

/// The same; `sdp`: in place of the body.
pub(super) fn answer_with(
    response: &Response<'_>,
    via: &str,
    cseq: u32,
    sdp: Option<&[u8]>,
) -> Vec<u8> {
    let mut writer = MessageWriter::response(response.status, response.reason);
    writer.header("Via", via);
    push_others(&mut writer, &response.headers, Some(cseq));
    if sdp.is_some() {
        writer.header("Content-Type", "application/sdp");
    }
    writer.finish_with(sdp.unwrap_or(response.body))
}

/// An answer of our own: its first Via says whence the request came.
pub(super) fn with_source(response: &Response<'_>, from: SocketAddr) -> Vec<u8> {
    let mut writer = MessageWriter::response(response.status, response.reason);
    push_seen_vias(&mut writer, &response.headers, from);
    push_others(&mut writer, &response.headers, None);
    writer.finish_with(response.body)
}

/// ACK of a refusal, or CANCEL (RFC 3261 §17.1.1.3, §9.1): what an INVITE of ours had. `to` is that of the answer.
pub(super) fn follower(
    sent: &Request<'_>,
    method: &str,
    to: Option<&str>,
    reasons: &[String],
) -> Vec<u8> {
    let get = |name| sent.headers.get(name).unwrap_or_default();
    let mut writer = MessageWriter::request(method, sent.uri);
    writer.header("Via", get(Name::Via));
    for route in sent.headers.all(Name::Route) {
        writer.header("Route", route);
    }
    let number = sent.headers.cseq().number;
    writer
        .header("Max-Forwards", 70)
        .header("From", get(Name::From))
        .header("To", to.unwrap_or(get(Name::To)))
        .header("Call-ID", get(Name::CallId))
        .header("CSeq", format_args!("{number} {method}"));
    for reason in reasons {
        writer.header("Reason", reason);
    }
    writer.finish()
}

/// The user part of an address, with what may not stand there as escapes (RFC 3261 §19.1.2).
pub(super) fn escaped(user: &str) -> String {
    let mut text = String::new();
    for byte in user.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text += &format!("%{byte:02X}");
        }
    }
    text
}

/// Whom a Route row names, if it is an address with digits; `usual` is the port where it names none.
pub(super) fn route_address(route: &str, usual: u16) -> Option<SocketAddr> {
    let uri = sip::NameAddr::parse(route).ok()?.uri;
    let host = uri.host.trim_start_matches('[').trim_end_matches(']');
    Some(SocketAddr::new(
        host.parse().ok()?,
        uri.port.unwrap_or(usual),
    ))
}

fn push_seen_vias(writer: &mut MessageWriter, headers: &Headers<'_>, from: SocketAddr) {
    writer.header("Via", seen_via(headers.via(), from));
    for via in headers.items(Name::Via).skip(1) {
        writer.header("Via", via);
    }
}

/// The rows that pass as they came, Via apart. `cseq` replaces the number.
fn push_others(writer: &mut MessageWriter, headers: &Headers<'_>, cseq: Option<u32>) {
    for row in headers.iter() {
        match (row.name, cseq) {
            (Name::Via | Name::ContentLength, _) => {}
            (Name::CSeq, Some(number)) => {
                let method = headers.cseq().method;
                writer.header("CSeq", format_args!("{number} {method}"));
            }
            (name, _) => {
                writer.header(name.as_str(), row.unfolded());
            }
        }
    }
}

/// A Contact that leads to us, if there was one.
fn push_contact(writer: &mut MessageWriter, headers: &Headers<'_>, own: Here) {
    if let Some(Contact::Address(address)) = headers.contact() {
        writer.header("Contact", own.contact(address.uri.user));
    }
}

/// The Request-URI, which stays unless its host is made up (RFC 7118 §5).
pub(super) fn placed(request: &Request<'_>, domain: &str) -> String {
    let target = request.target();
    match target.user {
        Some(user) if is_made_up(target) => format!("sip:{user}@{domain}"),
        None if is_made_up(target) => format!("sip:{domain}"),
        Some(_) | None => request.uri.to_owned(),
    }
}

fn is_made_up(uri: &Uri<'_>) -> bool {
    let last = uri.host.trim_end_matches('.').rsplit('.').next();
    last.is_some_and(|label| label.eq_ignore_ascii_case("invalid"))
}

/// A peer's Via with the source of its datagram. `rport` only where it was asked for.
fn seen_via(via: Via<'_>, from: SocketAddr) -> String {
    let mut text = format!("SIP/2.0/{} {}", via.transport, via.sent_by);
    for (name, value) in via.params.iter() {
        if name.eq_ignore_ascii_case("received") || name.eq_ignore_ascii_case("rport") {
            continue;
        }
        text += &match value {
            None => format!(";{name}"),
            Some(value) if is_plain(value) => format!(";{name}={value}"),
            Some(value) => format!(";{name}=\"{value}\""),
        };
    }
    text += &format!(";received={}", from.ip().to_canonical());
    if via.rport().is_some() {
        text += &format!(";rport={}", from.port());
    }
    text
}

/// Whether a value need not stand in quotes.
fn is_plain(value: &str) -> bool {
    let may_stand = |byte: u8| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~[]:".contains(&byte);
    !value.is_empty() && value.bytes().all(may_stand)
}

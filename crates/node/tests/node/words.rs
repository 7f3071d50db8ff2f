//! What clients say in SIP, and how they read to the end: plain text, whatever it is sent in.

use futures_util::StreamExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::server::{Site, in_time};

pub(crate) const SDP: &str =
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n";

/// The requests of one client, numbered.
pub(crate) struct Words {
    pub(crate) name: String,
    domain: String,
    cseq: u32,
}

impl Words {
    pub(crate) fn of(site: &Site, name: &str) -> Self {
        let key = &site.account.webrtc_access_key;
        Self {
            name: name.to_owned(),
            domain: format!("{key}.webrtc-1-2-0.aculabcloud.net"),
            cseq: 1,
        }
    }

    pub(crate) fn register(&mut self, token: &str) -> String {
        let (uri, to) = (format!("sip:{}", self.domain), self.address_of(&self.name));
        let contact = format!(
            "<sip:contact@{}.invalid;transport=ws>;expires=600",
            self.name
        );
        let extra = format!("Authorization: Bearer {token}\r\nContact: {contact}\r\n");
        self.request("REGISTER", &uri, &to, &extra, "")
    }

    pub(crate) fn options(&mut self) -> String {
        let proxy = "sip:webrtc-1-2-0.aculabcloud.net";
        self.request("OPTIONS", proxy, proxy, "", "")
    }

    pub(crate) fn invite(&mut self, token: &str, callee: &str, sdp: &str) -> String {
        let uri = self.address_of(callee);
        let contact = format!("<sip:contact@{}.invalid;transport=ws;ob>", self.name);
        let extra = format!(
            "Authorization: Bearer {token}\r\nContact: {contact}\r\nContent-Type: application/sdp\r\n"
        );
        self.request("INVITE", &uri, &uri, &extra, sdp)
    }

    /// A request inside the call that a 200 has answered; an ACK has the number of what it acknowledges.
    pub(crate) fn within(&mut self, ok: &str, method: &str, body: &str) -> String {
        let value = |name: &str| row(ok, name).split_once(": ").unwrap().1.to_owned();
        let target = value("Contact: ");
        let target = target.trim_start_matches('<').split('>').next().unwrap();
        let (from, to, call_id) = (value("From: "), value("To: "), value("Call-ID: "));
        let invited = value("CSeq: ").split(' ').next().unwrap().to_owned();
        self.cseq += 1;
        let cseq = if method == "ACK" {
            invited
        } else {
            self.cseq.to_string()
        };
        format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/WSS {}.invalid;branch=z9hG4bKin{}\r\nMax-Forwards: 70\r\n\
             To: {to}\r\nFrom: {from}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\n\
             Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}",
            self.name,
            self.cseq,
            body.len()
        )
    }

    fn address_of(&self, name: &str) -> String {
        format!("sip:{name}@{}", self.domain)
    }

    fn request(&mut self, method: &str, uri: &str, to: &str, extra: &str, body: &str) -> String {
        self.cseq += 1;
        let (name, cseq, from) = (&self.name, self.cseq, self.address_of(&self.name));
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/WSS {name}.invalid;branch=z9hG4bK{method}{cseq}\r\n\
             Max-Forwards: 70\r\nTo: <{to}>\r\nFrom: <{from}>;tag={name}{cseq}\r\nCall-ID: {method}-{name}{cseq}\r\n\
             CSeq: {cseq} {method}\r\n{extra}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }
}

/// An answer to a request from the server.
pub(crate) fn answer(request: &str, status: &str, extra: &str, body: &str) -> String {
    let repeated = ["Via: ", "From: ", "Call-ID: ", "CSeq: "];
    let rows = request
        .lines()
        .filter(|row| repeated.iter().any(|name| row.starts_with(name)));
    let mut answer = format!("SIP/2.0 {status}\r\n");
    answer.extend(rows.flat_map(|row| [row, "\r\n"]));
    let to = row(request, "To: ");
    let tag = if to.contains(";tag=") {
        ""
    } else {
        ";tag=callee"
    };
    let length = body.len();
    answer.push_str(&format!(
        "{to}{tag}\r\n{extra}Content-Length: {length}\r\n\r\n{body}"
    ));
    answer
}

/// The answer that makes a call of an INVITE.
pub(crate) fn accept(invite: &str) -> String {
    let extra =
        "Contact: <sip:contact@callee.invalid;transport=ws>\r\nContent-Type: application/sdp\r\n";
    answer(invite, "200 OK", extra, SDP)
}

fn row<'a>(message: &'a str, name: &str) -> &'a str {
    let found = message.lines().find(|row| row.starts_with(name));
    found.unwrap_or_else(|| panic!("no {name}in {message}"))
}

/// Reads a socket to its end; the server's reason, if it gave one.
pub(crate) async fn ended<S>(socket: &mut WebSocketStream<S>) -> Option<CloseFrame>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut reason = None;
    while let Some(Ok(message)) = in_time(socket.next()).await {
        if let Message::Close(frame) = message {
            reason = frame;
        }
    }
    reason
}

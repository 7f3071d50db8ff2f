//! What the page writes: header rows in the SDK's order, as the captures show them.

use sip::MessageWriter;

use super::{Browser, CallKey};
use crate::authority;

/// The SDK's own name.
const AGENT: &str = "AculabCloudClient";
/// Methods of SIP.js outside a dialog.
pub(super) const ALLOW: &str = "ACK,CANCEL,INVITE,MESSAGE,BYE,OPTIONS,INFO,NOTIFY,REFER";

/// A request outside a dialog, or inside one.
pub(super) struct Head<'a> {
    pub(super) method: &'a str,
    pub(super) uri: &'a str,
    pub(super) branch: &'a str,
    pub(super) to: &'a str,
    pub(super) from: &'a str,
    pub(super) cseq: u32,
    pub(super) call_id: &'a str,
}

impl Browser {
    /// The rows that every request begins with.
    pub(super) fn head(&self, head: &Head<'_>) -> MessageWriter {
        let mut writer = MessageWriter::request(head.method, head.uri);
        writer
            .header(
                "Via",
                format_args!("SIP/2.0/WSS {};branch={}", self.via_host, head.branch),
            )
            .header("To", head.to)
            .header("From", head.from)
            .header("CSeq", format_args!("{} {}", head.cseq, head.method))
            .header("Call-ID", head.call_id)
            .header("Max-Forwards", 70);
        writer
    }

    pub(super) fn options_text(&mut self, branch: &str) -> Vec<u8> {
        let host = format!("webrtc-{}.aculabcloud.net", authority::CLOUD);
        let (uri, to) = (format!("sip:{host}"), format!("<sip:{host}>"));
        let from = format!("<{}>;tag={}", self.address(), self.random.word(10));
        let call_id = self.random.word(20);
        let mut writer = self.head(&Head {
            method: "OPTIONS",
            uri: &uri,
            branch,
            to: &to,
            from: &from,
            cseq: 1,
            call_id: &call_id,
        });
        writer.header("X-AculabTurnRequest", 1);
        sign(&mut writer, "outbound");
        writer.finish()
    }

    /// The Contact of calls; `ob` marks the caller's.
    pub(super) fn contact(&self, is_caller: bool) -> String {
        let outbound = if is_caller { ";ob" } else { "" };
        format!(
            "<sip:{}@{};transport=ws{outbound}>",
            self.contact_user, self.via_host
        )
    }

    /// A session description that no other message of the run has.
    pub(super) fn sdp(&mut self, key: CallKey) -> Vec<u8> {
        let id = self.random.bits() >> 1;
        let ufrag = self.random.word(4);
        let (ufrag, candidates) = self.media_lines(key).unwrap_or((ufrag, String::new()));
        let mut sdp = format!(
            "v=0\r\no=- {id} 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
             m=audio 9 UDP/TLS/RTP/SAVPF 111 0 110\r\nc=IN IP4 192.0.2.2\r\na=ice-ufrag:{ufrag}\r\n\
             a=setup:actpass\r\na=mid:0\r\na=sendrecv\r\n{candidates}"
        );
        if self.random.happens(300) {
            sdp.push_str("m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 192.0.2.2\r\na=mid:1\r\n");
            for line in 0..self.random.between(5, 60) {
                sdp.push_str(&format!(
                    "a=extmap:{line} urn:ietf:params:rtp-hdrext:sdes:mid\r\n"
                ));
            }
        }
        sdp.into_bytes()
    }
}

/// The rows that every message of the SDK ends with.
pub(super) fn sign(writer: &mut MessageWriter, supported: &str) {
    writer
        .header("Supported", supported)
        .header("User-Agent", AGENT);
}

//! The catalogue of refusals: every status that offhook itself answers with, and its words.
//!
//! The sentence travels as a Warning header with code 399 (RFC 3261 §20.43): it says what was wrong
//! and what would be right. Nothing here decides; it only words what was decided.

use std::borrow::Cow;

use model::{Caller, ClientId, ServiceName, limits};
use sip::{Malformed, MessageWriter, ReplyHead, Request};

use crate::application::TooMany;
use crate::capabilities::ALLOW;
use crate::token::RejectedToken;

/// A refusal, ready to be written as the answer to a request.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) text: Cow<'static, str>,
    headers: Vec<(&'static str, Cow<'static, str>)>,
}

impl Refusal {
    fn new(status: u16, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            text: text.into(),
            headers: Vec::new(),
        }
    }

    /// A refusal with a Reason header (RFC 3326) beside its sentence.
    pub(crate) fn with_reason(status: u16, text: &str, reason: String) -> Self {
        Self::new(status, text.to_owned()).with("Reason", reason)
    }

    fn with(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The answer to a request at hand.
    pub(crate) fn answer(&self, request: &Request<'_>, to_tag: &str) -> Vec<u8> {
        let reason = sip::status::reason(self.status);
        self.finish(MessageWriter::reply(
            request,
            self.status,
            reason,
            Some(to_tag),
        ))
    }

    /// The answer to a request that came earlier.
    pub(crate) fn answer_later(&self, head: &ReplyHead, to_tag: &str) -> Vec<u8> {
        self.finish(head.write(self.status, sip::status::reason(self.status), Some(to_tag)))
    }

    fn finish(&self, mut writer: MessageWriter) -> Vec<u8> {
        for (name, value) in &self.headers {
            writer.header(name, value);
        }
        if !self.text.is_empty() {
            writer.header(
                "Warning",
                format_args!("399 offhook {}", quoted(&self.text)),
            );
        }
        writer.finish()
    }
}

/// A quoted-string (RFC 3261 §25.1) of plain text.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(if c.is_control() { ' ' } else { c });
    }
    quoted.push('"');
    quoted
}

// The edge.

/// Tags of answers that open no dialog need no randomness: nobody can use them for anything.
pub(crate) const STATELESS_TAG: &str = "offhook";

pub(crate) fn malformed(malformed: &Malformed<'_>) -> Option<Vec<u8>> {
    let head = malformed.reply.as_ref()?;
    let refusal = Refusal::new(malformed.status, malformed.reason.to_string());
    Some(refusal.answer_later(head, STATELESS_TAG))
}

pub(crate) fn too_many_messages(request: &Request<'_>) -> Vec<u8> {
    let text = format!(
        "this connection sends more than {} messages a second",
        limits::MESSAGES_PER_SECOND
    );
    // A 5xx to REGISTER would make existing clients give up their token.
    let status = if request.method == sip::Method::Register {
        403
    } else {
        503
    };
    Refusal::new(status, text)
        .with("Retry-After", "1")
        .answer(request, STATELESS_TAG)
}

pub(crate) fn no_branch(request: &Request<'_>) -> Vec<u8> {
    let text = "the topmost Via must have a branch (RFC 3261 section 8.1.1.7)";
    Refusal::new(400, text).answer(request, STATELESS_TAG)
}

pub(crate) fn long_call_id(request: &Request<'_>) -> Vec<u8> {
    let text = format!("a Call-ID may have {} bytes", limits::CALL_ID_BYTES);
    Refusal::new(400, text).answer(request, STATELESS_TAG)
}

pub(crate) fn long_address(request: &Request<'_>, name: &str) -> Vec<u8> {
    let text = format!("{name} may have {} bytes", limits::ADDRESS_BYTES);
    Refusal::new(400, text).answer(request, STATELESS_TAG)
}

pub(crate) fn unknown_account(request: &Request<'_>) -> Vec<u8> {
    let text = "the host of the From address names no active account: \
                it should be <WebRTC access key>.webrtc-<cloud id>.aculabcloud.net";
    Refusal::new(403, text).answer(request, STATELESS_TAG)
}

pub(crate) fn second_account(request: &Request<'_>) -> Vec<u8> {
    let text = "this connection belongs to another account; open one for each account";
    Refusal::new(403, text).answer(request, STATELESS_TAG)
}

pub(crate) fn second_client(request: &Request<'_>) -> Vec<u8> {
    let text = "this session belongs to another client; open one for each client";
    Refusal::new(403, text).answer(request, STATELESS_TAG)
}

// Requests in general.

pub(crate) fn screened(screened: sip::Screened) -> Refusal {
    let refusal = Refusal::new(screened.status, screened.reason);
    match screened.header {
        Some((name, value)) => refusal.with(name, value),
        None => refusal,
    }
}

pub(crate) fn method_outside_dialog() -> Refusal {
    Refusal::new(405, "this method is taken inside a call only").with("Allow", ALLOW)
}

pub(crate) fn method_in_dialog() -> Refusal {
    Refusal::new(405, "this method is not passed on inside a call").with("Allow", ALLOW)
}

// Transfers.

pub(crate) fn refer_to(what: &'static str) -> Refusal {
    Refusal::new(400, what)
}

pub(crate) fn refer_scheme() -> Refusal {
    Refusal::new(416, "Refer-To must be an address of sip:, sips: or tel:")
}

pub(crate) fn malformed_replaces() -> Refusal {
    let text = "Replaces must be one call: its Call-ID, one to-tag and one from-tag (RFC 3891)";
    Refusal::new(400, text)
}

pub(crate) fn no_transfers() -> Refusal {
    let text = "calls of this trunk are not transferred: its key 'transfer' would have to be \"own\" or \"any\"";
    Refusal::new(603, text)
}

pub(crate) fn transfer_too_early() -> Refusal {
    Refusal::new(403, "a call can be transferred when it has been answered")
}

pub(crate) fn transfer_pending() -> Refusal {
    Refusal::new(491, "the transfer before has not come to its end yet")
}

pub(crate) fn transfers_full() -> Refusal {
    let most = limits::TRANSFERS_PER_DIALOG;
    Refusal::new(
        403,
        format!("a call has been transferred {most} times, as often as it may be"),
    )
}

pub(crate) fn no_subscription() -> Refusal {
    Refusal::new(481, "there is no subscription of ours in this call")
}

pub(crate) fn nothing_to_replace() -> Refusal {
    let text = "Replaces names no call of this trunk that goes on; it may have ended";
    Refusal::new(481, text)
}

pub(crate) fn replaced_has_ended() -> Refusal {
    Refusal::new(603, "the call that Replaces names has ended")
}

pub(crate) fn replaced_is_answered() -> Refusal {
    let text = "the call that Replaces names has been answered, and early-only was asked for";
    Refusal::new(486, text)
}

pub(crate) fn no_such_call() -> Refusal {
    Refusal::new(481, "this connection has no such call; it may have ended")
}

pub(crate) fn nothing_to_cancel() -> Refusal {
    Refusal::new(
        481,
        "there is no INVITE to cancel; it may have been answered",
    )
}

pub(crate) fn out_of_order() -> Refusal {
    Refusal::new(500, "CSeq is not above that of the request before")
}

pub(crate) fn invite_pending() -> Refusal {
    Refusal::new(500, "the INVITE before is not answered yet").with("Retry-After", "1")
}

pub(crate) fn both_offer() -> Refusal {
    Refusal::new(491, "an offer of ours is not answered yet")
}

/// RFC 4028 §6.
pub(crate) fn session_too_brief() -> Refusal {
    let least = limits::SESSION_TIME_MIN.as_secs();
    let text = format!("a session must be refreshed every {least} seconds or less often");
    Refusal::new(422, text).with("Min-SE", least.to_string())
}

pub(crate) fn too_many_exchanges() -> Refusal {
    Refusal::new(503, "too many requests of this call wait for an answer").with("Retry-After", "1")
}

pub(crate) fn too_many_hops() -> Refusal {
    Refusal::new(483, "Max-Forwards is used up")
}

pub(crate) fn stopping() -> Refusal {
    Refusal::new(503, "the server is stopping; connect again").with("Retry-After", "1")
}

/// The server that carried the call is gone.
pub(crate) fn node_gone() -> Refusal {
    let text = "the server that carried the call is gone";
    Refusal::with_reason(480, text, format!("SIP;cause=503;text={}", quoted(text)))
}

pub(crate) fn account_full() -> Refusal {
    Refusal::new(
        403,
        format!(
            "the account has {} connections, its limit",
            limits::CONNECTIONS_PER_ACCOUNT
        ),
    )
}

// Tokens.

pub(crate) fn token(why: &RejectedToken) -> Refusal {
    challenge(&why.to_string())
}

pub(crate) fn no_token() -> Refusal {
    challenge("no token was sent; send it as Authorization: Bearer")
}

pub(crate) fn token_of_other_client(client: &ClientId) -> Refusal {
    challenge(&format!(
        "the token is for client {client}, the From address names another"
    ))
}

/// Existing clients look for the literal `error="invalid_token"` (RFC 6750 §3, RFC 8898 §2.1.3).
fn challenge(description: &str) -> Refusal {
    let challenge = format!(
        r#"Bearer realm="offhook", error="invalid_token", error_description={}"#,
        quoted(description)
    );
    Refusal::new(401, description.to_owned()).with("WWW-Authenticate", challenge)
}

// Registrations.

pub(crate) fn not_incoming() -> Refusal {
    Refusal::new(
        403,
        "the token does not permit incoming calls: ask for it with enable_incoming=true",
    )
}

pub(crate) fn third_party() -> Refusal {
    Refusal::new(
        403,
        "a client registers itself: From and To must be the same address",
    )
}

pub(crate) fn other_domain() -> Refusal {
    Refusal::new(
        403,
        "the Request-URI must be the account's own domain, that of the From address",
    )
}

pub(crate) fn no_client_id() -> Refusal {
    Refusal::new(
        403,
        "the user of the From address is no client id: A-Z a-z 0-9 + - _ . are allowed",
    )
}

pub(crate) fn one_contact() -> Refusal {
    Refusal::new(400, "a REGISTER must name exactly one Contact, a SIP URI")
}

pub(crate) fn long_contact() -> Refusal {
    Refusal::new(
        400,
        format!("a Contact may have {} bytes", limits::CONTACT_BYTES),
    )
}

pub(crate) fn wildcard_contact() -> Refusal {
    Refusal::new(
        400,
        "Contact: * is for de-registration alone, with Expires: 0",
    )
}

pub(crate) fn too_brief() -> Refusal {
    Refusal::new(423, "a registration lasts 60 seconds at least")
        .with("Min-Expires", limits::REGISTRATION_MIN_S.to_string())
}

pub(crate) fn not_your_binding() -> Refusal {
    Refusal::new(
        403,
        "only the connection that holds a registration, or its token, may end it",
    )
}

// Calls.

pub(crate) fn malformed_header(what: &'static str) -> Refusal {
    Refusal::new(400, what)
}

pub(crate) fn no_offer() -> Refusal {
    Refusal::new(
        488,
        "an INVITE must carry an SDP offer (Content-Type: application/sdp)",
    )
}

pub(crate) fn not_sdp() -> Refusal {
    Refusal::new(415, "the body of an INVITE must be application/sdp")
        .with("Accept", "application/sdp")
}

pub(crate) fn offer_by_invite() -> Refusal {
    Refusal::new(
        488,
        "a new offer is taken in an INVITE only, not in an UPDATE",
    )
}

/// An application hangs up a call that it has not answered.
pub(crate) fn nobody_answers() -> Refusal {
    Refusal::new(480, "the application hung up before it answered")
}

/// The gateway will not have an offer, and says why.
pub(crate) fn no_media(sentence: &str) -> Refusal {
    Refusal::new(488, format!("the offer cannot be answered: {sentence}"))
}

/// A client calls what is no service of its account. What it calls is a peer's text, so it is shown as one.
pub(crate) fn no_service(called: &str) -> Refusal {
    let called: String = called.chars().take(64).collect();
    Refusal::new(404, format!("there is no service {called:?}"))
}

/// A trunk's number leads to a service that its account has not, or not any more.
pub(crate) fn number_of_no_service(number: &str, service: &ServiceName) -> Refusal {
    Refusal::new(
        404,
        format!(
            "the number {number} of this trunk leads to the service {service}, which does not exist"
        ),
    )
}

pub(crate) fn no_number(called: &str) -> Refusal {
    let called: String = called.chars().take(64).collect();
    Refusal::new(
        404,
        format!("no service of this trunk has the number {called:?}"),
    )
}

pub(crate) fn no_account() -> Refusal {
    Refusal::new(
        403,
        "the account of this trunk is disabled or does not exist any more",
    )
}

pub(crate) fn trunk_registers() -> Refusal {
    Refusal::new(403, "nobody registers by a trunk")
}

pub(crate) fn no_client() -> Refusal {
    Refusal::new(400, "the From address must name a client of the account")
}

pub(crate) fn unproven_caller(client: &ClientId) -> Refusal {
    Refusal::new(
        403,
        format!(
            "this account lets clients call services that have shown a token, and {client} has not here: register first, or send the token with the INVITE"
        ),
    )
}

pub(crate) fn nobody_for(service: &ServiceName, is_busy: bool) -> Refusal {
    match is_busy {
        true => Refusal::new(
            486,
            format!("every client of the service {service} is busy"),
        ),
        false => Refusal::new(
            480,
            format!("no client of the service {service} is registered"),
        ),
    }
}

pub(crate) fn no_destination() -> Refusal {
    Refusal::new(
        404,
        "the Request-URI names neither a client of this account nor a service",
    )
}

pub(crate) fn other_account() -> Refusal {
    Refusal::new(403, "calls stay inside one account")
}

pub(crate) fn not_permitted(callee: &ClientId) -> Refusal {
    Refusal::new(
        403,
        format!("the token does not permit calling {callee}: ask for it with call_client"),
    )
}

pub(crate) fn not_registered(callee: &ClientId) -> Refusal {
    Refusal::new(480, format!("{callee} is not registered"))
}

pub(crate) fn out_of_reach(callee: &ClientId) -> Refusal {
    Refusal::new(
        480,
        format!("{callee} is registered on a server that cannot be reached at the moment"),
    )
}

pub(crate) fn callee_busy(callee: &ClientId) -> Refusal {
    Refusal::new(486, format!("{callee} has as many calls ringing as may be"))
}

pub(crate) fn rings_enough(caller: &Caller, callee: &ClientId) -> Refusal {
    Refusal::new(
        486,
        format!("{caller} has as many calls ringing at {callee} as one caller may"),
    )
}

pub(crate) fn merged() -> Refusal {
    Refusal::new(482, "this INVITE has come before on another way")
}

pub(crate) fn calls_full() -> Refusal {
    Refusal::new(503, "there are as many calls as may be").with("Retry-After", "5")
}

pub(crate) fn application_calls_full(many: TooMany) -> Refusal {
    let text = match many {
        TooMany::All => format!(
            "the account has {} calls that applications answer, as many as it may have",
            limits::APPLICATION_CALLS_PER_ACCOUNT
        ),
        TooMany::Strangers => format!(
            "{} callers who have shown no token talk to applications of the account, as many as may: send a token with the INVITE",
            limits::APPLICATION_CALLS_OF_STRANGERS
        ),
    };
    Refusal::new(503, text).with("Retry-After", "5")
}

pub(crate) fn cancelled() -> Refusal {
    Refusal::new(487, "")
}

pub(crate) fn ended() -> Refusal {
    Refusal::new(487, "the call has ended")
}

pub(crate) fn unanswered(status: u16, text: &'static str) -> Refusal {
    Refusal::new(status, text)
}

pub(crate) fn no_reply() -> Refusal {
    Refusal::new(408, "the other client did not answer this request")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_strings_cannot_break_out() {
        assert_eq!(quoted("a \"b\" \\ c\r\nd"), r#""a \"b\" \\ c  d""#);
    }

    #[test]
    fn a_service_that_is_not_there_is_named_whatever_it_is_called() {
        assert_eq!(no_service("desk").text, r#"there is no service "desk""#);
        let shown = no_service("a\r\nVia: b").text;
        assert_eq!(shown, r#"there is no service "a\r\nVia: b""#);
        assert!(no_service(&"x".repeat(1000)).text.len() < 100);
    }
}

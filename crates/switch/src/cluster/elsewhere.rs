//! What calls of other nodes have on a connection of ours: enough to end them when their node dies, and no more.
//!
//! Learnt from what passes. Never says what a call is: its own node does, as long as it is there.

use model::{NodeNumber, limits};
use serde::{Deserialize, Serialize};
use sip::{Message, MessageWriter, Method, Request, Response};

use super::published::{node, nodes};

use crate::random::Random;

/// What a client is told whose call has died with its node.
const REASON: &str = "SIP;cause=503;text=\"the server that carried the call is gone\"";

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Elsewhere {
    #[serde(with = "nodes")]
    nodes: Vec<NodeNumber>,
    dialogs: Vec<Dialog>,
}

/// One dialog of our client with a call of another node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dialog {
    #[serde(with = "node")]
    pub(crate) node: NodeNumber,
    /// In our Via.
    pub(crate) sent_by: Box<str>,
    pub(crate) call_id: Box<str>,
    /// Of the call, with its tag.
    pub(crate) from: Box<str>,
    /// Of the client; with its tag, once it has answered.
    pub(crate) to: Box<str>,
    pub(crate) target: Box<str>,
    /// The Request-URI and branch of the INVITE that called it, and its number.
    pub(crate) invited: (Box<str>, Box<str>, u32),
    /// Of the last request.
    pub(crate) cseq: u32,
    pub(crate) is_answered: bool,
    /// Where the client has called: what it is told while its INVITE is not answered.
    pub(crate) refusal: Option<Box<str>>,
}

impl Elsewhere {
    /// A node's call sends a message to the client.
    pub(crate) fn sends(&mut self, node: NodeNumber, message: &Message<'_>) {
        if !self.nodes.contains(&node) {
            self.nodes.push(node);
        }
        match message {
            Message::Request(request) => self.asks(node, request),
            Message::Response(response) => {
                let (call_id, tag) = (response.headers.call_id(), response.headers.to().tag());
                let method = response.headers.cseq().method;
                if method == Method::Bye {
                    self.ends(call_id, tag);
                } else if method == Method::Invite && response.status >= 200 {
                    self.is_answered(call_id, tag.unwrap_or_default(), response.status);
                }
            }
        }
    }

    /// An INVITE of the client has its final answer.
    fn is_answered(&mut self, call_id: &str, tag: &str, status: u16) {
        let is_its = |dialog: &Dialog| {
            *dialog.call_id == *call_id && dialog.refusal.is_some() && dialog.has_tag(tag)
        };
        if status >= 300 {
            return self.dialogs.retain(|dialog| !is_its(dialog));
        }
        for dialog in self.dialogs.iter_mut().filter(|dialog| is_its(dialog)) {
            dialog.refusal = None;
            dialog.is_answered = true;
        }
    }

    /// A connection that comes from another node has these dialogs with its calls, and is known there.
    pub(crate) fn joins(&mut self, node: NodeNumber, dialogs: Vec<Dialog>) {
        if !self.nodes.contains(&node) {
            self.nodes.push(node);
        }
        self.dialogs.extend(dialogs);
        let excess = self.dialogs.len().saturating_sub(limits::CALLS_ELSEWHERE);
        self.dialogs.drain(..excess);
    }

    /// The client says something to a call of another node.
    pub(crate) fn hears(&mut self, message: &Message<'_>) {
        let Message::Response(response) = message else {
            return;
        };
        if response.headers.cseq().method == Method::Invite && response.status >= 200 {
            self.answers(response);
        }
    }

    /// A call has gone to another node, and this is its dialog now.
    pub(crate) fn rehomes(&mut self, dialog: Dialog) {
        self.forgets(&dialog);
        self.joins(dialog.node, vec![dialog]);
    }

    /// A call has come to this node.
    pub(crate) fn forgets(&mut self, dialog: &Dialog) {
        self.dialogs
            .retain(|known| known.call_id != dialog.call_id || known.from != dialog.from);
    }

    /// Keeps the dialogs for which `is_there` holds, by our end's tag and the node.
    pub(crate) fn learn(&mut self, mut is_there: impl FnMut(&str, NodeNumber) -> bool) {
        self.dialogs.retain(|dialog| {
            let (_, tag) = dialog.from.rsplit_once(";tag=").unwrap_or_default();
            is_there(tag, dialog.node)
        });
    }

    /// Whether it has part in a call.
    pub(crate) fn has_calls(&self) -> bool {
        !self.dialogs.is_empty()
    }

    /// The nodes that have something of the connection.
    pub(crate) fn nodes(&self) -> &[NodeNumber] {
        &self.nodes
    }

    /// A node has nothing of it any more.
    pub(crate) fn leaves(&mut self, node: NodeNumber) {
        self.nodes.retain(|known| *known != node);
        self.dialogs.retain(|dialog| dialog.node != node);
    }

    /// A node is gone: what the client is to be told.
    pub(crate) fn farewells(&mut self, node: NodeNumber, random: &mut Random) -> Vec<Vec<u8>> {
        let gone = self.dialogs.extract_if(.., |dialog| dialog.node == node);
        let farewells = gone.map(|dialog| dialog.farewell(random)).collect();
        self.leaves(node);
        farewells
    }

    fn asks(&mut self, node: NodeNumber, request: &Request<'_>) {
        let headers = &request.headers;
        let (Some(tag), cseq) = (headers.from().tag(), headers.cseq().number) else {
            return;
        };
        if request.method == Method::Invite && headers.to().tag().is_none() {
            if self.dialogs.len() >= limits::CALLS_ELSEWHERE {
                self.dialogs.remove(0);
            }
            let branch = headers.via().branch().unwrap_or_default();
            self.dialogs.push(Dialog {
                node,
                sent_by: headers.via().sent_by.into(),
                call_id: headers.call_id().into(),
                from: value(request, sip::Name::From),
                to: value(request, sip::Name::To),
                target: request.uri.into(),
                invited: (request.uri.into(), branch.into(), cseq),
                cseq,
                is_answered: false,
                refusal: None,
            });
        } else if request.method == Method::Bye {
            self.ends(headers.call_id(), Some(tag));
        } else if let Some(dialog) = self.dialog(headers.call_id(), tag) {
            dialog.cseq = dialog.cseq.max(cseq);
        }
    }

    fn answers(&mut self, response: &Response<'_>) {
        let headers = &response.headers;
        let (call_id, tag) = (headers.call_id(), headers.from().tag().unwrap_or_default());
        let is_refused = response.status >= 300;
        let Some(dialog) = self.dialog(call_id, tag) else {
            return;
        };
        if is_refused && !dialog.is_answered {
            return self.ends(call_id, headers.from().tag());
        }
        if is_refused || dialog.is_answered {
            return;
        }
        dialog.is_answered = true;
        if let Some(to) = headers.get(sip::Name::To) {
            dialog.to = to.into();
        }
        if let Some(sip::Contact::Address(contact)) = headers.sole_contact() {
            dialog.target = contact.uri_text.into();
        }
    }

    fn dialog(&mut self, call_id: &str, tag: &str) -> Option<&mut Dialog> {
        let mut dialogs = self.dialogs.iter_mut();
        dialogs.find(|dialog| *dialog.call_id == *call_id && dialog.has_tag(tag))
    }

    fn ends(&mut self, call_id: &str, tag: Option<&str>) {
        let tag = tag.unwrap_or_default();
        self.dialogs
            .retain(|dialog| *dialog.call_id != *call_id || !dialog.has_tag(tag));
    }
}

impl Dialog {
    /// Whether the call's end has this tag, or the client's.
    fn has_tag(&self, tag: &str) -> bool {
        let is = |value: &str| {
            let (_, found) = value.rsplit_once(";tag=").unwrap_or_default();
            found.split(';').next() == Some(tag)
        };
        is(&self.from) || is(&self.to)
    }

    /// BYE, or CANCEL where it rings, or an answer where it has called.
    fn farewell(&self, random: &mut Random) -> Vec<u8> {
        if let Some(refusal) = &self.refusal {
            return refusal.as_bytes().to_vec();
        }
        let (uri, branch, number) = &self.invited;
        let fresh = format!("z9hG4bK-{:016x}", random.bits());
        let (method, target, branch, cseq) = match self.is_answered {
            true => (
                "BYE",
                &self.target,
                fresh.as_str(),
                self.cseq.saturating_add(1),
            ),
            false => ("CANCEL", uri, &**branch, *number),
        };
        let mut writer = MessageWriter::request(method, target);
        let via = format!("SIP/2.0/WSS {};branch={branch}", self.sent_by);
        writer
            .header("Via", via)
            .header("Max-Forwards", 70)
            .header("From", &self.from)
            .header("To", &self.to)
            .header("Call-ID", &self.call_id)
            .header("CSeq", format_args!("{cseq} {method}"))
            .header("Reason", REASON);
        writer.finish()
    }
}

fn value(request: &Request<'_>, name: sip::Name<'_>) -> Box<str> {
    request.headers.get(name).unwrap_or_default().into()
}

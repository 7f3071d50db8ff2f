//! What passes between clients arrives unchanged: bodies byte for byte, `X-` rows in order, repeated ones included.

use std::collections::BTreeSet;

use sip::{Message, Method};

use super::{extra_rows, kind};
use crate::authority::service_of;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    call_id: String,
    kind: String,
    rows: Vec<(String, String)>,
    body: Vec<u8>,
}

#[derive(Debug, Default)]
pub(super) struct Content {
    reading: Option<Item>,
    /// ACKs that were passed on: they may be repeated later.
    acks: BTreeSet<(String, Vec<u8>)>,
    /// INVITEs to services: clients may be rung with them later.
    hunts: Vec<Item>,
}

impl Content {
    pub(super) fn read(&mut self, message: &Message<'_>) {
        let mut item = Item::of(message);
        // What concerns the hop to the callee alone becomes 500 (RFC 3261 §16.7).
        if let Some((status, method)) = item.kind.split_once(' ')
            && matches!(status, "401" | "407" | "503")
        {
            item.kind = format!("500 {method}");
        }
        if let Message::Request(request) = message
            && request.method == Method::Invite
            && request.headers.to().tag().is_none()
            && service_of(&request.target().user_decoded(), request.target().host).is_some()
        {
            self.hunts.push(item.clone());
        }
        self.reading = Some(item);
    }

    pub(super) fn sent(&mut self, message: &Message<'_>) -> Result<(), String> {
        let item = Item::of(message);
        let is_own_list = message.headers().cseq().method == Method::Options
            && matches!(message, Message::Response(_))
            && (item.body == b"[]" || item.body.starts_with(br#"[{"urls":["turn"#));
        if is_own_list {
            return Ok(());
        }
        let is_passed_on = self
            .reading
            .as_ref()
            .filter(|read| read.kind == item.kind && read.call_id == item.call_id);
        // Where several may answer, nobody's refusal is passed on: the caller hears one of the server's own.
        let is_own_refusal = item.is_refusal()
            && item.is_bare()
            && self.hunts.iter().any(|hunt| hunt.call_id == item.call_id);
        let Some(read) = is_passed_on.filter(|_| !is_own_refusal) else {
            let is_ack = item.kind == "ACK";
            let known = is_ack
                && self
                    .acks
                    .contains(&(item.call_id.clone(), item.body.clone()));
            return if known
                || self.hunts.contains(&item)
                || item.is_bare()
                || (item.body.is_empty() && is_ack)
            {
                Ok(())
            } else {
                Err(format!(
                    "a {} went out with a body or X- rows that nobody has just sent",
                    item.kind
                ))
            };
        };
        if read.body != item.body {
            return Err(format!(
                "the body of a {} was changed on its way",
                item.kind
            ));
        }
        if read.rows != item.rows {
            return Err(format!(
                "the X- rows of a {} were changed on its way: {:?} became {:?}",
                item.kind, read.rows, item.rows
            ));
        }
        if item.kind == "ACK" {
            self.acks.insert((item.call_id, item.body));
        }
        Ok(())
    }

    pub(super) fn settles(&mut self) {
        self.reading = None;
    }
}

impl Item {
    fn of(message: &Message<'_>) -> Self {
        Self {
            call_id: message.headers().call_id().to_owned(),
            kind: kind(message),
            rows: extra_rows(message),
            body: message.body().to_vec(),
        }
    }

    fn is_bare(&self) -> bool {
        self.body.is_empty() && self.rows.is_empty()
    }

    fn is_refusal(&self) -> bool {
        self.kind.starts_with(['4', '5', '6']) && self.kind.ends_with(" INVITE")
    }
}

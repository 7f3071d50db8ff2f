//! One client: what it says, and what it remembers of what it was told.

use std::fmt::Write;

use model::{AccountId, ConnectionId};
use sip::{Message, MessageWriter, Method, Name, Request, Response};
use switch::edge::Flow;

use super::domain;

pub(super) const NAMES: [&str; 3] = ["ann", "bob", "cy"];
/// Questions, dialogs and INVITEs that a client remembers.
const REMEMBERED: usize = 16;

/// A dialog as its client knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dialog {
    call_id: String,
    local: String,
    remote: String,
    target: String,
    pub(super) cseq: u32,
}

impl Dialog {
    /// The dialog that an answer with this tag opens, where it does.
    pub(super) fn called(request: &Request<'_>, tag: &str) -> Option<Self> {
        let headers = &request.headers;
        let is_opening = request.method == Method::Invite && headers.to().tag().is_none();
        is_opening.then(|| Self {
            call_id: headers.call_id().to_owned(),
            local: format!("{};tag={tag}", headers.get(Name::To).unwrap_or_default()),
            remote: headers.get(Name::From).unwrap_or_default().to_owned(),
            target: "sip:shard.invalid".to_owned(),
            cseq: 1,
        })
    }

    /// The dialog that was answered.
    fn calling(response: &Response<'_>) -> Option<Self> {
        let headers = &response.headers;
        let is_opening = headers.cseq().method == Method::Invite
            && headers.to().tag().is_some()
            && (101..300).contains(&response.status);
        is_opening.then(|| Self {
            call_id: headers.call_id().to_owned(),
            local: headers.get(Name::From).unwrap_or_default().to_owned(),
            remote: headers.get(Name::To).unwrap_or_default().to_owned(),
            target: "sip:shard.invalid".to_owned(),
            cseq: headers.cseq().number,
        })
    }
}

pub(super) struct Client {
    number: usize,
    pub(super) account: usize,
    pub(super) name: &'static str,
    /// Via sent-by: most are user agents, one is an address.
    sent_by: String,
    pub(super) connection: Option<ConnectionId>,
    pub(super) flow: Option<Flow>,
    /// Requests that were not answered for good.
    pub(super) inbox: Vec<Vec<u8>>,
    pub(super) dialogs: Vec<Dialog>,
    /// INVITEs, as they were sent.
    invites: Vec<Vec<u8>>,
    /// Answers to INVITEs that may be acknowledged.
    answers: Vec<Vec<u8>>,
}

fn keep<T>(list: &mut Vec<T>, one: T) {
    if list.len() == REMEMBERED {
        list.remove(0);
    }
    list.push(one);
}

impl Client {
    pub(super) fn new(number: usize) -> Self {
        Self {
            number,
            account: usize::from(number >= 6),
            name: NAMES[number % NAMES.len()],
            sent_by: match number {
                5 => "192.0.2.5".to_owned(),
                _ => format!("ua{number}.invalid"),
            },
            connection: None,
            flow: None,
            inbox: Vec::new(),
            dialogs: Vec::new(),
            invites: Vec::new(),
            answers: Vec::new(),
        }
    }

    pub(super) fn open(&mut self, flow: Flow) {
        self.connection = Some(flow.connection());
        self.flow = Some(flow);
    }

    pub(super) fn leave(&mut self) -> Option<ConnectionId> {
        self.flow = None;
        self.connection.take()
    }

    pub(super) fn receive(&mut self, message: &[u8]) {
        match sip::parse(message) {
            Ok(Message::Request(request)) if request.method != Method::Ack => {
                keep(&mut self.inbox, message.to_vec());
            }
            Ok(Message::Response(response)) => {
                if let Some(dialog) = Dialog::calling(&response) {
                    self.learn(dialog);
                }
                if response.status >= 200 && response.headers.cseq().method == Method::Invite {
                    keep(&mut self.answers, message.to_vec());
                }
            }
            Ok(Message::Request(_)) | Err(_) => {}
        }
    }

    pub(super) fn learn(&mut self, dialog: Dialog) {
        let known = self.dialogs.iter().any(|known| {
            known.local == dialog.local
                && known.remote == dialog.remote
                && known.call_id == dialog.call_id
        });
        if !known {
            keep(&mut self.dialogs, dialog);
        }
    }

    fn domain(&self) -> String {
        domain(AccountId(self.account as u32 + 1))
    }

    fn address(&self) -> String {
        format!("<sip:{}@{}>", self.name, self.domain())
    }

    pub(super) fn contact(&self) -> String {
        format!("<sip:c{}@{};transport=ws>", self.number, self.sent_by)
    }

    /// An offer or an answer with a candidate of its own.
    pub(super) fn offer(&self) -> String {
        format!(
            "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=candidate:1 1 udp 1 192.0.2.{} 5000 typ host\r\n",
            self.number + 1
        )
    }

    fn write(&self, method: &str, uri: &str, branch: u32) -> MessageWriter {
        let mut writer = MessageWriter::request(method, uri);
        writer
            .header(
                "Via",
                format_args!("SIP/2.0/WSS {};branch=z9hG4bKc{branch}", self.sent_by),
            )
            .header("Max-Forwards", 70);
        writer
    }

    pub(super) fn register(&self, number: u32, with: u8, token: Option<&str>) -> Vec<u8> {
        let uri = format!("sip:{}", self.domain());
        let mut writer = self.write("REGISTER", &uri, number);
        let address = self.address();
        writer
            .header("From", format_args!("{address};tag=r{number}"))
            .header("To", &address)
            .header("Call-ID", format_args!("r{}{}", self.number, with % 2))
            .header("CSeq", format_args!("{number} REGISTER"));
        let contact = self.contact();
        match with >> 4 {
            0..7 => {
                let seconds = [600, 600, 60, 3_600, 59, 0, 100_000][usize::from(with >> 4)];
                writer.header("Contact", format_args!("{contact};expires={seconds}"));
            }
            7 => {
                writer.header("Contact", "*").header("Expires", 0);
            }
            8 => {
                writer.header("Contact", "*");
            }
            9 => {}
            // Many instances on one connection.
            _ => {
                let contact = contact.replace("sip:c", &format!("sip:i{}", with >> 1));
                writer.header("Contact", contact);
            }
        }
        bearer(&mut writer, token);
        writer.finish()
    }

    pub(super) fn invite(
        &mut self,
        number: u32,
        with: u8,
        how: u8,
        token: Option<&str>,
    ) -> Vec<u8> {
        let callee = NAMES[usize::from(with) % NAMES.len()];
        // Now and then a client of the other account.
        let account = if with >= 0xf0 {
            1 - self.account
        } else {
            self.account
        };
        let uri = format!("sip:{callee}@{}", domain(AccountId(account as u32 + 1)));
        let mut writer = self.write("INVITE", &uri, number);
        writer
            .header("From", format_args!("{};tag=f{number}", self.address()))
            .header("To", format_args!("<{uri}>"))
            .header("Call-ID", format_args!("i{number}"))
            .header("CSeq", "1 INVITE")
            .header("Contact", self.contact());
        bearer(&mut writer, token);
        let frame = if how >= 0xf8 {
            writer.finish()
        } else {
            writer.header("Content-Type", "application/sdp");
            writer.finish_with(self.offer().as_bytes())
        };
        keep(&mut self.invites, frame.clone());
        frame
    }

    pub(super) fn acknowledge(&self, number: u32, with: usize) -> Option<Vec<u8>> {
        let answer = self.answers.get(with.checked_rem(self.answers.len())?)?;
        let Ok(Message::Response(response)) = sip::parse(answer) else {
            return None;
        };
        let headers = &response.headers;
        let mut writer = self.write("ACK", "sip:shard.invalid", number);
        writer
            .header("From", headers.get(Name::From)?)
            .header("To", headers.get(Name::To)?)
            .header("Call-ID", headers.call_id())
            .header("CSeq", format_args!("{} ACK", headers.cseq().number));
        Some(writer.finish())
    }

    pub(super) fn ask(&self, number: u32, method: &str, dialog: &Dialog) -> Vec<u8> {
        let mut writer = self.write(method, &dialog.target, number);
        writer
            .header("From", &dialog.local)
            .header("To", &dialog.remote)
            .header("Call-ID", &dialog.call_id)
            .header("CSeq", format_args!("{} {method}", dialog.cseq))
            .header("Contact", self.contact());
        if method == "INVITE" {
            writer.header("Content-Type", "application/sdp");
            writer.finish_with(self.offer().as_bytes())
        } else {
            writer.finish()
        }
    }

    /// Takes an INVITE back: the same rows, another method.
    pub(super) fn cancel(&self, with: usize) -> Option<Vec<u8>> {
        let invite = self.invites.get(with.checked_rem(self.invites.len())?)?;
        let Ok(Message::Request(request)) = sip::parse(invite) else {
            return None;
        };
        let mut writer = MessageWriter::request("CANCEL", request.uri);
        for name in [Name::Via, Name::From, Name::To, Name::CallId] {
            writer.header(name.as_str(), request.headers.get(name)?);
        }
        writer.header("Max-Forwards", 70);
        writer.header(
            "CSeq",
            format_args!("{} CANCEL", request.headers.cseq().number),
        );
        Some(writer.finish())
    }

    pub(super) fn options(&self, number: u32, with: u8) -> Vec<u8> {
        let uri = format!("sip:{}", self.domain());
        let mut writer = self.write("OPTIONS", &uri, number);
        writer
            .header("From", format_args!("{};tag=o{number}", self.address()))
            .header("To", format_args!("<{uri}>"))
            .header("Call-ID", format_args!("o{number}"))
            .header("CSeq", format_args!("{number} OPTIONS"));
        if with % 2 == 1 {
            writer.header("X-AculabTurnRequest", "1");
        }
        if with % 8 == 7 {
            writer.header("Require", "100rel");
        }
        writer.finish()
    }
}

fn bearer(writer: &mut MessageWriter, token: Option<&str>) {
    if let Some(token) = token {
        let mut value = String::from("Bearer ");
        let _ = write!(value, "{token}");
        writer.header("Authorization", value);
    }
}

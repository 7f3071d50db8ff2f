//! A shard with its ledger, and clients that register and call: every effect is performed and judged.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use model::{
    Account, AccountId, AccountKind, Algorithm, CallRecord, CloudId, ConnectionId, Directory,
    Instant, Now, SecretBytes, SigningKeyRow, TokenLimit, UnixTime, Username, WebRtcAccessKey,
};
use serde_json::Value;
use sip::{Contact, Message, MessageWriter, Name};
use switch::edge::{Flow, Verdict};
use switch::token::{SigningKey, TokenRequest, issue};
use switch::turn_grant::{Ledger, TurnBounds, TurnChange, TurnOffer, TurnSecret};
use switch::{Counter, Effect, Input, Settings, Shard, Snapshot};

pub(crate) const START: UnixTime = UnixTime::from_secs(1_795_000_000);
pub(crate) const DOMAIN: &str = "testkey.webrtc-1-2-0.aculabcloud.net";
pub(crate) const CLIENTS: [&str; 3] = ["alice", "bob", "carol"];
pub(crate) const ALICE: usize = 0;
pub(crate) const BOB: usize = 1;
pub(crate) const CAROL: usize = 2;

pub(crate) fn account() -> Account {
    let pkcs8 =
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .unwrap();
    let kid = SigningKey::parse(Algorithm::Es256, pkcs8.as_ref())
        .unwrap()
        .kid()
        .to_owned();
    Account {
        id: AccountId(5),
        cloud_id: CloudId::parse("1-2-0").unwrap(),
        username: Username::parse("demo@example.com").unwrap(),
        kind: AccountKind::Production,
        disabled: false,
        access_key: WebRtcAccessKey::parse("testkey").unwrap(),
        token_limit: TokenLimit::Unlimited,
        api_keys: Vec::new(),
        signing_keys: vec![SigningKeyRow {
            kid,
            algorithm: Algorithm::Es256,
            pkcs8: SecretBytes::new(pkcs8.as_ref().to_vec()),
            expires: None,
        }],
        services: Default::default(),
        service_callers: Default::default(),
        revocations: Default::default(),
    }
}

pub(crate) fn offer() -> TurnOffer {
    TurnOffer {
        secret: TurnSecret::new([7; 32]),
        host: None,
        fallback: "192.0.2.1".to_owned(),
        use_host_header: true,
        udp: Some(3478),
        tcp: None,
        tls: None,
    }
}

/// A shard, the edge of three clients, and the ledger.
pub(crate) struct Stage {
    pub(crate) account: Account,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) shard: Shard,
    pub(crate) flows: Vec<Flow>,
    pub(crate) ledger: Ledger,
    pub(crate) millis: u64,
    /// The last message that each client was sent.
    pub(crate) heard: Vec<Vec<u8>>,
    pub(crate) changes: Vec<TurnChange>,
    pub(crate) records: Vec<CallRecord>,
    pub(crate) counted: Vec<Counter>,
}

impl Stage {
    pub(crate) fn new(turn: Option<TurnOffer>) -> Self {
        let account = account();
        let settings = Settings {
            turn: turn.map(Arc::new),
            ..Settings::default()
        };
        let directory = Directory::new([account.clone()]);
        let (snapshot, unusable) = Snapshot::new(directory, settings, &Snapshot::default());
        assert!(unusable.is_empty());
        let snapshot = Arc::new(snapshot);
        let now = Now::default();
        let flow = |at: usize| Flow::new(connection(at), now, Some("calls.example:8443"));
        Self {
            account,
            shard: Shard::new(0, [1; 32], Arc::clone(&snapshot)),
            snapshot,
            flows: (0..CLIENTS.len()).map(flow).collect(),
            ledger: Ledger::new(TurnSecret::new([7; 32]), TurnBounds::default()),
            millis: 0,
            heard: vec![Vec::new(); CLIENTS.len()],
            changes: Vec::new(),
            records: Vec::new(),
            counted: Vec::new(),
        }
    }

    pub(crate) fn now(&self) -> Now {
        Now {
            mono: Instant::from_micros(self.millis * 1_000),
            unix: START + Duration::from_millis(self.millis),
        }
    }

    pub(crate) fn say(&mut self, client: usize, bytes: &[u8]) {
        let now = self.now();
        let from = connection(client);
        match self.flows[client].frame(now, bytes, &self.snapshot, 4) {
            Verdict::Deliver {
                shard,
                account,
                message,
                ice_servers,
            } => {
                assert_eq!(shard, 1, "account 5 of 4 shards");
                let input = Input::Message {
                    connection: from,
                    account,
                    message: &message,
                    ice_servers: ice_servers.as_deref(),
                };
                self.shard.handle(now, input);
            }
            Verdict::Reply { message, .. } => self.heard[client] = message,
            refused @ (Verdict::Ignore { .. } | Verdict::Close { .. }) => {
                panic!("not taken: {refused:?}")
            }
        }
        self.perform();
    }

    pub(crate) fn tell(&mut self, input: Input<'_>) {
        let now = self.now();
        self.shard.handle(now, input);
        self.perform();
    }

    pub(crate) fn perform(&mut self) {
        while let Some(effect) = self.shard.poll_effect() {
            match effect {
                Effect::Send {
                    connection: to,
                    message,
                } => {
                    for address in candidates(&message) {
                        let tag = self.ledger.reach(self.now(), to.0, address, false);
                        assert!(tag.is_some(), "{to:?} is told of {address} too early");
                    }
                    let client = usize::try_from(to.0).unwrap() - 1;
                    self.heard[client] = message;
                }
                Effect::Turn(change) => {
                    if let TurnChange::Proven { connection, .. } = change {
                        let client = usize::try_from(connection.0).unwrap() - 1;
                        self.flows[client].proven();
                    }
                    self.ledger.apply(&change);
                    self.changes.push(change);
                }
                Effect::Record(record) => self.records.push(*record),
                Effect::Count(counter) => self.counted.push(counter),
                Effect::Close { .. }
                | Effect::Media { .. }
                | Effect::Ask(_)
                | Effect::Bring(_)
                | Effect::Complain { .. }
                | Effect::Publish { .. }
                | Effect::Look { .. }
                | Effect::Tell { .. } => {}
            }
        }
        self.shard.check(self.now()).unwrap();
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.millis + u64::try_from(time.as_millis()).unwrap();
        while let Some(due) = self.shard.poll_timeout()
            && due.as_micros().div_ceil(1_000) <= end
        {
            self.millis = due.as_micros().div_ceil(1_000).max(self.millis);
            self.tell(Input::Timeout);
        }
        self.millis = end;
    }

    pub(crate) fn reaches(&mut self, client: usize, address: &str) -> bool {
        let holder = connection(client).0;
        let address = address.parse().unwrap();
        self.ledger
            .reach(self.now(), holder, address, false)
            .is_some()
    }

    pub(crate) fn token(&self, client: usize) -> String {
        let parameters = [("client_id", CLIENTS[client]), ("call_client", "*")];
        let request = TokenRequest::from_parameters(parameters).unwrap();
        let key = self.snapshot.keys.account(self.account.id).unwrap();
        issue(
            key.signing().unwrap(),
            &self.account,
            &request,
            [7; 16],
            START,
        )
    }

    pub(crate) fn register(&mut self, client: usize) {
        let name = CLIENTS[client];
        let mut writer = out_of_dialog("REGISTER", &format!("sip:{DOMAIN}"), client, "r", 2);
        writer
            .header("To", format_args!("<sip:{name}@{DOMAIN}>"))
            .header(
                "Authorization",
                format_args!("Bearer {}", self.token(client)),
            )
            .header("Contact", format_args!("<{}>;expires=600", contact(client)));
        self.say(client, &writer.finish());
        assert_eq!(self.status(client), 200);
    }

    pub(crate) fn invite(&mut self, caller: usize, callee: usize, call: &str, sdp: &str) {
        let target = format!("sip:{}@{DOMAIN}", CLIENTS[callee]);
        let mut writer = out_of_dialog("INVITE", &target, caller, call, 1);
        writer
            .header("To", format_args!("<{target}>"))
            .header(
                "Authorization",
                format_args!("Bearer {}", self.token(caller)),
            )
            .header("Contact", format_args!("<{}>", contact(caller)))
            .header("Content-Type", "application/sdp");
        self.say(caller, &writer.finish_with(sdp.as_bytes()));
    }

    /// Answers the INVITE that the client was sent last.
    pub(crate) fn answer(&mut self, client: usize, status: u16, sdp: &str) {
        let invite = self.heard[client].clone();
        let Ok(Message::Request(request)) = sip::parse(&invite) else {
            panic!("{} was asked nothing", CLIENTS[client]);
        };
        let reason = sip::status::reason(status);
        let mut writer = MessageWriter::reply(&request, status, reason, Some("callee"));
        writer.header("Contact", format_args!("<{}>", contact(client)));
        if !sdp.is_empty() {
            writer.header("Content-Type", "application/sdp");
        }
        self.say(client, &writer.finish_with(sdp.as_bytes()));
    }

    /// The caller's next request in the dialog of the answer that it heard last.
    pub(crate) fn in_dialog(
        &mut self,
        client: usize,
        method: &str,
        cseq: u32,
        call: &str,
        sdp: &str,
    ) {
        let answer = self.heard[client].clone();
        let Ok(Message::Response(response)) = sip::parse(&answer) else {
            panic!("{} was answered nothing", CLIENTS[client]);
        };
        let contacts = response.headers.contacts().unwrap();
        let [Contact::Address(peer)] = contacts.as_slice() else {
            panic!("no Contact to speak to");
        };
        let mut writer = out_of_dialog(method, peer.uri_text, client, call, cseq);
        writer
            .header("To", response.headers.get(Name::To).unwrap())
            .header("Contact", format_args!("<{}>", contact(client)));
        if !sdp.is_empty() {
            writer.header("Content-Type", "application/sdp");
        }
        self.say(client, &writer.finish_with(sdp.as_bytes()));
    }

    pub(crate) fn status(&self, client: usize) -> u16 {
        match sip::parse(&self.heard[client]).unwrap() {
            Message::Response(response) => response.status,
            Message::Request(request) => panic!("a {:?} instead", request.method),
        }
    }

    /// Alice calls Bob, and he answers.
    pub(crate) fn call(&mut self) {
        self.register(BOB);
        self.invite(ALICE, BOB, "call", &sdp(&["198.51.100.1", "2001:db8::a"]));
        self.answer(BOB, 200, &sdp(&["203.0.113.1"]));
        assert_eq!(self.status(ALICE), 200);
        self.in_dialog(ALICE, "ACK", 1, "call", "");
    }

    pub(crate) fn number_of_call(&self) -> u64 {
        let of = |change: &TurnChange| match change {
            TurnChange::Reach { call, .. } | TurnChange::Gateway { call, .. } => Some(*call),
            TurnChange::Opened { .. }
            | TurnChange::Proven { .. }
            | TurnChange::Ended { .. }
            | TurnChange::Gone { .. } => None,
        };
        self.changes.iter().rev().find_map(of).unwrap()
    }

    /// What the OPTIONS of the SDK are answered with.
    pub(crate) fn ice_servers(&mut self, client: usize) -> Value {
        let mut writer = options(client, DOMAIN);
        writer.header("X-AculabTurnRequest", "1");
        self.say(client, &writer.finish());
        assert_eq!(self.status(client), 200);
        let message = sip::parse(&self.heard[client]).unwrap();
        let kind = message.headers().get(Name::ContentType);
        assert_eq!(kind, Some("application/json"));
        serde_json::from_slice(message.body()).unwrap()
    }
}

pub(crate) fn connection(client: usize) -> ConnectionId {
    ConnectionId(client as u64 + 1)
}

pub(crate) fn contact(client: usize) -> String {
    format!("sip:{}@{}.invalid;transport=ws", client, CLIENTS[client])
}

/// Up to the To, which is the caller's to write.
pub(crate) fn out_of_dialog(
    method: &str,
    target: &str,
    client: usize,
    call: &str,
    cseq: u32,
) -> MessageWriter {
    let name = CLIENTS[client];
    let mut writer = MessageWriter::request(method, target);
    writer
        .header(
            "Via",
            format_args!("SIP/2.0/WSS {name}.invalid;branch=z9hG4bK-{method}-{call}-{cseq}"),
        )
        .header("From", format_args!("<sip:{name}@{DOMAIN}>;tag={name}"))
        .header("Call-ID", format_args!("{name}-{call}"))
        .header("CSeq", format_args!("{cseq} {method}"))
        .header("Max-Forwards", 70);
    writer
}

pub(crate) fn options(client: usize, domain: &str) -> MessageWriter {
    let name = CLIENTS[client];
    let mut writer = MessageWriter::request("OPTIONS", "sip:webrtc-1-2-0.aculabcloud.net");
    writer
        .header("Via", "SIP/2.0/WSS x.invalid;branch=z9hG4bKo")
        .header("From", format_args!("<sip:{name}@{domain}>;tag=o"))
        .header("To", "<sip:webrtc-1-2-0.aculabcloud.net>")
        .header("Call-ID", "o")
        .header("CSeq", "1 OPTIONS")
        .header("Max-Forwards", 70);
    writer
}

pub(crate) fn sdp(addresses: &[&str]) -> String {
    let mut sdp =
        "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n".to_owned();
    for address in addresses {
        sdp.push_str(&format!(
            "a=candidate:1 1 udp 7 {address} 40000 typ relay raddr 10.9.9.9 rport 1\r\n"
        ));
    }
    sdp
}

/// The literal candidates of a message, found in another way than the product's.
pub(crate) fn candidates(message: &[u8]) -> Vec<IpAddr> {
    let text = std::str::from_utf8(message).unwrap();
    text.lines()
        .filter(|line| line.starts_with("a=candidate:"))
        .filter_map(|line| line.split(' ').nth(4)?.parse().ok())
        .collect()
}

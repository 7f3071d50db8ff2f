//! A shard with one trunk: the peer, the application and the gateway are played by the test.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::media::{LegId, MediaCommand, MediaEvent, Network};
use model::{
    Account, AccountId, AccountKind, Application, CallRecord, ClientGroup, ClientId, CloudId,
    ConnectionId, Directory, Instant, Now, NumberPattern, Page, PageAnswer, PageMethod,
    PageRequest, PageUrl, PeerPlace, RecordId, RingOrder, SecretBytes, Service, ServiceName,
    ServiceTarget, Start, Then, TokenLimit, Trunk, TrunkMedia, TrunkName, TrunkTransfer,
    TrunkTransport, UnixTime, Username, WebRtcAccessKey,
};
use serde_json::Value;
use switch::{Closing, Effect, Input, Settings, Shard, Snapshot};

/// The connection that stands for the trunk's line.
pub(crate) const LINE: ConnectionId = ConnectionId(7);
/// That of a second one, where there is one.
pub(crate) const SECOND: ConnectionId = ConnectionId(8);
const ACCOUNT: AccountId = AccountId(5);

fn service(name: &str, target: ServiceTarget) -> (ServiceName, Service) {
    let name = ServiceName::parse(name).unwrap();
    let service = Service {
        name: name.clone(),
        target,
    };
    (name, service)
}

fn application() -> Application {
    Application {
        first_page: Page {
            url: PageUrl::parse("https://app.example.com/first").unwrap(),
            method: PageMethod::Post,
        },
        final_page: Some(Page {
            url: PageUrl::parse("https://app.example.com/final").unwrap(),
            method: PageMethod::Post,
        }),
        error_page: None,
        secret: SecretBytes::new(vec![b'x'; 32]),
    }
}

fn account(disabled: bool) -> Account {
    let clients = vec![ClientId::parse("alice").unwrap()];
    let group = ClientGroup::new(clients, RingOrder::All, 20).unwrap();
    Account {
        id: ACCOUNT,
        cloud_id: CloudId::parse("1-2-0").unwrap(),
        username: Username::parse("demo@example.com").unwrap(),
        kind: AccountKind::Production,
        disabled,
        access_key: WebRtcAccessKey::parse("testkey").unwrap(),
        token_limit: TokenLimit::Unlimited,
        api_keys: Vec::new(),
        signing_keys: Vec::new(),
        services: BTreeMap::from([
            service("reception", ServiceTarget::Application(application())),
            service("desks", ServiceTarget::Clients(group)),
        ]),
        service_callers: Default::default(),
        revocations: Default::default(),
    }
}

fn trunk() -> Trunk {
    let number = |pattern, name| {
        let service = ServiceName::parse(name).unwrap();
        (NumberPattern::parse(pattern).unwrap(), service)
    };
    Trunk {
        account: ACCOUNT,
        name: TrunkName::parse("provider").unwrap(),
        transport: TrunkTransport::Udp,
        media: TrunkMedia::Rtp,
        places: PeerPlace::addresses(&["192.0.2.10:5060".parse().unwrap()]),
        peers: vec!["192.0.2.10:5060".parse().unwrap()],
        former: Vec::new(),
        networks: vec![Network::new("198.51.100.0".parse().unwrap(), 24).unwrap()],
        domain: "sip.example.com".into(),
        login: None,
        registration: None,
        check: None,
        numbers: vec![
            number("+441908*", "reception"),
            number("112", "nobody"),
            number("113", "desks"),
        ],
        caller: None,
        session: None,
        is_trusted: false,
        transfer: TrunkTransfer::Own,
    }
}

pub(crate) struct Stage {
    pub(crate) shard: Shard,
    settings: Settings,
    millis: u64,
    /// The last message that went out on the line.
    pub(crate) heard: String,
    /// All of them.
    pub(crate) said: Vec<String>,
    /// The last INVITE among them, and the line that it went out on.
    invited: String,
    pub(crate) invited_on: ConnectionId,
    /// The last answer to an INVITE of the peer's that had a tag: whose dialog its requests are in.
    answered: String,
    pages: Vec<PageRequest>,
    pub(crate) commands: Vec<MediaCommand>,
    pub(crate) records: Vec<CallRecord>,
    pub(crate) closed: Vec<Closing>,
    calls: u32,
    /// Whether NOTIFYs are not answered.
    pub(crate) is_deaf: bool,
}

impl Stage {
    pub(crate) fn new(change: impl FnOnce(&mut Trunk)) -> Self {
        let mut trunk = trunk();
        change(&mut trunk);
        Self::on(vec![(LINE, trunk)])
    }

    /// With another trunk of the same account behind the first.
    pub(crate) fn with_second() -> Self {
        Self::with_second_and(TrunkTransfer::Own)
    }

    /// The first may have calls transferred to these.
    pub(crate) fn with_second_and(transfer: TrunkTransfer) -> Self {
        let second = Trunk {
            name: TrunkName::parse("other").unwrap(),
            places: PeerPlace::addresses(&["192.0.2.20:5060".parse().unwrap()]),
            peers: vec!["192.0.2.20:5060".parse().unwrap()],
            former: Vec::new(),
            domain: "other.example.com".into(),
            numbers: Vec::new(),
            ..trunk()
        };
        let first = Trunk {
            transfer,
            ..trunk()
        };
        Self::on(vec![(LINE, first), (SECOND, second)])
    }

    fn on(trunks: Vec<(ConnectionId, Trunk)>) -> Self {
        let trunks = trunks.into_iter().map(|(line, trunk)| {
            assert_eq!(trunk.check(), Ok(()));
            (line, Arc::new(trunk))
        });
        let settings = Settings {
            trunks: trunks.collect(),
            ..Settings::default()
        };
        Self {
            shard: Shard::new(0, [1; 32], snapshot(&settings, false)),
            settings,
            millis: 0,
            heard: String::new(),
            said: Vec::new(),
            invited: String::new(),
            invited_on: LINE,
            answered: String::new(),
            pages: Vec::new(),
            commands: Vec::new(),
            records: Vec::new(),
            closed: Vec::new(),
            calls: 0,
            is_deaf: false,
        }
    }

    pub(crate) fn now(&self) -> Now {
        Now {
            mono: Instant::from_micros(self.millis * 1_000),
            unix: UnixTime::from_secs(1_795_000_000) + Duration::from_millis(self.millis),
        }
    }

    fn tell(&mut self, input: Input<'_>) {
        self.millis += 1;
        self.shard.handle(self.now(), input);
        let mut notified = Vec::new();
        while let Some(effect) = self.shard.poll_effect() {
            match effect {
                Effect::Send {
                    connection,
                    message,
                } => {
                    assert!([LINE, SECOND].contains(&connection));
                    self.heard = String::from_utf8(message).unwrap();
                    self.said.push(self.heard.clone());
                    if self.heard.starts_with("NOTIFY ") && !self.is_deaf {
                        notified.push((connection, self.heard.clone()));
                    }
                    if self.heard.starts_with("INVITE ") {
                        self.invited = self.heard.clone();
                        self.invited_on = connection;
                    } else if self.heard.contains(" INVITE\r\n")
                        && ["SIP/2.0 183", "SIP/2.0 200"]
                            .iter()
                            .any(|line| self.heard.starts_with(line))
                    {
                        self.answered = self.heard.clone();
                    }
                }
                Effect::Close { why, .. } => self.closed.push(why),
                Effect::Record(record) => self.records.push(*record),
                Effect::Media { command, .. } => self.commands.push(command),
                Effect::Ask(request) => self.pages.push(*request),
                Effect::Turn(_)
                | Effect::Complain { .. }
                | Effect::Publish { .. }
                | Effect::Look { .. }
                | Effect::Tell { .. }
                | Effect::Count(_) => {}
                Effect::Bring(request) => panic!("{request:?}"),
            }
        }
        let checked = self.shard.check(self.now());
        assert_eq!(checked, Ok(()));
        for (connection, notify) in notified {
            self.says_on(connection, &taken(&notify));
        }
    }

    /// The peer's answer to a NOTIFY.
    pub(crate) fn answers(&mut self, notify: &str) {
        self.says(&taken(notify));
    }

    pub(crate) fn says(&mut self, text: &str) {
        self.says_on(LINE, text);
    }

    fn says_on(&mut self, connection: ConnectionId, text: &str) {
        let message = sip::parse(text.as_bytes()).unwrap();
        self.tell(Input::Message {
            connection,
            account: ACCOUNT,
            message: &message,
            ice_servers: None,
        });
    }

    /// A request of the peer's outside any dialog.
    pub(crate) fn request(&self, method: &str, user: &str, rows: &str, cseq: u32) -> String {
        let (call, body) = (self.calls, if method == "INVITE" { OFFER } else { "" });
        format!(
            "{method} sip:{user}@203.0.113.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK-{call}-{cseq}\r\n\
             From: <sip:+441234567890@sip.example.com>;tag=peer{call}\r\nTo: <sip:{user}@203.0.113.1>\r\n\
             Call-ID: call-{call}\r\nCSeq: {cseq} {method}\r\nMax-Forwards: 70\r\nContact: <sip:gw@192.0.2.10>\r\n{rows}\
             Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    pub(crate) fn invites(&mut self, user: &str) {
        self.invites_with(user, "");
    }

    pub(crate) fn invites_with(&mut self, user: &str, rows: &str) {
        self.calls += 1;
        let invite = self.request("INVITE", user, rows, 1);
        self.says(&invite);
    }

    /// A request of the peer's in the dialog that the last answer has opened, or that it has answered.
    pub(crate) fn in_dialog(&mut self, method: &str) {
        self.in_dialog_with(method, "", 2);
    }

    /// The same with these rows, and so counted.
    pub(crate) fn in_dialog_with(&mut self, method: &str, rows: &str, cseq: u32) {
        let (call, tag) = (self.calls, tag(row(&self.answered, "To")));
        let text = self.request(method, "+441908273800", rows, cseq);
        let to = format!("To: <sip:+441908273800@203.0.113.1>;tag={tag}\r\n");
        let bare = "To: <sip:+441908273800@203.0.113.1>\r\n";
        assert!(text.contains(bare), "{call}: {text}");
        self.says(&text.replace(bare, &to));
    }

    /// A request of whoever has taken the last INVITE that went out, in its dialog.
    pub(crate) fn callee_says(&mut self, method: &str, rows: &str, cseq: u32) {
        let [from, to, call_id] =
            ["To", "From", "Call-ID"].map(|name| row(&self.invited, name).to_owned());
        let text = format!(
            "{method} sip:x@203.0.113.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK-callee-{cseq}\r\n\
             From: {from};tag=far\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\n\
             Max-Forwards: 70\r\n{rows}\r\n"
        );
        self.says_on(self.invited_on, &text);
    }

    /// Where the dialog that the last answer has opened stands in a Replaces: Call-ID, our tag, the peer's.
    pub(crate) fn answered_dialog(&self) -> [String; 3] {
        let tags = ["To", "From"].map(|name| tag(row(&self.answered, name)).to_owned());
        let [own, theirs] = tags;
        [row(&self.answered, "Call-ID").to_owned(), own, theirs]
    }

    /// The same of the last INVITE that went out, and was taken.
    pub(crate) fn invited_dialog(&self) -> [String; 3] {
        let own = tag(row(&self.invited, "From")).to_owned();
        [row(&self.invited, "Call-ID").to_owned(), own, "far".into()]
    }

    /// How many messages that began so have gone out.
    pub(crate) fn count(&self, start: &str) -> usize {
        self.all(start).len()
    }

    pub(crate) fn all(&self, start: &str) -> Vec<&String> {
        let all = self.said.iter();
        all.filter(|text| text.starts_with(start)).collect()
    }

    /// The status lines that were told of transfers.
    pub(crate) fn told_of_transfer(&self) -> Vec<&str> {
        let all = self.all("NOTIFY ").into_iter();
        all.map(|text| text.rsplit("\r\n\r\n").next().unwrap().trim_end())
            .collect()
    }

    /// How the record of whoever was called, or called, has ended.
    pub(crate) fn ended(&self, callee: &str) -> Option<(u16, String)> {
        let mut all = self.records.iter().rev();
        let record = all.find(|record| record.callee.to_string() == callee)?;
        let outcome = record.outcome.as_ref()?;
        Some((outcome.status, outcome.reason.clone()))
    }

    /// An answer of the peer's to the last INVITE that went out.
    pub(crate) fn responds(&mut self, status: u16, body: &str) {
        let rows = ["Via", "From", "Call-ID", "CSeq"];
        let rows = rows.map(|name| format!("{name}: {}\r\n", row(&self.invited, name)));
        let to = row(&self.invited, "To");
        let text = format!(
            "SIP/2.0 {status} Whatever\r\n{}To: {to};tag=far\r\nContact: <sip:gw@192.0.2.10>\r\n\
             Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
            rows.concat(),
            body.len()
        );
        self.says_on(self.invited_on, &text);
    }

    pub(crate) fn status(&self) -> u16 {
        let status = self.heard.strip_prefix("SIP/2.0 ").unwrap();
        status[..3].parse().unwrap()
    }

    /// What the application was told last.
    pub(crate) fn asked(&self) -> Value {
        serde_json::from_str(&self.pages.last().unwrap().instance).unwrap()
    }

    /// The page that was asked last has these actions.
    pub(crate) fn page(&mut self, actions: &Value) {
        let body = serde_json::json!({ "actions": actions, "api_version": "2.0" });
        let answer = PageAnswer::Answered {
            status: 200,
            body: body.to_string().into_bytes(),
        };
        let id = self.pages.last().unwrap().id;
        self.tell(Input::Page { id, answer });
    }

    /// The gateway has made the answer that it was asked for.
    pub(crate) fn gateway_answers(&mut self, place: u8) {
        let leg = self.leg(place);
        let answer = "v=0\r\nm=audio 20000 RTP/AVP 8\r\n".into();
        self.tell(Input::Media(MediaEvent::Answered { leg, answer }));
    }

    /// The gateway has made the offer that it was asked for last.
    pub(crate) fn gateway_offers(&mut self) -> LegId {
        let mut commands = self.commands.iter().rev();
        let leg = commands.find_map(|command| {
            if let MediaCommand::Offer { leg, .. } = command {
                return Some(*leg);
            }
            None
        });
        let (leg, offer) = (leg.unwrap(), "v=0\r\nm=audio 20002 RTP/AVP 8\r\n".into());
        self.tell(Input::Media(MediaEvent::Offered { leg, offer }));
        leg
    }

    /// A call is answered by its application, which then wants this.
    pub(crate) fn talks_to_application(&mut self, actions: &Value) {
        self.invites("+441908273800");
        let mut all = vec![serde_json::json!({ "answer": {} })];
        all.extend(actions.as_array().unwrap().iter().cloned());
        self.page(&all.into());
        self.gateway_answers(0);
        self.in_dialog("ACK");
        self.gateway_hears(0);
    }

    /// The peer has said something.
    pub(crate) fn gateway_hears(&mut self, place: u8) {
        let leg = self.leg(place);
        self.tell(Input::Media(MediaEvent::Connected { leg }));
    }

    fn leg(&self, place: u8) -> LegId {
        let session = self.commands.iter().rev().find_map(|command| {
            if let MediaCommand::Answer { leg, .. } | MediaCommand::Offer { leg, .. } = command {
                return Some(leg.session);
            }
            None
        });
        let session = session.unwrap_or_else(|| panic!("{:?}", self.heard));
        LegId { session, place }
    }

    /// Its application calls somebody.
    pub(crate) fn starts(&mut self, to: &str) {
        let start = Start {
            account: ACCOUNT,
            id: RecordId(77),
            to: to.to_owned(),
            from: "+441908273800".to_owned(),
            then: Then::Application {
                service: ServiceName::parse("reception").unwrap(),
                token: None,
                parameters: None,
            },
        };
        self.tell(Input::Start(start));
    }

    /// The account has its application leave off, and ask this page.
    pub(crate) fn interrupts(&mut self, instance: &str, redirect: &str) {
        let redirect = Page {
            url: PageUrl::parse(redirect).unwrap(),
            method: PageMethod::Post,
        };
        self.tell(Input::Interrupt {
            account: ACCOUNT,
            instance,
            redirect: Some(redirect),
        });
    }

    pub(crate) fn disable(&mut self) {
        self.tell(Input::Snapshot(snapshot(&self.settings.clone(), true)));
    }

    pub(crate) fn enable(&mut self) {
        self.tell(Input::Snapshot(snapshot(&self.settings.clone(), false)));
    }
}

const OFFER: &str = "v=0\r\nc=IN IP4 192.0.2.10\r\nm=audio 4000 RTP/AVP 8\r\n";

fn snapshot(settings: &Settings, disabled: bool) -> Arc<Snapshot> {
    let directory = Directory::new([account(disabled)]);
    let (snapshot, _) = Snapshot::new(directory, settings.clone(), &Snapshot::default());
    Arc::new(snapshot)
}

fn taken(request: &str) -> String {
    let rows = ["Via", "From", "To", "Call-ID", "CSeq"];
    let rows = rows.map(|name| format!("{name}: {}\r\n", row(request, name)));
    format!("SIP/2.0 200 OK\r\n{}\r\n", rows.concat())
}

fn row<'a>(text: &'a str, name: &str) -> &'a str {
    let mut rows = text.split("\r\n");
    let row = rows.find_map(|row| row.strip_prefix(name)?.strip_prefix(": "));
    row.unwrap_or_else(|| panic!("no {name} in {text}"))
}

fn tag(address: &str) -> &str {
    address.split_once(";tag=").unwrap().1
}

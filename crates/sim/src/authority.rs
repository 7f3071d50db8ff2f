//! The accounts of the world, their keys from fixed seeds, and every token that was ever issued.
//!
//! Keeps beside each token what it permits, in plain data: the reference model judges by that and never by the code
//! that it is there to check.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::{
    Account, AccountId, AccountKind, Algorithm, Application, CallPattern, ClientGroup, ClientId,
    CloudId, Directory, Page, PageMethod, PageUrl, Revocation, Revocations, Revoked, RingOrder,
    SecretBytes, Service, ServiceCallers, ServiceName, ServiceTarget, SigningKeyRow, TokenId,
    TokenLimit, UnixTime, Username, WebRtcAccessKey,
};
use switch::token::{SigningKey, TokenRequest, issue};
use switch::turn_grant::TurnOffer;
use switch::{Settings, Snapshot};

/// The cloud id of every account.
pub const CLOUD: &str = "1-2-0";

/// PKCS#8 in front of the 32 bytes of an Ed25519 private key (RFC 8410 §7).
const ED25519_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// What a token is asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The client that will use it.
    pub client: String,
    /// Its life.
    pub ttl_s: u32,
    /// Whether it may register.
    pub incoming: bool,
    /// Whom it may call.
    pub call: Vec<String>,
}

impl Wish {
    /// A token of an hour that permits everything.
    pub fn all(client: &str) -> Self {
        Self {
            client: client.to_owned(),
            ttl_s: 3600,
            incoming: true,
            call: vec!["*".to_owned()],
        }
    }

    /// The same for another time.
    pub fn ttl(mut self, ttl_s: u32) -> Self {
        self.ttl_s = ttl_s;
        self
    }

    /// The same for these destinations alone.
    pub fn calling(mut self, call: &[&str]) -> Self {
        self.call = call.iter().map(|&pattern| pattern.to_owned()).collect();
        self
    }

    /// The same without the permission to register.
    pub fn outgoing_only(mut self) -> Self {
        self.incoming = false;
        self
    }
}

/// A token as the world remembers it.
#[derive(Clone, Debug)]
pub struct Issued {
    /// Which account's, counted from 0.
    pub account: usize,
    /// What it permits.
    pub wish: Wish,
    /// When it ends.
    pub expires: UnixTime,
    /// What signed it.
    pub kid: String,
    /// Its name.
    pub jti: String,
    /// When it was issued.
    pub issued_s: u64,
}

/// Which tokens of an account are revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The one with this text.
    Token(String),
    /// Those of this client.
    Client(String),
    /// All.
    All,
}

/// A revocation in plain data.
#[derive(Clone, Debug)]
struct RevokedView {
    taken: Taken,
    before: UnixTime,
    ends: bool,
}

impl RevokedView {
    fn concerns(&self, token: &Issued) -> bool {
        let is_before = token.issued_s * 1000 < self.before.as_millis();
        match &self.taken {
            Taken::Token(jti) => *jti == token.jti,
            Taken::Client(client) => *client == token.wish.client && is_before,
            Taken::All => is_before,
        }
    }
}

impl Issued {
    /// Whether it permits calling this client.
    pub fn may_call(&self, callee: &str) -> bool {
        self.wish
            .call
            .iter()
            .any(|pattern| match pattern.strip_suffix('*') {
                Some(prefix) => callee.starts_with(prefix),
                None => pattern == callee,
            })
    }
}

/// What a server knows of accounts at a time, in plain data.
#[derive(Clone, Debug, Default)]
pub struct View {
    accounts: Vec<AccountView>,
}

#[derive(Clone, Debug)]
struct AccountView {
    disabled: bool,
    keys: Vec<(String, Option<UnixTime>)>,
    /// The clients of each service.
    services: BTreeMap<String, Vec<String>>,
    service_callers: ServiceCallers,
    revoked: Vec<RevokedView>,
}

impl View {
    /// Whether this account may use the server.
    pub fn is_active(&self, account: usize) -> bool {
        self.accounts
            .get(account)
            .is_some_and(|account| !account.disabled)
    }

    /// The clients that answer for a service.
    pub fn service(&self, account: usize, name: &str) -> Option<&[String]> {
        let services = &self.accounts.get(account)?.services;
        services.get(name).map(Vec::as_slice)
    }

    /// Which clients of an account may call its services.
    pub fn service_callers(&self, account: usize) -> ServiceCallers {
        self.accounts
            .get(account)
            .map_or(ServiceCallers::Proven, |account| account.service_callers)
    }

    /// Whether an account has revoked anything.
    pub fn has_revoked(&self, account: usize) -> bool {
        let account = self.accounts.get(account);
        account.is_some_and(|account| !account.revoked.is_empty())
    }

    /// Whether what was made with the token ends.
    pub fn ends(&self, token: &Issued) -> bool {
        let account = self.accounts.get(token.account);
        let mut revoked = account.into_iter().flat_map(|account| &account.revoked);
        revoked.any(|revoked| revoked.ends && revoked.concerns(token))
    }

    /// Whether a server with this view must take the token.
    pub fn accepts(&self, token: &Issued, now: UnixTime) -> bool {
        let account = self.accounts.get(token.account);
        let mut revoked = account.into_iter().flat_map(|account| &account.revoked);
        self.is_active(token.account)
            && now < token.expires
            && !revoked.any(|revoked| revoked.concerns(token))
            && self.accounts[token.account]
                .keys
                .iter()
                .any(|(kid, end)| *kid == token.kid && end.is_none_or(|end| now < end))
    }
}

#[derive(Debug)]
struct Holder {
    account: Account,
    revoked: Vec<RevokedView>,
    signing: Arc<SigningKey>,
}

/// Accounts, keys and tokens.
#[derive(Debug)]
pub struct Authority {
    holders: Vec<Holder>,
    issued: BTreeMap<String, Issued>,
    keys_made: u8,
    snapshot: Arc<Snapshot>,
    settings: Settings,
}

impl Authority {
    /// So many accounts, each with a key.
    pub fn new(accounts: usize, settings: Settings) -> Self {
        let mut authority = Self {
            holders: Vec::new(),
            issued: BTreeMap::new(),
            keys_made: 0,
            snapshot: Arc::default(),
            settings,
        };
        for at in 0..accounts {
            let (row, signing) = authority.key();
            let number = u32::try_from(at).expect("a world has few accounts") + 1;
            let account = Account {
                id: AccountId(number),
                cloud_id: CloudId::parse(CLOUD).expect("it has the form"),
                username: Username::parse(&format!("user{at}@example.com"))
                    .expect("it has the form"),
                kind: AccountKind::Production,
                disabled: false,
                access_key: WebRtcAccessKey::parse(&access_key(at)).expect("it has the form"),
                token_limit: TokenLimit::Unlimited,
                api_keys: Vec::new(),
                signing_keys: vec![row],
                services: Default::default(),
                service_callers: Default::default(),
                revocations: Default::default(),
            };
            authority.holders.push(Holder {
                account,
                revoked: Vec::new(),
                signing,
            });
        }
        authority
    }

    /// How many accounts there are.
    pub fn accounts(&self) -> usize {
        self.holders.len()
    }

    /// Issues a token and remembers it.
    pub fn token(&mut self, account: usize, wish: &Wish, now: UnixTime) -> String {
        let holder = &self.holders[account];
        let request = TokenRequest {
            client: ClientId::parse(&wish.client).expect("clients of a world have valid ids"),
            ttl_s: wish.ttl_s,
            enable_incoming: wish.incoming,
            call_client: wish
                .call
                .iter()
                .map(|pattern| CallPattern::parse(pattern).expect("a pattern of a world is valid"))
                .collect(),
        };
        let mut jti = [0; 16];
        jti[..8].copy_from_slice(&(self.issued.len() as u64).to_be_bytes());
        let token = issue(&holder.signing, &holder.account, &request, jti, now);
        let issued = Issued {
            account,
            wish: wish.clone(),
            expires: UnixTime::from_secs(now.as_secs() + u64::from(wish.ttl_s)),
            kid: holder.signing.kid().to_owned(),
            jti: URL_SAFE_NO_PAD.encode(jti),
            issued_s: now.as_secs(),
        };
        self.issued.insert(token.clone(), issued);
        token
    }

    /// What was issued under this text.
    pub fn issued(&self, token: &str) -> Option<&Issued> {
        self.issued.get(token)
    }

    /// Switches an account off or on.
    pub fn set_disabled(&mut self, account: usize, disabled: bool) {
        self.holders[account].account.disabled = disabled;
    }

    /// Revokes tokens that were issued before an instant, one whenever it was; `ends`: with what was made with them.
    pub fn revoke(&mut self, account: usize, taken: Taken, before: UnixTime, ends: bool) {
        let taken = match taken {
            Taken::Token(text) => Taken::Token(self.issued[&text].jti.clone()),
            other @ (Taken::Client(_) | Taken::All) => other,
        };
        let what = match &taken {
            Taken::Token(jti) => Revoked::Token(TokenId::parse(jti).expect("tokens have ids")),
            Taken::Client(client) => {
                let client = ClientId::parse(client);
                Revoked::Client(client.expect("clients of a world have valid ids"))
            }
            Taken::All => Revoked::Account,
        };
        let holder = &mut self.holders[account];
        let revocations = &mut holder.account.revocations;
        revocations.insert(Revocation::new(what, before, ends));
        holder.revoked.retain(|known| known.taken != taken);
        holder.revoked.push(RevokedView {
            taken,
            before,
            ends,
        });
    }

    /// Takes back all that an account has revoked.
    pub fn unrevoke(&mut self, account: usize) {
        let holder = &mut self.holders[account];
        holder.account.revocations = Revocations::default();
        holder.revoked.clear();
    }

    /// Gives account 0 a service that rings these clients, or another in its place.
    pub fn set_service(&mut self, name: &str, clients: &[&str], order: RingOrder, ring_s: u16) {
        let clients = clients
            .iter()
            .map(|client| ClientId::parse(client).expect("clients of a world have valid ids"))
            .collect();
        let group = ClientGroup::new(clients, order, ring_s).expect("groups of a world are valid");
        let service = Service {
            name: ServiceName::parse(name).expect("services of a world have valid names"),
            target: ServiceTarget::Clients(group),
        };
        let services = &mut self.holders[0].account.services;
        services.insert(service.name.clone(), service);
    }

    /// Gives account 0 a service that an application answers for, with pages below `base`: `first`, `final`, `error`.
    pub fn set_application(&mut self, name: &str, base: &str) {
        let page = |last: &str| Page {
            url: PageUrl::parse(&format!("{base}/{last}"))
                .expect("pages of a world have addresses"),
            method: PageMethod::Post,
        };
        let service = Service {
            name: ServiceName::parse(name).expect("services of a world have valid names"),
            target: ServiceTarget::Application(Application {
                first_page: page("first"),
                final_page: Some(page("final")),
                error_page: Some(page("error")),
                secret: SecretBytes::new(b"secret".to_vec()),
            }),
        };
        let services = &mut self.holders[0].account.services;
        services.insert(service.name.clone(), service);
    }

    /// Lets only some of an account's clients call its services.
    pub fn set_service_callers(&mut self, account: usize, callers: ServiceCallers) {
        self.holders[account].account.service_callers = callers;
    }

    /// Gives an account a new key; the old one goes on verifying until `keep`, or is gone at once.
    pub fn rotate(&mut self, account: usize, keep: Option<UnixTime>) {
        let (row, signing) = self.key();
        let holder = &mut self.holders[account];
        let rows = &mut holder.account.signing_keys;
        match keep {
            Some(end) => {
                for old in rows.iter_mut().filter(|old| old.expires.is_none()) {
                    old.expires = Some(end);
                }
            }
            None => rows.clear(),
        }
        rows.push(row);
        holder.signing = signing;
    }

    /// From now on clients are sent to this TURN server.
    pub fn offer_turn(&mut self, offer: Arc<TurnOffer>) {
        self.settings.turn = Some(offer);
    }

    /// What servers are to be told now, for them and for their judge.
    pub fn publish(&mut self) -> (Arc<Snapshot>, View) {
        let directory = Directory::new(self.holders.iter().map(|holder| holder.account.clone()));
        let (snapshot, unusable) = Snapshot::new(directory, self.settings.clone(), &self.snapshot);
        assert!(
            unusable.is_empty(),
            "keys of a world can be read: {unusable:?}"
        );
        self.snapshot = Arc::new(snapshot);
        let accounts = self
            .holders
            .iter()
            .map(|holder| AccountView {
                disabled: holder.account.disabled,
                keys: holder
                    .account
                    .signing_keys
                    .iter()
                    .map(|row| (row.kid.clone(), row.expires))
                    .collect(),
                services: services_of(&holder.account),
                service_callers: holder.account.service_callers,
                revoked: holder.revoked.clone(),
            })
            .collect();
        (Arc::clone(&self.snapshot), View { accounts })
    }

    fn key(&mut self) -> (SigningKeyRow, Arc<SigningKey>) {
        self.keys_made += 1;
        let mut pkcs8 = ED25519_PREFIX.to_vec();
        pkcs8.extend_from_slice(&[self.keys_made; 32]);
        let signing = SigningKey::parse(Algorithm::EdDsa, &pkcs8).expect("any 32 bytes are a key");
        let row = SigningKeyRow {
            kid: signing.kid().to_owned(),
            algorithm: Algorithm::EdDsa,
            pkcs8: SecretBytes::new(pkcs8),
            expires: None,
        };
        (row, Arc::new(signing))
    }
}

/// The clients of each service; none, where an application answers.
fn services_of(account: &Account) -> BTreeMap<String, Vec<String>> {
    let services = account.services.values().map(|service| {
        let clients = match &service.target {
            ServiceTarget::Clients(group) => group.clients(),
            ServiceTarget::Application(_) => &[],
        };
        let clients = clients.iter().map(ClientId::to_string);
        (service.name.to_string(), clients.collect())
    });
    services.collect()
}

/// The service that a Request-URI of existing clients names.
pub fn service_of<'a>(user: &'a str, host: &str) -> Option<&'a str> {
    (host == format!("sip-{CLOUD}.aculab.com")).then_some(user)
}

/// The WebRTC access key of an account.
pub fn access_key(account: usize) -> String {
    format!("key{account}")
}

/// The SIP domain of an account, as existing clients spell it.
pub fn domain(account: usize) -> String {
    format!("{}.webrtc-{CLOUD}.aculabcloud.net", access_key(account))
}

/// The account that a SIP domain names.
pub fn account_of(domain: &str) -> Option<usize> {
    let (key, rest) = domain.split_once('.')?;
    rest.eq_ignore_ascii_case(&format!("webrtc-{CLOUD}.aculabcloud.net"))
        .then(|| key.strip_prefix("key")?.parse().ok())
        .flatten()
}

//! Two accounts, their keys from fixed seeds, and their tokens: what each permits is kept beside it in plain data.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use model::{
    Account, AccountId, AccountKind, Algorithm, CallPattern, ClientId, CloudId, Directory,
    SecretBytes, SigningKeyRow, TokenLimit, UnixTime, Username, WebRtcAccessKey,
};
use switch::token::{SigningKey, TokenRequest, issue};
use switch::turn_grant::{TurnOffer, TurnSecret};
use switch::{Settings, Snapshot};

use super::client::{Client, NAMES};

pub(super) const START: UnixTime = UnixTime::from_secs(1_795_000_000);
/// Tokens are issued so often, so that most of them are known from the run before.
const ISSUED_EVERY_S: u64 = 20_000;
/// PKCS#8 in front of the 32 bytes of an Ed25519 private key (RFC 8410 §7).
const ED25519_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// What a token permits, and to whom.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Permit {
    pub(super) account: usize,
    pub(super) client: &'static str,
    pub(super) incoming: bool,
    pub(super) call: &'static str,
    pub(super) ends_s: u64,
    seed: u8,
}

impl Permit {
    pub(super) fn may_call(&self, callee: &str) -> bool {
        match self.call.strip_suffix('*') {
            Some(prefix) => callee.starts_with(prefix),
            None => self.call == callee,
        }
    }
}

thread_local! {
    /// Signing is slow, and the same token has the same text.
    static ISSUED: RefCell<BTreeMap<Permit, String>> = const { RefCell::new(BTreeMap::new()) };
    static KEYS: RefCell<BTreeMap<u8, Arc<SigningKey>>> = const { RefCell::new(BTreeMap::new()) };
}

struct Holder {
    is_disabled: bool,
    /// Of its keys, the current one last.
    seeds: Vec<u8>,
}

pub(super) struct Ministry {
    holders: [Holder; 2],
    settings: Settings,
    keys_made: u8,
    permits: BTreeMap<String, Permit>,
    last: Arc<Snapshot>,
}

impl Ministry {
    pub(super) fn new(how: u8) -> Self {
        let mut settings = Settings::default();
        if how % 2 == 1 {
            settings.turn = Some(Arc::new(TurnOffer {
                secret: TurnSecret::new([7; 32]),
                host: None,
                fallback: "192.0.2.1".to_owned(),
                use_host_header: true,
                udp: Some(3478),
                tcp: Some(3478),
                tls: Some(5349),
            }));
        }
        if how & 2 != 0 {
            settings.no_answer = std::time::Duration::from_secs(10);
        }
        let holder = |seed| Holder {
            is_disabled: false,
            seeds: vec![seed],
        };
        Self {
            holders: [holder(0), holder(1)],
            settings,
            keys_made: 2,
            permits: BTreeMap::new(),
            last: Arc::default(),
        }
    }

    pub(super) fn publish(&mut self) -> Arc<Snapshot> {
        let accounts = self.holders.iter().enumerate().map(account);
        let directory = Directory::new(accounts);
        let (snapshot, unusable) = Snapshot::new(directory, self.settings.clone(), &self.last);
        assert!(unusable.is_empty());
        self.last = Arc::new(snapshot);
        Arc::clone(&self.last)
    }

    pub(super) fn change(&mut self, at: usize, how: u8) {
        let holder = &mut self.holders[at];
        match how % 4 {
            0 => holder.is_disabled = true,
            1 | 2 => holder.is_disabled = false,
            _ => {
                holder.seeds.push(self.keys_made);
                self.keys_made = self.keys_made.wrapping_add(1);
                if how & 4 != 0 {
                    holder.seeds.drain(..holder.seeds.len() - 1);
                }
            }
        }
    }

    /// A token for a request of this client, good or not.
    pub(super) fn token(&mut self, client: &Client, how: u8, now: UnixTime) -> Option<String> {
        let issued_s = now.as_secs() / ISSUED_EVERY_S * ISSUED_EVERY_S;
        let mut permit = Permit {
            account: client.account,
            client: client.name,
            incoming: true,
            call: "*",
            ends_s: issued_s + 86_400,
            seed: 0,
        };
        match how % 16 {
            9 => return None,
            10 => permit.incoming = false,
            11 => permit.call = "bob",
            12 => permit.client = NAMES[usize::from(how >> 4) % NAMES.len()],
            13 => permit.account = 1 - permit.account,
            14 => permit.ends_s = now.as_secs() + u64::from(how >> 4),
            15 => return Some("bm90.YQ.dG9rZW4".to_owned()),
            _ => {}
        }
        permit.seed = *self.holders[permit.account].seeds.last()?;
        let text = issued(&permit, &self.last, issued_s);
        self.permits.insert(text.clone(), permit);
        Some(text)
    }

    /// What a token permits that is good now.
    pub(super) fn permit(&self, token: &str, now: UnixTime) -> Option<&Permit> {
        self.permits.get(token).filter(|permit| {
            let holder = &self.holders[permit.account];
            !holder.is_disabled
                && holder.seeds.contains(&permit.seed)
                && now < UnixTime::from_secs(permit.ends_s)
        })
    }
}

fn issued(permit: &Permit, snapshot: &Snapshot, issued_s: u64) -> String {
    ISSUED.with_borrow_mut(|known| {
        if let Some(text) = known.get(permit) {
            return text.clone();
        }
        let account = snapshot
            .directory
            .account(AccountId(permit.account as u32 + 1))
            .unwrap();
        let request = TokenRequest {
            client: ClientId::parse(permit.client).unwrap(),
            ttl_s: u32::try_from(permit.ends_s - issued_s).unwrap(),
            enable_incoming: permit.incoming,
            call_client: vec![CallPattern::parse(permit.call).unwrap()],
        };
        let at = UnixTime::from_secs(issued_s);
        let text = issue(&key(permit.seed), account, &request, [1; 16], at);
        known.insert(permit.clone(), text.clone());
        text
    })
}

fn pkcs8(seed: u8) -> Vec<u8> {
    [ED25519_PREFIX.as_slice(), &[seed; 32]].concat()
}

fn key(seed: u8) -> Arc<SigningKey> {
    KEYS.with_borrow_mut(|keys| {
        let key = keys.entry(seed).or_insert_with(|| {
            Arc::new(SigningKey::parse(Algorithm::EdDsa, &pkcs8(seed)).unwrap())
        });
        Arc::clone(key)
    })
}

fn account((at, holder): (usize, &Holder)) -> Account {
    let row = |seed: &u8| SigningKeyRow {
        kid: key(*seed).kid().to_owned(),
        algorithm: Algorithm::EdDsa,
        pkcs8: SecretBytes::new(pkcs8(*seed)),
        expires: None,
    };
    let id = at as u32 + 1;
    Account {
        id: AccountId(id),
        cloud_id: CloudId::parse("1-2-0").unwrap(),
        username: Username::parse(&format!("user{id}@example.com")).unwrap(),
        kind: AccountKind::Production,
        disabled: holder.is_disabled,
        access_key: WebRtcAccessKey::parse(&format!("key{id}")).unwrap(),
        token_limit: TokenLimit::Unlimited,
        api_keys: Vec::new(),
        signing_keys: holder.seeds.iter().map(row).collect(),
        services: Default::default(),
        service_callers: Default::default(),
        revocations: Default::default(),
    }
}

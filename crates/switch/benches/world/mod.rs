//! One account with a signing key, as the benchmarks need it.

use std::sync::Arc;

use model::{
    Account, AccountId, AccountKind, Algorithm, CloudId, Directory, SecretBytes, SigningKeyRow,
    TokenLimit, UnixTime, Username, WebRtcAccessKey,
};
use switch::token::{SigningKey, TokenRequest, issue};
use switch::{Settings, Snapshot};

pub(crate) const START: UnixTime = UnixTime::from_secs(1_795_000_000);

pub(crate) struct World {
    pub(crate) account: Account,
    pub(crate) snapshot: Arc<Snapshot>,
}

impl World {
    /// With this key, a PKCS#8 document.
    pub(crate) fn new(algorithm: Algorithm, pkcs8: &[u8]) -> Self {
        let kid = SigningKey::parse(algorithm, pkcs8)
            .expect("it parses")
            .kid()
            .to_owned();
        let account = Account {
            id: AccountId(1),
            cloud_id: CloudId::parse("1-2-0").expect("well-formed"),
            username: Username::parse("demo@example.com").expect("well-formed"),
            kind: AccountKind::Production,
            disabled: false,
            access_key: WebRtcAccessKey::parse("testwebrtckey").expect("well-formed"),
            token_limit: TokenLimit::Unlimited,
            api_keys: Vec::new(),
            signing_keys: vec![SigningKeyRow {
                kid,
                algorithm,
                pkcs8: SecretBytes::new(pkcs8.to_vec()),
                expires: None,
            }],
            services: Default::default(),
            service_callers: Default::default(),
            revocations: Default::default(),
        };
        let directory = Directory::new([account.clone()]);
        let (snapshot, _) = Snapshot::new(directory, Settings::default(), &Snapshot::default());
        Self {
            account,
            snapshot: Arc::new(snapshot),
        }
    }

    /// A token of this client, which may call these. It lasts longer than any benchmark's clock runs.
    pub(crate) fn token(&self, client: &str, calls: &str) -> String {
        let parameters = [("client_id", client), ("call_client", calls)];
        let mut request = TokenRequest::from_parameters(parameters).expect("well-formed");
        request.ttl_s = 3_000_000;
        self.issue(&request)
    }

    pub(crate) fn issue(&self, request: &TokenRequest) -> String {
        let keys = self.snapshot.keys.account(self.account.id);
        let key = keys.and_then(|keys| keys.signing()).expect("it signs");
        issue(key, &self.account, request, [7; 16], START)
    }
}

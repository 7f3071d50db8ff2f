//! The `[[trunk]]` tables of the configuration file: SIP peers of accounts that are no browsers.
//!
//! Says what is wrong by file, line and key; never repeats a password, and resolves no name. Whether the accounts are there only the
//! store knows.

use std::cmp::Reverse;
use std::path::Path;

use node::model::{
    InvalidTrunk, Login, Number, NumberPattern, PeerPlace, SecretBytes, ServiceName, Trunk,
    TrunkLogin, TrunkName, TrunkTransport, limits,
};
use node::wanted_trunk::{Authority, WantedTrunk};
use toml::Spanned;
use toml::de::DeValue;

use super::config_fault::Faults;
use super::config_key::Form;
use super::config_table::{FileTable, TableKey};
use super::config_trunk::parse_password;
use super::config_trunk_peer::{
    NamedFile, host, parse_media, parse_own_network, parse_peer, parse_transport,
};
use super::config_trunk_word::{parse_pause, parse_register, parse_transfer};

/// The key at the top of the file.
pub(crate) const TRUNK: &str = "trunk";

const ACCOUNT: TableKey = TableKey::text("account", "\"1-2-0/bob@example.com\"");
const NAME: TableKey = TableKey::text("name", "\"provider\"");
const PEERS: TableKey = TableKey::new("peers", Form::List, "[\"192.0.2.10:5060\"]");
const TRANSPORT: TableKey = TableKey::text("transport", "\"udp\"");
const MEDIA: TableKey = TableKey::text("media", "\"srtp\"");
const CA_FILE: TableKey = TableKey::new("ca_file", Form::Path, "\"provider.pem\"");
const NETWORKS: TableKey = TableKey::new("networks", Form::List, "[\"198.51.100.0/24\"]");
const DOMAIN: TableKey = TableKey::text("domain", "\"sip.example.com\"");
const USER: TableKey = TableKey::text("user", "\"4420790000\"");
const PASSWORD: TableKey = TableKey::text("password", "\"…\", as the provider says");
const PASSWORD_FILE: TableKey = TableKey::new("password_file", Form::Path, "\"provider.secret\"");
const REGISTER: TableKey = TableKey::new("register", Form::SwitchOrNumber, "true");
const CHECK_S: TableKey = TableKey::new("check_s", Form::Number, "30");
const SESSION_S: TableKey = TableKey::new("session_s", Form::Number, "1800");
const CALLER: TableKey = TableKey::text("caller", "\"+442079460000\"");
const TRUSTED: TableKey = TableKey::new("trusted", Form::Switch, "true");
const TRANSFER: TableKey = TableKey::text("transfer", "\"own\"");
const NUMBERS: TableKey = TableKey::new("numbers", Form::Table, "{ \"+4420*\" = \"support\" }");

const KEYS: [&TableKey; 18] = [
    &ACCOUNT,
    &NAME,
    &TRANSPORT,
    &MEDIA,
    &PEERS,
    &NETWORKS,
    &DOMAIN,
    &CA_FILE,
    &USER,
    &PASSWORD,
    &PASSWORD_FILE,
    &REGISTER,
    &CHECK_S,
    &SESSION_S,
    &CALLER,
    &TRUSTED,
    &TRANSFER,
    &NUMBERS,
];

/// The keys of a table, for the page that explains them.
#[cfg(test)]
pub(super) fn key_names() -> [&'static str; KEYS.len()] {
    KEYS.map(|key| key.name)
}

/// A trunk as it stands in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileTrunk {
    /// Without a password where there is a file for it.
    pub(super) wanted: WantedTrunk,
    pub(super) password_file: Option<NamedFile>,
    /// Without who vouches for its peers where there is a file for that.
    pub(super) ca_file: Option<NamedFile>,
}

/// What the value of `trunk` says; `line_of` knows the line of a byte of the file.
pub(crate) fn trunks(
    value: &Spanned<DeValue<'_>>,
    file: &Path,
    line_of: &dyn Fn(usize) -> usize,
    faults: &mut Faults,
) -> Vec<FileTrunk> {
    let mut trunks: Vec<FileTrunk> = Vec::new();
    let tables = faults.take(FileTable::each(value, TRUNK, file, line_of));
    for table in tables.unwrap_or_default() {
        let Some(trunk) = (TrunkTable { table }).trunk(faults) else {
            continue;
        };
        let wanted = &trunk.wanted;
        let same = trunks.iter().find(|FileTrunk { wanted: other, .. }| {
            other.login == wanted.login && other.trunk.name == wanted.trunk.name
        });
        if let Some(other) = same {
            faults.note(format!(
                "{}: trunk {} of {} is already at {}",
                wanted.place, wanted.trunk.name, wanted.login, other.wanted.place
            ));
        }
        trunks.push(trunk);
    }
    trunks
}

/// One of the tables.
struct TrunkTable<'a> {
    table: FileTable<'a>,
}

impl TrunkTable<'_> {
    fn trunk(&self, faults: &mut Faults) -> Option<FileTrunk> {
        let table = &self.table;
        let is_known = table.note_unknown(&KEYS, faults);
        let login = table.named(&ACCOUNT, Login::parse);
        let login = table.needed(&ACCOUNT, login, is_known, faults);
        let name = table.named(&NAME, TrunkName::parse);
        let name = table.needed(&NAME, name, is_known, faults);
        let transport = faults.take(table.worded(&TRANSPORT, parse_transport));
        let is_transport = transport.is_some();
        let transport = transport.flatten().unwrap_or_default();
        let places = self.list(&PEERS, |text| parse_peer(text, transport));
        let places = table.needed(&PEERS, places, is_known, faults);
        let own_login = faults.take(self.login());
        let media = faults.take(table.worded(&MEDIA, parse_media));
        let networks = faults.take(self.list(&NETWORKS, parse_own_network));
        let domain = faults.take(table.text(&DOMAIN));
        let registration = faults.take(table.worded(&REGISTER, parse_register));
        let check = faults.take(table.worded(&CHECK_S, parse_pause));
        let session = faults.take(table.worded(&SESSION_S, parse_pause));
        let numbers = self.numbers(faults);
        let caller = faults.take(table.named(&CALLER, Number::parse));
        let trusted = faults.take(table.text(&TRUSTED));
        let transfer = faults.take(table.worded(&TRANSFER, parse_transfer));
        // Without its transport it cannot be said whether it fits.
        let ca_file = is_transport.then(|| faults.take(self.ca_file(transport)));
        let (own_login, password_file) = own_login?;
        let places = places?;
        let trunk = Trunk {
            account: WantedTrunk::NOBODY,
            name: name?,
            transport,
            media: media?.unwrap_or_default(),
            networks: networks?.unwrap_or_default(),
            domain: domain?.unwrap_or_else(|| host(&places)),
            peers: places.iter().filter_map(PeerPlace::address).collect(),
            former: Vec::new(),
            places,
            login: own_login,
            registration: registration?.flatten(),
            check: check?.unwrap_or(Some(limits::TRUNK_CHECK)),
            session: session?.unwrap_or(Some(limits::SESSION_TIME)),
            numbers: numbers?,
            caller: caller?,
            is_trusted: trusted?.is_some_and(|text| text == "true"),
            transfer: transfer?.unwrap_or_default(),
        };
        let checked = trunk
            .check()
            .map_err(|fault| format!("{}: {fault}", table.line(key_of(&fault))));
        faults.take(checked)?;
        Some(FileTrunk {
            wanted: WantedTrunk {
                login: login?,
                trunk,
                ca: Authority::System,
                place: table.place(),
            },
            password_file,
            ca_file: ca_file??,
        })
    }

    /// The items one by one, each once.
    fn list<T: PartialEq>(
        &self,
        key: &TableKey,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<Vec<T>>, String> {
        let table = &self.table;
        let Some(texts) = table.texts(key)? else {
            return Ok(None);
        };
        let mut items = Vec::with_capacity(texts.len());
        for text in texts {
            let item = parse(text)
                .map_err(|rule| format!("{}: {text:?} will not do: {rule}", table.line(key)))?;
            if items.contains(&item) {
                return Err(format!("{}: {text} is named twice", table.line(key)));
            }
            items.push(item);
        }
        Ok(Some(items))
    }

    fn ca_file(&self, transport: TrunkTransport) -> Result<Option<NamedFile>, String> {
        let table = &self.table;
        let Some(path) = table.text(&CA_FILE)? else {
            return Ok(None);
        };
        let place = table.line(&CA_FILE);
        if transport != TrunkTransport::Tls {
            return Err(format!(
                "{place}: ca_file says who vouches for peers by TLS: give transport = \"tls\" as well, or drop it"
            ));
        }
        let path = path.into();
        Ok(Some(NamedFile { path, place }))
    }

    /// What we show to peers that ask who we are, and where its password stands if not here.
    fn login(&self) -> Result<(Option<TrunkLogin>, Option<NamedFile>), String> {
        let table = &self.table;
        let (user, given) = (table.text(&USER)?, table.text(&PASSWORD)?);
        let file = table.text(&PASSWORD_FILE)?;
        if given.is_some() && file.is_some() {
            return Err(format!(
                "{}: password and password_file exclude each other: drop one",
                table.later(&PASSWORD, &PASSWORD_FILE)
            ));
        }
        let key = if file.is_some() {
            &PASSWORD_FILE
        } else {
            &PASSWORD
        };
        let password = given.as_deref().map(parse_password).transpose();
        let password = password.map_err(|rule| format!("{}: {rule}", table.line(&PASSWORD)))?;
        let password = password.or_else(|| file.is_some().then(|| SecretBytes::new(Vec::new())));
        match (user, password) {
            (None, None) => Ok((None, None)),
            (Some(user), Some(password)) => {
                let file = file.map(|path| NamedFile {
                    path: path.into(),
                    place: table.line(key),
                });
                Ok((Some(TrunkLogin { user, password }), file))
            }
            (Some(_), None) => Err(format!(
                "{}: user is given without a password: give password or password_file as well",
                table.line(&USER)
            )),
            (None, Some(_)) => Err(format!(
                "{}: {} is given without user: give user = {} as well",
                table.line(key),
                key.name,
                USER.example
            )),
        }
    }

    /// Which service each number reaches. Tables have no order: a number comes before a beginning, and a long one before a short one.
    fn numbers(&self, faults: &mut Faults) -> Option<Vec<(NumberPattern, ServiceName)>> {
        let table = &self.table;
        let Some(value) = table.values.get(NUMBERS.name) else {
            return Some(Vec::new());
        };
        let rules = value.get_ref().as_table();
        let rules = faults.take(rules.ok_or_else(|| table.misformed(&NUMBERS)))?;
        // As they stand in the file, and so are their faults told.
        let mut rules: Vec<_> = rules.iter().collect();
        rules.sort_by_key(|(text, _)| text.span().start);
        let mut numbers: Vec<((bool, Reverse<usize>), NumberPattern, ServiceName)> = Vec::new();
        for (text, service) in rules {
            let at = table.at(text.span().start);
            let text: &str = text.get_ref();
            let rule = rule(&at, text, service.get_ref());
            let Some((pattern, service)) = faults.take(rule) else {
                continue;
            };
            if numbers.iter().any(|(_, other, _)| *other == pattern) {
                faults.note(format!("{at}: {text:?} says the same as a number above it"));
            }
            numbers.push((rank(text), pattern, service));
        }
        numbers.sort_by_key(|(rank, ..)| *rank);
        let numbers = numbers.into_iter();
        Some(
            numbers
                .map(|(_, pattern, service)| (pattern, service))
                .collect(),
        )
    }
}

/// One number, and the service that it leads to.
fn rule(
    at: &str,
    text: &str,
    service: &DeValue<'_>,
) -> Result<(NumberPattern, ServiceName), String> {
    let pattern = NumberPattern::parse(text).map_err(|error| format!("{at}: {error}"))?;
    let service = service
        .as_str()
        .ok_or_else(|| format!("{at}: a number leads to a service: {text:?} = \"support\""))?;
    let service = ServiceName::parse(service).map_err(|error| format!("{at}: {error}"))?;
    Ok((pattern, service))
}

/// What comes first is least.
fn rank(pattern: &str) -> (bool, Reverse<usize>) {
    let counts = |character: &char| character.is_ascii_digit() || *character == '+';
    let length = pattern.chars().filter(counts).count();
    (pattern.ends_with('*'), Reverse(length))
}

/// The key that says what cannot be.
fn key_of(fault: &InvalidTrunk) -> &'static TableKey {
    match fault {
        InvalidTrunk::KeysInClear(_) => &MEDIA,
        InvalidTrunk::NoPeer | InvalidTrunk::TooManyPeers(_) => &PEERS,
        InvalidTrunk::TooManyNetworks(_) => &NETWORKS,
        InvalidTrunk::TooManyNumbers(_) => &NUMBERS,
        InvalidTrunk::NoLogin | InvalidTrunk::Registration(_) => &REGISTER,
        InvalidTrunk::Check(_) => &CHECK_S,
        InvalidTrunk::Session(_) => &SESSION_S,
        InvalidTrunk::Domain(_) => &DOMAIN,
        InvalidTrunk::User(_) => &USER,
    }
}

#[cfg(test)]
mod tests;

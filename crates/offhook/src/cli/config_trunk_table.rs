//! The `[[trunk]]` tables of the configuration file: SIP peers of accounts that are no browsers.
//!
//! Says what is wrong by file, line and key; never repeats a password, and resolves no name. Whether the accounts are there only the
//! store knows.

use std::cmp::Reverse;
use std::path::Path;

use node::model::{
    InvalidTrunk, Login, Number, NumberPattern, SecretBytes, ServiceName, Trunk, TrunkLogin,
    TrunkName, TrunkTransport, limits,
};
use node::wanted_trunk::{Authority, WantedTrunk};
use toml::Spanned;
use toml::de::DeValue;

use super::config_key::Form;
use super::config_table::{FileTable, TableKey};
use super::config_trunk::parse_password;
use super::config_trunk_peer::{NamedFile, host, parse_own_network, parse_peer, parse_transport};
use super::config_trunk_word::{parse_pause, parse_register, parse_transfer};

/// The key at the top of the file.
pub(crate) const TRUNK: &str = "trunk";

const ACCOUNT: TableKey = TableKey::text("account", "\"1-2-0/bob@example.com\"");
const NAME: TableKey = TableKey::text("name", "\"provider\"");
const PEERS: TableKey = TableKey::new("peers", Form::List, "[\"192.0.2.10:5060\"]");
const TRANSPORT: TableKey = TableKey::text("transport", "\"udp\"");
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

const KEYS: [&TableKey; 17] = [
    &ACCOUNT,
    &NAME,
    &TRANSPORT,
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
) -> Result<Vec<FileTrunk>, String> {
    let mut trunks: Vec<FileTrunk> = Vec::new();
    for table in FileTable::each(value, TRUNK, file, line_of)? {
        let trunk = TrunkTable { table }.trunk()?;
        let wanted = &trunk.wanted;
        let same = trunks.iter().find(|FileTrunk { wanted: other, .. }| {
            other.login == wanted.login && other.trunk.name == wanted.trunk.name
        });
        if let Some(other) = same {
            return Err(format!(
                "{}: trunk {} of {} is already at {}",
                wanted.place, wanted.trunk.name, wanted.login, other.wanted.place
            ));
        }
        trunks.push(trunk);
    }
    Ok(trunks)
}

/// One of the tables.
struct TrunkTable<'a> {
    table: FileTable<'a>,
}

impl TrunkTable<'_> {
    fn trunk(&self) -> Result<FileTrunk, String> {
        let table = &self.table;
        table.refuse_unknown(&KEYS)?;
        let login = table.named(&ACCOUNT, Login::parse)?;
        let login = login.ok_or_else(|| table.lacks(&ACCOUNT))?;
        let name = table.named(&NAME, TrunkName::parse)?;
        let transport = table
            .worded(&TRANSPORT, parse_transport)?
            .unwrap_or_default();
        let peers = self.list(&PEERS, |text| parse_peer(text, transport))?;
        let peers = peers.ok_or_else(|| table.lacks(&PEERS))?;
        let (own_login, password_file) = self.login()?;
        let caller = table.text(&CALLER)?.map(|text| Number::parse(&text));
        let trunk = Trunk {
            account: WantedTrunk::NOBODY,
            name: name.ok_or_else(|| table.lacks(&NAME))?,
            transport,
            networks: self.list(&NETWORKS, parse_own_network)?.unwrap_or_default(),
            domain: table.text(&DOMAIN)?.unwrap_or_else(|| host(&peers)),
            peers,
            login: own_login,
            registration: table.worded(&REGISTER, parse_register)?.flatten(),
            check: table
                .worded(&CHECK_S, parse_pause)?
                .unwrap_or(Some(limits::TRUNK_CHECK)),
            session: table
                .worded(&SESSION_S, parse_pause)?
                .unwrap_or(Some(limits::SESSION_TIME)),
            numbers: self.numbers()?,
            caller: caller
                .transpose()
                .map_err(|error| format!("{}: {error}", table.line(&CALLER)))?,
            is_trusted: table.text(&TRUSTED)?.is_some_and(|text| text == "true"),
            transfer: table.worded(&TRANSFER, parse_transfer)?.unwrap_or_default(),
        };
        trunk
            .check()
            .map_err(|fault| format!("{}: {fault}", table.line(key_of(&fault))))?;
        let place = table.place();
        Ok(FileTrunk {
            wanted: WantedTrunk {
                login,
                trunk,
                ca: Authority::System,
                place,
            },
            password_file,
            ca_file: self.ca_file(transport)?,
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
    fn numbers(&self) -> Result<Vec<(NumberPattern, ServiceName)>, String> {
        let table = &self.table;
        let Some(value) = table.values.get(NUMBERS.name) else {
            return Ok(Vec::new());
        };
        let rules = value.get_ref().as_table();
        let rules = rules.ok_or_else(|| table.misformed(&NUMBERS))?;
        // As they stand in the file, so that the first fault is told.
        let mut rules: Vec<_> = rules.iter().collect();
        rules.sort_by_key(|(text, _)| text.span().start);
        let mut numbers: Vec<((bool, Reverse<usize>), NumberPattern, ServiceName)> = Vec::new();
        for (text, service) in rules {
            let at = table.at(text.span().start);
            let text: &str = text.get_ref();
            let pattern = NumberPattern::parse(text).map_err(|error| format!("{at}: {error}"))?;
            if numbers.iter().any(|(_, other, _)| *other == pattern) {
                return Err(format!("{at}: {text:?} says the same as a number above it"));
            }
            let service = service.get_ref().as_str().ok_or_else(|| {
                format!("{at}: a number leads to a service: {text:?} = \"support\"")
            })?;
            let service = ServiceName::parse(service).map_err(|error| format!("{at}: {error}"))?;
            numbers.push((rank(text), pattern, service));
        }
        numbers.sort_by_key(|(rank, ..)| *rank);
        let numbers = numbers.into_iter();
        Ok(numbers
            .map(|(_, pattern, service)| (pattern, service))
            .collect())
    }
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
mod tests {
    use std::time::Duration;

    use node::model::TrunkTransfer;

    use super::super::config_file::ConfigFile;
    use super::*;

    fn read(text: &str) -> Result<Vec<FileTrunk>, String> {
        let file = ConfigFile::parse(Path::new("/etc/offhook.toml"), text)?;
        Ok(file.trunks().to_vec())
    }

    /// A table with account, name and peers, on lines 1 to 4.
    fn table(rest: &str) -> String {
        format!(
            "[[trunk]]\naccount = \"1-2-0/a@b.c\"\nname = \"t\"\npeers = [\"192.0.2.10\"]\n{rest}\n"
        )
    }

    fn one(rest: &str) -> Trunk {
        read(&table(rest)).unwrap().remove(0).wanted.trunk
    }

    fn refused(faulty: &[(&str, usize, &str)]) {
        for (text, line, words) in faulty {
            let sentence = read(text).unwrap_err();
            let start = format!("/etc/offhook.toml line {line}: ");
            assert!(sentence.starts_with(&start), "{text}: {sentence}");
            assert!(sentence.contains(words), "{text}: {sentence}");
            assert!(!sentence.contains('\n'), "{sentence}");
        }
    }

    #[test]
    fn what_is_not_said_is_as_usual() {
        let trunk = one("");
        assert_eq!(trunk.peers, ["192.0.2.10:5060".parse().unwrap()]);
        assert_eq!(trunk.domain, "192.0.2.10");
        assert_eq!(trunk.check, Some(Duration::from_secs(30)));
        assert_eq!((&trunk.login, trunk.registration), (&None, None));
        assert!(trunk.networks.is_empty() && trunk.numbers.is_empty());
        assert!(trunk.caller.is_none() && !trunk.is_trusted);
        assert_eq!(trunk.transfer, TrunkTransfer::Own);
        assert_eq!(read("demo = false"), Ok(Vec::new()));
        let six = "[[trunk]]\naccount = \"1-2-0/a@b.c\"\nname = \"t\"\n\
                   peers = [\"2001:db8::1\", \"[2001:db8::2]\", \"[2001:db8::1]:5070\", \"[::ffff:192.0.2.1]:5\"]";
        let trunk = read(six).unwrap().remove(0).wanted.trunk;
        let peers = [
            "[2001:db8::1]:5060",
            "[2001:db8::2]:5060",
            "[2001:db8::1]:5070",
            "192.0.2.1:5",
        ];
        assert_eq!(trunk.peers, peers.map(|peer| peer.parse().unwrap()));
        assert_eq!(trunk.domain, "[2001:db8::1]");
    }

    #[test]
    fn each_key_is_read_and_the_password_is_not_shown() {
        let text = table(
            "networks = [\"198.51.100.0/24\", \"203.0.113.9\"]\ndomain = \"sip.example.com\"\nuser = \"u\"\n\
             password = \"s3cret, or so\"\nregister = true\ncheck_s = 0\ncaller = \"+44 20 7946\"\ntrusted = true",
        );
        let trunks = read(&text).unwrap();
        let FileTrunk {
            wanted,
            password_file,
            ca_file,
        } = &trunks[0];
        assert_eq!(wanted.place, "/etc/offhook.toml line 1");
        assert_eq!(wanted.login, Login::parse("1-2-0/a@b.c").unwrap());
        assert_eq!((password_file, ca_file), (&None, &None));
        assert_eq!(wanted.trunk.transport, TrunkTransport::Udp);
        let trunk = &wanted.trunk;
        assert!(trunk.admits("198.51.100.77".parse().unwrap()));
        assert!(trunk.admits("203.0.113.9".parse().unwrap()));
        assert_eq!(trunk.domain, "sip.example.com");
        let login = trunk.login.as_ref().unwrap();
        assert_eq!(
            (login.user.as_str(), login.password.expose()),
            ("u", &b"s3cret, or so"[..])
        );
        assert_eq!(trunk.registration, Some(Duration::from_secs(300)));
        assert_eq!(trunk.check, None);
        assert_eq!(trunk.caller, Some(Number::parse("+44207946").unwrap()));
        assert!(trunk.is_trusted);
        assert!(!format!("{trunks:?}").contains("s3cret"));

        let login = "user = \"u\"\npassword = \"p\"\n";
        let lasts = |word: &str| one(&format!("{login}register = {word}")).registration;
        assert_eq!(lasts("false"), None);
        assert_eq!(lasts("600"), Some(Duration::from_secs(600)));
        let from_file = read(&table("user = \"u\"\npassword_file = \"kept\"")).unwrap();
        let NamedFile { path, place } = from_file[0].password_file.as_ref().unwrap();
        assert_eq!(path, Path::new("/etc/kept"));
        assert_eq!(place, "/etc/offhook.toml line 6");
    }

    #[test]
    fn a_trunk_by_tls_has_another_port_and_perhaps_a_file_of_who_vouches_for_it() {
        let text = table("transport = \"tls\"\nca_file = \"ca.pem\"");
        let FileTrunk {
            wanted, ca_file, ..
        } = read(&text).unwrap().remove(0);
        assert_eq!(wanted.trunk.transport, TrunkTransport::Tls);
        assert_eq!(wanted.trunk.peers, ["192.0.2.10:5061".parse().unwrap()]);
        let NamedFile { path, place } = ca_file.unwrap();
        assert_eq!(path, Path::new("/etc/ca.pem"));
        assert_eq!(place, "/etc/offhook.toml line 6");
        refused(&[
            (
                &table("ca_file = \"ca.pem\""),
                5,
                "transport = \"tls\" as well",
            ),
            (&table("transport = \"sctp\""), 5, "udp, tcp or tls"),
        ]);
    }

    #[test]
    fn sessions_are_refreshed_as_often_as_is_said() {
        let lasts = |row: &str| one(row).session;
        assert_eq!(lasts(""), Some(Duration::from_secs(1_800)));
        assert_eq!(lasts("session_s = 90"), Some(Duration::from_secs(90)));
        assert_eq!(lasts("session_s = 0"), None);
        let brief = table("session_s = 89");
        refused(&[(&brief, 5, "every 90 to 86400 seconds, not 89")]);
    }

    #[test]
    fn a_number_comes_before_a_beginning_and_a_long_one_before_a_short_one() {
        let trunk = one(
            "[trunk.numbers]\n\"*\" = \"rest\"\n\"+44*\" = \"uk\"\n\"+44 (20)*\" = \"london\"\n\
             \"+4420\" = \"one\"\n\"+*\" = \"abroad\"",
        );
        let order: Vec<&str> = trunk
            .numbers
            .iter()
            .map(|(_, name)| name.as_str())
            .collect();
        assert_eq!(order, ["one", "london", "uk", "abroad", "rest"]);
        let reached = |number: &str| {
            trunk
                .service_for(&Number::parse(number).unwrap())
                .unwrap()
                .as_str()
        };
        assert_eq!((reached("+4420"), reached("+44201")), ("one", "london"));
        assert_eq!((reached("+331"), reached("112")), ("abroad", "rest"));
    }

    #[test]
    fn what_is_no_table_or_lacks_a_key_or_has_one_too_many_is_told_with_its_line() {
        let twice = format!("{0}{0}", table(""));
        refused(&[
            ("[trunk]\nname = \"a\"", 1, "begins with [[trunk]]"),
            ("\ntrunk = \"t\"", 2, "each trunk is a table of its own"),
            (
                "\n[[trunk]]",
                2,
                "a trunk needs account, such as account = ",
            ),
            (
                "[[trunk]]\naccount = \"1-2-0/a@b.c\"\npeers = [\"192.0.2.1\"]",
                1,
                "needs name",
            ),
            (
                "[[trunk]]\naccount = \"1-2-0/a@b.c\"\nname = \"t\"",
                1,
                "needs peers, such as peers = [",
            ),
            (
                &table("peer = 1"),
                5,
                "no key \"peer\"; did you mean peers?",
            ),
            (
                &twice,
                6,
                "trunk t of 1-2-0/a@b.c is already at /etc/offhook.toml line 1",
            ),
            ("trunks = 1", 1, "did you mean trunk"),
        ]);
    }

    #[test]
    fn a_wrong_value_is_told_with_what_would_be_right() {
        let peers = |list: &str| {
            format!("[[trunk]]\naccount = \"1-2-0/a@b.c\"\nname = \"t\"\npeers = {list}\n")
        };
        let number = |rule: &str| table(&format!("[trunk.numbers]\n{rule}"));
        refused(&[
            (
                &peers("[\"sip.example.com\"]"),
                4,
                "names are not resolved yet",
            ),
            (
                &peers("[\"sip.example.com:5060\"]"),
                4,
                "such as 192.0.2.10:5060",
            ),
            (&peers("[\"0.0.0.0\"]"), 4, "nobody can be there"),
            (&peers("[\"192.0.2.1:0\"]"), 4, "nobody can be there"),
            (&peers("[]"), 4, "at least one peer"),
            (
                &peers("[\"192.0.2.1\", \"192.0.2.1:5060\"]"),
                4,
                "192.0.2.1:5060 is named twice",
            ),
            (&peers("\"192.0.2.1\""), 4, "a list of texts in quotes"),
            (
                &table("networks = [\"10.1.2.3/8\"]"),
                5,
                "did you mean 10.0.0.0/8?",
            ),
            (&table("domain = \"a b\""), 5, "\"a b\" is no host name"),
            (&table("register = true"), 5, "needs a user and a password"),
            (
                &table("user = \"u\"\npassword = \"p\"\nregister = 5"),
                7,
                "60 to 86400 seconds, not 5",
            ),
            (
                &table("register = \"yes\""),
                5,
                "true, false or a whole number of seconds",
            ),
            (
                &table("register = -1"),
                5,
                "true, false, or a number of seconds",
            ),
            (&table("check_s = 4"), 5, "every 5 to 3600 seconds, not 4"),
            (&table("check_s = -4"), 5, "or 0 for never"),
            (
                &table("caller = \"alice\""),
                5,
                "\"alice\" is no telephone number",
            ),
            (&table("trusted = 1"), 5, "true or false"),
            (&number("\"4*4\" = \"a\""), 6, "may end with '*'"),
            (&number("\"44\" = 1"), 6, "\"44\" = \"support\""),
            (&number("\"44\" = \"a b\""), 6, "service name \"a b\""),
            (
                &number("\"44\" = \"a\"\n\"4-4\" = \"b\""),
                7,
                "says the same as",
            ),
            (&table("numbers = \"44\""), 5, "a table of texts in quotes"),
        ]);
    }

    #[test]
    fn user_and_password_come_together_and_a_wrong_one_is_not_repeated() {
        refused(&[
            (
                &table("user = \"u\""),
                5,
                "user is given without a password",
            ),
            (
                &table("password = \"p\""),
                5,
                "password is given without user",
            ),
            (
                &table("password_file = \"p\""),
                5,
                "password_file is given without user",
            ),
            (
                &table("user = \"a b\"\npassword = \"p\""),
                5,
                "\"a b\" is no user",
            ),
            (
                &table("user = \"u\"\npassword = \"p\"\npassword_file = \"p\""),
                7,
                "password and password_file exclude each other",
            ),
        ]);
        for wrong in ["z".repeat(129), "zz\\tzz".to_owned()] {
            let text = table(&format!("user = \"u\"\npassword = \"{wrong}\""));
            refused(&[(&text, 6, "a password must have 1 to 128 bytes")]);
            assert!(!read(&text).unwrap_err().contains("zz"));
        }
    }
}

//! The `[[service]]` tables of the configuration file: services that are to be there whenever the server serves.
//!
//! Says what is wrong by file, line and key; never repeats a secret. Whether the accounts are there only the store knows.

use std::path::Path;

use node::model::{
    Application, ClientGroup, ClientId, InvalidGroup, Login, Page, PageUrl, RingOrder, SecretBytes,
    ServiceName, limits,
};
use node::wanted_service::{WantedService, WantedTarget};
use serde_json::{Value, json};
use toml::Spanned;
use toml::de::DeValue;

use super::config_fault::Faults;
use super::config_key::Form;
use super::config_table::{FileTable, TableKey};
use super::output::Table;
use super::service::{parse_method, parse_order};

/// The key at the top of the file.
pub(crate) const SERVICE: &str = "service";

const ACCOUNT: TableKey = TableKey::text("account", "\"1-2-0/bob@example.com\"");
const NAME: TableKey = TableKey::text("name", "\"support\"");
const CLIENTS: TableKey = TableKey::new("clients", Form::List, "[\"bob\", \"carol\"]");
const RING: TableKey = TableKey::text("ring", "\"in-order\"");
const RING_S: TableKey = TableKey::new("ring_s", Form::Number, "20");
const FIRST_PAGE: TableKey = TableKey::text("first_page", "\"https://app.example.com/first\"");
const FIRST_METHOD: TableKey = TableKey::text("first_page_method", "\"POST\"");
const FINAL_PAGE: TableKey = TableKey::text("final_page", "\"https://app.example.com/final\"");
const FINAL_METHOD: TableKey = TableKey::text("final_page_method", "\"POST\"");
const ERROR_PAGE: TableKey = TableKey::text("error_page", "\"https://app.example.com/error\"");
const ERROR_METHOD: TableKey = TableKey::text("error_page_method", "\"POST\"");
const SECRET: TableKey = TableKey::text(
    "secret",
    "\"…\", which `head -c 32 /dev/urandom | base64` makes",
);

const KEYS: [&TableKey; 12] = [
    &ACCOUNT,
    &NAME,
    &CLIENTS,
    &RING,
    &RING_S,
    &FIRST_PAGE,
    &FIRST_METHOD,
    &FINAL_PAGE,
    &FINAL_METHOD,
    &ERROR_PAGE,
    &ERROR_METHOD,
    &SECRET,
];

/// What the value of `service` says; `line_of` knows the line of a byte of the file.
pub(crate) fn services(
    value: &Spanned<DeValue<'_>>,
    file: &Path,
    line_of: &dyn Fn(usize) -> usize,
    faults: &mut Faults,
) -> Vec<WantedService> {
    let mut services: Vec<WantedService> = Vec::new();
    let tables = faults.take(FileTable::each(value, SERVICE, file, line_of));
    for table in tables.unwrap_or_default() {
        let Some(service) = (ServiceTable { table }).service(faults) else {
            continue;
        };
        let same = services
            .iter()
            .find(|other| other.login == service.login && other.name == service.name);
        if let Some(other) = same {
            faults.note(format!(
                "{}: service {} of {} is already at {}",
                service.place, service.name, service.login, other.place
            ));
        }
        services.push(service);
    }
    services
}

/// Adds a row for each service to those of `KEY`, `VALUE`, `SOURCE`.
pub(crate) fn add_rows(table: &mut Table, services: &[WantedService]) {
    for service in services {
        let value = format!("{} of {}", service.name, service.login);
        table.row([SERVICE.to_owned(), value, service.place.clone()]);
    }
}

/// The same for programs.
pub(crate) fn in_json(services: &[WantedService]) -> Value {
    let shown = services.iter().map(|service| {
        json!({
            "account": service.login.to_string(),
            "name": service.name.as_str(),
            "source": service.place,
        })
    });
    shown.collect()
}

/// One of the tables.
struct ServiceTable<'a> {
    table: FileTable<'a>,
}

impl ServiceTable<'_> {
    fn service(&self, faults: &mut Faults) -> Option<WantedService> {
        let table = &self.table;
        let is_known = table.note_unknown(&KEYS, faults);
        let login = table.named(&ACCOUNT, Login::parse);
        let login = table.needed(&ACCOUNT, login, is_known, faults);
        let name = table.named(&NAME, ServiceName::parse);
        let name = table.needed(&NAME, name, is_known, faults);
        // Each key by itself, and then what they are together.
        let is_each_right = self.check_each(faults);
        let target = (is_known && is_each_right).then(|| faults.take(self.target()));
        Some(WantedService {
            login: login?,
            name: name?,
            target: target??,
            place: table.place(),
        })
    }

    /// Those that a service of its kind may have.
    fn check_each(&self, faults: &mut Faults) -> bool {
        let is_given = |key: &TableKey| self.table.values.contains_key(key.name);
        let mut checked = Vec::new();
        if !is_given(&FIRST_PAGE) {
            checked.push(self.clients().map(drop));
            checked.push(self.table.worded(&RING, parse_order).map(drop));
            checked.push(self.ring_s().map(drop));
        }
        if !is_given(&CLIENTS) {
            checked.push(self.page(&FIRST_PAGE, &FIRST_METHOD).map(drop));
            checked.push(self.page(&FINAL_PAGE, &FINAL_METHOD).map(drop));
            checked.push(self.page(&ERROR_PAGE, &ERROR_METHOD).map(drop));
            checked.push(self.secret().map(drop));
        }
        let mut is_right = true;
        for checked in checked {
            is_right &= faults.take(checked).is_some();
        }
        is_right
    }

    fn ring_s(&self) -> Result<Option<u16>, String> {
        self.table.worded(&RING_S, |text| {
            let max = limits::SERVICE_RING_MAX_S;
            text.parse()
                .map_err(|_| format!("it must be a number of seconds from 1 to {max}"))
        })
    }

    fn target(&self) -> Result<WantedTarget, String> {
        let (clients, first_page) = (self.clients()?, self.page(&FIRST_PAGE, &FIRST_METHOD)?);
        match (clients, first_page) {
            (Some(_), Some(_)) => Err(format!(
                "{}: clients and first_page exclude each other: either clients answer or an application",
                self.table.later(&CLIENTS, &FIRST_PAGE)
            )),
            (None, None) => Err(format!(
                "{}: a service needs clients, such as clients = {}, or first_page, such as first_page = {}",
                self.table.place(),
                CLIENTS.example,
                FIRST_PAGE.example
            )),
            (Some(clients), None) => {
                let foreign = [&FINAL_PAGE, &FINAL_METHOD, &ERROR_PAGE, &ERROR_METHOD];
                self.refuse_foreign(&foreign, &FIRST_PAGE, &CLIENTS)?;
                self.refuse_foreign(&[&SECRET], &FIRST_PAGE, &CLIENTS)?;
                self.group(clients).map(WantedTarget::Clients)
            }
            (None, Some(first_page)) => {
                self.refuse_foreign(&[&RING, &RING_S], &CLIENTS, &FIRST_PAGE)?;
                Ok(WantedTarget::Application {
                    first_page,
                    final_page: self.page(&FINAL_PAGE, &FINAL_METHOD)?,
                    error_page: self.page(&ERROR_PAGE, &ERROR_METHOD)?,
                    secret: self.secret()?,
                })
            }
        }
    }

    fn clients(&self) -> Result<Option<Vec<ClientId>>, String> {
        let Some(texts) = self.table.texts(&CLIENTS)? else {
            return Ok(None);
        };
        let clients: Result<_, _> = texts.into_iter().map(ClientId::parse).collect();
        clients
            .map(Some)
            .map_err(|error| format!("{}: {error}", self.table.line(&CLIENTS)))
    }

    fn group(&self, clients: Vec<ClientId>) -> Result<ClientGroup, String> {
        let order = self
            .table
            .worded(&RING, parse_order)?
            .unwrap_or(RingOrder::All);
        let ring_s = self.ring_s()?.unwrap_or(limits::SERVICE_RING_DEFAULT_S);
        ClientGroup::new(clients, order, ring_s).map_err(|error| {
            let key = match &error {
                InvalidGroup::Empty | InvalidGroup::TooMany(_) | InvalidGroup::Twice(_) => &CLIENTS,
                InvalidGroup::Ring(_) => &RING_S,
            };
            format!("{}: {error}", self.table.line(key))
        })
    }

    /// The page that `url` names, asked as `method` says.
    fn page(&self, url: &TableKey, method: &TableKey) -> Result<Option<Page>, String> {
        let asked = self
            .table
            .worded(method, |text| parse_method(text).map_err(str::to_owned))?;
        match self.table.named(url, PageUrl::parse)? {
            None if asked.is_some() => Err(format!(
                "{}: {} is given without {}",
                self.table.line(method),
                method.name,
                url.name
            )),
            None => Ok(None),
            Some(url) => Ok(Some(Page {
                url,
                method: asked.unwrap_or_default(),
            })),
        }
    }

    fn secret(&self) -> Result<Option<SecretBytes>, String> {
        let secret = self.table.text(&SECRET)?;
        let secret = secret.map(|text| Application::parse_secret(&text));
        secret
            .transpose()
            .map_err(|error| format!("{}: {error}", self.table.line(&SECRET)))
    }

    /// Refuses keys that belong to `theirs`, where `ours` is given.
    fn refuse_foreign(
        &self,
        keys: &[&TableKey],
        theirs: &TableKey,
        ours: &TableKey,
    ) -> Result<(), String> {
        let given = keys
            .iter()
            .find(|key| self.table.values.contains_key(key.name));
        given.map_or(Ok(()), |key| {
            Err(format!(
                "{}: {} is for a service that has {}, and this one has {}",
                self.table.line(key),
                key.name,
                theirs.name,
                ours.name
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use node::model::PageMethod;

    use super::super::config_file::ConfigFile;
    use super::*;

    fn read(text: &str) -> Result<Vec<WantedService>, String> {
        let file = ConfigFile::sound(Path::new("offhook.toml"), text)?;
        Ok(file.services().to_vec())
    }

    /// A table with account and name, on lines 1 to 3.
    fn table(rest: &str) -> String {
        format!("[[service]]\naccount = \"1-2-0/a@b.c\"\nname = \"ivr\"\n{rest}\n")
    }

    fn page(url: &str, method: PageMethod) -> Page {
        let url = PageUrl::parse(url).unwrap();
        Page { url, method }
    }

    #[test]
    fn services_are_read_with_their_places_beside_the_other_keys() {
        let secret = "0123456789abcdefghijklmnopqrstuv";
        let text = format!(
            "demo = false\n\n[[service]]\nname = \"support\"\naccount = \"1-2-0/a@b.c\"\n\
             clients = [\"bob\", \"eve\"]\nring = \"round_robin\"\nring_s = 7\n\n\
             [[service]]\naccount = \"1-2-0/a@b.c\"\nname = \"ivr\"\nfirst_page = \"http://a/1\"\n\
             final_page = \"http://a/2\"\nfinal_page_method = \"GET\"\nerror_page = \"http://a/3\"\n\
             secret = \"{secret}\"\n"
        );
        let services = read(&text).unwrap();
        let bob_and_eve = ["bob", "eve"].map(|id| ClientId::parse(id).unwrap()).into();
        let group = ClientGroup::new(bob_and_eve, RingOrder::RoundRobin, 7).unwrap();
        assert_eq!(services[0].target, WantedTarget::Clients(group));
        assert_eq!(services[0].place, "offhook.toml line 3");
        let wanted = WantedService {
            login: Login::parse("1-2-0/a@b.c").unwrap(),
            name: ServiceName::parse("ivr").unwrap(),
            target: WantedTarget::Application {
                first_page: page("http://a/1", PageMethod::Post),
                final_page: Some(page("http://a/2", PageMethod::Get)),
                error_page: Some(page("http://a/3", PageMethod::Post)),
                secret: Some(Application::parse_secret(secret).unwrap()),
            },
            place: "offhook.toml line 10".to_owned(),
        };
        assert_eq!(services[1..], [wanted]);
        assert!(!format!("{services:?}").contains(secret));
        let shown = in_json(&services);
        let expected =
            json!({ "account": "1-2-0/a@b.c", "name": "ivr", "source": "offhook.toml line 10" });
        assert_eq!(shown[1], expected);

        let short = read(&table("clients = [\"bob\"]")).unwrap();
        let bob = vec![ClientId::parse("bob").unwrap()];
        let group = ClientGroup::new(bob, RingOrder::All, 20).unwrap();
        assert_eq!(short[0].target, WantedTarget::Clients(group));
        assert_eq!(read("demo = false"), Ok(Vec::new()));
    }

    fn refused(faulty: &[(&str, usize, &str)]) {
        for (text, line, words) in faulty {
            let sentence = read(text).unwrap_err();
            let start = format!("offhook.toml line {line}: ");
            assert!(sentence.starts_with(&start), "{text}: {sentence}");
            assert!(sentence.contains(words), "{text}: {sentence}");
            assert!(!sentence.contains('\n'), "{sentence}");
        }
    }

    #[test]
    fn what_is_no_table_or_lacks_a_key_or_has_one_too_many_is_told_with_its_line() {
        let twice = format!("{0}{0}", table("clients = [\"bob\"]"));
        refused(&[
            ("[service]\nname = \"a\"", 1, "begins with [[service]]"),
            ("\nservice = \"ivr\"", 2, "begins with [[service]]"),
            ("service = [\"ivr\"]", 1, "begins with [[service]]"),
            (
                "\n[[service]]",
                2,
                "a service needs account, such as account = \"1-2-0/bob",
            ),
            (
                "[[service]]\naccount = \"1-2-0/a@b.c\"",
                1,
                "a service needs name, such as name = \"support\"",
            ),
            (&table(""), 1, "a service needs clients, such as"),
            (&table("client = [\"bob\"]"), 4, "did you mean clients?"),
            (
                &table("xx = 1\nfirst_pag = 1"),
                4,
                "no key \"xx\"; the keys are account, name",
            ),
            (
                &twice,
                5,
                "service ivr of 1-2-0/a@b.c is already at offhook.toml line 1",
            ),
        ]);
    }

    #[test]
    fn keys_of_clients_and_of_applications_are_not_mixed() {
        let clients = |rest: &str| table(&format!("clients = [\"bob\"]\n{rest}"));
        let first = |rest: &str| table(&format!("first_page = \"http://a\"\n{rest}"));
        refused(&[
            (
                &clients("first_page = \"http://a\""),
                5,
                "clients and first_page exclude each other",
            ),
            (&first("clients = [\"bob\"]"), 5, "exclude each other"),
            (
                &clients("error_page = \"http://a\""),
                5,
                "error_page is for a service that has first_page, and this one has clients",
            ),
            (
                &clients("secret = \"x\""),
                5,
                "secret is for a service that has first_page",
            ),
            (
                &clients("first_page_method = \"GET\""),
                5,
                "first_page_method is given without first_page",
            ),
            (
                &first("ring_s = 20"),
                5,
                "ring_s is for a service that has clients",
            ),
            (
                &first("final_page_method = \"GET\""),
                5,
                "final_page_method is given without final_page",
            ),
            (
                &table("final_page = \"http://a\""),
                1,
                "a service needs clients",
            ),
        ]);
    }

    #[test]
    fn a_wrong_value_is_told_with_what_would_be_right_and_a_secret_is_not_repeated() {
        let service = |account: &str, name: &str| {
            format!("[[service]]\naccount = \"{account}\"\nname = \"{name}\"\nclients = [\"bob\"]")
        };
        let first = |rest: &str| table(&format!("first_page = \"http://a\"\n{rest}"));
        refused(&[
            (&service("bob", "ivr"), 2, "login \"bob\" is not valid"),
            (&service("1-2-0/a", "a b"), 3, "service name \"a b\""),
            (
                &table("clients = \"bob\""),
                4,
                "must be a list of texts in quotes",
            ),
            (&table("clients = [\"bob\", 1]"), 4, "must be a list"),
            (&table("clients = []"), 4, "at least one client"),
            (&table("clients = [\"a,b\"]"), 4, "client id \"a,b\""),
            (&table("clients = [\"a\", \"a\"]"), 4, "a is named twice"),
            (
                &table("ring = \"x\"\nclients = [\"a\"]"),
                4,
                "\"x\" will not do: it must be all",
            ),
            (
                &table("clients = [\"a\"]\nring_s = 61"),
                5,
                "1 to 60 seconds, not 61",
            ),
            (&table("clients = [\"a\"]\nring_s = -1"), 5, "from 1 to 60"),
            (
                &table("clients = [\"a\"]\nring_s = \"1\""),
                5,
                "a whole number",
            ),
            (
                &table("first_page = \"a\""),
                4,
                "page address \"a\" is not valid: a URL of http",
            ),
            (
                &first("first_page_method = \"PUT\""),
                5,
                "\"PUT\" will not do: it must be GET or POST",
            ),
            (
                &first("error_page = 7"),
                5,
                "error_page is not written right",
            ),
        ]);
        for secret in [
            "tooshort",
            "thirty-two letters and 1 space in it",
            &"z".repeat(129),
        ] {
            let text = first(&format!("secret = \"{secret}\""));
            refused(&[(
                &text,
                5,
                "a signing secret has 32 to 128 printable characters",
            )]);
            assert!(!read(&text).unwrap_err().contains(secret));
        }
    }
}

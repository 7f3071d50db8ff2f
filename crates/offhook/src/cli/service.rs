//! `offhook service …`: the names that an account's clients call without knowing who answers.
//!
//! A running server sees each change by itself; it is waited for.

use clap::{Args, Subcommand};
use node::model::{
    Account, Application, ClientGroup, ClientId, Login, Page, PageMethod, PageUrl, RingOrder,
    SecretBytes, Service, ServiceName, ServiceTarget, limits,
};
use node::provision;
use node::service_document::shown;
use node::store::Put;
use serde_json::Value;

use super::opened::{Opened, parse_login};
use super::output::{Table, labelled, print, print_json};
use super::{Failure, Place};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List the services of an account
    List {
        /// The account, such as 1-2-0/bob@example.com; may be left out if there is only one
        #[arg(value_parser = parse_login)]
        login: Option<Login>,
        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
    /// Show one service
    Show(ShowFlags),
    /// Make a service, or replace the one of this name
    Set(SetFlags),
    /// Have requests to a service's application signed with a new secret from now on
    NewSecret {
        #[command(flatten)]
        named: Named,
    },
    /// Remove a service
    Remove {
        #[command(flatten)]
        named: Named,
    },
}

/// Which service of which account.
#[derive(Args)]
pub(crate) struct Named {
    /// The service, such as support
    #[arg(value_parser = ServiceName::parse)]
    name: ServiceName,
    /// The account, such as 1-2-0/bob@example.com; may be left out if there is only one
    #[arg(long, value_name = "LOGIN", value_parser = parse_login)]
    account: Option<Login>,
}

#[derive(Args)]
pub(crate) struct ShowFlags {
    #[command(flatten)]
    named: Named,
    /// Print nothing but the secret that signs requests to its application: its text as it stands is the key of the HMAC
    #[arg(long)]
    secret: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(crate) struct SetFlags {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    target: TargetFlags,
}

/// Who answers: clients, or an application.
#[derive(Args)]
struct TargetFlags {
    /// Clients answer, with these ids; a comma list, or given several times
    #[arg(long, value_name = "CLIENT", value_delimiter = ',', value_parser = ClientId::parse)]
    clients: Vec<ClientId>,
    /// Whether they ring all at once or one after another, from the first or from each in turn [default: all]
    #[arg(long, value_name = "all|in-order|round-robin", value_parser = parse_order)]
    ring: Option<RingOrder>,
    /// How long one of them rings, or all where they ring at once, in seconds [default: 20]
    #[arg(long, value_name = "SECONDS")]
    ring_s: Option<u16>,
    /// An application answers, whose first page this is
    #[arg(long, value_name = "URL", value_parser = PageUrl::parse)]
    url: Option<PageUrl>,
    /// How its first page is asked [default: POST]
    #[arg(long, value_name = "GET|POST", value_parser = parse_method)]
    method: Option<PageMethod>,
    /// The page of the application that is told when a call has ended
    #[arg(long, value_name = "URL", value_parser = PageUrl::parse)]
    final_url: Option<PageUrl>,
    /// How that is asked [default: POST]
    #[arg(long, value_name = "GET|POST", value_parser = parse_method)]
    final_method: Option<PageMethod>,
    /// The page of the application that is told what went wrong
    #[arg(long, value_name = "URL", value_parser = PageUrl::parse)]
    error_url: Option<PageUrl>,
    /// How that is asked [default: POST]
    #[arg(long, value_name = "GET|POST", value_parser = parse_method)]
    error_method: Option<PageMethod>,
}

impl TargetFlags {
    /// Who answers; requests to an application are signed with `secret`. The error is a sentence.
    fn target(self, secret: SecretBytes) -> Result<ServiceTarget, String> {
        match (self.clients.is_empty(), &self.url) {
            (true, None) => Err(
                "say who answers: --clients CLIENT,CLIENT, or --url URL for an application".into(),
            ),
            (false, Some(_)) => Err(
                "--clients and --url exclude each other: either clients answer or an application"
                    .into(),
            ),
            (false, None) => self.clients(),
            (true, Some(url)) => {
                let url = url.clone();
                self.application(url, secret)
            }
        }
    }

    fn clients(self) -> Result<ServiceTarget, String> {
        let of_applications = [
            ("--method", self.method.is_some()),
            ("--final-url", self.final_url.is_some()),
            ("--final-method", self.final_method.is_some()),
            ("--error-url", self.error_url.is_some()),
            ("--error-method", self.error_method.is_some()),
        ];
        if let Some((flag, _)) = of_applications.into_iter().find(|(_, given)| *given) {
            return Err(format!(
                "{flag} is for a service that an application answers for (--url), and this one has --clients"
            ));
        }
        let ring_s = self.ring_s.unwrap_or(limits::SERVICE_RING_DEFAULT_S);
        let order = self.ring.unwrap_or(RingOrder::All);
        ClientGroup::new(self.clients, order, ring_s)
            .map(ServiceTarget::Clients)
            .map_err(|error| error.to_string())
    }

    fn application(self, url: PageUrl, secret: SecretBytes) -> Result<ServiceTarget, String> {
        let of_clients = [
            ("--ring", self.ring.is_some()),
            ("--ring-s", self.ring_s.is_some()),
        ];
        if let Some((flag, _)) = of_clients.into_iter().find(|(_, given)| *given) {
            return Err(format!(
                "{flag} is for a service that clients answer for (--clients), and this one has --url"
            ));
        }
        let page = |url: Option<PageUrl>, method: Option<PageMethod>, what: &str| match url {
            None if method.is_some() => {
                Err(format!("--{what}-method is given without --{what}-url"))
            }
            None => Ok(None),
            Some(url) => Ok(Some(Page {
                url,
                method: method.unwrap_or_default(),
            })),
        };
        Ok(ServiceTarget::Application(Application {
            first_page: Page {
                url,
                method: self.method.unwrap_or_default(),
            },
            final_page: page(self.final_url, self.final_method, "final")?,
            error_page: page(self.error_url, self.error_method, "error")?,
            secret,
        }))
    }
}

impl Command {
    pub(crate) async fn run(self, place: &Place) -> Result<(), Failure> {
        match self {
            Self::List { login, json } => list(place, login.as_ref(), json).await,
            Self::Show(flags) => show(place, &flags).await,
            Self::Set(flags) => set(place, flags).await,
            Self::NewSecret { named } => renew_secret(place, &named).await,
            Self::Remove { named } => remove(place, &named).await,
        }
    }
}

async fn list(place: &Place, login: Option<&Login>, json: bool) -> Result<(), Failure> {
    let opened = Opened::existing(place).await?;
    let account = opened.account(login)?.clone();
    opened.close().await;
    if json {
        let services: Vec<_> = account.services.values().map(shown).collect();
        return Ok(print_json(&Value::from(services))?);
    }
    Ok(print(list_text(&account))?)
}

fn list_text(account: &Account) -> String {
    let mut table = Table::new(["SERVICE", "RING", "SECONDS", "ANSWERED BY"]);
    for service in account.services.values() {
        let name = service.name.to_string();
        table.row(match &service.target {
            ServiceTarget::Clients(group) => {
                let seconds = group.ring_s().to_string();
                [name, spelt(group.order()), seconds, clients(group)]
            }
            ServiceTarget::Application(application) => {
                let first = asked(&application.first_page);
                [name, String::new(), String::new(), first]
            }
        });
    }
    table.or("There are no services; `offhook service set` makes one.")
}

async fn show(place: &Place, flags: &ShowFlags) -> Result<(), Failure> {
    let opened = Opened::existing(place).await?;
    let account = opened.account(flags.named.account.as_ref())?;
    let login = account.login();
    let service = existing(account, &flags.named.name)?.clone();
    opened.close().await;
    let secret = flags.secret.then(|| secret_text(&service)).transpose()?;
    if flags.json {
        let mut shown = shown(&service);
        if let Some(secret) = secret {
            shown["secret"] = secret.into();
        }
        return Ok(print_json(&shown)?);
    }
    if let Some(secret) = secret {
        return Ok(print(secret)?);
    }
    let mut lines = vec![
        ("service", service.name.to_string()),
        ("account", login.to_string()),
    ];
    match &service.target {
        ServiceTarget::Clients(group) => lines.extend([
            ("clients", clients(group)),
            ("ring", spelt(group.order())),
            ("seconds", group.ring_s().to_string()),
        ]),
        ServiceTarget::Application(application) => {
            let others = [
                ("final page", &application.final_page),
                ("error page", &application.error_page),
            ];
            lines.push(("first page", asked(&application.first_page)));
            let others = others
                .into_iter()
                .filter_map(|(label, page)| Some((label, asked(page.as_ref()?))));
            lines.extend(others);
        }
    }
    print(labelled(lines))?;
    Ok(())
}

async fn set(place: &Place, flags: SetFlags) -> Result<(), Failure> {
    let SetFlags { named, target } = flags;
    let secret = provision::application_secret()?;
    let service = Service {
        name: named.name,
        target: target.target(secret).map_err(Failure::usage)?,
    };
    let opened = Opened::existing(place).await?;
    let account = opened.account(named.account.as_ref())?;
    let login = account.login();
    let put = opened.store.put_service(account.id, &service).await?;
    opened.close_changed().await;
    let done = match put {
        Put::Created => "made",
        Put::Replaced => "replaced",
    };
    Ok(print(format!(
        "Service {} of {login} is {done}.",
        service.name
    ))?)
}

async fn renew_secret(place: &Place, named: &Named) -> Result<(), Failure> {
    let opened = Opened::existing(place).await?;
    let account = opened.account(named.account.as_ref())?;
    let login = account.login();
    // Says what is wrong in words that fit the command.
    secret_text(existing(account, &named.name)?)?;
    let secret = provision::application_secret()?;
    let renewed = opened
        .store
        .renew_service_secret(account.id, &named.name, &secret);
    renewed.await?;
    opened.close_changed().await;
    Ok(print(format!(
        "Requests for service {} of {login} are signed with a new secret; `offhook service show {} --secret` shows it.",
        named.name, named.name
    ))?)
}

async fn remove(place: &Place, named: &Named) -> Result<(), Failure> {
    let opened = Opened::existing(place).await?;
    let account = opened.account(named.account.as_ref())?;
    let login = account.login();
    existing(account, &named.name)?;
    let removed = opened.store.remove_service(account.id, &named.name);
    removed.await?;
    opened.close_changed().await;
    Ok(print(format!(
        "Service {} of {login} is removed.",
        named.name
    ))?)
}

/// The account's service of this name.
fn existing<'a>(account: &'a Account, name: &ServiceName) -> Result<&'a Service, Failure> {
    account.services.get(name).ok_or_else(|| {
        Failure::failed(format!(
            "account {} has no service {name}; `offhook service list` names those that it has",
            account.login()
        ))
    })
}

fn clients(group: &ClientGroup) -> String {
    let clients = group.clients().iter().map(ClientId::as_str);
    clients.collect::<Vec<_>>().join(", ")
}

/// The secret that signs requests to its application.
fn secret_text(service: &Service) -> Result<String, Failure> {
    match &service.target {
        // ASCII, see `Application::parse_secret`.
        ServiceTarget::Application(application) => {
            Ok(String::from_utf8_lossy(application.secret.expose()).into_owned())
        }
        ServiceTarget::Clients(_) => Err(Failure::failed(format!(
            "service {} is answered by clients: no requests are signed for it",
            service.name
        ))),
    }
}

/// How a page is asked, and where it is.
fn asked(page: &Page) -> String {
    format!("{} {}", page.method.as_str(), page.url)
}

/// The order as flags are spelt.
fn spelt(order: RingOrder) -> String {
    order.as_str().replace('_', "-")
}

/// Reads an order, spelt like a flag or as it is in JSON.
pub(super) fn parse_order(text: &str) -> Result<RingOrder, String> {
    RingOrder::parse(&text.replace('-', "_"))
        .ok_or_else(|| "it must be all, in-order or round-robin".to_owned())
}

/// Reads a method of HTTP.
pub(super) fn parse_method(text: &str) -> Result<PageMethod, &'static str> {
    PageMethod::parse(text).ok_or("it must be GET or POST")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_spelt_like_flags_or_as_in_json() {
        for (text, order) in [
            ("all", RingOrder::All),
            ("in-order", RingOrder::InOrder),
            ("in_order", RingOrder::InOrder),
            ("round-robin", RingOrder::RoundRobin),
            ("round_robin", RingOrder::RoundRobin),
        ] {
            assert_eq!(parse_order(text), Ok(order));
        }
        for wrong in ["", "ALL", "in order", "inorder"] {
            assert!(parse_order(wrong).is_err(), "{wrong}");
        }
    }
}

//! `offhook service …`: the names that an account's clients call without knowing who answers.
//!
//! A running server sees each change within a second; nothing here talks to it.

use clap::{Args, Subcommand};
use node::model::{
    Account, ClientGroup, ClientId, Login, RingOrder, Service, ServiceName, ServiceTarget, limits,
};
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
    Show {
        #[command(flatten)]
        named: Named,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a service, or replace the one of this name
    Set(SetFlags),
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
pub(crate) struct SetFlags {
    #[command(flatten)]
    named: Named,
    /// Who answers: client ids; a comma list, or given several times
    #[arg(long, value_name = "CLIENT", value_delimiter = ',', required = true, value_parser = ClientId::parse)]
    clients: Vec<ClientId>,
    /// Whether they ring all at once or one after another, from the first or from each in turn
    #[arg(long, value_name = "all|in-order|round-robin", default_value = "all", value_parser = parse_order)]
    ring: RingOrder,
    /// How long one of them rings, or all where they ring at once, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = limits::SERVICE_RING_DEFAULT_S)]
    ring_s: u16,
}

impl Command {
    pub(crate) async fn run(self, place: &Place) -> Result<(), Failure> {
        match self {
            Self::List { login, json } => list(place, login.as_ref(), json).await,
            Self::Show { named, json } => show(place, &named, json).await,
            Self::Set(flags) => set(place, flags).await,
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
    let mut table = Table::new(["SERVICE", "RING", "SECONDS", "CLIENTS"]);
    for service in account.services.values() {
        let ServiceTarget::Clients(group) = &service.target else {
            unimplemented!("applications")
        };
        table.row([
            service.name.to_string(),
            spelt(group.order()),
            group.ring_s().to_string(),
            clients(group),
        ]);
    }
    table.or("There are no services; `offhook service set` makes one.")
}

async fn show(place: &Place, named: &Named, json: bool) -> Result<(), Failure> {
    let opened = Opened::existing(place).await?;
    let account = opened.account(named.account.as_ref())?;
    let login = account.login();
    let service = existing(account, &named.name)?.clone();
    opened.close().await;
    if json {
        return Ok(print_json(&shown(&service))?);
    }
    let ServiceTarget::Clients(group) = &service.target else {
        unimplemented!("applications")
    };
    print(labelled([
        ("service", service.name.to_string()),
        ("account", login.to_string()),
        ("clients", clients(group)),
        ("ring", spelt(group.order())),
        ("seconds", group.ring_s().to_string()),
    ]))?;
    Ok(())
}

async fn set(place: &Place, flags: SetFlags) -> Result<(), Failure> {
    let SetFlags {
        named,
        clients,
        ring,
        ring_s,
    } = flags;
    let group = ClientGroup::new(clients, ring, ring_s)
        .map_err(|error| Failure::usage(error.to_string()))?;
    let service = Service {
        name: named.name,
        target: ServiceTarget::Clients(group),
    };
    let opened = Opened::existing(place).await?;
    let account = opened.account(named.account.as_ref())?;
    let login = account.login();
    let put = opened.store.put_service(account.id, &service).await?;
    opened.close().await;
    let done = match put {
        Put::Created => "made",
        Put::Replaced => "replaced",
    };
    Ok(print(format!(
        "Service {} of {login} is {done}.",
        service.name
    ))?)
}

async fn remove(place: &Place, named: &Named) -> Result<(), Failure> {
    let opened = Opened::existing(place).await?;
    let account = opened.account(named.account.as_ref())?;
    let login = account.login();
    existing(account, &named.name)?;
    let removed = opened.store.remove_service(account.id, &named.name);
    removed.await?;
    opened.close().await;
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

/// The order as flags are spelt.
fn spelt(order: RingOrder) -> String {
    order.as_str().replace('_', "-")
}

/// Reads an order, spelt like a flag or as it is in JSON.
fn parse_order(text: &str) -> Result<RingOrder, String> {
    RingOrder::parse(&text.replace('-', "_"))
        .ok_or_else(|| "it must be all, in-order or round-robin".to_owned())
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

//! `offhook clients …`: who is registered now. Only the running server knows, so it is asked.

use clap::{Args, Subcommand};
use node::model::Login;
use serde_json::{Value, json};

use super::opened::{Opened, data_dir, parse_login};
use super::output::{Table, print, print_json};
use super::{Failure, Place};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List the clients that are registered for calls now
    List(ListFlags),
}

#[derive(Args)]
pub(crate) struct ListFlags {
    /// Only of this account, such as 1-2-0/bob@example.com
    #[arg(long, value_name = "LOGIN", value_parser = parse_login)]
    account: Option<Login>,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

impl Command {
    pub(crate) async fn run(self, place: &Place) -> Result<(), Failure> {
        match self {
            Self::List(flags) => list(place, flags).await,
        }
    }
}

async fn list(place: &Place, flags: ListFlags) -> Result<(), Failure> {
    let opened = Opened::existing(place).await?;
    if let Some(login) = &flags.account {
        // An account that is not there is an error; one without clients is not.
        opened.account(Some(login))?;
    }
    opened.close().await;
    let dir = data_dir(place)?;
    let account = flags.account.as_ref().map(Login::to_string);
    let answer = node::control::ask(&dir, json!({ "ask": "clients", "account": account })).await?;
    let clients = &answer["clients"];
    if flags.json {
        print_json(clients)?;
    } else {
        print(list_text(clients.as_array().map_or(&[][..], Vec::as_slice)))?;
    }
    Ok(())
}

fn list_text(clients: &[Value]) -> String {
    let mut table = Table::new(["ACCOUNT", "CLIENT", "REGISTERED (UTC)", "EXPIRES (UTC)"]);
    for client in clients {
        let text = |name: &str| client[name].as_str().unwrap_or_default().to_owned();
        let time = |name: &str| text(name).replace('_', " ");
        table.row([
            text("account"),
            text("client_id"),
            time("last_modified"),
            time("expires"),
        ]);
    }
    table.or("No client is registered.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_listed_with_their_times() {
        let clients = [json!({
            "account": "1-2-0/a@b.c",
            "client_id": "bob_1",
            "last_modified": "2026-01-02_03:04:05",
            "expires": "2026-01-02_03:14:05",
        })];
        let text = list_text(&clients);
        let line = text.lines().nth(1).unwrap();
        assert_eq!(
            line,
            "1-2-0/a@b.c  bob_1   2026-01-02 03:04:05  2026-01-02 03:14:05"
        );
        assert_eq!(list_text(&[]), "No client is registered.");
    }
}

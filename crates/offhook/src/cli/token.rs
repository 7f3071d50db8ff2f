//! `offhook token …`: tokens made by whoever holds the store, past the web service and its limits.

use clap::{Args, Subcommand};
use node::model::{CallPattern, ClientId, Login, limits};
use node::provision;
use node::switch::token::TokenRequest;
use serde_json::json;

use super::opened::{Opened, parse_login};
use super::output::{now, print, print_json};
use super::{Failure, Place};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a token and print it
    Create(CreateFlags),
}

#[derive(Args)]
pub(crate) struct CreateFlags {
    /// The account, such as 1-2-0/bob@example.com; may be left out if there is only one
    #[arg(long, value_name = "LOGIN", value_parser = parse_login)]
    account: Option<Login>,
    /// The client that will use it
    #[arg(long, value_name = "CLIENT", value_parser = ClientId::parse)]
    client_id: ClientId,
    /// Its life; any will do
    #[arg(long, value_name = "SECONDS", default_value_t = limits::TOKEN_TTL_DEFAULT_S, value_parser = clap::value_parser!(u32).range(1..))]
    ttl: u32,
    /// Whether the client may register for incoming calls
    #[arg(long, value_name = "true|false", default_value_t = true, action = clap::ArgAction::Set)]
    enable_incoming: bool,
    /// Whom the client may call: client ids, or beginnings of them followed by '*'; a comma list, or given several times
    #[arg(long, value_name = "CLIENT", value_delimiter = ',')]
    call_client: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Command {
    pub(crate) async fn run(self, place: &Place) -> Result<(), Failure> {
        match self {
            Self::Create(flags) => create(place, flags).await,
        }
    }
}

async fn create(place: &Place, flags: CreateFlags) -> Result<(), Failure> {
    let request = TokenRequest {
        client: flags.client_id,
        ttl_s: flags.ttl,
        enable_incoming: flags.enable_incoming,
        call_client: parse_patterns(&flags.call_client)?,
    };
    let opened = Opened::existing(place).await?;
    let account = opened.account(flags.account.as_ref())?;
    let token = provision::make_token(&opened.store, account, &request, now()).await?;
    opened.close().await;
    if flags.json {
        print_json(&json!({ "token": token }))?;
    } else {
        print(token)?;
    }
    Ok(())
}

/// As the web service reads them: empty entries mean none.
fn parse_patterns(texts: &[String]) -> Result<Vec<CallPattern>, Failure> {
    let texts = texts
        .iter()
        .map(|text| text.trim())
        .filter(|text| !text.is_empty());
    let patterns: Vec<_> = texts
        .map(CallPattern::parse)
        .collect::<Result<_, _>>()
        .map_err(|error| Failure::usage(format!("--call-client: {error}")))?;
    if patterns.len() > limits::CALL_PATTERNS {
        return Err(Failure::usage(format!(
            "--call-client names more than {} clients; use a prefix such as 'team-*'",
            limits::CALL_PATTERNS
        )));
    }
    Ok(patterns)
}

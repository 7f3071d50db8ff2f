//! `offhook token …`: tokens made by whoever holds the store, past the web service and its limits; and tokens that are revoked.
//!
//! A running server sees each revocation by itself; it is waited for.

use clap::{Args, Subcommand};
use node::model::{CallPattern, ClientId, Login, Revocations, Revoked, TokenId, UnixTime, limits};
use node::provision;
use node::revocation_document::{WantedRevocation, instant, shown};
use node::switch::token::TokenRequest;
use serde_json::json;

use super::opened::{Opened, parse_login};
use super::output::{Table, now, print, print_json, time};
use super::{Failure, Place};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a token and print it
    Create(CreateFlags),
    /// Take tokens back before their end: every server refuses them within a second
    Revoke(RevokeFlags),
    /// List what is revoked
    Revocations {
        /// The account, such as 1-2-0/bob@example.com; may be left out if there is only one
        #[arg(long, value_name = "LOGIN", value_parser = parse_login)]
        account: Option<Login>,
        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
    /// Take a revocation back: the tokens are good again until they end by themselves
    Unrevoke {
        #[command(flatten)]
        meant: Meant,
    },
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

/// Which tokens of which account.
#[derive(Args)]
pub(crate) struct Meant {
    /// The account, such as 1-2-0/bob@example.com; may be left out if there is only one
    #[arg(long, value_name = "LOGIN", value_parser = parse_login)]
    account: Option<Login>,
    #[command(flatten)]
    tokens: Tokens,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Tokens {
    /// One token: its claim jti
    #[arg(long, value_name = "JTI", value_parser = TokenId::parse, allow_hyphen_values = true)]
    jti: Option<TokenId>,
    /// The tokens of this client
    #[arg(long, value_name = "CLIENT", value_parser = ClientId::parse)]
    client: Option<ClientId>,
    /// All tokens of the account
    #[arg(long)]
    all: bool,
}

impl Tokens {
    fn revoked(&self) -> Revoked {
        match (self.jti, &self.client) {
            (Some(id), _) => Revoked::Token(id),
            (None, Some(client)) => Revoked::Client(client.clone()),
            // The parser has seen to it that one is given.
            (None, None) => Revoked::Account,
        }
    }
}

#[derive(Args)]
pub(crate) struct RevokeFlags {
    #[command(flatten)]
    meant: Meant,
    /// Of a client or an account: the tokens that were issued before this, such as 2026-01-31T08:56:24Z [default: now]
    #[arg(long, value_name = "RFC3339", value_parser = instant)]
    issued_before: Option<UnixTime>,
    /// End what was made with these tokens as well: registrations, and calls
    #[arg(long)]
    end: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Command {
    pub(crate) async fn run(self, place: &Place) -> Result<(), Failure> {
        match self {
            Self::Create(flags) => create(place, flags).await,
            Self::Revoke(flags) => revoke(place, flags).await,
            Self::Revocations { account, json } => list(place, account.as_ref(), json).await,
            Self::Unrevoke { meant } => unrevoke(place, &meant).await,
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

async fn revoke(place: &Place, flags: RevokeFlags) -> Result<(), Failure> {
    let now = now();
    let wanted = WantedRevocation {
        what: flags.meant.tokens.revoked(),
        issued_before: flags.issued_before,
        ends: flags.end,
    };
    let revocation = wanted.at(now).map_err(Failure::usage)?;
    let opened = Opened::existing(place).await?;
    let account = opened.account(flags.meant.account.as_ref())?;
    let login = account.login();
    let kept = opened.store.revoke(account.id, &revocation, now).await?;
    opened.close_changed().await;
    if flags.json {
        return Ok(print_json(&shown(&kept))?);
    }
    let before = match kept.what {
        Revoked::Token(_) => String::new(),
        Revoked::Client(_) | Revoked::Account => {
            format!(" that were issued before {}", kept.issued_before.rfc3339())
        }
    };
    let verb = match kept.what {
        Revoked::Token(_) => "is",
        Revoked::Client(_) | Revoked::Account => "are",
    };
    let also = match flags.end {
        true if verb == "is" => ", and what was made with it ends",
        true => ", and what was made with them ends",
        false => "",
    };
    let what = format!("{} of {login}{before}", kept.what);
    let mut letters = what.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    let what: String = first.into_iter().chain(letters).collect();
    Ok(print(format!("{what} {verb} revoked{also}."))?)
}

async fn list(place: &Place, login: Option<&Login>, json: bool) -> Result<(), Failure> {
    let opened = Opened::existing(place).await?;
    let revocations = opened.account(login)?.revocations.clone();
    opened.close().await;
    if json {
        let list: Vec<_> = revocations.iter().map(shown).collect();
        return Ok(print_json(&list.into())?);
    }
    Ok(print(list_text(&revocations))?)
}

fn list_text(revocations: &Revocations) -> String {
    let mut table = Table::new([
        "REVOKED",
        "ISSUED BEFORE (UTC)",
        "ENDED",
        "KEPT UNTIL (UTC)",
    ]);
    for revocation in revocations.iter() {
        let before = match revocation.what {
            Revoked::Token(_) => String::new(),
            Revoked::Client(_) | Revoked::Account => time(revocation.issued_before),
        };
        let ended = match revocation.ends_before {
            Some(_) => "yes",
            None => "no",
        };
        table.row([
            revocation.what.to_string(),
            before,
            ended.to_owned(),
            time(revocation.kept_until),
        ]);
    }
    table.or("Nothing is revoked.")
}

async fn unrevoke(place: &Place, meant: &Meant) -> Result<(), Failure> {
    let what = meant.tokens.revoked();
    let opened = Opened::existing(place).await?;
    let account = opened.account(meant.account.as_ref())?;
    let login = account.login();
    if !account.revocations.iter().any(|known| known.what == what) {
        return Err(Failure::failed(format!(
            "account {login} has not revoked {what}; `offhook token revocations` lists what it has"
        )));
    }
    opened.store.remove_revocation(account.id, &what).await?;
    opened.close_changed().await;
    Ok(print(format!(
        "The revocation of {what} of {login} is taken back."
    ))?)
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

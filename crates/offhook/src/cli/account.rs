//! `offhook account …`: make, list, show and change accounts.
//!
//! A running server sees each change by itself; it is waited for.

use clap::{Args, Subcommand};
use node::model::{
    Account, AccountKind, Algorithm, CloudId, Directory, Login, ServiceCallers, TokenLimit,
    Username,
};
use node::provision::{self, Created, NewAccount};
use node::store::AccountChange;
use serde_json::{Value, json};

use super::opened::{Opened, parse_login};
use super::output::{Table, count, labelled, print, print_json, time};
use super::{Failure, Place, output};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make an account and show its keys, this once
    Create(CreateFlags),
    /// List all accounts
    List {
        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
    /// Show one account with its keys' names
    Show {
        /// The account, such as 1-2-0/bob@example.com; may be left out if there is only one
        #[arg(value_parser = parse_login)]
        login: Option<Login>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Change an account
    Set(SetFlags),
    /// Give an account no more tokens, registrations and calls
    Disable {
        /// The account, such as 1-2-0/bob@example.com; may be left out if there is only one
        #[arg(value_parser = parse_login)]
        login: Option<Login>,
    },
    /// Take that back
    Enable {
        /// The account, such as 1-2-0/bob@example.com; may be left out if there is only one
        #[arg(value_parser = parse_login)]
        login: Option<Login>,
    },
}

#[derive(Args)]
pub(crate) struct CreateFlags {
    /// First half of its login, such as 1-2-0
    #[arg(long, value_parser = CloudId::parse)]
    cloud_id: CloudId,
    /// Second half of its login, such as bob@example.com
    #[arg(long, value_parser = Username::parse)]
    username: Username,
    /// A developer account has a monthly limit on tokens, a production account has none
    #[arg(long = "type", value_name = "developer|production", default_value = "developer", value_parser = parse_kind)]
    kind: AccountKind,
    /// What its tokens are signed with
    #[arg(long, value_name = "RS256|ES256|EdDSA", default_value = "RS256", value_parser = parse_algorithm)]
    algorithm: Algorithm,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(crate) struct SetFlags {
    /// The account, such as 1-2-0/bob@example.com; may be left out if there is only one
    #[arg(value_parser = parse_login)]
    login: Option<Login>,
    /// Make it a developer or a production account
    #[arg(long = "type", value_name = "developer|production", value_parser = parse_kind)]
    kind: Option<AccountKind>,
    /// Tokens that it may take in a month
    #[arg(long, value_name = "N|unlimited|default", allow_negative_numbers = true, value_parser = parse_token_limit)]
    token_limit: Option<LimitChange>,
    /// Sign its tokens with another algorithm; makes a new signing key
    #[arg(long, value_name = "RS256|ES256|EdDSA", value_parser = parse_algorithm)]
    algorithm: Option<Algorithm>,
    /// Who may call its services: anyone who knows its WebRTC access key, or clients that have proven themselves with a token
    #[arg(long, value_name = "anyone|proven", value_parser = parse_service_callers)]
    service_callers: Option<ServiceCallers>,
}

/// What `--token-limit` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LimitChange {
    /// The limit of the account's type.
    Default,
    /// A limit of its own.
    Own(TokenLimit),
}

impl Command {
    pub(crate) async fn run(self, place: &Place) -> Result<(), Failure> {
        match self {
            Self::Create(flags) => create(place, flags).await,
            Self::List { json } => list(place, json).await,
            Self::Show { login, json } => show(place, login.as_ref(), json).await,
            Self::Set(flags) => set(place, flags).await,
            Self::Disable { login } => set_disabled(place, login.as_ref(), true).await,
            Self::Enable { login } => set_disabled(place, login.as_ref(), false).await,
        }
    }
}

/// Reads `RS256`, `ES256` or `EdDSA`, in letters of any case.
pub(crate) fn parse_algorithm(text: &str) -> Result<Algorithm, String> {
    [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa]
        .into_iter()
        .find(|algorithm| algorithm.as_str().eq_ignore_ascii_case(text))
        .ok_or_else(|| "it must be RS256, ES256 or EdDSA".to_owned())
}

async fn create(place: &Place, flags: CreateFlags) -> Result<(), Failure> {
    let opened = Opened::existing_or_new(place).await?;
    let wanted = NewAccount {
        cloud_id: flags.cloud_id,
        username: flags.username,
        kind: flags.kind,
        algorithm: flags.algorithm,
    };
    let created = provision::new_account(&opened.store, &opened.pepper().await?, wanted).await?;
    let whereabouts = opened.whereabouts()?;
    opened.close_changed().await;
    if flags.json {
        print_json(&created_json(&created))?;
    } else {
        print(created_text(&created))?;
        print(format!("It is kept in {whereabouts}."))?;
        print("The API access key is shown this once: keep it in a safe place.")?;
    }
    Ok(())
}

/// What the owner of a new account needs.
pub(crate) fn created_text(created: &Created) -> String {
    labelled([
        ("login", created.login.to_string()),
        ("API access key", created.api_key.expose().to_owned()),
        ("WebRTC access key", created.webrtc_access_key.to_string()),
    ])
}

fn created_json(created: &Created) -> Value {
    json!({
        "cloud_id": created.login.cloud_id.as_str(),
        "username": created.login.username.as_str(),
        "api_key": created.api_key.expose(),
        "webrtc_access_key": created.webrtc_access_key.as_str(),
    })
}

async fn list(place: &Place, json: bool) -> Result<(), Failure> {
    let opened = Opened::existing(place).await?;
    let taken = TokensTaken::read(&opened).await?;
    let Opened {
        directory, store, ..
    } = opened;
    store.close().await;
    if json {
        let accounts: Vec<_> = directory
            .accounts()
            .map(|account| account_json(account, &taken))
            .collect();
        return Ok(print_json(&accounts.into())?);
    }
    print(list_text(&directory, &taken))?;
    Ok(())
}

fn list_text(directory: &Directory, taken: &TokensTaken) -> String {
    let mut table = Table::new([
        "ACCOUNT",
        "TYPE",
        "STATE",
        "SIGNS",
        "TOKENS THIS MONTH",
        "WEBRTC ACCESS KEY",
    ]);
    for account in directory.accounts() {
        table.row([
            account.login().to_string(),
            account.kind.as_str().to_owned(),
            state(account).to_owned(),
            algorithm(account).map_or("", Algorithm::as_str).to_owned(),
            tokens_text(account, taken),
            account.access_key.to_string(),
        ]);
    }
    table.or("There are no accounts; `offhook account create` makes one.")
}

async fn show(place: &Place, login: Option<&Login>, json: bool) -> Result<(), Failure> {
    let opened = Opened::existing(place).await?;
    let taken = TokensTaken::read(&opened).await?;
    let account = opened.account(login)?.clone();
    opened.close().await;
    if json {
        let mut shown = account_json(&account, &taken);
        shown["api_keys"] = account
            .api_keys
            .iter()
            .map(|key| json!({ "expires": key.expires.map(|at| at.to_string()) }))
            .collect();
        shown["signing_keys"] = account
            .signing_keys
            .iter()
            .map(|key| {
                json!({
                    "kid": key.kid,
                    "algorithm": key.algorithm.as_str(),
                    "expires": key.expires.map(|at| at.to_string()),
                })
            })
            .collect();
        return Ok(print_json(&shown)?);
    }
    print(show_text(&account, &taken))?;
    Ok(())
}

fn show_text(account: &Account, taken: &TokensTaken) -> String {
    let old_keys: Vec<_> = account
        .api_keys
        .iter()
        .filter_map(|key| key.expires)
        .map(time)
        .collect();
    let api_keys = if old_keys.is_empty() {
        "1".to_owned()
    } else {
        format!(
            "1, and old ones that work until {} UTC",
            old_keys.join(", ")
        )
    };
    let head = labelled([
        ("account", account.login().to_string()),
        ("type", account.kind.as_str().to_owned()),
        ("state", state(account).to_owned()),
        ("WebRTC access key", account.access_key.to_string()),
        ("tokens this month", tokens_text(account, taken)),
        ("API access keys", api_keys),
        (
            "service callers",
            account.service_callers.as_str().to_owned(),
        ),
    ]);
    let mut keys = Table::new(["SIGNING KEY", "ALGORITHM", "USE (UTC)"]);
    for key in &account.signing_keys {
        let until = |at| format!("verifies until {}", time(at));
        keys.row([
            key.kid.clone(),
            key.algorithm.as_str().to_owned(),
            key.expires.map_or_else(|| "signs".to_owned(), until),
        ]);
    }
    format!(
        "{head}\n\n{}",
        keys.or("It has no signing key; `offhook key rotate --signing` makes one.")
    )
}

async fn set(place: &Place, flags: SetFlags) -> Result<(), Failure> {
    let SetFlags {
        login,
        kind,
        token_limit,
        algorithm,
        service_callers,
    } = flags;
    let has_change = kind.is_some() || token_limit.is_some() || service_callers.is_some();
    if !has_change && algorithm.is_none() {
        return Err(Failure::usage(
            "nothing is asked for: give --type, --token-limit, --algorithm or --service-callers",
        ));
    }
    let opened = Opened::existing(place).await?;
    let account = opened.account(login.as_ref())?;
    if has_change {
        let change = AccountChange {
            kind,
            token_limit: token_limit.map(|change| match change {
                LimitChange::Default => None,
                LimitChange::Own(limit) => Some(limit),
            }),
            service_callers,
            ..AccountChange::default()
        };
        opened.store.update_account(account.id, change).await?;
    }
    let mut said = format!("Account {} is changed.", account.login());
    if let Some(algorithm) = algorithm {
        let rotated =
            provision::rotate_signing_key(&opened.store, account, algorithm, output::now()).await?;
        let old = rotated
            .old_verifies_until
            .map(|at| format!("; the old key verifies until {} UTC", time(at)));
        said = format!(
            "{said} It signs with {} key {}{}.",
            rotated.algorithm.as_str(),
            rotated.kid,
            old.unwrap_or_default()
        );
    }
    opened.close_changed().await;
    Ok(print(said)?)
}

async fn set_disabled(place: &Place, login: Option<&Login>, disabled: bool) -> Result<(), Failure> {
    let opened = Opened::existing(place).await?;
    let account = opened.account(login)?;
    let login = account.login();
    let change = AccountChange {
        disabled: Some(disabled),
        ..AccountChange::default()
    };
    opened.store.update_account(account.id, change).await?;
    opened.close_changed().await;
    let (state, effect) = if disabled {
        ("disabled", "it gets no tokens, registrations and calls")
    } else {
        ("enabled", "it gets tokens, registrations and calls")
    };
    Ok(print(format!("Account {login} is {state}: {effect}."))?)
}

/// How many tokens each account took this month, as far as the server has written it down.
struct TokensTaken(Vec<(node::model::AccountId, u64)>);

impl TokensTaken {
    async fn read(opened: &Opened) -> Result<Self, Failure> {
        Ok(Self(
            opened.store.token_counts(output::now().month()).await?,
        ))
    }

    fn by(&self, account: &Account) -> u64 {
        self.0
            .iter()
            .find(|(id, _)| *id == account.id)
            .map_or(0, |(_, taken)| *taken)
    }
}

fn account_json(account: &Account, taken: &TokensTaken) -> Value {
    json!({
        "cloud_id": account.cloud_id.as_str(),
        "username": account.username.as_str(),
        "type": account.kind.as_str(),
        "disabled": account.disabled,
        "webrtc_access_key": account.access_key.as_str(),
        "algorithm": algorithm(account).map(Algorithm::as_str),
        "token_limit": match account.token_limit {
            TokenLimit::Unlimited => Value::Null,
            TokenLimit::Monthly(limit) => limit.into(),
        },
        "tokens_this_month": taken.by(account),
        "service_callers": account.service_callers.as_str(),
    })
}

fn state(account: &Account) -> &'static str {
    if account.disabled {
        "disabled"
    } else {
        "enabled"
    }
}

/// What new tokens are signed with.
fn algorithm(account: &Account) -> Option<Algorithm> {
    account
        .signing_keys
        .iter()
        .find(|key| key.expires.is_none())
        .map(|key| key.algorithm)
}

fn tokens_text(account: &Account, taken: &TokensTaken) -> String {
    let taken = count(taken.by(account));
    match account.token_limit {
        TokenLimit::Unlimited => format!("{taken}, no limit"),
        TokenLimit::Monthly(limit) => format!("{taken} of {}", count(limit)),
    }
}

fn parse_kind(text: &str) -> Result<AccountKind, String> {
    AccountKind::parse(text).ok_or_else(|| "it must be developer or production".to_owned())
}

fn parse_service_callers(text: &str) -> Result<ServiceCallers, String> {
    ServiceCallers::parse(text).ok_or_else(|| "it must be anyone or proven".to_owned())
}

fn parse_token_limit(text: &str) -> Result<LimitChange, String> {
    match text {
        "default" => Ok(LimitChange::Default),
        "unlimited" => Ok(LimitChange::Own(TokenLimit::Unlimited)),
        _ => text
            .parse()
            .map(|limit| LimitChange::Own(TokenLimit::Monthly(limit)))
            .map_err(|_| "it must be a whole number, 'unlimited' or 'default'".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_a_number_or_a_word() {
        assert_eq!(
            parse_token_limit("0"),
            Ok(LimitChange::Own(TokenLimit::Monthly(0)))
        );
        assert_eq!(
            parse_token_limit("unlimited"),
            Ok(LimitChange::Own(TokenLimit::Unlimited))
        );
        assert_eq!(parse_token_limit("default"), Ok(LimitChange::Default));
        for wrong in ["-1", "1,000", "many", ""] {
            assert!(parse_token_limit(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn algorithms_are_known_in_any_case() {
        assert_eq!(parse_algorithm("eddsa"), Ok(Algorithm::EdDsa));
        assert_eq!(parse_algorithm("RS256"), Ok(Algorithm::Rs256));
        assert!(parse_algorithm("HS256").is_err());
    }
}

//! `offhook store copy` and `offhook migrate`: what an operator does to a store before a server runs on it.
//!
//! Neither talks to a running server.

use std::fs::File;

use clap::{Args, Subcommand};
use node::provision;
use node::store::{Address, Migrate, Store};
use serde_json::json;

use super::opened::{STORE_FILE, Site, unreadable};
use super::output::{count, labelled, print, print_json};
use super::{Failure, Hidden, Place};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Copy accounts, keys, services, revocations, usage and call records to a store that has none; stop the servers on both before
    Copy(CopyFlags),
}

#[derive(Args)]
pub(crate) struct CopyFlags {
    /// The store to copy: its data folder, or postgres://user:password@host/database
    #[arg(long, value_name = "DIR|URL")]
    from: Hidden,
    /// The store to fill, of the same form; a folder is made, a database must be there
    #[arg(long, value_name = "DIR|URL")]
    to: Hidden,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Command {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        match self {
            Self::Copy(flags) => copy(flags).await,
        }
    }
}

async fn copy(flags: CopyFlags) -> Result<(), Failure> {
    let from = parse("--from", &flags.from)?;
    let to = parse("--to", &flags.to)?;
    if let Address::Folder(dir) = &from
        && let Err(error) = File::open(dir.join(STORE_FILE))
    {
        return Err(Failure::failed(unreadable(dir, &error)));
    }
    let source = open(&from).await?;
    let target = open(&to).await?;
    let copied = source.copy_to(&target).await;
    target.close().await;
    source.close().await;
    let copied = copied?;
    if flags.json {
        return Ok(print_json(&json!({
            "accounts": copied.accounts,
            "keys": copied.keys,
            "services": copied.services,
            "revocations": copied.revocations,
            "monthly_counts": copied.counts,
            "records": copied.records,
        }))?);
    }
    print(format!("Copied from {from} to {to}:"))?;
    Ok(print(labelled([
        ("accounts", count(copied.accounts)),
        ("keys", count(copied.keys)),
        ("services", count(copied.services)),
        ("revocations", count(copied.revocations)),
        ("monthly counts", count(copied.counts)),
        ("call records", count(copied.records)),
    ]))?)
}

/// Whoever names a store to be copied wants it in the form of this version.
async fn open(address: &Address) -> Result<Store, Failure> {
    Ok(provision::open_store_at(address, Migrate::AtOnce).await?)
}

fn parse(flag: &str, text: &Hidden) -> Result<Address, Failure> {
    Address::parse(&text.0).map_err(|fault| Failure::usage(format!("{flag}: {fault}")))
}

/// `offhook migrate`
pub(crate) async fn migrate(place: &Place) -> Result<(), Failure> {
    let address = Site::of(place)?.address;
    open(&address).await?.close().await;
    Ok(print(format!(
        "The store in {address} has the form of this version."
    ))?)
}

//! `offhook key …`: new keys for an account, while the old ones go on working for a time.

use std::time::Duration;

use clap::{Args, Subcommand};
use node::model::{Algorithm, Login, limits};
use node::provision;
use serde_json::json;

use super::account::parse_algorithm;
use super::opened::{Opened, parse_login};
use super::output::{duration, labelled, now, print, print_json, time};
use super::{Failure, Place};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Give an account a new API access key or a new signing key
    Rotate(RotateFlags),
}

#[derive(Args)]
pub(crate) struct RotateFlags {
    /// The account, such as 1-2-0/bob@example.com; may be left out if there is only one
    #[arg(value_parser = parse_login)]
    login: Option<Login>,
    /// Rotate the API access key
    #[arg(long, conflicts_with = "signing")]
    api: bool,
    /// Rotate the signing key; the old one verifies until its last token has expired
    #[arg(long)]
    signing: bool,
    /// How long the old API access key goes on working, such as 24h, 90m, 30s or 0s [default: 24h]
    #[arg(long, value_name = "TIME", value_parser = parse_duration, conflicts_with = "signing")]
    grace: Option<Duration>,
    /// What the new signing key signs with [default: as the old one]
    #[arg(long, value_name = "RS256|ES256|EdDSA", value_parser = parse_algorithm, conflicts_with = "api")]
    algorithm: Option<Algorithm>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Command {
    pub(crate) async fn run(self, place: &Place) -> Result<(), Failure> {
        match self {
            Self::Rotate(flags) if flags.api => rotate_api_key(place, flags).await,
            Self::Rotate(flags) if flags.signing => rotate_signing_key(place, flags).await,
            Self::Rotate(_) => Err(Failure::usage(
                "say which key to rotate: --api or --signing",
            )),
        }
    }
}

async fn rotate_api_key(place: &Place, flags: RotateFlags) -> Result<(), Failure> {
    let opened = Opened::existing(place).await?;
    let account = opened.account(flags.login.as_ref())?;
    let login = account.login();
    let now = now();
    let grace = flags
        .grace
        .unwrap_or(Duration::from_secs(limits::API_KEY_GRACE_S));
    let pepper = opened.pepper().await?;
    let key = provision::rotate_api_key(&opened.store, &pepper, account, grace, now).await?;
    opened.close_changed().await;
    if flags.json {
        return Ok(print_json(&json!({
            "cloud_id": login.cloud_id.as_str(),
            "username": login.username.as_str(),
            "api_key": key.expose(),
            "old_expires": (now + grace).to_string(),
        }))?);
    }
    print(labelled([
        ("login", login.to_string()),
        ("API access key", key.expose().to_owned()),
        (
            "old key",
            if grace.is_zero() {
                "works no more".to_owned()
            } else {
                format!(
                    "works for another {}, until {} UTC",
                    duration(grace),
                    time(now + grace)
                )
            },
        ),
    ]))?;
    print("The new key is shown this once: keep it in a safe place.")?;
    Ok(())
}

async fn rotate_signing_key(place: &Place, flags: RotateFlags) -> Result<(), Failure> {
    let opened = Opened::existing(place).await?;
    let account = opened.account(flags.login.as_ref())?;
    let login = account.login();
    let current = account
        .signing_keys
        .iter()
        .find(|key| key.expires.is_none());
    let algorithm = flags
        .algorithm
        .or(current.map(|key| key.algorithm))
        .unwrap_or(Algorithm::Rs256);
    let rotated = provision::rotate_signing_key(&opened.store, account, algorithm, now()).await?;
    opened.close_changed().await;
    if flags.json {
        return Ok(print_json(&json!({
            "cloud_id": login.cloud_id.as_str(),
            "username": login.username.as_str(),
            "kid": rotated.kid,
            "algorithm": rotated.algorithm.as_str(),
            "old_expires": rotated.old_verifies_until.map(|at| at.to_string()),
        }))?);
    }
    let old = rotated
        .old_verifies_until
        .map(|at| format!("verifies until {} UTC", time(at)));
    print(labelled([
        ("login", login.to_string()),
        (
            "signing key",
            format!("{} {}", rotated.algorithm.as_str(), rotated.kid),
        ),
        (
            "old key",
            old.unwrap_or_else(|| "there was none".to_owned()),
        ),
    ]))?;
    Ok(())
}

/// Longest grace: ten years. Who wants more does not want to rotate.
const GRACE_MAX_S: u64 = 10 * 366 * 86_400;

fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_lowercase());
    let unit_s = match &text[digits.len()..] {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => 0,
    };
    let seconds = digits
        .parse::<u64>()
        .ok()
        .and_then(|count| count.checked_mul(unit_s));
    seconds
        .filter(|seconds| unit_s > 0 && *seconds <= GRACE_MAX_S)
        .map(Duration::from_secs)
        .ok_or_else(|| {
            "it must be a number with its unit, s, m, h or d, such as 24h, ten years at most"
                .to_owned()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grace_is_a_number_with_a_unit() {
        let seconds = |text| parse_duration(text).map(|grace| grace.as_secs());
        assert_eq!(seconds("24h"), Ok(86_400));
        assert_eq!(seconds("90m"), Ok(5_400));
        assert_eq!(seconds("7d"), Ok(604_800));
        assert_eq!(seconds("0s"), Ok(0));
        for wrong in [
            "",
            "h",
            "-1h",
            // Of what?
            "24",
            "1.5h",
            "1w",
            "24 h",
            "99999999999999999999s",
            "9999999d",
        ] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }
}

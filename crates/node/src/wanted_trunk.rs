//! Trunks that the operator wants, such as those of a configuration file, whose accounts are known by their logins.
//!
//! Finds the accounts when the server starts. Never reads a file, and never makes an account or a service.

use std::path::Path;

use model::{AccountId, Login, Trunk, UnixTime};
use rustls::pki_types::CertificateDer;
use store::Store;

use crate::certificate::{self, CertificateFault};
use crate::provision::ProvisionError;
use crate::relay::Finding;
use crate::wanted_service::WantedFault;

/// A trunk that is to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedTrunk {
    /// Whose it is.
    pub login: Login,
    /// What it is; the number of its account is not known yet, and [`WantedTrunk::NOBODY`] stands there.
    pub trunk: Trunk,
    /// Who vouches for its peers by TLS.
    pub ca: Authority,
    /// Where that is said, such as a file and its line: every fault begins with it.
    pub place: String,
}

/// Whose certificates are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authority {
    /// Those that a root certificate of the system vouches for.
    System,
    /// Those that one of these vouches for.
    Own(Vec<CertificateDer<'static>>),
}

impl Authority {
    /// The certificates of a PEM file.
    pub fn read(path: &Path) -> Result<Self, CertificateFault> {
        certificate::read_chain(path).map(Self::Own)
    }
}

impl WantedTrunk {
    /// No account has this number.
    pub const NOBODY: AccountId = AccountId(0);
}

/// Each trunk with the number of its account, and what is to be said about them at the start.
pub(crate) async fn resolve(
    store: &Store,
    wanted: &[WantedTrunk],
    now: UnixTime,
) -> Result<(Vec<Trunk>, Vec<Finding>), ProvisionError> {
    let (mut trunks, mut findings) = (Vec::with_capacity(wanted.len()), Vec::new());
    if wanted.is_empty() {
        return Ok((trunks, findings));
    }
    let (directory, _) = store.directory(now).await?;
    for WantedTrunk {
        login,
        trunk,
        ca: _,
        place,
    } in wanted
    {
        let account = directory.by_login(login);
        let account = account.ok_or_else(|| ProvisionError::Wanted {
            place: place.clone(),
            fault: WantedFault::NoSuchAccount(login.clone()),
        })?;
        trunks.push(Trunk {
            account: account.id,
            ..trunk.clone()
        });
        let mut missing: Vec<&str> = trunk
            .numbers
            .iter()
            .map(|(_, name)| name.as_str())
            .collect();
        missing.retain(|name| !account.services.contains_key(*name));
        missing.sort_unstable();
        missing.dedup();
        if !missing.is_empty() {
            findings.push(Finding::Doubt(format!(
                "{place}: numbers of the trunk {} lead to services that {login} does not have: {}; until there are \
                 such services, calls to them are refused",
                trunk.name,
                missing.join(", ")
            )));
        }
    }
    Ok((trunks, findings))
}

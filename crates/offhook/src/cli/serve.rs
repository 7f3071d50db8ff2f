//! `offhook serve`: the server, the demo account of its first start, and the services of the configuration file.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use node::provision::{self, Created, ProvisionError};
use node::store::Store;
use node::wanted_service::{WantedService, put_wanted};

use super::account::created_text;
use super::config::Effective;
use super::config_environment::environment;
use super::config_key::ServeFlags;
use super::config_layers::Layers;
use super::output::{now, print};
use super::{Failure, Place};

/// How long threads that work for nobody any more may take to notice.
const LEFT_UNDONE: std::time::Duration = std::time::Duration::from_millis(500);

pub(crate) fn run(place: &Place, flags: &ServeFlags) -> Result<(), Failure> {
    let layers = Layers::read(place, flags, &environment)?;
    layers.check_environment();
    let config = Effective::read(&layers)?.node_config()?;
    node::telemetry::start_logging();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let (address, migrate) = layers.store_address()?;
    let served = runtime.block_on(async {
        let store = provision::open_store_at(&address, migrate).await?;
        serve(config, store, layers.services()).await
    });
    // Everything that must be kept is. What threads still do, such as to decode a file for a call that has ended, is left undone.
    runtime.shutdown_timeout(LEFT_UNDONE);
    served
}

async fn serve(
    config: node::Config,
    store: Store,
    services: &[WantedService],
) -> Result<(), Failure> {
    let demo = Arc::new(Mutex::new(Demo::default()));
    let take_demo = {
        let demo = Arc::clone(&demo);
        move || std::mem::take(&mut *demo.lock().unwrap_or_else(PoisonError::into_inner))
    };
    let may_demo = config.may_demo();
    let prepare = async move |store: &Store| {
        // Nobody who serves others wants an account that was never asked for.
        if may_demo {
            let made = Demo::prepare(store).await?;
            *demo.lock().unwrap_or_else(PoisonError::into_inner) = made;
        }
        put_wanted(store, services, now()).await
    };
    let shows_demo = config.softphone && may_demo;
    let scheme = if config.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let ready = {
        let take_demo = take_demo.clone();
        move |started: &node::Started| {
            let bound = started.address;
            let Demo { made, hindrance } = take_demo();
            let account = made
                .map(|made| demo_text(&made, Some((scheme, bound))))
                .unwrap_or_default();
            let invitation = match hindrance {
                _ if !shows_demo => String::new(),
                None => TWO_TABS.to_owned(),
                Some(why) => format!("The softphone page has no demo mode: {why}.\n"),
            };
            // Without a reader there is nobody to tell; the server serves all the same. TURN's part stands in the log.
            let _ = print(format!(
                "{account}{invitation}offhook serves {scheme}://{bound}"
            ));
        }
    };
    let served = node::serve(config, store, prepare, ready).await;
    // Shown when the port is known, or else when the start has failed after all: it can never be shown again.
    if let Some(made) = take_demo().made {
        print(demo_text(&made, None))?;
    }
    Ok(served?)
}

/// How it stands with the demo account.
#[derive(Default)]
struct Demo {
    /// If it was made just now.
    made: Option<Created>,
    /// Why there is no demo mode, though there might be.
    hindrance: Option<String>,
}

impl Demo {
    async fn prepare(store: &Store) -> Result<Self, ProvisionError> {
        let made = provision::demo_account(store, now()).await?;
        let (directory, _) = store.directory(now()).await?;
        let hindrance = provision::open_demo(&directory).err();
        Ok(Self { made, hindrance })
    }
}

/// Stands above the address.
const TWO_TABS: &str = "Open this address in two browser tabs, make a demo client in each, and call one from the other:\n";

/// What a newcomer needs first; ends with a line break.
fn demo_text(demo: &Created, serving: Option<(&str, SocketAddr)>) -> String {
    let account = created_text(demo);
    let mut text =
        format!("A demo account was made. Its API access key is shown this once:\n\n{account}\n\n");
    if let Some((scheme, bound)) = serving {
        let reachable = reachable(bound);
        // The certificate names the host, hardly ever this address.
        let insecure = if scheme == "https" { "-k " } else { "" };
        text.push_str(&format!(
            "A token for client bob, who may call anybody:\n\n  \
             curl {insecure}-u '{}:{}' '{scheme}://{reachable}/webrtc_generate_token?client_id=bob&call_client=*'\n\n",
            demo.login,
            demo.api_key.expose()
        ));
    }
    text
}

/// The address to call from this machine: a listener on every address answers on the loopback.
fn reachable(bound: SocketAddr) -> SocketAddr {
    let ip = match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, bound.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_every_address_is_reached_on_the_loopback() {
        let reached = |bound: &str| reachable(bound.parse().unwrap()).to_string();
        assert_eq!(reached("0.0.0.0:8080"), "127.0.0.1:8080");
        assert_eq!(reached("[::]:443"), "[::1]:443");
        assert_eq!(reached("192.0.2.1:80"), "192.0.2.1:80");
    }
}

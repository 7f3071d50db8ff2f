//! Who is the master, as those Sentinels say that answer. They need not agree while one master follows another: who knows of the latest
//! is believed.

use std::collections::HashMap;
use std::time::Duration;

use model::limits;
use redis::{AsyncConnectionConfig, Client, RedisError, RedisResult, pipe};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::url::Host;

/// How long the answers of others are waited for when there is one.
const MORE: Duration = Duration::from_millis(limits::BUS_CONNECT_TIME.as_millis() as u64 / 4);

/// What Sentinels say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Master {
    pub(super) host: Host,
    /// Grows with each master of the name.
    pub(super) epoch: u64,
}

/// What they remember of what was said.
#[derive(Debug, Default)]
pub(super) struct Named {
    master: Option<Master>,
    /// Grows each time that it is another: who is connected to the one before is at the wrong place, even if that does not say so.
    pub(super) turn: u64,
}

impl Named {
    /// Takes what was said, unless it is old news and there is no need to.
    pub(super) fn note(&mut self, said: &Master, needs_one: bool) {
        let is_old = |known: &Master| said.epoch < known.epoch && !needs_one;
        let is_same = |known: &Master| said.host == known.host;
        if let Some(known) = &self.master {
            if is_old(known) {
                return;
            }
            self.turn += u64::from(!is_same(known));
        }
        self.master = Some(said.clone());
    }
}

/// Asks all at once, at most until a moment after the first answer. `Ok(None)`: none knows a master of this name.
pub(super) async fn ask(clients: Vec<Client>, service: &str) -> RedisResult<Option<Master>> {
    let until = Instant::now() + MORE;
    let mut asked = JoinSet::new();
    for client in clients {
        asked.spawn(ask_one(client, service.to_owned()));
    }
    let (mut best, mut knows_none, mut fault) = (None::<Master>, false, None::<RedisError>);
    loop {
        let next = asked.join_next();
        let answer = match &best {
            None => next.await,
            Some(_) => timeout_at(until, next).await.unwrap_or_default(),
        };
        match answer {
            Some(Ok(Ok(Some(master)))) => {
                let is_newer = |best: &Master| master.epoch > best.epoch;
                if best.as_ref().is_none_or(is_newer) {
                    best = Some(master);
                }
            }
            Some(Ok(Ok(None))) => knows_none = true,
            Some(Ok(Err(error))) => {
                fault.get_or_insert(error);
            }
            // It was not ours to end.
            Some(Err(_)) => {}
            None => break,
        }
    }
    match (best, fault) {
        (None, Some(fault)) if !knows_none => Err(fault),
        (best, _) => Ok(best),
    }
}

async fn ask_one(client: Client, service: String) -> RedisResult<Option<Master>> {
    // Whoever asks has a bound of its own.
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None);
    let mut connection = client
        .get_multiplexed_async_connection_with_config(&config)
        .await?;
    let address: Option<(String, u16)> = redis::cmd("SENTINEL")
        .arg("GET-MASTER-ADDR-BY-NAME")
        .arg(&service)
        .query_async(&mut connection)
        .await?;
    let Some((name, port)) = address else {
        return Ok(None);
    };
    let (state,): (HashMap<String, String>,) = pipe()
        .cmd("SENTINEL")
        .arg("MASTER")
        .arg(&service)
        .query_async(&mut connection)
        .await?;
    let epoch = state.get("config-epoch").and_then(|text| text.parse().ok());
    Ok(Some(Master {
        host: Host { name, port },
        epoch: epoch.unwrap_or_default(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn master(port: u16, epoch: u64) -> Master {
        let name = "a".to_owned();
        let host = Host { name, port };
        Master { host, epoch }
    }

    #[test]
    fn old_news_moves_nobody_who_has_a_master() {
        let mut named = Named::default();
        let mut turn = |said: Master, needs_one: bool| {
            named.note(&said, needs_one);
            named.turn
        };
        assert_eq!(turn(master(1, 5), true), 0);
        assert_eq!(turn(master(1, 5), false), 0);
        assert_eq!(turn(master(2, 6), false), 1);
        assert_eq!(turn(master(1, 5), false), 1);
        assert_eq!(turn(master(2, 6), false), 1);
        // Sentinels that were made anew count from the beginning.
        assert_eq!(turn(master(3, 0), true), 2);
        assert_eq!(turn(master(4, 1), false), 3);
    }
}

//! `offhook drain`: has a running server take nothing new, hand on what it can, and end when nothing is left.
//!
//! It asks, and then waits; ending the wait leaves the server at it.

use std::time::Duration;

use clap::Args;
use node::control::{ControlFault, ask};
use serde_json::json;

use super::opened::data_dir;
use super::output::{duration, print, print_json};
use super::{Failure, Place};

/// How often it is looked whether the server has ended.
const LOOKS: Duration = Duration::from_millis(200);

#[derive(Args)]
pub(crate) struct Flags {
    /// Only ask for it, and do not wait until the server has ended
    #[arg(long)]
    no_wait: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Flags {
    pub(crate) async fn run(self, place: &Place) -> Result<(), Failure> {
        let data = data_dir(place)?;
        let answer = ask(&data, json!({ "ask": "drain" })).await?;
        let most = Duration::from_secs(answer["drain_s"].as_u64().unwrap_or_default());
        if !self.json {
            let most = duration(most);
            print(format!(
                "The server takes nothing new, and ends when no call goes on, in {most} at most"
            ))?;
        }
        while !self.no_wait && is_there(ask(&data, json!({ "ask": "status" })).await) {
            tokio::time::sleep(LOOKS).await;
        }
        if self.json {
            let drained = json!({ "drain_s": most.as_secs(), "has_ended": !self.no_wait });
            print_json(&drained)?;
        } else if !self.no_wait {
            print("It has ended".to_owned())?;
        }
        Ok(())
    }
}

/// Whether a server still answers, in whatever way.
fn is_there<T>(answer: Result<T, ControlFault>) -> bool {
    !matches!(answer, Err(ControlFault::NoServer(_)))
}

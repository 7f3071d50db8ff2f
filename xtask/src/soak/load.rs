//! Generators: `offhook bench` in processes of their own, paused and killed as the plan says. A report of one that nothing
//! disturbed is judged here.

use std::io::Write as _;
use std::process::{Child, Stdio};
use std::time::Instant;

use serde_json::Value;

use super::plan::{Fate, Kind, Load};
use super::site::{Site, signal};

/// What a generator may take beyond its time: connecting, tokens, the last answers.
const SLACK_MS: u64 = 60_000;
/// Packets in a hundred that may get lost: the kernel drops some where the generator does not get a processor.
const PACKETS_LOST_PERCENT: f64 = 2.0;

/// A generator that runs; killed with its value.
pub(super) struct Generator {
    process: Child,
    load: Load,
    begun: Instant,
    is_disturbed: bool,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Runs,
    IsPaused,
    IsGone,
}

impl Generator {
    pub(super) fn start(
        site: &Site,
        place: usize,
        load: Load,
        is_disturbed: bool,
    ) -> Result<Self, String> {
        let account = &site.accounts[place];
        let mut command = site.tied();
        command
            .args(words(&load))
            .arg("--json")
            .env("OFFHOOK_BENCH_API_KEY", &account.api_key);
        let mut said = None;
        if let Kind::Turn { .. } = load.kind {
            said = site.web(place, "/v1/turn_credentials");
            command.args(["--server", &site.turn_address(), "--credential"]);
            command.args(["--from", "127.0.0.2"]);
        } else {
            command.args(["--server", &site.url(), "--login", &account.login]);
            if !matches!(load.kind, Kind::Token { .. }) {
                command.args(["--domain", &account.domain]);
            }
        }
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("a generator could not be started: {error}"))?;
        if let Some(mut stdin) = process.stdin.take() {
            // Without a credential it says itself what it lacks.
            let _ = stdin.write_all(said.unwrap_or_default().as_bytes());
        }
        Ok(Self {
            process,
            load,
            begun: Instant::now(),
            is_disturbed,
            state: State::Runs,
        })
    }

    pub(super) fn is_gone(&self) -> bool {
        self.state == State::IsGone
    }

    /// Does what is due. A finding, if there is one.
    pub(super) fn look(&mut self) -> Result<Option<String>, String> {
        if self.is_gone() {
            return Ok(None);
        }
        let ended = self.process.try_wait().ok().flatten();
        if let Some(status) = ended {
            self.state = State::IsGone;
            return Ok((!self.is_disturbed)
                .then(|| self.fault(status.success()))
                .flatten());
        }
        let age_ms = self.begun.elapsed().as_millis() as u64;
        match (self.load.fate, self.state) {
            (Fate::Killed { after_ms }, State::Runs) if age_ms >= after_ms => self.kill(),
            (Fate::Paused { after_ms, .. }, State::Runs) if age_ms >= after_ms => {
                self.state = State::IsPaused;
                signal(self.process.id(), "STOP")?;
            }
            (Fate::Paused { after_ms, for_ms }, State::IsPaused) if age_ms >= after_ms + for_ms => {
                self.kill()
            }
            (Fate::Undisturbed | Fate::Killed { .. } | Fate::Paused { .. }, _) => {}
        }
        if age_ms > 1_000 * self.load.seconds + SLACK_MS {
            self.kill();
            return Ok(Some(format!("`{}` does not come to its end", self.load)));
        }
        Ok(None)
    }

    pub(super) fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
        self.state = State::IsGone;
    }

    /// What is wrong with the report of one that has ended.
    fn fault(&mut self, is_success: bool) -> Option<String> {
        let read = |pipe: Option<&mut dyn std::io::Read>| {
            let mut text = String::new();
            // What is no text is no report either.
            let _ = pipe.map(|pipe| pipe.read_to_string(&mut text));
            text
        };
        let out = read(self.process.stdout.as_mut().map(|out| out as _));
        let error = read(self.process.stderr.as_mut().map(|error| error as _));
        if !is_success {
            return Some(format!(
                "`{}`, undisturbed, failed: {}",
                self.load,
                error.trim()
            ));
        }
        fault_of(&out).map(|fault| format!("`{}`, undisturbed: {fault}", self.load))
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Nothing may have failed, and something must have been done.
fn fault_of(report: &str) -> Option<String> {
    let Ok(report) = serde_json::from_str::<Value>(report) else {
        return Some(format!("no report: {report}"));
    };
    let failures = report["failures"].as_object();
    if let Some(failures) = failures.filter(|failures| !failures.is_empty()) {
        return Some(format!("failures {}", Value::from(failures.clone())));
    }
    if report["connections_lost"].as_u64().unwrap_or(0) > 0 {
        return Some(format!("{} connections lost", report["connections_lost"]));
    }
    if report["lost_percent"].as_f64().unwrap_or(0.0) > PACKETS_LOST_PERCENT {
        return Some(format!("{} % of the packets lost", report["lost_percent"]));
    }
    let done = ["done", "registered", "received"].map(|name| report[name].as_u64().unwrap_or(0));
    (done == [0; 3]).then(|| format!("nothing was done: {report}"))
}

fn words(load: &Load) -> Vec<String> {
    let (what, numbers) = match load.kind {
        Kind::Register { clients, rate } => {
            ("register", vec![("--clients", clients), ("--rate", rate)])
        }
        Kind::Calls {
            clients,
            rate,
            talk_s,
        } => (
            "calls",
            vec![("--clients", clients), ("--rate", rate), ("--talk", talk_s)],
        ),
        Kind::Burst { clients, window } => {
            ("calls", vec![("--clients", clients), ("--window", window)])
        }
        Kind::Idle { clients } => ("idle", vec![("--clients", clients)]),
        Kind::Token { rate } => ("token", vec![("--rate", rate)]),
        Kind::Storm { clients } => ("storm", vec![("--clients", clients)]),
        Kind::Turn { allocations, rate } => (
            "turn",
            vec![("--allocations", allocations), ("--rate", rate)],
        ),
    };
    let mut words = vec!["bench".to_owned(), what.to_owned()];
    let seconds = match load.kind {
        Kind::Storm { .. } => None,
        Kind::Register { .. }
        | Kind::Calls { .. }
        | Kind::Burst { .. }
        | Kind::Idle { .. }
        | Kind::Token { .. }
        | Kind::Turn { .. } => Some(("--seconds", load.seconds)),
    };
    for (flag, number) in numbers.into_iter().chain(seconds) {
        words.extend([flag.to_owned(), number.to_string()]);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_at_fault_if_anything_failed_or_nothing_was_done() {
        assert_eq!(fault_of(r#"{"done": 7, "failures": {}}"#), None);
        assert_eq!(fault_of(r#"{"registered": 7, "failures": {}}"#), None);
        assert_eq!(fault_of(r#"{"received": 7, "lost_percent": 0.1}"#), None);
        for wrong in [
            "",
            r#"{"done": 0, "failures": {}}"#,
            r#"{"done": 7, "failures": {"INVITE: 480": 1}}"#,
            r#"{"done": 7, "failures": {}, "connections_lost": 1}"#,
            r#"{"received": 7, "lost_percent": 3.0}"#,
        ] {
            assert!(fault_of(wrong).is_some(), "{wrong}");
        }
    }

    #[test]
    fn a_load_becomes_a_command_line() {
        let load = Load {
            kind: Kind::Calls {
                clients: 8,
                rate: 30,
                talk_s: 2,
            },
            seconds: 5,
            fate: Fate::Undisturbed,
        };
        assert_eq!(
            words(&load).join(" "),
            "bench calls --clients 8 --rate 30 --talk 2 --seconds 5"
        );
    }
}

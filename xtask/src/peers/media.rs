//! `cargo xtask bench-peers media`: our media gateway and Debian's rtpengine, in user space, under the same packets, in turn.
//!
//! One core for the gateway, another for the load. Each measurement starts its gateway anew. Prints a table in Markdown, the medians of
//! the rounds. docs/media.md says how to read it.

use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{CORE, median};
use crate::install;
use crate::step::{cargo, output_of, run as step, succeed};
use crate::workspace;

const FLAGS: &str = "[--rounds N] [--seconds N] [--calls N] [--transcoded N]";
const NEEDS: [(&str, &[&str]); 2] = [
    ("rtpengine", &["rtpengine-daemon"]),
    ("taskset", &["util-linux"]),
];
const PATIENCE: Duration = Duration::from_secs(20);

/// What is looked at in each report.
const FIGURES: [(&str, &str); 4] = [
    ("packets/s", "rate_per_s"),
    ("µs of the processor a packet", "gateway_cpu_us_per_packet"),
    ("packets lost", "lost"),
    ("bytes a call, after the load", "bytes_per_call_after_load"),
];

/// What is wanted of a run.
struct Wish {
    rounds: usize,
    seconds: usize,
    calls: usize,
    /// Calls in which everything is transcoded; so few that a core carries them.
    transcoded: usize,
}

impl Wish {
    fn read(arguments: &[String]) -> Result<Self, String> {
        let mut wish = Self {
            rounds: 3,
            seconds: 5,
            calls: 1_000,
            transcoded: 115,
        };
        let places = [
            ("--rounds", &mut wish.rounds),
            ("--seconds", &mut wish.seconds),
            ("--calls", &mut wish.calls),
            ("--transcoded", &mut wish.transcoded),
        ];
        super::read_numbers(arguments, places, "bench-peers media", FLAGS)?;
        Ok(wish)
    }
}

/// Runs everything and prints the table.
pub(super) fn run(arguments: &[String]) -> Result<(), String> {
    let wish = Wish::read(arguments)?;
    install::packages(&NEEDS)?;
    let root = workspace::root();
    step("build", || {
        succeed(
            cargo()
                .args(["build", "--release", "-p", "offhook"])
                .current_dir(&root),
        )
    })?;
    let program = workspace::target_folder(&root)?
        .join("release")
        .join("offhook");
    let rows = [("pcmu", wish.calls), ("opus", wish.transcoded)];
    let mut found = vec![(Vec::new(), Vec::new()); rows.len()];
    for round in 1..=wish.rounds {
        for ((codec, calls), (ours, theirs)) in rows.iter().zip(&mut found) {
            println!("round {round}: {calls} calls, browsers with {codec}");
            let more = [
                ("--codec", (*codec).to_owned()),
                ("--calls", calls.to_string()),
            ];
            let own = [("--gateway-cpu", CORE.to_owned())];
            ours.push(measure(&program, &wish, &more, &own)?);
            let peer = Rtpengine::start()?;
            let named = [
                ("--gateway", peer.control.clone()),
                ("--pid", peer.process.id().to_string()),
            ];
            theirs.push(measure(&program, &wish, &more, &named)?);
        }
    }
    for ((codec, calls), (ours, theirs)) in rows.iter().zip(&found) {
        println!(
            "\n{calls} calls, browsers with {codec}\n\n{}",
            table(ours, theirs)
        );
    }
    Ok(())
}

/// One run of `offhook bench media`.
fn measure(
    program: &Path,
    wish: &Wish,
    more: &[(&str, String)],
    gateway: &[(&str, String)],
) -> Result<Value, String> {
    let mut command = Command::new(program);
    command.args(["bench", "media", "--json", "--cpu", "1"]);
    command.args(["--seconds", &wish.seconds.to_string()]);
    for (flag, value) in more.iter().chain(gateway) {
        command.args([flag, value.as_str()]);
    }
    let text = output_of(&mut command)?;
    serde_json::from_str(&text)
        .map_err(|error| format!("`offhook bench media` wrote no JSON: {error}"))
}

fn table(ours: &[Value], theirs: &[Value]) -> String {
    let mut text = String::from("| | offhook | rtpengine | ratio |\n|---|---|---|---|\n");
    for (name, field) in FIGURES {
        let all = |reports: &[Value]| -> Vec<f64> {
            let figures = reports.iter().map(|report| report[field].as_f64());
            figures.map(Option::unwrap_or_default).collect()
        };
        let (mut ours, mut theirs) = (all(ours), all(theirs));
        let pairs = ours.iter().zip(&theirs);
        let mut ratios: Vec<f64> = pairs.map(|(ours, theirs)| ours / theirs).collect();
        let ratio = median(&mut ratios);
        let (least, most) = (ratios[0], ratios[ratios.len() - 1]);
        let ratio = if ratio.is_finite() {
            format!("**{ratio:.2}** ({least:.2} to {most:.2})")
        } else {
            String::new()
        };
        text += &format!(
            "| {name} | {:.2} | {:.2} | {ratio} |\n",
            median(&mut ours),
            median(&mut theirs)
        );
    }
    text
}

/// rtpengine, in user space and with one thread. Gone with its value.
struct Rtpengine {
    process: Child,
    /// Where it is told what to do.
    control: String,
}

impl Rtpengine {
    fn start() -> Result<Self, String> {
        let control = format!("127.0.0.1:{}", free_port()?);
        let mut command = Command::new("taskset");
        command.args(["-c", CORE, "rtpengine", "--foreground", "--log-stderr"]);
        // No table of the kernel module; what is only looked at is not logged.
        command.args(["--table=-1", "--log-level=2", "--num-threads=1"]);
        command.args([
            "--interface=127.0.0.1",
            "--port-min=30000",
            "--port-max=65000",
        ]);
        command.args([&format!("--listen-ng={control}"), "--delete-delay=0"]);
        let process = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("rtpengine could not be started: {error}"))?;
        let mut peer = Self { process, control };
        peer.await_answering()?;
        Ok(peer)
    }

    fn await_answering(&mut self) -> Result<(), String> {
        let fault = |error: std::io::Error| format!("rtpengine cannot be asked: {error}");
        let socket = UdpSocket::bind("127.0.0.1:0").map_err(fault)?;
        let wait = Some(Duration::from_millis(100));
        socket.set_read_timeout(wait).map_err(fault)?;
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            // It may not listen yet.
            let _ = socket.send_to(b"0 d7:command4:pinge", &self.control);
            if socket.recv(&mut [0; 100]).is_ok() {
                return Ok(());
            }
            if let Ok(Some(status)) = self.process.try_wait() {
                return Err(format!("rtpengine ended at once: {status}"));
            }
        }
        Err("rtpengine does not answer".to_owned())
    }
}

impl Drop for Rtpengine {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> Result<u16, String> {
    let bound = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    bound
        .map(|address| address.port())
        .map_err(|error| format!("no port is free: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_wish_is_read_or_refused() {
        let read = |text: &str| {
            let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
            Wish::read(&words)
        };
        let wish = read("--rounds 2 --transcoded 9").unwrap();
        assert_eq!((wish.rounds, wish.calls, wish.transcoded), (2, 1_000, 9));
        assert!(read("--calls").is_err());
        assert!(read("--clients 3").is_err());
    }

    #[test]
    fn the_table_has_medians_and_the_spread_of_the_ratios() {
        let report = |rate: f64| json!({"rate_per_s": rate, "lost": 0});
        let ours = [report(120.0), report(100.0), report(140.0)];
        let theirs = [report(100.0), report(100.0), report(100.0)];
        let text = table(&ours, &theirs);
        assert!(
            text.contains("| packets/s | 120.00 | 100.00 | **1.20** (1.00 to 1.40) |"),
            "{text}"
        );
        assert!(text.contains("| packets lost | 0.00 | 0.00 |  |"), "{text}");
    }
}

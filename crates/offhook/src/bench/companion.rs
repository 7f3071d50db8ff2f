//! What a bench starts beside itself: a command of this program in a process of its own, so that its processor time and memory are nobody
//! else's.
//!
//! Never outlives its value.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, anyhow};

/// Its first line says where it listens, behind these words.
pub(super) const LISTENS: &str = "listens on ";

/// See the module.
pub(super) struct Companion {
    process: Child,
    address: SocketAddr,
}

impl Companion {
    /// `what` it is stands in what is said when it cannot be started.
    pub(super) fn start(
        what: &str,
        arguments: &[&str],
        cpu: Option<usize>,
    ) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("bench").args(arguments);
        if let Some(cpu) = cpu {
            command.args(["--cpu", &cpu.to_string()]);
        }
        let mut process = command
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{what} cannot be started"))?;
        let output = process.stdout.take().expect("it was piped");
        let mut line = String::new();
        let said = BufReader::new(output).read_line(&mut line);
        let address = line.trim().strip_prefix(LISTENS);
        match (said, address.and_then(|address| address.parse().ok())) {
            (Ok(_), Some(address)) => Ok(Self { process, address }),
            _ => {
                let _ = process.kill();
                let _ = process.wait();
                Err(anyhow!("{what} did not say where it listens"))
            }
        }
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Companion {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

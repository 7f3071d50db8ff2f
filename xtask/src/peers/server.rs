//! The servers that are compared: each in a process of its own on the first core, on free ports, gone with its value.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::CORE;
use crate::offhook::{Account, Offhook, json, make_certificate, url};
use crate::step::succeed;

const CLOUD: &str = "1-2-0";
const USER: &str = "bench@example.com";
const PATIENCE: Duration = Duration::from_secs(20);
/// Kamailio's memory in MiB: what all of its processes share, and each one's own.
const SHARED: &str = "3072";
const OWN: &str = "64";

/// Reads the key set of an account and writes its first RSA key as PEM.
const TO_PEM: &str = "import json, sys, jwt\n\
    from cryptography.hazmat.primitives import serialization as s\n\
    key = jwt.PyJWKSet.from_dict(json.load(sys.stdin)).keys[0].key\n\
    print(key.public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo).decode())";

/// An account, a certificate and what Kamailio is configured from, for one run.
pub(super) struct Folder {
    path: PathBuf,
    pub(super) account: Account,
    /// One that all clients of Kamailio show.
    pub(super) token: String,
}

impl Folder {
    pub(super) fn prepare(program: &Path) -> Result<Self, String> {
        let path = std::env::temp_dir().join(format!("offhook-peers-{}", std::process::id()));
        fs::create_dir_all(&path)
            .map_err(|error| format!("{} cannot be made: {error}", path.display()))?;
        make_certificate(&path.join("cert.pem"), &path.join("key.pem"))?;
        let data = path.join("data");
        let account = Account::create(program, &data, USER)?;
        let words = ["token", "create", "--client-id", "c0", "--ttl", "86400"];
        let token = json(program, &data, &words)?;
        let folder = Self {
            path,
            account,
            token: token["token"].as_str().unwrap_or_default().to_owned(),
        };
        folder.configure(program)?;
        Ok(folder)
    }

    fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes what Kamailio verifies tokens with.
    fn configure(&self, program: &Path) -> Result<(), String> {
        let server = start_offhook(program, self, false)?;
        let jwks = server
            .url
            .replace("ws://", "http://")
            .replace("/sipproxy", "/.well-known/jwks.json");
        let command = format!("set -e; curl -s {jwks} | /usr/bin/python3 -c \"$0\" > \"$1\"");
        succeed(
            Command::new("sh")
                .args(["-c", &command, TO_PEM])
                .arg(self.file("public.pem")),
        )?;
        self.write("verify.py", include_str!("verify.py"), &[])
    }

    fn write(&self, name: &str, text: &str, more: &[(&str, String)]) -> Result<(), String> {
        let folder = self.path.display().to_string();
        let mut text = text.replace("@FOLDER@", &folder).replace("@CLOUD@", CLOUD);
        for (mark, value) in more {
            text = text.replace(mark, value);
        }
        let file = self.file(name);
        fs::write(&file, text)
            .map_err(|error| format!("{} cannot be written: {error}", file.display()))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left lies in the folder for temporary files.
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn on_its_core(program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", CORE]).arg(program);
    command
}

/// offhook, with the account of the folder.
pub(super) fn start_offhook(
    program: &Path,
    folder: &Folder,
    is_tls: bool,
) -> Result<Offhook, String> {
    let mut command = on_its_core(program);
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--turn=false", "--data"])
        .arg(folder.data());
    if is_tls {
        command.arg("--tls-cert").arg(folder.file("cert.pem"));
        command.arg("--tls-key").arg(folder.file("key.pem"));
    }
    Offhook::start(command, is_tls)
}

/// Kamailio, as `kamailio.cfg` says.
pub(super) struct Kamailio {
    process: Child,
    pub(super) url: String,
}

impl Kamailio {
    pub(super) fn start(folder: &Folder, is_tls: bool, is_jwt: bool) -> Result<Self, String> {
        let (tcp, tls) = (free_port()?, free_port()?);
        let ports = [("@TCP@", tcp.to_string()), ("@TLS@", tls.to_string())];
        folder.write("kamailio.cfg", include_str!("kamailio.cfg"), &ports)?;
        let log = fs::File::create(folder.file("kamailio.log"))
            .map_err(|error| format!("Kamailio's log cannot be made: {error}"))?;
        let mut command = on_its_core(Path::new("kamailio"));
        command
            .arg("-f")
            .arg(folder.file("kamailio.cfg"))
            .args(["-DD", "-E", "-m", SHARED, "-M", OWN]);
        // The faster one: the default is made for finding faults.
        command.args(["-x", "tlsf", "-X", "tlsf"]);
        command.arg("-P").arg(folder.file("kamailio.pid"));
        for (is_on, word) in [(is_tls, "WITH_TLS"), (is_jwt, "WITH_JWT")] {
            if is_on {
                command.args(["-A", word]);
            }
        }
        let process = command
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|error| format!("Kamailio could not be started: {error}"))?;
        let port = if is_tls { tls } else { tcp };
        let kamailio = Self {
            process,
            url: url(is_tls, &format!("127.0.0.1:{port}"), "/"),
        };
        kamailio.await_listening(port, folder)?;
        Ok(kamailio)
    }

    fn await_listening(&self, port: u16, folder: &Folder) -> Result<(), String> {
        let end = Instant::now() + PATIENCE;
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            if Instant::now() > end {
                let log = fs::read_to_string(folder.file("kamailio.log")).unwrap_or_default();
                return Err(format!("Kamailio does not listen:\n{log}"));
            }
            std::thread::yield_now();
        }
        Ok(())
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Kamailio {
    fn drop(&mut self) {
        // SIGTERM, so that its children end as well.
        let _ = Command::new("kill")
            .arg(self.process.id().to_string())
            .status();
        let _ = self.process.wait();
    }
}

fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    listener
        .map(|address| address.port())
        .map_err(|error| format!("there is no free port: {error}"))
}

//! The servers that are compared: each in a process of its own on the first core, on free ports, gone with its value.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::step::{output_of, succeed};

const CLOUD: &str = "1-2-0";
const USER: &str = "bench@example.com";
/// The core that servers run on.
const CORE: &str = "0";
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
    pub(super) login: String,
    pub(super) api_key: String,
    pub(super) domain: String,
    /// One that all clients of Kamailio show.
    pub(super) token: String,
}

impl Folder {
    pub(super) fn prepare(program: &Path) -> Result<Self, String> {
        let path = std::env::temp_dir().join(format!("offhook-peers-{}", std::process::id()));
        fs::create_dir_all(&path)
            .map_err(|error| format!("{} cannot be made: {error}", path.display()))?;
        let mut folder = Self {
            path,
            login: format!("{CLOUD}/{USER}"),
            api_key: String::new(),
            domain: String::new(),
            token: String::new(),
        };
        folder.make_certificate()?;
        let created = folder.json(
            program,
            &[
                "account",
                "create",
                "--cloud-id",
                CLOUD,
                "--username",
                USER,
                "--type",
                "production",
            ],
        )?;
        let field = |name: &str| created[name].as_str().unwrap_or_default().to_owned();
        folder.api_key = field("api_key");
        folder.domain = format!(
            "{}.webrtc-{CLOUD}.aculabcloud.net",
            field("webrtc_access_key")
        );
        let token = folder.json(
            program,
            &["token", "create", "--client-id", "c0", "--ttl", "86400"],
        )?;
        folder.token = token["token"].as_str().unwrap_or_default().to_owned();
        folder.configure(program)?;
        Ok(folder)
    }

    fn json(&self, program: &Path, words: &[&str]) -> Result<Value, String> {
        let text = output_of(
            Command::new(program)
                .args(words)
                .arg("--json")
                .arg("--data")
                .arg(self.data()),
        )?;
        serde_json::from_str(&text)
            .map_err(|error| format!("`offhook {}` wrote no JSON: {error}", words.join(" ")))
    }

    fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn make_certificate(&self) -> Result<(), String> {
        output_of(
            Command::new("openssl")
                .args([
                    "req",
                    "-x509",
                    "-newkey",
                    "ec",
                    "-pkeyopt",
                    "ec_paramgen_curve:prime256v1",
                    "-nodes",
                ])
                .args([
                    "-days",
                    "30",
                    "-subj",
                    "/CN=localhost",
                    "-addext",
                    "subjectAltName=DNS:localhost,IP:127.0.0.1",
                ])
                .arg("-keyout")
                .arg(self.file("key.pem"))
                .arg("-out")
                .arg(self.file("cert.pem")),
        )
        .map(drop)
    }

    /// Writes what Kamailio verifies tokens with.
    fn configure(&self, program: &Path) -> Result<(), String> {
        let server = Offhook::start(program, self, false)?;
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

fn url(is_tls: bool, address: &str, path: &str) -> String {
    let scheme = if is_tls { "wss" } else { "ws" };
    format!("{scheme}://{address}{path}")
}

/// offhook, with the account of the folder.
pub(super) struct Offhook {
    process: Child,
    /// Kept open, so that it can go on writing.
    _output: BufReader<ChildStdout>,
    pub(super) url: String,
}

impl Offhook {
    pub(super) fn start(program: &Path, folder: &Folder, is_tls: bool) -> Result<Self, String> {
        let mut command = on_its_core(program);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--turn=false", "--data"])
            .arg(folder.data());
        if is_tls {
            command.arg("--tls-cert").arg(folder.file("cert.pem"));
            command.arg("--tls-key").arg(folder.file("key.pem"));
        }
        let mut process = command
            .env("OFFHOOK_LOG", "warn")
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("offhook could not be started: {error}"))?;
        let output = process.stdout.take().expect("it was piped");
        let mut output = BufReader::new(output);
        let mut line = String::new();
        loop {
            line.clear();
            match output.read_line(&mut line) {
                Ok(0) | Err(_) => return Err("offhook ended before it served".to_owned()),
                Ok(_) => {}
            }
            let Some((_, address)) = line.split_once("offhook serves ") else {
                continue;
            };
            let address = address.trim().rsplit('/').next().unwrap_or_default();
            return Ok(Self {
                url: url(is_tls, address, "/sipproxy"),
                process,
                _output: output,
            });
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Offhook {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
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

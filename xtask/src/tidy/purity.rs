//! Purity: what the pure crates depend on, however far down, holds no runtime, socket, thread, lock, clock or source of
//! randomness; and each of them has a `clippy.toml` that bans the calls themselves.

use std::collections::{BTreeMap, VecDeque};

use serde_json::Value;

use super::Finding;
use crate::workspace::SourceFile;

/// The crates that are pure.
const PURE: [&str; 5] = ["media", "model", "sip", "switch", "turn"];

/// Crates that do what a pure crate must not; a `*` at the end stands for any ending.
const IMPURE: [&str; 17] = [
    "tokio",
    "tokio-*",
    "mio",
    "async-std",
    "async-io",
    "smol",
    "socket2",
    "rand",
    "getrandom",
    "parking_lot",
    "chrono",
    "crossbeam*",
    "rayon",
    "rayon-core",
    "notify",
    "polling",
    "libc",
];

/// Who may bring what. The cryptography needs `libc` to be linked, and `cpufeatures` to ask an ARM for its instructions.
/// The formats of STUN can draw transaction ids, which the `clippy.toml` of `turn` bans. DTLS cannot do without randomness
/// that nobody can foretell, and str0m's parts draw it where they need it (`dimpl`, `sctp-proto`): what a leg of the gateway sends
/// repeats in time and order, not in bytes. The parser under str0m (`combine`) can read for tokio as well, which the client of Redis
/// switches on in a build of everything; `cargo tree -p media` shows that the gateway does not ask for it.
const EXCUSED: [(&str, &str); 9] = [
    ("aws-lc-rs", "libc"),
    ("aws-lc-sys", "libc"),
    ("cpufeatures", "libc"),
    ("stun-types", "rand"),
    ("stun-proto", "rand"),
    ("dimpl", "rand"),
    ("sctp-proto", "rand"),
    ("combine", "tokio"),
    ("combine", "tokio-util"),
];

/// What each pure crate's `clippy.toml` must set: the file hides the one at the root.
const CLIPPY_KEYS: [&str; 3] = [
    "disallowed-methods",
    "disallowed-types",
    "too-many-lines-threshold",
];

/// Follows the normal dependencies of each pure crate, and looks for its `clippy.toml`.
pub(super) fn check(metadata: &Value, files: &[SourceFile]) -> Result<Vec<Finding>, String> {
    let graph = Graph::read(metadata)?;
    let mut findings = Vec::new();
    for name in PURE {
        let manifest = format!("crates/{name}/Cargo.toml");
        match graph.workspace_package(name) {
            Some(start) => findings.extend(graph.impure_paths(start).into_iter().map(|path| {
                Finding::error(
                    &manifest,
                    0,
                    format!("the pure crate `{name}` brings in {path}"),
                )
            })),
            None => findings.push(Finding::error(
                &manifest,
                0,
                format!("there is no crate `{name}`"),
            )),
        }
        findings.extend(check_clippy(name, files));
    }
    Ok(findings)
}

fn check_clippy(name: &str, files: &[SourceFile]) -> Vec<Finding> {
    let path = format!("crates/{name}/clippy.toml");
    let Some(file) = files.iter().find(|file| file.path == path) else {
        return vec![Finding::error(
            &path,
            0,
            "a pure crate bans impure calls in a clippy.toml of its own",
        )];
    };
    CLIPPY_KEYS
        .iter()
        .filter(|key| !file.text.lines().any(|line| line.starts_with(*key)))
        .map(|key| Finding::error(&path, 0, format!("`{key}` is not set")))
        .collect()
}

/// Who normally depends on whom, by package id.
struct Graph<'a> {
    names: BTreeMap<&'a str, &'a str>,
    uses: BTreeMap<&'a str, Vec<&'a str>>,
    ours: Vec<&'a str>,
}

impl<'a> Graph<'a> {
    fn read(metadata: &'a Value) -> Result<Graph<'a>, String> {
        let list = |value: &'a Value, what: &str| {
            value
                .as_array()
                .ok_or_else(|| format!("`cargo metadata` lists no {what}"))
        };
        let names = list(&metadata["packages"], "packages")?
            .iter()
            .filter_map(|package| Some((package["id"].as_str()?, package["name"].as_str()?)))
            .collect();
        let uses = list(&metadata["resolve"]["nodes"], "resolved packages")?
            .iter()
            .filter_map(|node| Some((node["id"].as_str()?, normal_uses(node))))
            .collect();
        let ours = list(&metadata["workspace_members"], "members")?
            .iter()
            .filter_map(Value::as_str)
            .collect();
        Ok(Graph { names, uses, ours })
    }

    fn workspace_package(&self, name: &str) -> Option<&'a str> {
        self.ours
            .iter()
            .copied()
            .find(|id| self.names.get(id) == Some(&name))
    }

    /// For each impure crate that is reached, the shortest way there in words.
    fn impure_paths(&self, start: &'a str) -> Vec<String> {
        let mut came_from = BTreeMap::from([(start, start)]);
        let mut waiting = VecDeque::from([start]);
        let mut paths = Vec::new();
        while let Some(id) = waiting.pop_front() {
            for next in self.uses.get(id).into_iter().flatten().copied() {
                let excused = EXCUSED.contains(&(self.name(id), self.name(next)));
                if excused || came_from.contains_key(next) {
                    continue;
                }
                came_from.insert(next, id);
                if is_impure(self.name(next)) {
                    paths.push(self.path_in_words(&came_from, next));
                } else {
                    waiting.push_back(next);
                }
            }
        }
        paths
    }

    fn path_in_words(&self, came_from: &BTreeMap<&'a str, &'a str>, end: &'a str) -> String {
        let mut names = vec![self.name(end)];
        let mut id = end;
        while let Some(before) = came_from.get(id).copied().filter(|before| *before != id) {
            names.push(self.name(before));
            id = before;
        }
        names.reverse();
        format!("`{}`: {}", self.name(end), names.join(" -> "))
    }

    fn name(&self, id: &str) -> &'a str {
        self.names.get(id).copied().unwrap_or("?")
    }
}

fn normal_uses(node: &Value) -> Vec<&str> {
    node["deps"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|dependency| {
            dependency["dep_kinds"]
                .as_array()
                .is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()))
        })
        .filter_map(|dependency| dependency["pkg"].as_str())
        .collect()
}

fn is_impure(name: &str) -> bool {
    IMPURE.iter().any(|banned| match banned.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == *banned,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// `uses` are pairs of names with the kind of the dependency.
    fn metadata(uses: &[(&str, &str, Option<&str>)]) -> Value {
        let mut names: Vec<&str> = uses.iter().flat_map(|(from, to, _)| [*from, *to]).collect();
        names.extend(PURE);
        names.sort_unstable();
        names.dedup();
        let nodes: Vec<Value> = names
            .iter()
            .map(|name| {
                let deps: Vec<Value> = uses
                    .iter()
                    .filter(|(from, _, _)| from == name)
                    .map(|(_, to, kind)| json!({ "pkg": to, "dep_kinds": [{ "kind": kind }] }))
                    .collect();
                json!({ "id": name, "deps": deps })
            })
            .collect();
        let packages: Vec<Value> = names
            .iter()
            .map(|name| json!({ "id": name, "name": name }))
            .collect();
        json!({ "packages": packages, "resolve": { "nodes": nodes }, "workspace_members": PURE })
    }

    fn clippy_files(text: &str) -> Vec<SourceFile> {
        PURE.iter()
            .map(|name| SourceFile {
                path: format!("crates/{name}/clippy.toml"),
                text: text.to_owned(),
            })
            .collect()
    }

    fn full_clippy() -> Vec<SourceFile> {
        clippy_files(
            "disallowed-methods = []\ndisallowed-types = []\ntoo-many-lines-threshold = 70\n",
        )
    }

    #[test]
    fn the_way_to_an_impure_crate_is_told() {
        let metadata = metadata(&[("switch", "cache", None), ("cache", "parking_lot", None)]);
        let findings = check(&metadata, &full_clippy()).unwrap();
        assert_eq!(findings.len(), 1);
        assert_eq!(
            findings[0].sentence,
            "the pure crate `switch` brings in `parking_lot`: switch -> cache -> parking_lot"
        );
    }

    #[test]
    fn what_only_tests_or_builds_use_does_not_count() {
        let metadata = metadata(&[
            ("sip", "rand", Some("dev")),
            ("model", "tokio", Some("build")),
        ]);
        assert_eq!(check(&metadata, &full_clippy()).unwrap(), []);
    }

    #[test]
    fn libc_is_excused_for_the_cryptography_only() {
        let fine = metadata(&[("switch", "aws-lc-rs", None), ("aws-lc-rs", "libc", None)]);
        assert_eq!(check(&fine, &full_clippy()).unwrap(), []);
        let uses = [
            ("switch", "aws-lc-rs", None),
            ("aws-lc-rs", "libc", None),
            ("switch", "time", None),
            ("time", "libc", None),
        ];
        let findings = check(&metadata(&uses), &full_clippy()).unwrap();
        assert_eq!(findings.len(), 1);
        assert!(
            findings[0].sentence.ends_with("switch -> time -> libc"),
            "{}",
            findings[0]
        );
    }

    #[test]
    fn the_formats_of_stun_may_bring_their_randomness_and_nobody_else_theirs() {
        let fine = metadata(&[
            ("turn", "stun-types", None),
            ("stun-types", "rand", None),
            ("rand", "getrandom", None),
            ("getrandom", "libc", None),
        ]);
        assert_eq!(check(&fine, &full_clippy()).unwrap(), []);
        let uses = [
            ("turn", "stun-types", None),
            ("stun-types", "rand", None),
            ("turn", "rand_chacha", None),
            ("rand_chacha", "getrandom", None),
        ];
        let findings = check(&metadata(&uses), &full_clippy()).unwrap();
        assert_eq!(findings.len(), 1);
        assert!(
            findings[0]
                .sentence
                .ends_with("turn -> rand_chacha -> getrandom"),
            "{}",
            findings[0]
        );
    }

    #[test]
    fn the_secrets_of_dtls_may_be_drawn_and_nothing_else_of_the_gateway() {
        let fine = metadata(&[
            ("media", "str0m", None),
            ("str0m", "dimpl", None),
            ("dimpl", "rand", None),
            ("rand", "getrandom", None),
        ]);
        assert_eq!(check(&fine, &full_clippy()).unwrap(), []);
        let findings = check(&metadata(&[("media", "rand", None)]), &full_clippy()).unwrap();
        assert_eq!(findings.len(), 1);
    }

    #[test]
    fn a_star_stands_for_any_ending() {
        assert!(is_impure("crossbeam-channel") && is_impure("crossbeam"));
        assert!(is_impure("rand") && !is_impure("randomize"));
    }

    #[test]
    fn a_clippy_toml_must_be_there_and_must_ban_calls() {
        let metadata = metadata(&[]);
        assert_eq!(check(&metadata, &[]).unwrap().len(), PURE.len());
        let findings = check(
            &metadata,
            &clippy_files("disallowed-methods = []\ndisallowed-types = []\n"),
        )
        .unwrap();
        assert_eq!(findings.len(), PURE.len());
        assert_eq!(
            findings[0].sentence,
            "`too-many-lines-threshold` is not set"
        );
    }
}

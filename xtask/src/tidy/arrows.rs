//! The arrows between the rooms: which crate of the workspace may depend on which. Only normal dependencies count; tests
//! may use what they like.

use serde_json::Value;

use super::Finding;

/// The one table of arrows: a crate, and the crates of ours that it may use.
const ARROWS: [(&str, &[&str]); 10] = [
    ("model", &[]),
    ("sip", &[]),
    ("turn", &[]),
    ("media", &["model"]),
    ("switch", &["model", "sip"]),
    ("store", &["model"]),
    (
        "node",
        &["model", "sip", "turn", "media", "switch", "store"],
    ),
    ("offhook", &["node"]),
    ("sim", &["model", "sip", "turn", "switch"]),
    ("xtask", &[]),
];

/// Compares what cargo knows with the table.
pub(super) fn check(metadata: &Value) -> Result<Vec<Finding>, String> {
    let packages = metadata["packages"]
        .as_array()
        .ok_or("`cargo metadata` lists no packages")?;
    // A package without a source is one of ours.
    let ours: Vec<&Value> = packages
        .iter()
        .filter(|package| package["source"].is_null())
        .collect();
    let names: Vec<&str> = ours
        .iter()
        .filter_map(|package| package["name"].as_str())
        .collect();

    let mut findings = Vec::new();
    for package in &ours {
        let name = package["name"].as_str().unwrap_or_default();
        let manifest = manifest_of(name);
        let Some((_, allowed)) = ARROWS.iter().find(|(known, _)| *known == name) else {
            findings.push(Finding::error(
                &manifest,
                0,
                format!("the crate `{name}` has no line in the table of arrows (xtask/src/tidy/arrows.rs)"),
            ));
            continue;
        };
        for used in normal_dependencies(package) {
            if names.contains(&used) && !allowed.contains(&used) {
                findings.push(Finding::error(&manifest, 0, sentence(name, used, allowed)));
            }
        }
    }
    Ok(findings)
}

fn normal_dependencies(package: &Value) -> impl Iterator<Item = &str> {
    package["dependencies"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|dependency| dependency["kind"].is_null())
        .filter_map(|dependency| dependency["name"].as_str())
}

fn sentence(name: &str, used: &str, allowed: &[&str]) -> String {
    if allowed.is_empty() {
        format!("`{name}` depends on `{used}`, but may use none of our crates")
    } else {
        format!(
            "`{name}` depends on `{used}`, but may use only {}",
            allowed.join(", ")
        )
    }
}

fn manifest_of(name: &str) -> String {
    if name == "xtask" {
        "xtask/Cargo.toml".to_owned()
    } else {
        format!("crates/{name}/Cargo.toml")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn package(name: &str, dependencies: &[(&str, Value)]) -> Value {
        let dependencies: Vec<Value> = dependencies
            .iter()
            .map(|(name, kind)| json!({ "name": name, "kind": kind }))
            .collect();
        json!({ "name": name, "source": null, "dependencies": dependencies })
    }

    #[test]
    fn an_arrow_of_the_table_is_fine() {
        let metadata = json!({ "packages": [
            package("model", &[]),
            package("sip", &[]),
            package("switch", &[("model", Value::Null), ("sip", Value::Null)]),
        ]});
        assert_eq!(check(&metadata).unwrap(), []);
    }

    #[test]
    fn an_arrow_that_is_not_in_the_table_is_a_fault() {
        let metadata = json!({ "packages": [
            package("model", &[]),
            package("store", &[("model", Value::Null)]),
            package("sim", &[("store", Value::Null)]),
        ]});
        let findings = check(&metadata).unwrap();
        assert_eq!(findings.len(), 1);
        assert!(
            findings[0].sentence.contains("`sim` depends on `store`"),
            "{}",
            findings[0]
        );
    }

    #[test]
    fn a_dependency_of_the_tests_is_no_arrow() {
        let metadata = json!({ "packages": [
            package("model", &[]),
            package("sip", &[("model", json!("dev"))]),
        ]});
        assert_eq!(check(&metadata).unwrap(), []);
    }

    #[test]
    fn a_crate_of_others_is_no_room_and_a_new_room_needs_a_line() {
        let mut foreign = package("serde", &[]);
        foreign["source"] = json!("registry");
        let metadata = json!({ "packages": [foreign, package("billing", &[])] });
        let findings = check(&metadata).unwrap();
        assert_eq!(findings.len(), 1);
        assert!(
            findings[0].sentence.contains("`billing` has no line"),
            "{}",
            findings[0]
        );
    }
}

//! `offhook backup`: everything is in the copy, and nothing is overwritten.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::harness::{Folder, finish};

const LOGIN: &str = "1-2-0/a@b.c";

/// A line of `offhook` on another data folder.
fn on(folder: &Folder, data: &Path, line: &str) -> String {
    let done = finish(folder.command(line).arg("--data").arg(data));
    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{done:?}");
    done.stdout
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_server_goes_on_on_a_copy_that_was_made_while_another_ran() {
    let folder = Folder::new();
    let key = folder.account("a@b.c");
    folder.ok("service set support --clients bob");
    let server = folder.serve("serve --listen 127.0.0.1:0");
    assert_eq!(server.token_status(LOGIN, &key), 200);
    let files = folder.data().join("files/1");
    fs::create_dir_all(&files).unwrap();
    fs::write(files.join("hello.wav"), b"sound").unwrap();
    fs::write(files.join(".unfinished-0"), b"half").unwrap();

    let copy = folder.path().join("copies/today");
    let done = folder.json(&format!("backup --to {}/", copy.display()));
    assert_eq!(
        (&done["files"], &done["file_bytes"]),
        (&1.into(), &5.into())
    );
    assert!(done["store_bytes"].as_u64().unwrap() > 0, "{done}");
    assert_eq!(mode(&copy), 0o700);
    assert_eq!(mode(&copy.join("offhook.db")), 0o600);
    let names = |path: &Path| {
        let entries = fs::read_dir(path).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&copy), ["files", "offhook.db"]);
    assert_eq!(names(&copy.join("files/1")), ["hello.wav"]);
    assert_eq!(server.token_status(LOGIN, &key), 200, "it goes on");
    drop(server);

    for line in [
        "account list --json",
        "service list --json",
        "calls list --json",
    ] {
        assert_eq!(on(&folder, &copy, line), folder.ok(line), "{line}");
    }
    fs::remove_dir_all(folder.data()).unwrap();
    fs::rename(&copy, folder.data()).unwrap();
    let restored = folder.serve("serve --listen 127.0.0.1:0");
    assert_eq!(restored.token_status(LOGIN, &key), 200);
}

#[test]
fn a_store_alone_is_put_into_an_empty_folder() {
    let folder = Folder::new();
    folder.account("a@b.c");
    let copy = folder.path().join("copy.db");
    let said = folder.ok(&format!("backup --to {}", copy.display()));
    assert!(
        said.starts_with("Copied to ") && said.contains("0 files"),
        "{said}"
    );
    assert_eq!(mode(&copy), 0o600);
    let restored = folder.path().join("restored");
    fs::create_dir(&restored).unwrap();
    fs::copy(&copy, restored.join("offhook.db")).unwrap();
    assert!(on(&folder, &restored, "account list").contains(LOGIN));
}

#[test]
fn nothing_is_overwritten() {
    let folder = Folder::new();
    folder.account("a@b.c");
    let kept = folder.write("kept.db", "mine");
    let sentence = folder.fails(1, &format!("backup --to {}", kept.display()));
    assert!(sentence.contains("overwrites nothing"), "{sentence}");
    let full = folder.path().join("full");
    fs::create_dir(&full).unwrap();
    fs::write(full.join("mine"), "mine").unwrap();
    for spelling in ["", "/"] {
        let line = format!("backup --to {}{spelling}", full.display());
        let sentence = folder.fails(1, &line);
        assert!(sentence.contains("is not empty"), "{sentence}");
    }
    assert_eq!(fs::read_to_string(&kept).unwrap(), "mine");
    assert_eq!(fs::read_dir(&full).unwrap().count(), 1);
    // Nor is anything left of what could not be done.
    let nowhere = folder.path().join("nowhere/copy.db");
    let sentence = folder.fails(1, &format!("backup --to {}", nowhere.display()));
    assert!(sentence.contains("cannot copy to"), "{sentence}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
}

#[test]
fn a_folder_without_a_store_is_told() {
    let folder = Folder::new();
    let sentence = folder.fails(1, "backup --to copy.db");
    assert!(sentence.contains("there is no store in"), "{sentence}");
}

//! `offhook backup`: a copy of the store as it is at one moment, beside a server that goes on, and of the files of accounts.
//!
//! Overwrites nothing. What is not whole has another name, and no backup is told to be there before it is on the disk.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use clap::Args;
use node::store::Address;
use serde_json::json;

use super::opened::{Opened, STORE_FILE};
use super::output::{print, print_json};
use super::{Failure, Place};

/// The files of accounts in a data folder.
const FILES: &str = "files";
/// Added to the name of what is not whole.
const UNFINISHED: &str = ".unfinished";

#[derive(Args)]
pub(crate) struct Flags {
    /// The file that becomes a copy of the store; or a folder that is empty or ends with '/', which becomes a data folder with the
    /// files and recordings of the accounts as well
    #[arg(long, value_name = "FILE|FOLDER/")]
    to: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What was copied.
#[derive(Clone, Copy, Debug, Default)]
struct Copied {
    store_bytes: u64,
    files: u64,
    file_bytes: u64,
}

impl Flags {
    pub(crate) async fn run(self, place: &Place) -> Result<(), Failure> {
        let opened = Opened::existing(place).await?;
        if let Address::Database(url) = &opened.address {
            // Said before anything is copied.
            let files = opened.dir.join(FILES);
            let refusal = format!(
                "the store is {url}, which no file is a copy of: back it up with the tools of PostgreSQL, such as pg_dump, and the \
                 files of accounts in {} as files",
                files.display()
            );
            opened.close().await;
            return Err(Failure::failed(refusal));
        }
        let copied = if is_folder(&self.to) {
            whole(&opened, &self.to).await
        } else {
            store(&opened, &self.to).await.map(|store_bytes| Copied {
                store_bytes,
                ..Copied::default()
            })
        };
        opened.close().await;
        let copied = copied?;
        if self.json {
            print_json(&json!({
                "to": self.to,
                "store_bytes": copied.store_bytes,
                "files": copied.files,
                "file_bytes": copied.file_bytes,
            }))?;
        } else {
            print(format!(
                "Copied to {}: the store ({} bytes), {} files of accounts ({} bytes).",
                self.to.display(),
                copied.store_bytes,
                copied.files,
                copied.file_bytes
            ))?;
        }
        Ok(())
    }
}

fn is_folder(to: &Path) -> bool {
    to.is_dir() || to.as_os_str().as_encoded_bytes().ends_with(b"/")
}

/// Makes a data folder. The store comes last: a folder without one is no backup.
async fn whole(opened: &Opened, to: &Path) -> Result<Copied, Failure> {
    let fault = |error: io::Error| {
        Failure::failed(format!(
            "cannot copy to the folder {}: {error}",
            to.display()
        ))
    };
    make_folder(to).map_err(fault)?;
    if fs::read_dir(to).map_err(fault)?.next().is_some() {
        return Err(Failure::failed(format!(
            "the folder {} is not empty, and a backup overwrites nothing: name another, or one that is not there",
            to.display()
        )));
    }
    let mut copied = Copied::default();
    copy_files(&opened.dir.join(FILES), &to.join(FILES), &mut copied).map_err(fault)?;
    copied.store_bytes = store(opened, &to.join(STORE_FILE)).await?;
    Ok(copied)
}

/// Copies the store into a file that was not there; says how large it is.
async fn store(opened: &Opened, to: &Path) -> Result<u64, Failure> {
    let fault = |error: io::Error| {
        let to = to.display();
        Failure::failed(if error.kind() == io::ErrorKind::AlreadyExists {
            format!(
                "there is a file {to} already, and a backup overwrites nothing: name another, or move that away"
            )
        } else {
            format!("cannot copy to {to}: {error}")
        })
    };
    // The name is taken until the copy is whole and gets it.
    new_file(to).map_err(fault)?;
    let mut unfinished = to.as_os_str().to_owned();
    unfinished.push(UNFINISHED);
    let unfinished = PathBuf::from(unfinished);
    let copied = async {
        new_file(&unfinished).map_err(fault)?;
        let copied = async {
            opened.store.back_up(&unfinished).await?;
            let file = File::open(&unfinished)?;
            file.sync_all()?;
            fs::rename(&unfinished, to)?;
            Ok(file.metadata()?.len())
        };
        let copied: Result<u64, Failure> = copied.await;
        if copied.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        copied
    };
    let copied = copied.await;
    if copied.is_err() {
        let _ = fs::remove_file(to);
    }
    copied
}

/// Copies what is whole in the folders of accounts; there may be none.
fn copy_files(from: &Path, to: &Path, copied: &mut Copied) -> io::Result<()> {
    let entries = match fs::read_dir(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    make_folder(to)?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        // What is being written has a name that begins so.
        if name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let (from, to) = (entry.path(), to.join(&name));
        if entry.file_type()?.is_dir() {
            copy_files(&from, &to, copied)?;
            continue;
        }
        match fs::copy(&from, &to) {
            Ok(bytes) => {
                File::open(&to)?.sync_all()?;
                copied.files += 1;
                copied.file_bytes += bytes;
            }
            // It was removed meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Readable by its owner alone, as the data folder is.
fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn new_file(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(path).map(drop)
}

//! `/v1/files`: the files of an account, which services play and recordings become; listed, and each of them fetched, put and removed.
//!
//! What is put must be a WAV file that can be played; it appears when it is whole. Nothing is held in memory but what is judged, one
//! file at a time.

use std::future::poll_fn;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use axum::body::{Body, HttpBody};
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, Method, Request, Response, StatusCode};
use bytes::BytesMut;
use futures_util::stream;
use media::compressed::Decoding;
use media::wav::Wav;
use model::{AccountId, FileName, limits};
use serde_json::json;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio::sync::Semaphore;

use super::answer::{Fault, json, no_content, with_type};
use super::{Peer, Services, login, path};
use crate::account_file::AccountFiles;
use crate::account_place::{NoPlace, Places};

/// Where the files are listed; each is at its name below.
pub(super) const PATH: &str = "/v1/files";

/// What is read of a file at a time.
const PART: usize = 64 * 1024;

/// What the files of accounts are served with.
pub(crate) struct FileDesk {
    files: Arc<AccountFiles>,
    uploads: Arc<Places>,
    /// A file is judged whole, in memory: one at a time.
    judging: Semaphore,
}

impl FileDesk {
    pub(crate) fn new(files: Arc<AccountFiles>) -> Self {
        Self {
            files,
            uploads: Places::new(limits::UPLOADS_AT_ONCE, limits::UPLOADS_PER_ACCOUNT),
            judging: Semaphore::new(1),
        }
    }
}

/// Whether this is the path of one file, as far as its form goes.
pub(super) fn is_of_one(path: &str) -> bool {
    path::is_one_below(PATH, path)
}

/// Every file of the account, by name.
pub(super) async fn list(
    services: &Services,
    peer: &Peer,
    headers: &HeaderMap,
) -> Result<Response<Body>, Fault> {
    let account = login::account(services, peer, headers)?;
    let files = Arc::clone(&services.files.files);
    let list = on_disk(move || files.list(account)).await?;
    let list: Vec<_> = list
        .into_iter()
        .map(|(name, bytes)| json!({ "name": name, "bytes": bytes }))
        .collect();
    Ok(json(&list))
}

/// One file: fetched, put or removed.
pub(super) async fn one(
    services: &Services,
    peer: &Peer,
    request: Request<Body>,
) -> Result<Response<Body>, Fault> {
    let account = login::account(services, peer, request.headers())?;
    let name = path::name_below(PATH, request.uri(), FileName::parse)?;
    let path = services.files.files.path(account, &name);
    match *request.method() {
        Method::PUT => put(&services.files, account, &name, request).await,
        Method::DELETE => remove(path, &name).await,
        _ => fetch(path, &name).await,
    }
}

/// Whether the account has this file; the fault says that it has not.
pub(super) async fn check_is_there(
    services: &Services,
    account: AccountId,
    name: &FileName,
) -> Result<(), Fault> {
    let path = services.files.files.path(account, name);
    match tokio::fs::try_exists(path).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(no_such_file(name)),
        Err(error) => Err(disk_fault(&error)),
    }
}

async fn fetch(path: PathBuf, name: &FileName) -> Result<Response<Body>, Fault> {
    let mut file = match File::open(path).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(no_such_file(name)),
        opened => opened.map_err(|error| disk_fault(&error))?,
    };
    let about = file.metadata().await.map_err(|error| disk_fault(&error))?;
    let media_type = media_type(&mut file).await;
    let media_type = media_type.map_err(|error| disk_fault(&error))?;
    // No more than is announced, whatever is appended meanwhile.
    let file = file.take(about.len());
    let parts = stream::unfold(file, |mut file| async {
        let mut part = BytesMut::with_capacity(PART);
        match file.read_buf(&mut part).await {
            Ok(0) => None,
            Ok(_) => Some((Ok(part.freeze()), file)),
            Err(error) => Some((Err(error), file)),
        }
    });
    let mut response = with_type(media_type, Body::from_stream(parts));
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, about.len().into());
    Ok(response)
}

/// What a file is, by how it begins and not by its name. It is at its beginning afterwards.
async fn media_type(file: &mut File) -> io::Result<&'static str> {
    // As many as tell one form from another.
    let mut first = Vec::with_capacity(4);
    (&mut *file).take(4).read_to_end(&mut first).await?;
    file.rewind().await?;
    Ok(Decoding::media_type(&first).unwrap_or("audio/wav"))
}

async fn remove(path: PathBuf, name: &FileName) -> Result<Response<Body>, Fault> {
    match tokio::fs::remove_file(path).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(no_such_file(name)),
        removed => removed.map_err(|error| disk_fault(&error))?,
    }
    Ok(no_content())
}

async fn put(
    desk: &FileDesk,
    account: AccountId,
    name: &FileName,
    request: Request<Body>,
) -> Result<Response<Body>, Fault> {
    let announced = request.headers().get(CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limits::PLAY_FILE_BYTES as u64) {
        return Err(too_long());
    }
    let _place = desk.uploads.enter(account).map_err(|full| {
        let text = match full {
            NoPlace::All(count) => format!("The server takes {count} files at once, as many as it may"),
            NoPlace::Account(count) => format!(
                "{count} files of the account are being uploaded already, as many as may be; wait until one is done"
            ),
        };
        Fault::http(StatusCode::SERVICE_UNAVAILABLE, text).retry_after(5)
    })?;
    let (files, target) = (Arc::clone(&desk.files), desk.files.path(account, name));
    let (room, replaces, unfinished) = on_disk(move || {
        let replaces = target.is_file();
        let unfinished = Unfinished(Some(files.unfinished(account)?));
        Ok((files.has_room(account)?, replaces, unfinished))
    })
    .await?;
    if let Err(no_room) = room
        && !replaces
    {
        let text = format!("The file is not taken: {no_room}; remove one first");
        return Err(Fault::http(StatusCode::CONFLICT, text));
    }
    let taking = take(request.into_body(), unfinished.path());
    let bytes = tokio::time::timeout(limits::UPLOAD_TIME, taking)
        .await
        .unwrap_or_else(|_| Err(too_slow(limits::UPLOAD_TIME.as_secs())))?;
    let turn = desk.judging.acquire().await;
    let target = desk.files.path(account, name);
    let judged = on_disk(move || unfinished.judge_and_place(&target)).await?;
    drop(turn);
    judged.map_err(|why| Fault::malformed(format!("The body cannot be played: {why}")))?;
    let mut response = json(&json!({ "name": name.as_str(), "bytes": bytes }));
    if !replaces {
        *response.status_mut() = StatusCode::CREATED;
    }
    Ok(response)
}

/// Writes a body to a file; says how long it is.
async fn take(mut body: Body, path: &Path) -> Result<u64, Fault> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(0o600);
    let opened = options.open(path).await;
    let mut file = opened.map_err(|error| disk_fault(&error))?;
    let mut taken = 0_u64;
    loop {
        let next = poll_fn(|context| Pin::new(&mut body).poll_frame(context));
        let Ok(next) = tokio::time::timeout(limits::UPLOAD_STALL_TIME, next).await else {
            return Err(too_slow(limits::UPLOAD_STALL_TIME.as_secs()));
        };
        let Some(frame) = next else {
            break;
        };
        // Whoever cut it off reads no answer.
        let frame = frame.map_err(|_| Fault::malformed("The body was cut off"))?;
        let Some(part) = frame.data_ref() else {
            continue;
        };
        taken += part.len() as u64;
        if taken > limits::PLAY_FILE_BYTES as u64 {
            return Err(too_long());
        }
        let written = file.write_all(part).await;
        written.map_err(|error| disk_fault(&error))?;
    }
    let flushed = file.flush().await;
    flushed.map_err(|error| disk_fault(&error))?;
    Ok(taken)
}

/// A file on its way, which goes unless it is placed.
struct Unfinished(Option<PathBuf>);

impl Unfinished {
    fn path(&self) -> &Path {
        self.0.as_deref().unwrap_or(Path::new(""))
    }

    /// The inner error says why it is no file for us.
    fn judge_and_place(mut self, target: &Path) -> io::Result<Result<(), String>> {
        let bytes: Arc<[u8]> = std::fs::read(self.path())?.into();
        if let Err(why) = judge(bytes) {
            return Ok(Err(why));
        }
        std::fs::rename(self.path(), target)?;
        self.0 = None;
        Ok(Ok(()))
    }
}

/// Whether a file can be played; of a compressed one, whether it begins as one that can.
fn judge(bytes: Arc<[u8]>) -> Result<(), String> {
    match Decoding::begin(Arc::clone(&bytes))? {
        Some(mut decoding) => decoding.more(&mut Vec::new()).map(|_| ()),
        None => Wav::read(bytes).map(|_| ()).map_err(|why| why.to_string()),
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(path) = &self.0
            && let Err(error) = std::fs::remove_file(path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "what was not taken of a file cannot be removed");
        }
    }
}

/// Work that waits for the disk, on a thread that may.
async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Fault> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.unwrap_or_else(|error| Err(io::Error::other(error)));
    done.map_err(|error| disk_fault(&error))
}

fn disk_fault(error: &io::Error) -> Fault {
    tracing::error!(%error, "a file of an account cannot be served");
    let text = "The file cannot be read or kept; the server's log says why";
    Fault::http(StatusCode::INTERNAL_SERVER_ERROR, text)
}

fn too_long() -> Fault {
    let text = format!("A file may have {} bytes at most", limits::PLAY_FILE_BYTES);
    Fault::http(StatusCode::PAYLOAD_TOO_LARGE, text)
}

fn too_slow(seconds: u64) -> Fault {
    let text = format!(
        "The body did not come in time: nothing came, or not all of it, within {seconds} seconds"
    );
    Fault::http(StatusCode::REQUEST_TIMEOUT, text)
}

fn no_such_file(name: &FileName) -> Fault {
    let text = format!("The account has no file '{name}'; {PATH} lists those that it has");
    Fault::http(StatusCode::NOT_FOUND, text)
}

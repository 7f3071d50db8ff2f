//! `/v1/files`: the sounds and recordings of an account, as a back end keeps them.

use model::Algorithm;
use serde_json::json;

use crate::http::{Ask, ask, get};
use crate::server::{Site, add_account};

const LIST: &str = "/v1/files";
const HELLO: &str = "/v1/files/hello.wav";

/// A WAV file of 8-bit samples, which are letters.
fn wav(samples: &str) -> Vec<u8> {
    let length = samples.len() as u32;
    let mut file = b"RIFF".to_vec();
    file.extend((36 + length).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16_u32.to_le_bytes());
    file.extend([1, 0, 1, 0]);
    file.extend(8_000_u32.to_le_bytes());
    file.extend(8_000_u32.to_le_bytes());
    file.extend([1, 0, 8, 0]);
    file.extend(b"data");
    file.extend(length.to_le_bytes());
    file.extend(samples.as_bytes());
    file
}

fn put(target: &str, body: Vec<u8>) -> Ask<'_> {
    ask("PUT", target).body("audio/wav", body)
}

#[tokio::test]
async fn a_file_is_put_listed_fetched_replaced_and_removed() {
    let site = Site::new().await;
    let server = site.serve().await;
    let send = async |ask: Ask<'_>| server.send(site.log_in(ask)).await;
    assert_eq!(send(get(LIST)).await.json(), json!([]));
    let made = send(put(HELLO, wav("hello"))).await;
    assert_eq!(
        (made.status, made.json()),
        (201, json!({ "name": "hello.wav", "bytes": 49 }))
    );
    let fetched = send(get(HELLO)).await;
    assert_eq!(fetched.body.as_bytes(), wav("hello"));
    assert_eq!(fetched.header("content-type"), Some("audio/wav"));
    assert_eq!(fetched.header("content-length"), Some("49"));
    let head = send(ask("HEAD", HELLO)).await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    let replaced = send(put(HELLO, wav("goodbye"))).await;
    assert_eq!(
        (replaced.status, &replaced.json()["bytes"]),
        (200, &json!(51))
    );
    assert_eq!(send(put("/v1/files/a.wav", wav("a"))).await.status, 201);
    assert_eq!(
        send(get(LIST)).await.json(),
        json!([{ "name": "a.wav", "bytes": 45 }, { "name": "hello.wav", "bytes": 51 }])
    );
    let removed = send(ask("DELETE", HELLO)).await;
    assert_eq!((removed.status, removed.body.as_str()), (204, ""));
    for gone in [get(HELLO), ask("DELETE", HELLO)] {
        let answer = send(gone).await;
        assert_eq!(answer.status, 404);
        assert!(
            answer.error_text().contains("no file 'hello.wav'"),
            "{answer:?}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_played_is_refused_and_leaves_nothing() {
    let site = Site::new().await;
    let server = site.serve().await;
    let send = async |ask: Ask<'_>| server.send(site.log_in(ask)).await;
    for (body, words) in [
        (b"hello".to_vec(), "does not begin with RIFF"),
        (wav(""), "has no samples"),
    ] {
        let answer = send(put(HELLO, body)).await;
        assert_eq!((answer.status, answer.error_code().as_str()), (400, "0002"));
        assert!(answer.error_text().contains(words), "{answer:?}");
    }
    let long = put(HELLO, wav("x")).announcing(128 * 1024 * 1024 + 1);
    assert_eq!(send(long).await.status, 413);
    for name in ["/v1/files/.hidden", "/v1/files/a%2Fb", "/v1/files/%2e%2e"] {
        let answer = send(put(name, wav("x"))).await;
        assert_eq!(answer.status, 400, "{name}");
        assert!(answer.error_text().contains("file name"), "{answer:?}");
    }
    assert_eq!(send(get(LIST)).await.json(), json!([]));
    let account = site.account_id().await;
    let folder = site.dir.path().join("files").join(account.0.to_string());
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0);
    server.stop().await;
}

#[tokio::test]
async fn compressed_files_are_taken_by_what_they_hold() {
    let site = Site::new().await;
    let server = site.serve().await;
    let send = async |ask: Ask<'_>| server.send(site.log_in(ask)).await;
    let tone = include_bytes!("../../../../fuzz/corpus/compressed/vorbis.ogg");
    let answer = send(put(HELLO, tone.to_vec())).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let fetched = send(ask("HEAD", HELLO)).await;
    let told = fetched.header("content-type");
    assert_eq!(told, Some("audio/ogg"), "whatever its name ends with");
    let length = tone.len().to_string();
    assert_eq!(fetched.header("content-length"), Some(&*length));
    for (body, words) in [
        (&tone[..300], "the Ogg file cannot be played"),
        (b"fLaC\x80\x00\x00\x22", "the FLAC file cannot be played"),
        (b"hello", "no MP3, FLAC or Ogg file either"),
    ] {
        let answer = send(put(HELLO, body.to_vec())).await;
        assert_eq!((answer.status, answer.error_code().as_str()), (400, "0002"));
        assert!(answer.error_text().contains(words), "{answer:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn files_are_the_accounts_own() {
    let site = Site::new().await;
    let store = site.open_store().await;
    let other = add_account(&store, "other@example.com", Algorithm::EdDsa).await;
    store.close().await;
    let server = site.serve().await;
    assert_eq!(server.send(get(LIST)).await.status, 401);
    let made = server.send(site.log_in(put(HELLO, wav("hello")))).await;
    assert_eq!(made.status, 201);
    for asked in [get(HELLO), ask("DELETE", HELLO)] {
        let asked = asked.login(&other.login.to_string(), other.api_key.expose());
        assert_eq!(server.send(asked).await.status, 404);
    }
    server.stop().await;
}

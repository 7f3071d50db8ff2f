//! The files that are built into the binary: the browser library and the softphone page.
//!
//! Serves them whole, with a strong entity tag (RFC 9110 §8.8.3) and the question for it at each use, so that a new binary
//! is noticed at once. Never reads a file.

use std::sync::OnceLock;

use aws_lc_rs::digest::{SHA256, digest};
use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::answer::with_type;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
/// RFC 9239 §6.
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";
/// TypeScript has no registered type.
const TEXT: &str = "text/plain; charset=utf-8";

/// One file.
#[derive(Debug)]
pub(super) struct Asset {
    /// Where it is served.
    pub(super) path: &'static str,
    media_type: &'static str,
    bytes: &'static [u8],
    tag: OnceLock<HeaderValue>,
}

macro_rules! asset {
    ($path:expr, $file:expr, $media_type:ident) => {
        Asset {
            path: $path,
            media_type: $media_type,
            bytes: include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../", $file)),
            tag: OnceLock::new(),
        }
    };
}

macro_rules! sdk {
    ($name:literal, $media_type:ident) => {
        asset!(
            concat!("/sdk/", $name),
            concat!("sdk/js/dist/", $name),
            $media_type
        )
    };
}

macro_rules! console {
    ($name:literal, $media_type:ident) => {
        asset!(
            concat!("/console/", $name),
            concat!("console/", $name),
            $media_type
        )
    };
}

static SDK: [Asset; 4] = [
    sdk!("offhook.js", JAVASCRIPT),
    sdk!("offhook.classic.js", JAVASCRIPT),
    sdk!("resume-shim.js", JAVASCRIPT),
    sdk!("offhook.d.ts", TEXT),
];

static PAGE: Asset = asset!("/", "console/index.html", HTML);

static CONSOLE: [Asset; 23] = [
    console!("app.js", JAVASCRIPT),
    console!("base.css", CSS),
    console!("call.css", CSS),
    console!("call_view.js", JAVASCRIPT),
    console!("connection_test.js", JAVASCRIPT),
    console!("desk.css", CSS),
    console!("desk.js", JAVASCRIPT),
    console!("icon.svg", SVG),
    console!("icon_ringing.svg", SVG),
    console!("incoming.js", JAVASCRIPT),
    console!("keypad.js", JAVASCRIPT),
    console!("line.js", JAVASCRIPT),
    console!("page.js", JAVASCRIPT),
    console!("phone.js", JAVASCRIPT),
    console!("server.js", JAVASCRIPT),
    console!("sign_in.js", JAVASCRIPT),
    console!("stage.js", JAVASCRIPT),
    console!("tab.js", JAVASCRIPT),
    console!("text.js", JAVASCRIPT),
    console!("tiles.js", JAVASCRIPT),
    console!("token.js", JAVASCRIPT),
    console!("tone.js", JAVASCRIPT),
    console!("words.js", JAVASCRIPT),
];

/// A file of the library.
pub(super) fn of_sdk(path: &str) -> Option<&'static Asset> {
    SDK.iter().find(|asset| asset.path == path)
}

/// The softphone page, or one of its files.
pub(super) fn of_page(path: &str) -> Option<&'static Asset> {
    let mut all = CONSOLE.iter().chain([&PAGE]);
    all.find(|asset| asset.path == path)
}

impl Asset {
    /// The whole file, or the word that the one the client has is still right; `headers` go with either.
    pub(super) fn answer(&'static self, asked: &HeaderMap, headers: HeaderMap) -> Response<Body> {
        let tag = self.tag();
        let mut response = with_type(self.media_type, self.bytes);
        if is_known(asked, tag) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            *response.body_mut() = Body::empty();
        }
        let own = response.headers_mut();
        own.insert(ETAG, tag.clone());
        own.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        own.extend(headers);
        response
    }

    fn tag(&self) -> &HeaderValue {
        self.tag.get_or_init(|| {
            let hash = digest(&SHA256, self.bytes);
            let hash = hash.as_ref().iter().take(16);
            let digits: String = hash.map(|byte| format!("{byte:02x}")).collect();
            HeaderValue::try_from(format!("\"{digits}\""))
                .expect("quotes and hexadecimal digits make a header")
        })
    }
}

/// Whether the client has this version (RFC 9110 §13.1.2).
fn is_known(asked: &HeaderMap, tag: &HeaderValue) -> bool {
    let lists = asked
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|list| list.to_str().ok());
    lists
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == *tag)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Every file of a folder, as it would be served.
    fn files(folder: &str, prefix: &str) -> Vec<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../..")
            .join(folder);
        let entries = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap());
        let mut names: Vec<_> = entries
            .map(|entry| entry.file_name().into_string().unwrap())
            .map(|name| match name.as_str() {
                "index.html" => "/".to_owned(),
                name => format!("{prefix}{name}"),
            })
            .collect();
        names.sort();
        names
    }

    fn paths(assets: impl IntoIterator<Item = &'static Asset>) -> Vec<&'static str> {
        let mut paths: Vec<_> = assets.into_iter().map(|asset| asset.path).collect();
        paths.sort_unstable();
        paths
    }

    #[test]
    fn every_file_of_the_library_and_the_page_is_served() {
        assert_eq!(paths(&SDK), files("sdk/js/dist", "/sdk/"));
        assert_eq!(
            paths(CONSOLE.iter().chain([&PAGE])),
            files("console", "/console/")
        );
    }

    #[test]
    fn each_file_has_the_type_of_its_name() {
        for asset in SDK.iter().chain(&CONSOLE).chain([&PAGE]) {
            let (_, extension) = asset.path.rsplit_once('.').unwrap_or(("", ""));
            let wanted = match extension {
                "js" => JAVASCRIPT,
                "css" => CSS,
                "svg" => SVG,
                "ts" => TEXT,
                _ => HTML,
            };
            assert_eq!(asset.media_type, wanted, "{}", asset.path);
        }
    }

    #[test]
    fn a_known_version_is_not_sent_again() {
        let status = |asked: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(IF_NONE_MATCH, asked.parse().unwrap());
            PAGE.answer(&headers, HeaderMap::new()).status().as_u16()
        };
        let tag = PAGE.tag().to_str().unwrap();
        assert_ne!(tag, SDK[0].tag().to_str().unwrap());
        for known in [tag, "*", &format!("W/{tag}"), &format!("\"x\" , {tag}")] {
            assert_eq!(status(known), 304, "{known}");
        }
        for other in ["\"x\"", "", &tag.replace('"', "")] {
            assert_eq!(status(other), 200, "{other}");
        }
    }
}

//! The softphone page and the browser library, as a browser asks for them.

use crate::http::{ask, get};
use crate::server::{Server, Site};

const PAGE: &str = "/";
const LIBRARY: &str = "/sdk/offhook.js";

#[tokio::test]
async fn the_page_comes_with_headers_that_let_it_do_no_harm() {
    let site = Site::new().await;
    let server = site.serve().await;
    for host in ["localhost:8080", "offhook.example.com"] {
        let page = server.send(get(PAGE).header("Host", host)).await;
        assert_eq!(page.status, 200, "{page:?}");
        for (name, wanted) in [
            ("content-type", "text/html; charset=utf-8"),
            ("cache-control", "no-cache"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            (
                "permissions-policy",
                "camera=(self), microphone=(self), display-capture=(self), speaker-selection=(self)",
            ),
        ] {
            assert_eq!(page.header(name), Some(wanted), "{name}: {page:?}");
        }
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'; "));
        let sockets = format!("connect-src 'self' ws://{host} wss://{host};");
        assert!(policy.contains(&sockets), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(page.header("access-control-allow-origin"), None);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_host_that_is_none_never_gets_into_the_policy() {
    let site = Site::new().await;
    let server = site.serve().await;
    for host in [
        "a;script-src",
        "a' 'unsafe-inline",
        "a, b",
        "*.example.com",
        "[::1]:8080",
        "",
    ] {
        let page = server.send(get(PAGE).header("Host", host)).await;
        let policy = page.header("content-security-policy").unwrap_or_default();
        assert!(
            page.status == 400 || policy.contains("connect-src 'self'; "),
            "{host}: {page:?}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn every_file_that_the_page_names_is_there() {
    let site = Site::new().await;
    let server = site.serve().await;
    let page = server.send(get(PAGE)).await.body;
    let named: Vec<_> = page
        .split(['"', '\''])
        .filter(|text| text.starts_with("/console/") || text.starts_with("/sdk/"))
        .collect();
    assert!(!named.is_empty(), "{page}");
    for path in named {
        assert_eq!(server.send(get(path)).await.status, 200, "{path}");
    }
    assert_eq!(server.send(get("/console/none.js")).await.status, 404);
    server.stop().await;
}

#[tokio::test]
async fn the_library_is_for_pages_of_every_origin() {
    let site = Site::new().await;
    let server = site.serve().await;
    for (path, media_type) in [
        (LIBRARY, "text/javascript; charset=utf-8"),
        ("/sdk/offhook.classic.js", "text/javascript; charset=utf-8"),
        ("/sdk/resume-shim.js", "text/javascript; charset=utf-8"),
        ("/sdk/offhook.d.ts", "text/plain; charset=utf-8"),
    ] {
        let file = server.send(get(path)).await;
        assert_eq!(file.status, 200, "{path}");
        for (name, wanted) in [
            ("content-type", media_type),
            ("access-control-allow-origin", "*"),
            ("cross-origin-resource-policy", "cross-origin"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(file.header(name), Some(wanted), "{path}");
        }
        assert_eq!(
            file.header("content-length"),
            Some(&*file.body.len().to_string())
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn a_file_that_the_browser_has_is_not_sent_again() {
    let site = Site::new().await;
    let server = site.serve().await;
    for path in [PAGE, LIBRARY] {
        let whole = server.send(get(path)).await;
        let tag = whole.header("etag").unwrap();
        let again = server.send(get(path).header("If-None-Match", tag)).await;
        assert_eq!((again.status, again.body.as_str()), (304, ""), "{again:?}");
        assert_eq!(again.header("etag"), Some(tag));
        let changed = server
            .send(get(path).header("If-None-Match", "\"x\""))
            .await;
        assert_eq!((changed.status, &changed.body), (200, &whole.body));

        let head = server.send(ask("HEAD", path)).await;
        assert_eq!((head.status, head.body.as_str()), (200, ""), "{head:?}");
        assert_eq!(
            head.header("content-length"),
            whole.header("content-length")
        );
        assert_eq!(server.send(ask("DELETE", path)).await.status, 405);
    }
    server.stop().await;
}

#[tokio::test]
async fn without_the_page_the_root_says_what_is_served_and_the_library_stays() {
    let site = Site::new().await;
    let mut config = site.config();
    config.softphone = false;
    let server = Server::start(config).await;
    let root = server.send(get(PAGE)).await;
    assert_eq!(
        root.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert!(root.body.contains("/webrtc_generate_token"), "{root:?}");
    for path in ["/console/icon.svg", "/console/settings.json"] {
        let answer = server.send(get(path)).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.error_code(), "HTTP 404");
    }
    assert_eq!(server.send(get(LIBRARY)).await.status, 200);
    assert_eq!(server.send(get("/docs/services")).await.body, root.body);
    server.stop().await;
}

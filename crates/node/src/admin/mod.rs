//! The operator's listener: `/metrics`, `/healthz` and `/readyz`, on an address of their own and never where clients are.
//!
//! There from before the store is looked at until the process ends, so that a start and an end can be seen. One request a
//! connection, few connections, little time. It only tells, and knows nobody's name.

mod config;
mod figures;
mod page;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use model::limits;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

pub use self::config::{AdminConfigFault, admin_outlook};
pub(crate) use self::config::{check, findings};
pub(crate) use self::figures::{Figures, Source};

/// What there is, for whoever asks for anything else.
const PLACES: &str = "there are /metrics, /healthz and /readyz, by GET";
const TEXT: &str = "text/plain; charset=utf-8";
/// The type of the figures (OpenMetrics 1.0), which Prometheus has read since its version 2.5.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// How long to wait when the system has no more files for connections.
const PAUSE_WHEN_EXHAUSTED: Duration = Duration::from_millis(100);

/// How far the server has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Starting,
    Serving,
    Stopping,
}

impl Phase {
    /// What stands against new work.
    const fn hindrance(self) -> Option<&'static str> {
        match self {
            Self::Starting => Some("the server is starting"),
            Self::Serving => None,
            Self::Stopping => {
                Some("the server is stopping: it ends its calls, and takes no new work")
            }
        }
    }
}

/// Who answers.
pub(crate) struct Desk {
    /// A [`Phase`].
    phase: AtomicU8,
    /// From when there is something to tell.
    figures: OnceLock<Figures>,
}

impl Desk {
    fn new() -> Self {
        Self {
            phase: AtomicU8::new(Phase::Starting as u8),
            figures: OnceLock::new(),
        }
    }

    /// The doors are open.
    pub(crate) fn serves(&self, figures: Figures) {
        // The first ones stand; there are no others.
        let _ = self.figures.set(figures);
        self.phase.store(Phase::Serving as u8, Ordering::Relaxed);
    }

    /// The doors close.
    pub(crate) fn stops(&self) {
        self.phase.store(Phase::Stopping as u8, Ordering::Relaxed);
    }

    fn phase(&self) -> Phase {
        let number = self.phase.load(Ordering::Relaxed);
        let mut phases = [Phase::Starting, Phase::Serving].into_iter();
        let phase = phases.find(|phase| *phase as u8 == number);
        phase.unwrap_or(Phase::Stopping)
    }

    /// What stands against new work, if anything does.
    fn hindrance(&self) -> Option<&'static str> {
        let trouble = || self.figures.get()?.store_trouble();
        self.phase().hindrance().or_else(trouble)
    }

    fn answer(&self, method: &Method, path: &str) -> Response<Body> {
        let is_known = matches!(path, "/metrics" | "/healthz" | "/readyz");
        if !is_known {
            let text = format!("there is nothing at this path; {PLACES}\n");
            return told(StatusCode::NOT_FOUND, TEXT, text);
        }
        if !matches!(*method, Method::GET | Method::HEAD) {
            let text = "this path takes GET and HEAD only\n".to_owned();
            let mut refused = told(StatusCode::METHOD_NOT_ALLOWED, TEXT, text);
            let allowed = HeaderValue::from_static("GET, HEAD");
            refused.headers_mut().insert(ALLOW, allowed);
            return refused;
        }
        match path {
            "/healthz" => told(StatusCode::OK, TEXT, "ok\n".to_owned()),
            "/readyz" => match self.hindrance() {
                None => told(StatusCode::OK, TEXT, "ready\n".to_owned()),
                Some(why) => told(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{why}\n")),
            },
            _ => match self.figures.get() {
                Some(figures) => told(StatusCode::OK, OPEN_METRICS, figures.text()),
                None => {
                    let text = "the server is starting: it has no figures yet\n".to_owned();
                    told(StatusCode::SERVICE_UNAVAILABLE, TEXT, text)
                }
            },
        }
    }
}

fn told(status: StatusCode, content_type: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The listener, which answers as long as this is there.
pub(crate) struct Admin {
    pub(crate) desk: Arc<Desk>,
    pub(crate) address: SocketAddr,
    running: JoinSet<Infallible>,
}

impl Admin {
    /// Answers from now on. `head_time`: how long the head of a request may take.
    pub(crate) fn open(tcp: TcpListener, address: SocketAddr, head_time: Duration) -> Self {
        let desk = Arc::new(Desk::new());
        let mut running = JoinSet::new();
        running.spawn(accept(tcp, Arc::clone(&desk), head_time));
        Self {
            desk,
            address,
            running,
        }
    }
}

impl Admin {
    /// Answers no more.
    pub(crate) async fn close(mut self) {
        self.running.shutdown().await;
    }
}

async fn accept(tcp: TcpListener, desk: Arc<Desk>, head_time: Duration) -> Infallible {
    let places = Arc::new(Semaphore::new(limits::ADMIN_CONNECTIONS));
    // Ended with this.
    let mut connections = JoinSet::new();
    loop {
        // Whoever finds no room waits in the system's queue: no more than a few seconds.
        let place = Arc::clone(&places).acquire_owned().await;
        let stream = match tcp.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "a connection to the admin listener was not accepted");
                tokio::time::sleep(PAUSE_WHEN_EXHAUSTED).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        let desk = Arc::clone(&desk);
        connections.spawn(async move {
            let served = serve(stream, desk, head_time);
            match timeout(limits::ADMIN_TIME, served).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "an admin connection broke"),
                Err(_) => tracing::debug!("an admin connection took too long and is cut"),
            }
            drop(place);
        });
    }
}

async fn serve(
    stream: TcpStream,
    desk: Arc<Desk>,
    head_time: Duration,
) -> Result<(), hyper::Error> {
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = desk.answer(request.method(), request.uri().path());
        async move { Ok::<_, Infallible>(answer) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_time)
        .max_buf_size(limits::HTTP_HEAD_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_starts_or_stops_lives_but_is_not_ready() {
        let desk = Desk::new();
        let status = |path: &str| desk.answer(&Method::GET, path).status().as_u16();
        assert_eq!(
            ["/healthz", "/readyz", "/metrics"].map(status),
            [200, 503, 503]
        );
        assert_eq!(desk.hindrance(), Some("the server is starting"));
        desk.phase.store(Phase::Serving as u8, Ordering::Relaxed);
        assert_eq!(["/healthz", "/readyz"].map(status), [200, 200]);
        desk.stops();
        assert_eq!(["/healthz", "/readyz"].map(status), [200, 503]);
        assert!(desk.hindrance().is_some_and(|why| why.contains("stopping")));
    }
}

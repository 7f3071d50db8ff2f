//! Which path is answered by whom, and by which methods.

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::ALLOW;
use axum::http::{HeaderValue, Method, Request, Response, StatusCode};

use super::answer::{Asked, ERROR_PAGE, Fault};
use super::{Peer, Services, clients, cors, keys, page, sip_proxy, token};

/// What is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    GenerateToken,
    RegisteredClients,
    PublicKeys,
    SipProxy,
    Home,
    Errors,
    Health,
}

impl Route {
    fn find(path: &str) -> Option<Self> {
        Some(match path {
            "/webrtc_generate_token" => Self::GenerateToken,
            "/webrtc_registered_clients" => Self::RegisteredClients,
            "/.well-known/jwks.json" => Self::PublicKeys,
            "/sipproxy" => Self::SipProxy,
            "/" => Self::Home,
            ERROR_PAGE => Self::Errors,
            "/healthz" => Self::Health,
            _ => return None,
        })
    }

    /// The methods that it takes. HEAD is answered like GET; the transport leaves the body out.
    fn methods(self) -> &'static str {
        match self {
            Self::GenerateToken | Self::RegisteredClients => "GET, HEAD, POST, OPTIONS",
            Self::PublicKeys => "GET, HEAD, OPTIONS",
            Self::Home | Self::Errors | Self::Health => "GET, HEAD",
            Self::SipProxy => "GET",
        }
    }

    fn takes(self, method: &Method) -> bool {
        self.methods()
            .split(", ")
            .any(|name| name == method.as_str())
    }
}

/// Answers one request, whatever it is.
pub(crate) async fn answer(
    services: Arc<Services>,
    peer: Peer,
    request: Request<Body>,
) -> Response<Body> {
    let asked = Asked {
        path: request.uri().path().to_owned(),
        at: services.signalling.now().unix,
    };
    let mut response = match dispatch(&services, &peer, &asked, request).await {
        Ok(response) => response,
        Err(fault) => fault.into_response(&asked, services.signalling.now().unix),
    };
    cors::allow(response.headers_mut());
    response
}

async fn dispatch(
    services: &Arc<Services>,
    peer: &Peer,
    asked: &Asked,
    request: Request<Body>,
) -> Result<Response<Body>, Fault> {
    let Some(route) = Route::find(&asked.path) else {
        let text = "There is nothing at this path; see / for what is served";
        return Err(Fault::http(StatusCode::NOT_FOUND, text));
    };
    if !route.takes(request.method()) {
        let text = format!("This path takes {} only", route.methods());
        return Err(Fault::http(StatusCode::METHOD_NOT_ALLOWED, text)
            .with(ALLOW, HeaderValue::from_static(route.methods())));
    }
    if request.method() == Method::OPTIONS {
        return Ok(cors::preflight(route.methods(), request.headers()));
    }
    match route {
        Route::GenerateToken => token::answer(services, peer, request).await,
        Route::RegisteredClients => clients::answer(services, peer, request).await,
        Route::PublicKeys => Ok(keys::answer(services)),
        Route::SipProxy => sip_proxy::answer(services, peer, request).await,
        Route::Home => Ok(page::home()),
        Route::Errors => Ok(page::errors()),
        Route::Health => Ok(page::health()),
    }
}

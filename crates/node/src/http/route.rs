//! Which path is answered by whom, and by which methods.

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::ALLOW;
use axum::http::{HeaderValue, Method, Request, Response, StatusCode};

use super::answer::{Asked, ERROR_PAGE, Fault};
use super::asset::{self, Asset};
use super::calls::Verb;
use super::page::OPEN_API;
use super::{
    Peer, Services, calls, clients, console, cors, demo, files, inbound, interrupt, keys, page,
    revocations, sip_proxy, starting, token, turn_credentials,
};

/// Where the listing of what is served is found.
const SERVICES_PAGE: &str = "/docs/services";

/// What is served.
#[derive(Clone, Copy, Debug)]
enum Route {
    GenerateToken,
    RegisteredClients,
    TurnCredentials,
    /// Applications that leave off what they do.
    Interrupt,
    /// The services of an account.
    InboundServices,
    /// One of them.
    InboundService,
    /// The files of an account.
    Files,
    /// One of them.
    File,
    /// Tokens that an account takes back.
    Revocations,
    PublicKeys,
    SipProxy,
    /// A file of the browser library.
    Sdk(&'static Asset),
    /// The softphone page, or one of its files.
    Console(&'static Asset),
    ServiceStart,
    /// The calls of an account.
    Calls,
    /// One of them.
    Call,
    /// What is done to one of them.
    Control(Verb),
    /// What is served, for programs.
    OpenApi,
    Settings,
    DemoClient,
    DemoClients,
    Listing,
    Errors,
    Health,
}

impl Route {
    fn find(path: &str, has_softphone: bool) -> Option<Self> {
        if let Some(asset) = asset::of_sdk(path) {
            return Some(Self::Sdk(asset));
        }
        if let Some(asset) = asset::of_page(path).filter(|_| has_softphone) {
            return Some(Self::Console(asset));
        }
        if inbound::is_of_one(path) {
            return Some(Self::InboundService);
        }
        if files::is_of_one(path) {
            return Some(Self::File);
        }
        if let Some((verb, _)) = Verb::of(path) {
            return Some(Self::Control(verb));
        }
        if calls::is_of_one(path) {
            return Some(Self::Call);
        }
        Some(match path {
            "/webrtc_generate_token" => Self::GenerateToken,
            "/webrtc_registered_clients" => Self::RegisteredClients,
            "/v1/turn_credentials" => Self::TurnCredentials,
            "/rest_interrupt" => Self::Interrupt,
            "/service_start" => Self::ServiceStart,
            inbound::PATH => Self::InboundServices,
            files::PATH => Self::Files,
            calls::PATH => Self::Calls,
            revocations::PATH => Self::Revocations,
            OPEN_API => Self::OpenApi,
            "/.well-known/jwks.json" => Self::PublicKeys,
            "/sipproxy" => Self::SipProxy,
            "/console/settings.json" if has_softphone => Self::Settings,
            "/demo/client" => Self::DemoClient,
            "/demo/clients" => Self::DemoClients,
            // At the root only where the page is not.
            "/" | SERVICES_PAGE => Self::Listing,
            ERROR_PAGE => Self::Errors,
            "/healthz" => Self::Health,
            _ => return None,
        })
    }

    /// The methods that it takes. HEAD is answered like GET; the transport leaves the body out.
    fn methods(self) -> &'static str {
        match self {
            Self::GenerateToken
            | Self::RegisteredClients
            | Self::TurnCredentials
            | Self::Interrupt => "GET, HEAD, POST, OPTIONS",
            // Who only looks must not call anybody.
            Self::ServiceStart => "GET, POST, OPTIONS",
            Self::Calls => "GET, HEAD, POST, OPTIONS",
            Self::Call => "GET, HEAD, DELETE, OPTIONS",
            Self::Revocations => "GET, HEAD, POST, DELETE, OPTIONS",
            Self::Control(Verb::Record) => "POST, DELETE, OPTIONS",
            Self::Control(Verb::Transfer | Verb::Play | Verb::Dtmf) => "POST, OPTIONS",
            Self::InboundService => "GET, HEAD, PUT, PATCH, DELETE, OPTIONS",
            Self::File => "GET, HEAD, PUT, DELETE, OPTIONS",
            Self::InboundServices | Self::Files | Self::PublicKeys | Self::OpenApi => {
                "GET, HEAD, OPTIONS"
            }
            Self::Sdk(_)
            | Self::Console(_)
            | Self::Settings
            | Self::DemoClients
            | Self::Listing
            | Self::Errors
            | Self::Health => "GET, HEAD",
            Self::DemoClient => "POST",
            Self::SipProxy => "GET",
        }
    }

    /// Whether pages of other origins may read the answers.
    fn is_for_any_origin(self) -> bool {
        match self {
            Self::Console(_) | Self::Settings | Self::DemoClient | Self::DemoClients => false,
            Self::GenerateToken
            | Self::RegisteredClients
            | Self::TurnCredentials
            | Self::Interrupt
            | Self::ServiceStart
            | Self::Calls
            | Self::Call
            | Self::Control(_)
            | Self::Revocations
            | Self::OpenApi
            | Self::InboundServices
            | Self::InboundService
            | Self::Files
            | Self::File
            | Self::PublicKeys
            | Self::SipProxy
            | Self::Sdk(_)
            | Self::Listing
            | Self::Errors
            | Self::Health => true,
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
    let method = request.method().clone();
    let route = Route::find(&asked.path, services.has_softphone);
    let mut response = match dispatch(&services, &peer, route, request).await {
        Ok(response) => response,
        Err(fault) => fault.into_response(&asked, services.signalling.now().unix),
    };
    let meters = &services.signalling.counters.meters;
    meters.answered(method.as_str(), response.status().as_u16());
    if route.is_none_or(Route::is_for_any_origin) {
        cors::allow(response.headers_mut());
    }
    response
}

async fn dispatch(
    services: &Arc<Services>,
    peer: &Peer,
    route: Option<Route>,
    request: Request<Body>,
) -> Result<Response<Body>, Fault> {
    let Some(route) = route else {
        let text = format!("There is nothing at this path; see {SERVICES_PAGE} for what is served");
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
        Route::TurnCredentials => turn_credentials::answer(services, peer, request).await,
        Route::Interrupt => interrupt::answer(services, peer, request).await,
        Route::ServiceStart => starting::answer(services, peer, request).await,
        Route::Calls => calls::all(services, peer, request).await,
        Route::Call => calls::one(services, peer, request).await,
        Route::Control(verb) => calls::control(services, peer, verb, request).await,
        Route::Revocations => revocations::answer(services, peer, request).await,
        Route::OpenApi => Ok(page::open_api()),
        Route::InboundServices => inbound::list(services, peer, &request),
        Route::InboundService => inbound::one(services, peer, request).await,
        Route::Files => files::list(services, peer, request.headers()).await,
        Route::File => files::one(services, peer, request).await,
        Route::PublicKeys => Ok(keys::answer(services)),
        Route::SipProxy => sip_proxy::answer(services, peer, request).await,
        Route::Sdk(asset) => Ok(asset.answer(request.headers(), console::for_any_origin())),
        Route::Console(asset) => Ok(console::answer(asset, &request)),
        Route::Settings => Ok(console::settings(services, peer, &request)),
        Route::DemoClient => demo::client(services, peer, request).await,
        Route::DemoClients => demo::registered(services, peer, &request),
        Route::Listing => Ok(page::services()),
        Route::Errors => Ok(page::errors()),
        Route::Health => Ok(page::health()),
    }
}

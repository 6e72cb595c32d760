//! Step 2: where the answer goes.

use secrecy::SecretString;

use super::Refusal;
use super::response::Signing;
use crate::oauth::error::invalid_request;
use crate::oauth::scope::OPENID;
use crate::oauth::{Context, OAuthError, profile};
use crate::types::redirect_uri::Destination;
use crate::types::response_mode::Carrier;
use crate::types::{Client, Params, ResponseMode, redirect_uri};

/// A redirect URI that is registered for the client that asks. No error and no code is sent but through one.
#[derive(Clone, Debug)]
pub struct RedirectTarget {
    uri: String,
    carrier: Carrier,
    /// As a signed JWT (JARM).
    signing: Option<Signing>,
    /// Returned byte for byte (RFC 6749 §4.1.2).
    state: Option<String>,
}

/// What is sent there; `state` and `iss` are added where the response is written.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The authorization code, which no log must show.
    Code(SecretString),
    Error(OAuthError),
}

impl RedirectTarget {
    pub fn uri(&self) -> &str {
        &self.uri
    }

    pub fn carrier(&self) -> Carrier {
        self.carrier
    }

    pub(super) fn signing(&self) -> Option<&Signing> {
        self.signing.as_ref()
    }

    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }

    pub fn destination(&self) -> Destination {
        redirect_uri::destination(&self.uri)
    }

    /// Host and port, for a person to read.
    pub fn display_host(&self) -> String {
        redirect_uri::display_host(&self.uri)
    }

    /// What `form-action` must name, so that a browser follows the redirect after a form.
    pub fn form_action(&self) -> String {
        redirect_uri::form_source(&self.uri)
    }
}

pub(super) fn prove(cx: &Context, client: &Client, params: &Params) -> Result<RedirectTarget, Refusal> {
    let uri = match params.get("redirect_uri") {
        // RFC 9700 §4.1.3: exact strings; RFC 8252 §7.3: any port on loopback.
        Some(presented) if client.redirect_uri(presented).is_some() => presented,
        Some(presented) => {
            // For whoever runs the server: on a page it would be a stranger's text. A query may hold a secret.
            let uri = presented.split(['?', '#']).next().unwrap_or_default();
            tracing::info!(client = %client.id, ?uri, "an unknown redirect_uri");
            return Err(page("redirect_uri is not registered for this application"));
        }
        None if profile::needs_redirect_uri(&cx.config, &client.metadata) => {
            return Err(page("redirect_uri is missing; FAPI 2.0 requires it"));
        }
        None => registered(client, params)?,
    };
    let target = |mode: ResponseMode| RedirectTarget {
        uri: uri.to_owned(),
        carrier: mode.carrier,
        signing: mode.signed.then(|| Signing::of(cx, client)),
        state: params.get("state").map(str::to_owned),
    };
    // FAPI 2.0 Message Signing §5.3.3: what is not said is any.
    let mut registered = client.metadata.response_modes.iter().filter_map(|name| ResponseMode::parse(name)).peekable();
    // A client that takes signed answers alone is told of its errors in one.
    let usual = registered.peek().copied().unwrap_or_default();
    let refused = |why: &'static str| Err(Refusal::Redirect(target(usual), invalid_request(why)));
    match params.get("response_mode").map_or(Some(ResponseMode::default()), ResponseMode::parse) {
        // JARM §2.3.2: the fragment is not for the response type code.
        None => refused("response_mode must be query, form_post, query.jwt, form_post.jwt or jwt"),
        Some(mode) if registered.peek().is_some() && !registered.any(|own| own == mode) => {
            refused("response_mode is not among the response_modes that the client is registered for")
        }
        Some(mode) => Ok(target(mode)),
    }
}

/// The registered URI that goes without saying.
fn registered<'a>(client: &'a Client, params: &Params) -> Result<&'a str, Refusal> {
    let openid = params.get("scope").is_some_and(|scope| scope.split(' ').any(|token| token == OPENID));
    match &client.metadata.redirect_uris[..] {
        // OpenID Connect Core §3.1.2.1: REQUIRED.
        _ if openid => Err(page("redirect_uri is missing; OpenID Connect requires it")),
        [only] => Ok(only.as_str()),
        [] => Err(page("this application has no redirect URI registered")),
        // OAuth 2.1 §4.1.1: required when several are registered.
        [_, _, ..] => Err(page("redirect_uri is missing, and this application has registered several")),
    }
}

fn page(description: &'static str) -> Refusal {
    Refusal::Page(invalid_request(description))
}

//! Step 3: what is asked for.

use std::borrow::Cow;
use std::time::Duration;

use super::claims::{self, Claims};
use super::strength::{self, Strength};
use crate::oauth::error::{
    OAuthError, invalid_request, invalid_request_uri, registration_not_supported, request_uri_not_supported,
    unauthorized_client, unsupported_response_type,
};
use crate::oauth::scope::{self, OFFLINE_ACCESS, OPENID};
use crate::oauth::{Context, dpop, engine, hint, profile};
use crate::types::{
    AuthorizationDetails, Client, CodeChallenge, GrantType, Hint, Params, PkcePolicy, Scope, SenderKey, user,
};

/// The longest `state`, in characters: it is kept while the request waits, and travels in an address.
pub const MAX_STATE: usize = 2_048;

/// The parameters of an authorization request, checked.
#[derive(Debug)]
pub struct AuthorizationRequest {
    /// What will be granted if it is allowed, but for what is for groups in which its user is not (`scope::for_user`).
    pub scope: Scope,
    pub code_challenge: Option<CodeChallenge>,
    /// What the code will be bound to (RFC 9449 §10).
    pub sender_key: Option<SenderKey>,
    pub nonce: Option<String>,
    pub prompt: Prompt,
    pub max_age: Option<Duration>,
    pub login_hint: Option<String>,
    /// Who the `id_token_hint` says is expected.
    pub hint: Option<Hint>,
    pub claims: Claims,
    /// How strongly the person must have proved who they are.
    pub strength: Strength,
    /// Where its tokens may be used (RFC 8707 §2.1).
    pub resources: Vec<String>,
    /// What they are good for in particular (RFC 9396 §3).
    pub details: AuthorizationDetails,
}

impl AuthorizationRequest {
    /// What the user is asked to allow: what of the scope they can be given, and the scopes of the claims that are asked
    /// for by name.
    pub fn to_allow<'a>(&self, scope: &'a Scope) -> Cow<'a, Scope> {
        let asked = &self.claims.asked;
        if asked.is_empty() {
            return Cow::Borrowed(scope);
        }
        let named = asked.id_token.iter().chain(&asked.userinfo).filter_map(|name| user::scope_of_claim(name));
        Cow::Owned(scope.union(&Scope::from_tokens(named)))
    }
}

/// `prompt` (OpenID Connect Core §3.1.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    /// Show no page at all.
    pub none: bool,
    pub login: bool,
    pub consent: bool,
    pub select_account: bool,
}

pub(super) fn read(
    cx: &Context,
    client: &Client,
    params: &Params,
    kept: Option<&Hint>,
) -> Result<AuthorizationRequest, OAuthError> {
    // One that was not followed. OpenID Connect Core §6: better refused than ignored.
    if params.get("request_uri").is_some() {
        return Err(if profile::must_push(&cx.config, &client.metadata) {
            request_uri_not_supported("request_uri must be that of a pushed request (RFC 9126)")
        } else {
            invalid_request_uri("request_uri is neither that of a pushed request nor one that the client registered")
        });
    }
    if params.get("registration").is_some() {
        return Err(registration_not_supported("the registration parameter is not supported"));
    }
    match params.get("response_type") {
        Some("code") => {}
        Some(_) => return Err(unsupported_response_type("response_type must be code")),
        None => return Err(invalid_request("response_type is missing; it must be code")),
    }
    if !client.may_use(GrantType::AuthorizationCode) {
        return Err(unauthorized_client("the client is not registered for the authorization_code grant"));
    }
    let state = params.get("state").unwrap_or_default();
    // RFC 6749 §A.5
    if state.len() > MAX_STATE || !state.bytes().all(|b| matches!(b, b' '..=b'~')) {
        return Err(invalid_request(format!("state must be at most {MAX_STATE} printable ASCII characters")));
    }

    let scope = granted_scope(cx, client, params)?;
    // OpenID Connect Core §5.5 is for its own requests.
    let claims = if scope.contains(OPENID) { claims::read(client, params)? } else { Claims::default() };
    Ok(AuthorizationRequest {
        code_challenge: code_challenge(cx, client, &scope, params)?,
        sender_key: dpop::code_binding(params)?,
        nonce: params.get("nonce").map(short("nonce")).transpose()?,
        prompt: prompt(params)?,
        // OpenID Connect Registration §2: "The max_age request parameter overrides this default value."
        max_age: max_age(params)?.or(client.metadata.default_max_age),
        login_hint: params.get("login_hint").map(short("login_hint")).transpose()?,
        hint: id_token_hint(cx, client, params, kept)?,
        strength: strength::read(cx, client, params, claims.strength),
        claims,
        resources: Vec::new(),
        details: AuthorizationDetails::default(),
        scope,
    })
}

fn granted_scope(cx: &Context, client: &Client, params: &Params) -> Result<Scope, OAuthError> {
    let scope = scope::requested(cx, client, params.get("scope"))?;
    // OpenID Connect Core §11: it is ignored where there can be no refresh token.
    Ok(if client.may_use(GrantType::RefreshToken) { scope } else { scope.without(OFFLINE_ACCESS) })
}

/// OAuth 2.1 §7.5.1: PKCE, unless the administrator vouches for a confidential OpenID client: that it sends a `nonce`, and
/// compares it, is for the client to see to. Nothing here asks for one.
fn code_challenge(
    cx: &Context,
    client: &Client,
    scope: &Scope,
    params: &Params,
) -> Result<Option<CodeChallenge>, OAuthError> {
    let (method, challenge) = (params.get("code_challenge_method"), params.get("code_challenge"));
    let policy = profile::pkce(&cx.config, &client.metadata);
    let exempt = policy == PkcePolicy::Optional && !client.is_public() && scope.contains(OPENID);
    if exempt && challenge.is_none() && method.is_none() {
        return Ok(None);
    }
    engine::challenge(method, challenge).map(Some).map_err(invalid_request)
}

fn prompt(params: &Params) -> Result<Prompt, OAuthError> {
    let mut prompt = Prompt::default();
    for value in params.get("prompt").unwrap_or_default().split(' ').filter(|value| !value.is_empty()) {
        match value {
            "none" => prompt.none = true,
            "login" => prompt.login = true,
            "consent" => prompt.consent = true,
            "select_account" => prompt.select_account = true,
            _ => return Err(invalid_request("prompt must be none, or of login, consent and select_account")),
        }
    }
    // OpenID Connect Core §3.1.2.1
    if prompt.none && (prompt.login || prompt.consent || prompt.select_account) {
        return Err(invalid_request("prompt=none must stand alone"));
    }
    Ok(prompt)
}

fn max_age(params: &Params) -> Result<Option<Duration>, OAuthError> {
    let parse = |text: &str| {
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        text.parse().ok().filter(|_| digits).map(Duration::from_secs)
    };
    let wrong = || invalid_request("max_age must be a number of seconds");
    params.get("max_age").map(|text| parse(text).ok_or_else(wrong)).transpose()
}

/// OpenID Connect Core §3.1.2.1: an ID token that we issued to this client, expired ones too.
fn id_token_hint(
    cx: &Context,
    client: &Client,
    params: &Params,
    kept: Option<&Hint>,
) -> Result<Option<Hint>, OAuthError> {
    let wrong = || invalid_request("id_token_hint is not an ID token of this issuer and client");
    let hint = hint::read(cx, params, kept).map_err(|hint::Unproved| wrong())?;
    if hint.as_ref().is_some_and(|hint| hint.client != client.id) {
        return Err(wrong());
    }
    Ok(hint)
}

/// What is kept or shown has a bound.
fn short(name: &'static str) -> impl Fn(&str) -> Result<String, OAuthError> {
    move |text| {
        if text.len() > 512 || text.chars().any(char::is_control) {
            return Err(invalid_request(format!("{name} must be at most 512 bytes, without control characters")));
        }
        Ok(text.to_owned())
    }
}

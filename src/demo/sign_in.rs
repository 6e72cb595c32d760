//! Signing in: the authorization code flow with PKCE, as OpenID Connect Core §3.1 and OAuth 2.1 describe it.

use std::sync::Arc;

use super::{
    App, SCOPES, actions,
    exchange::{Answer, Exchange},
    explain,
    http::{BROWSER, GRANTOR, NOTES, Recorder},
    provider::Known,
    session::{Act, Notice, Pending, SIGNED_IN, Session, SignedIn},
};
use crate::types::Params;
use axum::{
    body::Bytes,
    extract::{RawQuery, State},
    http::HeaderMap,
    response::{IntoResponse, Redirect, Response},
};
use openidconnect::{
    AccessToken, AccessTokenHash, AuthorizationCode, ClaimsVerificationError, CsrfToken, LoginHint, Nonce,
    OAuth2TokenResponse, PkceCodeChallenge, PkceCodeVerifier, Scope, TokenResponse,
    core::{CoreAuthenticationFlow, CoreIdToken, CoreIdTokenClaims, CoreTokenResponse},
};

/// Sends the browser to Grantor, having written down what its answer must fit.
pub async fn start(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Response {
    let mut session = match app.sessions.posted(&headers, &body).await {
        Ok(session) => session,
        Err(refused) => return refused,
    };
    let known = match app.provider.known(&app).await {
        Ok(known) => known,
        Err(notice) => {
            session.notice = Some(notice.scrubbed(&app.redactor));
            return Redirect::to("/").into_response();
        }
    };
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (url, state, nonce) = known
        .client
        .authorize_url(CoreAuthenticationFlow::AuthorizationCode, CsrfToken::new_random, Nonce::new_random)
        // `openid` comes first by itself.
        .add_scopes(SCOPES.into_iter().skip(1).map(|scope| Scope::new(scope.to_owned())))
        .set_pkce_challenge(challenge)
        .set_login_hint(LoginHint::new(app.demo.username.clone()))
        .url();
    let request = Exchange {
        from: BROWSER,
        to: GRANTOR,
        request: app.redactor.navigation(url.as_str()),
        answer: Answer::Left("Your browser left Notes for Grantor, which asked who you are and what Notes may do."),
    };
    session.begin(Pending { state, nonce, verifier, request });
    Redirect::to(url.as_str()).into_response()
}

/// Where Grantor sends the browser back to.
pub async fn callback(State(app): State<Arc<App>>, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    // Without its session the answer belongs to nothing, which is told in a new one.
    let (session, cookie) = app.sessions.open(&headers, &app.demo.app_url);
    let mut session = session.lock().await;
    match answered(&app, &mut session, &query).await {
        Ok(()) => {
            let cookie = app.sessions.rename(&headers, &app.demo.app_url);
            (cookie, Redirect::to("/")).into_response()
        }
        Err(notice) => {
            session.notice = Some(notice.scrubbed(&app.redactor));
            (cookie, Redirect::to("/")).into_response()
        }
    }
}

async fn answered(app: &App, session: &mut Session, query: &str) -> Result<(), Notice> {
    let params = Params::parse(query.as_bytes())
        .map_err(|error| Notice::warn("That answer could not be read", format!("It was ignored, because {error}.")))?;
    // RFC 6749 §10.12, before anything else is believed: the answer belongs to a sign-in that began in this browser.
    let pending = params.get("state").and_then(|state| session.answered(state)).ok_or_else(|| {
        Notice::warn(
            "That answer did not belong to a sign-in from here",
            "It was ignored. Perhaps it was used already, or this browser’s session had ended. Begin again.",
        )
    })?;
    let known = app.provider.known(app).await?;
    // RFC 9207 §2.4: the answer comes from the provider that was asked.
    match params.get("iss") {
        Some(iss) if iss == app.demo.issuer => {}
        None if !known.extra.authorization_response_iss_parameter_supported => {}
        _ => {
            return Err(Notice::warn(
                "That answer came from another provider",
                "Its iss is not Grantor’s, so it was ignored.",
            ));
        }
    }
    let error = params.get("error");
    let came = Exchange {
        from: BROWSER,
        to: NOTES,
        request: app.redactor.navigation(&format!("{}/callback?{query}", app.demo.app_url)),
        answer: Answer::Left(match error {
            None => "Your browser came back with a code that works once, for Notes alone, and not for long.",
            Some(_) => "Your browser came back without a code: there is nothing that Notes could exchange for tokens.",
        }),
    };
    let steps = vec![pending.request, came];
    if let Some(error) = error {
        let words = format!("Grantor sent your browser back with {error} in place of a code.");
        session.record(Act::refused("What was said", words, steps, App::now()));
        return Err(explain::refusal(error, params.get("error_description")));
    }
    let Some(code) = params.get("code") else {
        return Err(Notice::warn("That answer held no code", "Nothing can be made of it. Begin again."));
    };
    let attempt = Attempt { app, known: &known, nonce: pending.nonce, http: Recorder::new(app, NOTES, GRANTOR) };
    let outcome = attempt.redeem(code, pending.verifier).await;
    let steps = steps.into_iter().chain(attempt.http.take()).collect();
    match outcome {
        Ok(signed_in) => {
            let words = "Notes sent you to Grantor, you came back with a code, Notes exchanged the code for tokens, and \
                         checked the ID token before it believed a word of it.";
            session.sign_out();
            session.record(Act::done(SIGNED_IN, words, steps, App::now()));
            session.signed_in = Some(signed_in);
            Ok(())
        }
        Err(why) => {
            let words = format!("You came back with a code, but {why}.");
            session.record(Act::refused("What was said", app.redactor.scrub(&words), steps, App::now()));
            Err(Notice::warn("Signing in did not work", "Nothing was kept, and nothing is lost. Begin again."))
        }
    }
}

/// One answer to an authorization request, on its way to a person.
struct Attempt<'a> {
    app: &'a App,
    known: &'a Known,
    nonce: Nonce,
    http: Recorder,
}

impl Attempt<'_> {
    async fn redeem(&self, code: &str, verifier: PkceCodeVerifier) -> Result<SignedIn, String> {
        let tokens: CoreTokenResponse = self
            .known
            .client
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .map_err(|error| error.to_string())?
            .set_pkce_verifier(verifier)
            .request_async(&self.http)
            .await
            .map_err(|error| actions::why(&error))?;
        let id_token = tokens.id_token().ok_or("there was no ID token in the answer")?.clone();
        let claims = self.verified(&id_token, tokens.access_token()).await?;
        let mut signed_in = SignedIn {
            subject: claims.subject().clone(),
            nonce: self.nonce.clone(),
            id_token,
            access_token: tokens.access_token().clone(),
            refresh_token: tokens.refresh_token().cloned(),
            profile: None,
            notes: None,
            ended: false,
        };
        // A provider need not put a name into the ID token (OpenID Connect Core §5.4); then it is asked for.
        if claims.name().is_none() && claims.preferred_username().is_none() {
            signed_in.profile = actions::ask(self.known, &signed_in, &self.http).await.ok();
        }
        Ok(signed_in)
    }

    /// Verifies with the keys at hand; when the signature is by another, reads them again, once (keys rotate).
    async fn verified(&self, token: &CoreIdToken, access: &AccessToken) -> Result<CoreIdTokenClaims, String> {
        match verify(self.known, token, access, &self.nonce) {
            Err(ClaimsVerificationError::SignatureVerification(_)) => {
                self.app.provider.forget().await;
                let known = self.app.provider.known(self.app).await.map_err(|notice| notice.words)?;
                verify(&known, token, access, &self.nonce)
            }
            other => other,
        }
        .map_err(|error| format!("the ID token does not hold: {error}"))
    }
}

/// OpenID Connect Core §3.1.3.7, and `at_hash` (§3.1.3.8), which ties the access token to the ID token.
fn verify(
    known: &Known,
    token: &CoreIdToken,
    access: &AccessToken,
    nonce: &Nonce,
) -> Result<CoreIdTokenClaims, ClaimsVerificationError> {
    let verifier = known.client.id_token_verifier();
    let claims = token.claims(&verifier, nonce)?;
    if let Some(expected) = claims.access_token_hash() {
        let algorithm = token.signing_alg().map_err(ClaimsVerificationError::SignatureVerification)?;
        let key = token.signing_key(&verifier).map_err(ClaimsVerificationError::SignatureVerification)?;
        let actual = AccessTokenHash::from_token(access, algorithm, key)
            .map_err(|error| ClaimsVerificationError::Other(error.to_string()))?;
        if actual != *expected {
            return Err(ClaimsVerificationError::Other("at_hash is of another access token".to_owned()));
        }
    }
    Ok(claims.clone())
}

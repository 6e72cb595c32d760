//! Device authorization (RFC 8628): a device shows a code, a person enters it at another screen and decides there.
//!
//! What they allow is a grant under the id that the device has held from the start, and the device redeems it like a
//! code. The defences are those of RFC 10027: codes that live for minutes, few attempts, one browser a code, and a page
//! that says who asks, from where, and never to allow what somebody else has started.

use std::net::IpAddr;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::error::{OAuthError, unauthorized_client};
use super::scope::{OFFLINE_ACCESS, for_user, requested, still_registered};
use super::{Context, Error, details};
use crate::crypto::{Digest, Random, hash, random};
use crate::store::{Decision, DeviceRequest, NewDevice, NewGrant};
use crate::types::{Algorithm, Client, Event, EventKind, Fault, GrantId, GrantType, Params, Session, Terms, UserId};

/// RFC 8628 §6.1: no vowels, so no words; no digits, so none that looks like a letter.
const ALPHABET: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

/// 34.5 bits.
const LENGTH: usize = 8;

/// The device code: `<grant id>.<secret>`. The id proves nothing; the secret is kept as its hash alone.
pub struct DeviceCode {
    pub id: GrantId,
    secret: SecretString,
}

impl DeviceCode {
    pub fn parse(text: &str) -> Option<Self> {
        let (id, secret) = text.split_once('.')?;
        Some(Self { id: GrantId::parse(id)?, secret: random::is_secret(secret).then(|| secret.into())? })
    }

    /// Not that of an authorization code with the same letters: neither is ever taken for the other.
    pub fn hash(&self) -> Digest {
        hash::sha256(format!("device_code:{}", self.secret.expose_secret()).as_bytes())
    }

    fn new(cx: &Context) -> Self {
        Self { id: GrantId::new(random::uuid_v7(&*cx.rng, cx.now)), secret: random::secret(&*cx.rng) }
    }
}

/// The answer of the device authorization endpoint (RFC 8628 §3.2).
#[derive(Serialize)]
pub struct DeviceAuthorization {
    device_code: String,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: String,
    expires_in: u64,
    interval: u64,
}

/// Answers a device (RFC 8628 §3.1); `address` is where it asks from.
///
/// # Errors
/// `unauthorized_client`, `invalid_scope`, `invalid_target`, `invalid_authorization_details`.
pub async fn authorize(
    cx: &Context,
    client: &Client,
    params: &Params,
    address: Option<String>,
) -> Result<DeviceAuthorization, Error> {
    if !client.may_use(GrantType::DeviceCode) {
        return Err(not_registered().into());
    }
    let scope = requested(cx, client, params.get("scope"))?;
    // OpenID Connect Core §11: it is ignored where there can be no refresh token.
    let scope = if client.may_use(GrantType::RefreshToken) { scope } else { scope.without(OFFLINE_ACCESS) };
    let (resources, details) = details::begun(cx, client, params, &scope).await?;
    let (code, settings) = (DeviceCode::new(cx), &cx.config.device);
    let request = DeviceRequest {
        id: code.id,
        client: client.id.clone(),
        code_hash: code.hash(),
        scope,
        resources,
        details,
        address,
        created_at: cx.now,
        expires_at: cx.now.plus(settings.code_lifetime),
    };
    let user_code = store(cx, request).await?;
    let verification_uri = cx.config.server.issuer.url("/device");
    Ok(DeviceAuthorization {
        device_code: format!("{}.{}", code.id, code.secret.expose_secret()),
        // RFC 8628 §3.3.1
        verification_uri_complete: format!("{verification_uri}?user_code={user_code}"),
        verification_uri,
        user_code,
        expires_in: settings.code_lifetime.as_secs(),
        interval: settings.interval.as_secs(),
    })
}

pub fn not_registered() -> OAuthError {
    unauthorized_client("the client is not registered for the device_code grant")
}

/// Writes the request under a user code that nobody has.
async fn store(cx: &Context, request: DeviceRequest) -> Result<String, Fault> {
    for _attempt in 0..3 {
        let letters = letters(&*cx.rng);
        let device = NewDevice {
            request: request.clone(),
            user_code_hash: user_code_hash(cx, &letters)?,
            pace: cx.config.device.interval,
        };
        if cx.store.create_device(&device).await? {
            return Ok(format!("{}-{}", &letters[..LENGTH / 2], &letters[LENGTH / 2..]));
        }
    }
    Err(Fault::because("three user codes in a row were taken"))
}

/// Each letter as likely as any other.
fn letters(rng: &dyn Random) -> String {
    let mut letters = String::with_capacity(LENGTH);
    while letters.len() < LENGTH {
        let [byte] = random::bytes::<1>(rng);
        let most = u8::MAX - u8::MAX % 20;
        if byte < most {
            letters.push(char::from(ALPHABET[usize::from(byte % 20)]));
        }
    }
    letters
}

/// What a person typed, as the letters of a code: case, dashes and spaces are forgiven (RFC 8628 §6.1).
fn normalised(typed: &str) -> Option<String> {
    let letters: String = typed.chars().filter(|c| c.is_alphanumeric()).map(|c| c.to_ascii_uppercase()).collect();
    let is_code = letters.len() == LENGTH && letters.bytes().all(|letter| ALPHABET.contains(&letter));
    is_code.then_some(letters)
}

/// Under a key that is not in the database in clear: of so few letters the bare hash is searched through in a minute. A
/// code that waits while the key is changed is unknown then, and its device asks for another.
fn user_code_hash(cx: &Context, letters: &str) -> Result<Digest, Fault> {
    let key = cx.keys.active(Algorithm::Hs256, cx.now)?;
    let mac = key.sign(format!("user_code:{letters}").as_bytes()).map_err(Fault::internal)?;
    Ok(hash::sha256(&mac))
}

/// What came of a code that somebody entered.
pub enum Entered {
    /// It is this browser's from now on.
    Known(Box<DeviceRequest>),
    /// There is no such code, or it was entered in another browser.
    Unknown,
    TooMany,
}

/// Somebody at this address enters a code (RFC 8628 §3.3).
///
/// # Errors
/// When the database is away.
pub async fn enter(cx: &Context, browser: &str, typed: &str, from: Option<IpAddr>) -> Result<Entered, Fault> {
    // RFC 8628 §5.1. The attempt counts before it is known what it finds, so that many at once count as well.
    let settings = &cx.config.device;
    let until = cx.now.plus(settings.code_lifetime);
    let own = format!("browser:{browser}");
    let buckets = [(own.as_str(), settings.attempts_per_browser), ("all", settings.attempts)];
    let exempt = from.is_some_and(|address| settings.unlimited.iter().any(|network| network.contains(address)));
    let buckets = if exempt { &[][..] } else { &buckets[..] };
    for &(bucket, most) in buckets {
        if !cx.store.take_attempt(bucket, most, until, cx.now).await? {
            tracing::warn!(target: "audit", event = "device_code", outcome = "too_many_attempts");
            return Ok(Entered::TooMany);
        }
    }
    let found = match normalised(typed) {
        Some(letters) => cx.store.enter_device_code(user_code_hash(cx, &letters)?, browser, cx.now).await?,
        None => None,
    };
    let Some(request) = found else {
        tracing::warn!(target: "audit", event = "device_code", outcome = "unknown");
        return Ok(Entered::Unknown);
    };
    for (bucket, _) in buckets {
        cx.store.return_attempt(bucket).await?;
    }
    Ok(Entered::Known(Box::new(request)))
}

/// A device, and the application on it, which a browser is asked about.
pub struct Question {
    pub request: DeviceRequest,
    pub client: Arc<Client>,
    browser: String,
    /// Nothing of what is asked for can be given to who is asked.
    pub barred: bool,
}

/// The question that waits in a browser, its client checked anew.
///
/// # Errors
/// When the database is away.
pub async fn question(cx: &Context, id: GrantId, browser: &str) -> Result<Option<Question>, Fault> {
    let Some(mut request) = cx.store.device(id, browser, cx.now).await? else { return Ok(None) };
    let client = cx.store.client(&request.client).await?;
    let Some(client) = client.filter(|client| !client.is_disabled() && client.may_use(GrantType::DeviceCode)) else {
        return Ok(None);
    };
    request.scope = still_registered(&client, &request.scope);
    Ok(Some(Question { request, client, browser: browser.to_owned(), barred: false }))
}

impl Question {
    /// The question as it is put to somebody: of the scope, what they can be given.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn to(mut self, cx: &Context, user: UserId) -> Result<Self, Fault> {
        let scope = for_user(cx, user, self.request.scope.clone()).await?;
        self.barred = scope.is_empty() && !self.request.scope.is_empty() && self.request.details.is_empty();
        self.request.scope = scope;
        Ok(self)
    }
}

/// The person allows it: decision, consent and grant are one commit. `false` if it was decided before, or has expired.
/// The question is the one that was put to them.
///
/// # Errors
/// When the database is away.
pub async fn allow(cx: &Context, question: &Question, session: &Session) -> Result<bool, Fault> {
    let grant = new_grant(cx, question, session);
    let memorable = details::memorable(cx, &grant.terms.details).await?;
    let mut tx = cx.store.begin().await?;
    if !tx.decide_device(grant.id, &question.browser, Decision::Allowed, cx.now).await? {
        return Ok(false);
    }
    tx.grant_consent(grant.user, &grant.client, &grant.scope, cx.now).await?;
    tx.remember_details(grant.user, &grant.client, &memorable).await?;
    tx.create_grant(&grant).await?;
    tx.log(Event::within(session, EventKind::Allowed, cx.now).about(grant.client.as_str())).await?;
    tx.commit().await?;
    Ok(true)
}

/// The person does not allow it; `false` if it was decided before, or has expired.
///
/// # Errors
/// When the database is away.
pub async fn deny(cx: &Context, question: &Question) -> Result<bool, Fault> {
    let (id, client) = (question.request.id, &question.client.id);
    let mut tx = cx.store.begin().await?;
    if !tx.decide_device(id, &question.browser, Decision::Denied, cx.now).await? {
        return Ok(false);
    }
    tx.commit().await?;
    tracing::info!(target: "audit", event = "device_code", outcome = "denied", %client, grant = %id);
    Ok(true)
}

fn new_grant(cx: &Context, question: &Question, session: &Session) -> NewGrant {
    let (client, request) = (&question.client, &question.request);
    let offline = request.scope.contains(OFFLINE_ACCESS);
    let refreshable =
        client.may_use(GrantType::RefreshToken) && (offline || client.metadata.always_issue_refresh_token);
    let end = if refreshable {
        cx.now.plus(cx.config.refresh.absolute(client))
    } else {
        request.expires_at.plus(cx.config.tokens.access_lifetime(client))
    };
    NewGrant {
        id: request.id,
        client: client.id.clone(),
        user: session.user,
        session: session.id,
        scope: request.scope.clone(),
        terms: Terms { resources: request.resources.clone(), details: request.details.clone(), ..Terms::default() },
        offline,
        refreshable,
        nonce: None,
        authentication: session.authentication.clone(),
        // There is no redirect, and PKCE is not part of RFC 8628.
        redirect_uri: String::new(),
        code_hash: request.code_hash,
        code_challenge: None,
        sender_key: None,
        created_at: cx.now,
        code_expires_at: request.expires_at,
        // docs/architecture.md, "What ends what": a session's expiry ends its grants, those with offline_access excepted.
        ends_at: if offline { end } else { end.min(session.expires_at) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::SystemRandom;

    #[test]
    fn a_user_code_is_read_however_it_is_typed() {
        for typed in ["WDJB-MJHT", "wdjbmjht", " wdjb mjht ", "WDJB–MJHT", "w.d.j.b.m.j.h.t"] {
            assert_eq!(normalised(typed).as_deref(), Some("WDJBMJHT"), "{typed}");
        }
        for typed in ["", "WDJB-MJH", "WDJB-MJHTT", "WDJB-MJHA", "WDJB-MJH1", "ÜDJB-MJHT", "WDJBMJH\u{212a}"] {
            assert_eq!(normalised(typed), None, "{typed}");
        }
    }

    #[test]
    fn user_codes_are_of_all_letters_alike() {
        let mut counts = [0_u32; 20];
        for _ in 0..5_000 {
            let code = letters(&SystemRandom::new());
            assert_eq!(normalised(&code).as_ref(), Some(&code));
            for letter in code.bytes() {
                counts[ALPHABET.iter().position(|own| *own == letter).unwrap()] += 1;
            }
        }
        // 2,000 of each are expected, give or take 44; a bias of the bytes above 240 would give some 125 more.
        assert!(counts.iter().all(|count| (1_780..2_220).contains(count)), "{counts:?}");
    }
}

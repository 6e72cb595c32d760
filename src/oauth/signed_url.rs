//! Signed addresses: a client asks for one under a prefix that it is registered for, and whoever has it may do there what
//! it is for. A server behind the address checks the signature by the key in the JWKS, or asks by introspection; what
//! works once, or is a reference that says nothing by itself, has to be asked about.

use std::time::Duration;

use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use url::Url;

use super::error::{invalid_request, unauthorized_client};
use super::{Context, Error};
use crate::config::tokens::ID_TOKEN_CEILING;
use crate::crypto::{TokenType, api_token, jwt, random, sha256};
use crate::store::Stored;
use crate::types::{Audience, Client, ClientId, Fault, Params, SignedUrl, TokenId};

/// The parameter of an address in which its signature stands.
pub const PARAMETER: &str = "signature";

/// How a reference begins.
const PREFIX: &str = "gr_url_";

const DEFAULT_LIFETIME: Duration = Duration::from_hours(1);

/// What the client gets.
#[derive(Serialize)]
pub struct Signed {
    /// With the signature in it.
    pub url: String,
    /// The signature alone: what is introspected and revoked.
    pub signature: String,
    /// Seconds.
    pub expires_in: u64,
}

/// What a signature says.
#[derive(Serialize, Deserialize)]
pub struct UrlClaims {
    pub iss: String,
    pub aud: Audience,
    pub client_id: ClientId,
    /// The address, as it is without the signature.
    pub url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub single_use: bool,
    pub iat: i64,
    pub exp: i64,
    pub jti: TokenId,
}

impl UrlClaims {
    pub fn of(cx: &Context, url: &SignedUrl) -> Self {
        Self {
            iss: cx.issuer().to_owned(),
            aud: url.audience.clone(),
            client_id: url.client.clone(),
            url: url.url.clone(),
            purpose: url.purpose.clone(),
            sub: url.subject.clone(),
            single_use: url.single_use,
            iat: url.created_at.secs(),
            exp: url.expires_at.secs(),
            jti: url.id,
        }
    }
}

/// Signs an address for an authenticated client.
///
/// # Errors
/// `unauthorized_client` where it is registered for no prefix; `invalid_request`.
pub async fn sign(cx: &Context, client: &Client, params: &Params) -> Result<Signed, Error> {
    if client.metadata.signed_url_prefixes.is_empty() {
        return Err(unauthorized_client("the client is registered for no signed_url_prefixes").into());
    }
    let is_reference = match params.get("form") {
        None | Some("signed") => false,
        Some("reference") => true,
        Some(_) => return Err(invalid_request("form is signed or reference").into()),
    };
    let address = address(client, params.get("url").ok_or_else(|| invalid_request("url is missing"))?)?;
    let lifetime = lifetime(cx, params.get("expires_in"), is_reference)?;
    let url = SignedUrl {
        id: TokenId::new(random::uuid_v7(&*cx.rng, cx.now)),
        client: client.id.clone(),
        audience: audience(cx, address.as_str()).await?,
        url: address.to_string(),
        purpose: words(params, "purpose", 64)?,
        subject: words(params, "subject", 255)?,
        single_use: match params.get("single_use") {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(invalid_request("single_use is true or false").into()),
        },
        created_at: cx.now,
        expires_at: cx.now.plus(lifetime),
    };
    let signature = if is_reference {
        let reference = api_token::make(PREFIX, &*cx.rng);
        cx.store.create_signed_url(&url, Some(&sha256(reference.expose_secret().as_bytes()))).await?;
        reference.expose_secret().to_owned()
    } else {
        let key = cx.keys.active(cx.config.tokens.access_token_algorithm, cx.now)?;
        let signed = jwt::sign(key, TokenType::SignedUrl, &UrlClaims::of(cx, &url)).map_err(Fault::internal)?;
        cx.store.create_signed_url(&url, None).await?;
        signed
    };
    tracing::info!(target: "audit", event = "url_signed", client = %client.id, token = %url.id, single_use = url.single_use);
    let mut address = address;
    address.query_pairs_mut().append_pair(PARAMETER, &signature);
    Ok(Signed { url: address.into(), signature, expires_in: lifetime.as_secs() })
}

/// An address that is written as it is meant, under a prefix of the client's.
fn address(client: &Client, text: &str) -> Result<Url, Error> {
    let refused = |why: &'static str| Err(invalid_request(why).into());
    let Ok(url) = Url::parse(text) else { return refused("url is not an absolute address") };
    let path = url.path().to_ascii_lowercase();
    // What a server might read as another path than we do.
    if url.as_str() != text || path.contains("%2f") || path.contains("%5c") || path.contains("%2e") {
        return refused(
            "url is not written in the form in which browsers send it: no dots in its path, no encoded slash",
        );
    }
    if url.fragment().is_some() || url.query_pairs().any(|(name, _)| name == PARAMETER) {
        return refused("url must have no fragment, and no parameter that is called signature");
    }
    if text.len() > 2_000 {
        return refused("url must have at most 2,000 characters");
    }
    if !client.metadata.signed_url_prefixes.iter().any(|prefix| text.starts_with(prefix.as_str())) {
        return refused("url is under none of the signed_url_prefixes that the client is registered for");
    }
    Ok(url)
}

fn lifetime(cx: &Context, asked: Option<&str>, is_reference: bool) -> Result<Duration, Error> {
    let longest = cx.config.signed_urls.max_lifetime;
    let longest = if is_reference { longest } else { longest.min(ID_TOKEN_CEILING) };
    let Some(asked) = asked else { return Ok(DEFAULT_LIFETIME.min(longest)) };
    match asked.parse() {
        Ok(seconds) if seconds > 0 && Duration::from_secs(seconds) <= longest => Ok(Duration::from_secs(seconds)),
        _ => {
            let most = longest.as_secs();
            Err(invalid_request(format!("expires_in is a number of seconds, here at most {most}")).into())
        }
    }
}

fn words(params: &Params, name: &str, most: usize) -> Result<Option<String>, Error> {
    let Some(text) = params.get(name) else { return Ok(None) };
    if text.chars().count() > most || text.chars().any(char::is_control) {
        return Err(invalid_request(format!("{name} has at most {most} characters, and no control characters")).into());
    }
    Ok(Some(text.to_owned()))
}

/// The resource to which an address belongs: the one whose URI is the longest part of it.
async fn audience(cx: &Context, url: &str) -> Result<Audience, Fault> {
    let known = cx.store.resources().await?;
    let is_under = |uri: &str| {
        url.strip_prefix(uri).is_some_and(|rest| uri.ends_with('/') || rest.is_empty() || rest.starts_with(['/', '?']))
    };
    let uris = known.iter().map(|resource| resource.uri.as_str()).filter(|uri| is_under(uri));
    Ok(Audience::One(uris.max_by_key(|uri| uri.len()).unwrap_or_else(|| cx.issuer()).to_owned()))
}

/// One that is good at this moment, of what stands in an address.
///
/// # Errors
/// When the database is away.
pub async fn find(cx: &Context, signature: &str) -> Result<Option<SignedUrl>, Fault> {
    if signature.starts_with(PREFIX) {
        let Some(hash) = api_token::hash(signature) else { return Ok(None) };
        return cx.store.signed_url((None, Some(&hash)), cx.now).await;
    }
    let verified: Result<UrlClaims, _> = jwt::verify(signature, TokenType::SignedUrl, |kid| cx.keys.verifying(kid));
    match verified {
        Ok(claims) if claims.iss == cx.issuer() => cx.store.signed_url((Some(claims.jti), None), cx.now).await,
        _ => Ok(None),
    }
}

/// Whether the server that asks may let its bearer in: what works once is spent by that.
///
/// # Errors
/// When the database is away.
pub async fn admit(cx: &Context, url: &SignedUrl) -> Result<bool, Fault> {
    Ok(!url.single_use || cx.store.spend_signed_url(url.id, cx.now).await? == Stored::Stored)
}

/// Ends one of a client's own.
///
/// # Errors
/// When the database is away.
pub async fn revoke(cx: &Context, url: &SignedUrl) -> Result<(), Fault> {
    if cx.store.delete_signed_url(url.id, &url.client).await? == Stored::Stored {
        tracing::info!(target: "audit", event = "url_revoked", client = %url.client, token = %url.id);
    }
    Ok(())
}

//! Signing in by other providers, as a relying party of theirs: there, and back.
//!
//! | file | what |
//! |---|---|
//! | `mod` | what is kept of whoever goes there, and must fit when they come back |
//! | `endpoints` | where a provider is: by discovery, or as the configuration says; tokens for a code |
//! | `openid` | who came back, by an ID token (OpenID Connect Core §3.1.3.7) |
//! | `plain` | who came back, by an API of a provider that knows OAuth 2 alone |
//! | `arrive` | whose account that is here, if anybody's (ASVS 6.8.1) |
//! | `linked` | which of them somebody has, one more, one less |

mod arrive;
mod endpoints;
mod linked;
mod openid;
mod plain;

use std::collections::BTreeMap;
use std::time::Duration;

use openidconnect::core::CoreJsonWebKeySet;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use url::Url;

use super::Accounts;
use crate::config;
use crate::crypto::{Digest, random, sha256, sha256_base64url};
use crate::outgoing::{Documents, Kind, Outgoing, OutgoingError};
use crate::types::{Authentication, Fault, Params, RequestId, Timestamp, UserId, Visit};

pub use arrive::Arrival;
use endpoints::Metadata;
pub use linked::{Linked, Unlinked};

/// How long somebody may be there.
const VISIT: Duration = Duration::from_mins(10);

/// How far their clock may be off.
const SKEW: Duration = Duration::from_mins(1);

/// The providers of the configuration, and what is known of them.
pub struct Upstreams {
    accounts: Accounts,
    outgoing: Outgoing,
    providers: BTreeMap<String, Provider>,
    metadata: Documents<Metadata>,
    keys: Documents<CoreJsonWebKeySet>,
}

pub struct Provider {
    pub name: String,
    pub settings: config::upstream::Provider,
    secret: Option<SecretString>,
    /// One for each, so that an answer of one is never taken for another's (RFC 9700 §4.4.2.2).
    redirect_uri: String,
}

/// What somebody goes there for, and goes on with when they are back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Errand {
    /// What waits for them here.
    pub request: Option<RequestId>,
    /// Where they go without that: a parameter, and its value.
    pub next: Option<(String, String)>,
    /// Who wants to be known by it from now on, who has proved here who they are.
    pub link: Option<UserId>,
    pub fresh: Fresh,
}

/// How long ago they may have proved there who they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fresh {
    #[default]
    Any,
    /// `max_age`
    Within(Duration),
    /// `prompt=login`
    Now,
}

/// What is kept meanwhile, sealed.
#[derive(Serialize, Deserialize)]
struct Kept {
    errand: Errand,
    nonce: String,
    verifier: String,
    left_at: Timestamp,
}

/// Who came back, and what for.
pub struct Return {
    pub errand: Errand,
    pub came: Came,
}

pub enum Came {
    Proved(Found),
    /// They did not want to go on there.
    Declined,
    /// It does not say that they proved just now who they are.
    NotAgain,
}

/// Somebody, as the provider knows them.
#[derive(Clone, Debug)]
pub struct Found {
    pub provider: String,
    pub subject: String,
    pub email: Option<String>,
    /// Whether the provider says that it is theirs.
    pub email_verified: bool,
    pub name: Option<String>,
    pub authentication: Authentication,
}

/// What a provider says of somebody.
struct Told {
    subject: String,
    email: Option<String>,
    email_verified: bool,
    name: Option<String>,
    /// `auth_time`
    at: Option<Timestamp>,
    /// Whether they showed two factors, by the word of a provider that is trusted to say so.
    several: bool,
}

/// Why nobody came back.
#[derive(Debug)]
pub enum Trouble {
    /// They are not expected, or no more, or in another browser.
    Stale,
    /// What the provider said cannot be believed, or it said nothing: words for a log.
    Refused(String),
    Fault(Fault),
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<OutgoingError> for Trouble {
    fn from(error: OutgoingError) -> Self {
        Self::Refused(error.to_string())
    }
}

fn refused(why: impl Into<String>) -> Trouble {
    Trouble::Refused(why.into())
}

impl Upstreams {
    /// Those of the configuration; `secrets` by their names.
    pub fn new(accounts: Accounts, outgoing: Outgoing, mut secrets: BTreeMap<String, SecretString>) -> Self {
        let config = accounts.config.clone();
        let provider = |(name, settings): (&String, &config::upstream::Provider)| {
            let redirect_uri = config.server.issuer.url(&format!("/sign-in/upstream/{name}/callback"));
            let provider =
                Provider { name: name.clone(), settings: settings.clone(), secret: secrets.remove(name), redirect_uri };
            (name.clone(), provider)
        };
        let providers = config.upstream.0.iter().map(provider).collect();
        let life = config.outgoing.cache_lifetime;
        let metadata = Kind { media_types: &[], life, read: |body| read(body) };
        let keys = Kind { media_types: &[], life, read: |body| read(body) };
        Self {
            accounts,
            providers,
            metadata: Documents::new(outgoing.clone(), metadata),
            keys: Documents::new(outgoing.clone(), keys),
            outgoing,
        }
    }

    pub fn provider(&self, name: &str) -> Option<&Provider> {
        self.providers.get(name)
    }

    /// All of them, in the order of their names.
    pub fn providers(&self) -> impl Iterator<Item = &Provider> {
        self.providers.values()
    }

    /// Where somebody is sent who goes there, and a note of it, so that they alone come back, once.
    ///
    /// # Errors
    /// When nobody can be sent there now.
    pub async fn depart(
        &self,
        provider: &Provider,
        errand: Errand,
        browser: &str,
        now: Timestamp,
    ) -> Result<String, Trouble> {
        let endpoints = self.endpoints(provider, now).await?;
        let mut url = Url::parse(&endpoints.authorization)
            .map_err(|why| refused(format!("its authorization endpoint is no URL: {why}")))?;
        let rng = &*self.accounts.rng;
        let [state, nonce, verifier] = std::array::from_fn(|_| random::token(rng, 32));
        {
            let mut query = url.query_pairs_mut();
            query
                .append_pair("response_type", "code")
                .append_pair("client_id", &provider.settings.client_id)
                .append_pair("redirect_uri", &provider.redirect_uri)
                .append_pair("state", &state)
                // RFC 7636 §4.3
                .append_pair("code_challenge", &sha256_base64url(verifier.as_bytes()))
                .append_pair("code_challenge_method", "S256");
            let scope = provider.settings.scope();
            if !scope.is_empty() {
                query.append_pair("scope", scope);
            }
            if endpoints.issuer.is_some() {
                query.append_pair("nonce", &nonce);
                if let Some(values) = &provider.settings.acr_values {
                    query.append_pair("acr_values", values);
                }
            }
            // OpenID Connect Core §3.1.2.1: with `max_age` the ID token must say when it was.
            if provider.settings.can_ask_again() {
                match errand.fresh {
                    Fresh::Any => {}
                    Fresh::Within(age) => drop(query.append_pair("max_age", &age.as_secs().to_string())),
                    Fresh::Now => drop(query.append_pair("prompt", "login").append_pair("max_age", "0")),
                }
            }
        }
        let state_hash = sha256(state.as_bytes());
        let kept = Kept { errand, nonce, verifier, left_at: now };
        let plain = zeroize::Zeroizing::new(serde_json::to_vec(&kept).map_err(Fault::internal)?);
        let visit = Visit {
            state_hash,
            browser: browser.to_owned(),
            provider: provider.name.clone(),
            sealed: self.accounts.ring.seal(rng, &context(&state_hash), &plain),
            expires_at: now.plus(VISIT),
        };
        self.accounts.store.create_visit(&visit).await?;
        Ok(url.into())
    }

    /// Who came back with this answer.
    ///
    /// # Errors
    /// When it is not an answer to this browser, or cannot be believed.
    pub async fn receive(
        &self,
        provider: &Provider,
        params: &Params,
        browser: &str,
        now: Timestamp,
    ) -> Result<Return, Trouble> {
        // RFC 6749 §10.12, before anything else is believed, and whatever comes of it: the state works once.
        let state_hash = sha256(params.get("state").ok_or(Trouble::Stale)?.as_bytes());
        let sealed = self.accounts.store.take_visit(state_hash, (browser, &provider.name), now).await?;
        let sealed = sealed.ok_or(Trouble::Stale)?;
        let plain = self.accounts.ring.open(&context(&state_hash), &sealed).map_err(Fault::internal)?;
        let kept: Kept = serde_json::from_slice(&plain).map_err(|_| Fault::because("a visit that we did not write"))?;

        let endpoints = self.endpoints(provider, now).await?;
        // RFC 9207 §2.4: the answer comes from the provider that was asked.
        match (params.get("iss"), &endpoints.issuer) {
            (Some(iss), Some(own)) if iss == own => {}
            (None, _) if !endpoints.says_iss => {}
            // Plain OAuth 2 has no name to compare it with; its redirect URI is its own.
            (Some(_), None) => {}
            _ => return Err(refused("the iss of its answer is missing, or another provider's")),
        }
        match params.get("error") {
            Some("access_denied") => return Ok(Return { errand: kept.errand, came: Came::Declined }),
            Some(error) => return Err(refused(format!("it answered with the error {:?}", short(error)))),
            None => {}
        }
        let code = params.get("code").ok_or_else(|| refused("its answer has neither a code nor an error"))?;
        let tokens = self.redeem((provider, &endpoints), code, &kept.verifier).await?;
        let told = match &endpoints.issuer {
            Some(_) => self.by_id_token((provider, &endpoints), &tokens, &kept.nonce, now).await?,
            None => self.by_api((provider, &endpoints), &tokens).await?,
        };
        let Kept { errand, left_at, .. } = kept;
        let came = match authenticated_at(told.at, (errand.fresh, left_at), now) {
            Some(at) => Came::Proved(found(provider, told, at)?),
            None => Came::NotAgain,
        };
        Ok(Return { errand, came })
    }
}

/// When they proved who they are: as the provider says, else just now. `None` if it must say so, and does not say so, or
/// it is too long ago (ASVS 6.8.4).
fn authenticated_at(
    told: Option<Timestamp>,
    (fresh, left_at): (Fresh, Timestamp),
    now: Timestamp,
) -> Option<Timestamp> {
    match (fresh, told) {
        (Fresh::Any, told) => Some(told.unwrap_or(now).min(now)),
        (Fresh::Within(age), Some(at)) => (now.since(at) <= age).then_some(at.min(now)),
        // Since they left us, by a clock that may go wrong, and tells seconds alone.
        (Fresh::Now, Some(at)) => (at.plus(SKEW) >= left_at).then_some(at.max(left_at).min(now)),
        (Fresh::Within(_) | Fresh::Now, None) => None,
    }
}

fn found(provider: &Provider, told: Told, at: Timestamp) -> Result<Found, Trouble> {
    let Told { subject, email, email_verified, name, several, .. } = told;
    // OpenID Connect Core §2: "MUST NOT exceed 255 ASCII characters in length".
    if subject.is_empty() || subject.len() > 255 || subject.chars().any(char::is_control) {
        return Err(refused("the subject is not one by which anybody can be known"));
    }
    let email = email.and_then(|email| super::registration::address(&email));
    let name = name.filter(|name| !name.trim().is_empty() && name.len() <= 256 && !name.chars().any(char::is_control));
    Ok(Found {
        provider: provider.name.clone(),
        subject,
        email_verified: email_verified && email.is_some(),
        email,
        name,
        authentication: Authentication::by_provider(at, several),
    })
}

/// What a visit is sealed to.
fn context(state_hash: &Digest) -> String {
    let hex: String = state_hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("visit {hex}")
}

fn read<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|why| why.to_string())
}

/// What others said, as long as a log has room for.
fn short(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ASVS 6.8.4
    #[test]
    fn a_provider_says_when_it_was_or_it_is_not_fresh() {
        let at = Timestamp::from_secs;
        let (left, now) = (at(1_000), at(1_030));
        let age = Fresh::Within(Duration::from_secs(300));
        for (told, fresh, expected) in [
            (None, Fresh::Any, Some(now)),
            (Some(at(10)), Fresh::Any, Some(at(10))),
            (Some(at(2_000)), Fresh::Any, Some(now)),
            (None, age, None),
            (Some(at(800)), age, Some(at(800))),
            (Some(at(600)), age, None),
            (None, Fresh::Now, None),
            (Some(at(1_010)), Fresh::Now, Some(at(1_010))),
            // A clock that goes a little wrong.
            (Some(at(990)), Fresh::Now, Some(left)),
            (Some(at(1_040)), Fresh::Now, Some(now)),
            (Some(at(800)), Fresh::Now, None),
        ] {
            assert_eq!(authenticated_at(told, (fresh, left), now), expected, "{told:?} {fresh:?}");
        }
    }
}

//! Where a provider is, and tokens for a code.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderMap, HeaderValue, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{Provider, Trouble, Upstreams, refused, short};
use crate::config::upstream::Authentication;
use crate::types::{Timestamp, json};

/// What is read of OpenID Connect Discovery §3.
#[derive(Deserialize)]
pub(super) struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    userinfo_endpoint: Option<String>,
    jwks_uri: String,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
    /// RFC 9207 §3
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

pub(super) struct Endpoints {
    /// None of plain OAuth 2.
    pub issuer: Option<String>,
    pub authorization: String,
    pub token: String,
    pub userinfo: Option<String>,
    pub keys: String,
    pub authentication: Authentication,
    /// Whether every answer carries `iss`.
    pub says_iss: bool,
}

/// What came for a code (RFC 6749 §5.1).
#[derive(Deserialize)]
pub(super) struct Tokens {
    #[serde(deserialize_with = "secret")]
    pub access_token: SecretString,
    token_type: String,
    pub id_token: Option<String>,
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    String::deserialize(deserializer).map(SecretString::from)
}

impl Upstreams {
    pub(super) async fn endpoints(&self, provider: &Provider, now: Timestamp) -> Result<Endpoints, Trouble> {
        let settings = &provider.settings;
        let Some(issuer) = &settings.issuer else {
            let text = |url: &Option<url::Url>| url.as_ref().map(ToString::to_string).unwrap_or_default();
            return Ok(Endpoints {
                issuer: None,
                authorization: text(&settings.authorization_endpoint),
                token: text(&settings.token_endpoint),
                userinfo: settings.userinfo_endpoint.as_ref().map(ToString::to_string),
                keys: String::new(),
                authentication: settings.client_authentication.unwrap_or(Authentication::Post),
                says_iss: false,
            });
        };
        // OpenID Connect Discovery §4: "any terminating / MUST be removed".
        let address = format!("{}/.well-known/openid-configuration", issuer.strip_suffix('/').unwrap_or(issuer));
        let metadata = self.metadata.get(&address, now).await?;
        // §4.3: "MUST exactly match".
        if metadata.issuer != *issuer {
            return Err(refused(format!("its discovery document is that of {:?}", short(&metadata.issuer))));
        }
        let offered = &metadata.token_endpoint_auth_methods_supported;
        let takes = |method: &str| offered.iter().any(|offered| offered == method);
        // §3: "If omitted, the default is client_secret_basic".
        let usual = if takes("client_secret_post") && !takes("client_secret_basic") {
            Authentication::Post
        } else {
            Authentication::Basic
        };
        Ok(Endpoints {
            issuer: Some(issuer.clone()),
            authorization: metadata.authorization_endpoint.clone(),
            token: metadata.token_endpoint.clone(),
            userinfo: metadata.userinfo_endpoint.clone(),
            keys: metadata.jwks_uri.clone(),
            authentication: settings.client_authentication.unwrap_or(usual),
            says_iss: metadata.authorization_response_iss_parameter_supported,
        })
    }

    /// Tokens for a code (RFC 6749 §4.1.3).
    pub(super) async fn redeem(
        &self,
        (provider, endpoints): (&Provider, &Endpoints),
        code: &str,
        verifier: &str,
    ) -> Result<Tokens, Trouble> {
        let id = provider.settings.client_id.as_str();
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &provider.redirect_uri),
            ("code_verifier", verifier),
        ];
        let mut headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
        match (&provider.secret, endpoints.authentication) {
            (Some(secret), Authentication::Basic) => drop(headers.insert(AUTHORIZATION, basic(id, secret)?)),
            (Some(secret), Authentication::Post) => {
                fields.extend([("client_id", id), ("client_secret", secret.expose_secret())]);
            }
            (None, _) => fields.push(("client_id", id)),
        }
        let answer = self.outgoing.post_form_with(&endpoints.token, &fields, headers).await?;
        // Some say 200 and an error.
        let tokens: Option<Tokens> = serde_json::from_slice(&answer.body).ok();
        match tokens.filter(|_| answer.status == StatusCode::OK) {
            // RFC 6749 §7.1
            Some(tokens) if !tokens.token_type.eq_ignore_ascii_case("Bearer") => {
                Err(refused("its access token is of a type that is not known here"))
            }
            Some(tokens) => Ok(tokens),
            None => {
                let said = serde_json::from_slice::<Value>(&answer.body).ok();
                let said = said.as_ref().and_then(|said| said["error"].as_str()).unwrap_or("no tokens");
                Err(refused(format!("its token endpoint answered {} and {:?}", answer.status, short(said))))
            }
        }
    }

    /// A document about whoever the access token is for.
    pub(super) async fn ask(&self, url: &str, token: &SecretString) -> Result<Value, Trouble> {
        let bearer = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()));
        let mut bearer = bearer.map_err(|_| refused("its access token is not one that a header can carry"))?;
        bearer.set_sensitive(true);
        let json = HeaderValue::from_static("application/json");
        let answer =
            self.outgoing.get_with(url, HeaderMap::from_iter([(ACCEPT, json), (AUTHORIZATION, bearer)])).await?;
        if answer.status != StatusCode::OK {
            return Err(refused(format!("asked who that is, it answered {}", answer.status)));
        }
        json::strict(&answer.body).map_err(|_| refused("what it says of them is not JSON"))
    }
}

/// RFC 6749 §2.3.1: both form-encoded first.
fn basic(id: &str, secret: &SecretString) -> Result<HeaderValue, Trouble> {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let both = format!("{}:{}", encoded(id), encoded(secret.expose_secret()));
    let value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(both)));
    let mut value = value.map_err(|_| refused("our secret does not fit into a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

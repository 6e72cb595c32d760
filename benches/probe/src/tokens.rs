//! The product's tokens: the same headers, the same claims, the same signatures.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::engine::{Keys, sha256};
use crate::grants::Grant;

pub const ACCESS_SECONDS: i64 = 600;

pub struct Mint {
    pub keys: Keys,
    pub issuer: String,
    access_header: String,
    id_header: String,
    refresh_header: String,
    pub jwks: String,
}

#[derive(Serialize, Deserialize)]
pub struct AccessClaims {
    pub iss: String,
    pub sub: String,
    pub aud: String,
    pub client_id: String,
    pub exp: i64,
    pub iat: i64,
    pub jti: String,
    pub scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub amr: Vec<String>,
}

#[derive(Serialize)]
struct IdClaims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    exp: i64,
    iat: i64,
    auth_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
    acr: &'a str,
    amr: [&'a str; 1],
    sid: &'a str,
    at_hash: String,
}

#[derive(Serialize, Deserialize)]
pub struct RefreshClaims {
    pub iss: String,
    pub aud: String,
    pub client_id: String,
    pub grant: String,
    pub generation: i64,
    pub scope: String,
    pub iat: i64,
    pub exp: i64,
}

/// A successful answer of the token endpoint.
#[derive(Serialize)]
pub struct TokenResponse {
    pub access_token: String,
    pub token_type: &'static str,
    pub expires_in: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_token: Option<String>,
    pub scope: String,
}

pub fn now_micros() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

impl Mint {
    pub fn new(issuer: String) -> anyhow::Result<Self> {
        let keys = Keys::generate()?;
        let (x, y) = (BASE64.encode(&keys.public()[1..33]), BASE64.encode(&keys.public()[33..]));
        let kid = BASE64.encode(sha256(format!("{x}{y}").as_bytes()));
        let header = |alg: &str, kid: &str, typ: &str| {
            BASE64.encode(json!({ "alg": alg, "kid": kid, "typ": typ }).to_string()) + "."
        };
        let jwk = json!({ "alg": "ES256", "crv": "P-256", "kid": kid, "kty": "EC", "use": "sig", "x": x, "y": y });
        Ok(Self {
            access_header: header("ES256", &kid, "at+jwt"),
            id_header: header("ES256", &kid, "JWT"),
            refresh_header: header("HS256", &BASE64.encode(keys.random::<16>()?), "rt+jwt"),
            jwks: json!({ "keys": [jwk] }).to_string(),
            issuer,
            keys,
        })
    }

    pub fn for_client(&self, client: &str, scope: &str) -> anyhow::Result<TokenResponse> {
        let access_token = self.es256(&self.access_header, &self.bare(client, client, scope)?)?;
        Ok(TokenResponse {
            access_token,
            token_type: "Bearer",
            expires_in: ACCESS_SECONDS,
            refresh_token: None,
            id_token: None,
            scope: scope.to_owned(),
        })
    }

    pub fn for_grant(&self, grant: &Grant) -> anyhow::Result<TokenResponse> {
        let access_token = self.es256(
            &self.access_header,
            &AccessClaims {
                grant_id: Some(grant.id.clone()),
                auth_time: Some(grant.authenticated_at / 1_000_000),
                acr: Some("1".into()),
                amr: vec!["pwd".into()],
                ..self.bare(&grant.user, &grant.client, &grant.scope)?
            },
        )?;
        let iat = now_micros() / 1_000_000;
        let id_token = self.es256(
            &self.id_header,
            &IdClaims {
                iss: &self.issuer,
                sub: &grant.user,
                aud: &grant.client,
                exp: iat + ACCESS_SECONDS,
                iat,
                auth_time: grant.authenticated_at / 1_000_000,
                nonce: (grant.generation == 1).then_some(&grant.nonce),
                acr: "1",
                amr: ["pwd"],
                sid: &grant.session,
                at_hash: BASE64.encode(&sha256(access_token.as_bytes())[..16]),
            },
        )?;
        let mut refresh_token = payload(
            &self.refresh_header,
            &RefreshClaims {
                iss: self.issuer.clone(),
                aud: self.issuer.clone(),
                client_id: grant.client.clone(),
                grant: grant.id.clone(),
                generation: grant.generation,
                scope: grant.scope.clone(),
                iat: grant.rotated_at / 1_000_000,
                exp: grant.refresh_expires_at / 1_000_000,
            },
        )?;
        let tag = self.keys.mac(refresh_token.as_bytes());
        close(&mut refresh_token, tag.as_ref());
        Ok(TokenResponse {
            access_token,
            token_type: "Bearer",
            expires_in: ACCESS_SECONDS,
            refresh_token: Some(refresh_token),
            id_token: Some(id_token),
            scope: grant.scope.clone(),
        })
    }

    fn bare(&self, subject: &str, client: &str, scope: &str) -> anyhow::Result<AccessClaims> {
        let iat = now_micros() / 1_000_000;
        Ok(AccessClaims {
            iss: self.issuer.clone(),
            sub: subject.to_owned(),
            aud: self.issuer.clone(),
            client_id: client.to_owned(),
            exp: iat + ACCESS_SECONDS,
            iat,
            jti: self.uuid()?,
            scope: scope.to_owned(),
            grant_id: None,
            auth_time: None,
            acr: None,
            amr: Vec::new(),
        })
    }

    /// Version 7, which tells the millisecond.
    pub fn uuid(&self) -> anyhow::Result<String> {
        let millis = u64::try_from(now_micros() / 1_000)?;
        Ok(uuid::Builder::from_unix_timestamp_millis(millis, &self.keys.random()?).into_uuid().to_string())
    }

    fn es256(&self, header: &str, claims: &impl Serialize) -> anyhow::Result<String> {
        let mut token = payload(header, claims)?;
        let signature = self.keys.sign(token.as_bytes())?;
        close(&mut token, signature.as_ref());
        Ok(token)
    }

    pub fn read_access(&self, token: &str) -> Option<AccessClaims> {
        let (message, signature) = token.rsplit_once('.')?;
        let signature = BASE64.decode(signature).ok()?;
        let claims = message.strip_prefix(&self.access_header)?;
        let claims = self.keys.verify(message.as_bytes(), &signature).then(|| BASE64.decode(claims).ok())??;
        let claims: AccessClaims = serde_json::from_slice(&claims).ok()?;
        (claims.iss == self.issuer && claims.exp > now_micros() / 1_000_000).then_some(claims)
    }

    pub fn read_refresh(&self, token: &str) -> anyhow::Result<RefreshClaims> {
        let (message, tag) = token.rsplit_once('.').context("not a token")?;
        let claims = message.strip_prefix(&self.refresh_header).context("not a refresh token of ours")?;
        anyhow::ensure!(self.keys.verify_mac(message.as_bytes(), &BASE64.decode(tag)?), "a wrong signature");
        Ok(serde_json::from_slice(&BASE64.decode(claims)?)?)
    }
}

fn payload(header: &str, claims: &impl Serialize) -> anyhow::Result<String> {
    let claims = serde_json::to_vec(claims)?;
    let mut token = String::with_capacity(header.len() + claims.len() * 4 / 3 + 96);
    token.push_str(header);
    BASE64.encode_string(claims, &mut token);
    Ok(token)
}

fn close(token: &mut String, signature: &[u8]) {
    token.push('.');
    BASE64.encode_string(signature, token);
}

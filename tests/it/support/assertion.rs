//! Clients that sign: assertions, and any other JWT.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantor::crypto::{SigningKey, SystemRandom, random};
use grantor::types::{Algorithm, AuthMethod, Clock as _};
use serde_json::{Value, json};

use super::app::TestApp;
use super::party::{Builder, SECRET};

const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What a client signs with: a key of its own, or its secret.
pub struct Signer {
    pub id: String,
    key: Option<SigningKey>,
}

impl Signer {
    pub fn new(id: &str, algorithm: Algorithm) -> Self {
        let rng = SystemRandom::new();
        let material = SigningKey::generate(algorithm, &rng).expect("a key");
        let key = SigningKey::parse(random::token(&rng, 8), algorithm, &material).expect("a key");
        Self { id: id.to_owned(), key: Some(key) }
    }

    /// A client of `client_secret_jwt`, whose secret is `SECRET`.
    pub fn with_secret(id: &str) -> Self {
        Self { id: id.to_owned(), key: None }
    }

    /// Its keys, as it registers or publishes them.
    pub fn jwks(&self) -> Value {
        json!({"keys": self.key.iter().map(|key| key.public_jwk()).collect::<Vec<_>>()})
    }

    pub fn header(&self) -> Value {
        match &self.key {
            Some(key) => json!({"alg": key.algorithm().as_str(), "kid": key.kid(), "typ": "client-authentication+jwt"}),
            None => json!({"alg": "HS256", "typ": "client-authentication+jwt"}),
        }
    }

    /// The claims of a good assertion.
    pub fn claims(&self, app: &TestApp) -> Value {
        let now = app.clock.now().secs();
        let jti = random::token(&SystemRandom::new(), 16);
        json!({"iss": self.id, "sub": self.id, "aud": app.issuer(), "jti": jti, "iat": now, "exp": now + 60})
    }

    /// Signs any header and claims.
    pub fn sign(&self, header: &Value, claims: &str) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims));
        let signature = match &self.key {
            Some(key) => key.sign(message.as_bytes()).expect("it signs"),
            None => {
                hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), message.as_bytes()).as_ref().to_vec()
            }
        };
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// A good assertion.
    pub fn assertion(&self, app: &TestApp) -> Assertion {
        self.assertion_with(app, &[])
    }

    /// One that would be good, but for these claims; null takes one away.
    pub fn assertion_with(&self, app: &TestApp, changes: &[(&str, Value)]) -> Assertion {
        let mut claims = self.claims(app);
        for (name, value) in changes {
            claims[*name] = value.clone();
        }
        let members = claims.as_object_mut().expect("claims are an object");
        members.retain(|_, value| !value.is_null());
        Assertion(self.sign(&self.header(), &claims.to_string()))
    }
}

/// A signed assertion.
pub struct Assertion(pub String);

impl Assertion {
    /// As it stands in a request.
    pub fn fields(&self) -> [(&str, &str); 2] {
        [("client_assertion_type", TYPE), ("client_assertion", &self.0)]
    }
}

impl Builder<'_> {
    /// A client that proves itself by what this signs.
    pub fn signing(self, signer: &Signer) -> Self {
        self.with(|client| match &signer.key {
            Some(_) => {
                client.token_endpoint_auth_method = AuthMethod::PrivateKeyJwt;
                client.jwks = Some(signer.jwks());
            }
            None => client.token_endpoint_auth_method = AuthMethod::ClientSecretJwt,
        })
    }
}

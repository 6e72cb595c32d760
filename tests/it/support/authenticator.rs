//! A device that keeps passkeys, as a browser speaks for it: ES256 (WebAuthn Level 3, §6), and every way of being wrong.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantor::crypto::{random, sha256};
use serde_json::{Value, json};

use super::{Page, TestApp};

/// What a page asks a browser, and the state that goes back with the answer.
#[derive(Clone)]
pub struct Asked {
    pub options: Value,
    pub state: String,
}

impl Asked {
    #[track_caller]
    pub fn on(page: &Page) -> Self {
        let options = page.attribute("data-options").unwrap_or_else(|| panic!("no passkey is asked for: {page:?}"));
        Self { options: serde_json::from_str(&options).expect("JSON"), state: page.hidden("challenge") }
    }
}

/// A device with one passkey. What a test changes, it says wrongly from then on.
#[derive(Clone)]
pub struct Authenticator {
    /// PKCS #8.
    pub key: Vec<u8>,
    pub id: Vec<u8>,
    pub origin: String,
    pub rp_id: String,
    /// Whose it is, once it was made.
    pub user: Option<Vec<u8>>,
    pub present: bool,
    pub verified: bool,
    /// It counts, and has counted to this; at 0 it never counts.
    pub counter: u32,
    /// In the place of the challenge of the page.
    pub challenge: Option<String>,
    /// `type` of the client data, where it is not the right one.
    pub kind: Option<&'static str>,
    pub cross_origin: bool,
    pub forges: bool,
}

/// What makes a device wrong, and how.
pub type Twist = (&'static str, Box<dyn Fn(&mut Authenticator)>);

/// How a device can be wrong.
pub fn twist(what: &'static str, change: impl Fn(&mut Authenticator) + 'static) -> Twist {
    (what, Box::new(change))
}

impl Authenticator {
    pub fn at(app: &TestApp) -> Self {
        Self::of(app.issuer())
    }

    /// For the issuer at this address.
    pub fn of(issuer: &str) -> Self {
        let issuer = url::Url::parse(issuer).expect("a URL");
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key");
        Self {
            key: key.to_pkcs8v1().expect("a key").as_ref().to_vec(),
            id: random::bytes::<32>(&grantor::crypto::SystemRandom::new()).to_vec(),
            origin: issuer.origin().ascii_serialization(),
            rp_id: issuer.domain().expect("a name").to_owned(),
            user: None,
            present: true,
            verified: true,
            counter: 0,
            challenge: None,
            kind: None,
            cross_origin: false,
            forges: false,
        }
    }

    /// `navigator.credentials.create`
    pub fn create(&mut self, asked: &Asked) -> String {
        let user = asked.options["user"]["id"].as_str().expect("a user");
        self.user = Some(URL_SAFE_NO_PAD.decode(user).expect("base64url"));
        let client = self.client_data(asked, "webauthn.create");
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &self.key).expect("a key");
        let point = key.public_key().as_ref();
        let mut data = self.data(0x40);
        data.extend([0; 16]);
        data.extend(u16::try_from(self.id.len()).expect("short").to_be_bytes());
        data.extend(&self.id);
        // RFC 9052 §7: {kty: EC2, alg: ES256, crv: P-256, x, y}
        data.extend([0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20]);
        data.extend(&point[1..33]);
        data.extend([0x22, 0x58, 0x20]);
        data.extend(&point[33..65]);
        let mut object = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x59".to_vec();
        object.extend(u16::try_from(data.len()).expect("short").to_be_bytes());
        object.extend(data);
        self.credential(json!({ "clientDataJSON": text(&client), "attestationObject": text(&object) }))
    }

    /// `navigator.credentials.get`
    pub fn get(&mut self, asked: &Asked) -> String {
        if self.counter > 0 {
            self.counter += 1;
        }
        let client = self.client_data(asked, "webauthn.get");
        let data = self.data(0);
        let mut signed = data.clone();
        signed.extend(sha256(&client));
        if self.forges {
            signed.push(0);
        }
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &self.key).expect("a key");
        #[allow(clippy::disallowed_methods, reason = "aws-lc takes the nonces of ECDSA from a generator of its own")]
        let signature = key.sign(&SystemRandom::new(), &signed).expect("a signature");
        self.credential(json!({
            "clientDataJSON": text(&client),
            "authenticatorData": text(&data),
            "signature": text(signature.as_ref()),
            "userHandle": self.user.as_deref().map(text),
        }))
    }

    fn client_data(&self, asked: &Asked, kind: &str) -> Vec<u8> {
        let challenge = self.challenge.as_deref().or(asked.options["challenge"].as_str()).expect("a challenge");
        let (kind, origin, cross_origin) = (self.kind.unwrap_or(kind), &self.origin, self.cross_origin);
        let data = json!({ "type": kind, "challenge": challenge, "origin": origin, "crossOrigin": cross_origin });
        data.to_string().into_bytes()
    }

    /// WebAuthn §6.1
    fn data(&self, flags: u8) -> Vec<u8> {
        let mut data = sha256(self.rp_id.as_bytes()).to_vec();
        data.push(flags | u8::from(self.present) | u8::from(self.verified) << 2);
        data.extend(self.counter.to_be_bytes());
        data
    }

    fn credential(&self, response: Value) -> String {
        let id = text(&self.id);
        json!({ "id": id, "rawId": id, "type": "public-key", "response": response }).to_string()
    }
}

fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

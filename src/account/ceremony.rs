//! Web Authentication (Level 3): what a browser is asked to do with a passkey, and whether its answer is right.
//!
//! What an answer has to match goes out with the page, sealed for one browser and one purpose, and comes back with the
//! answer. So a page that is only looked at writes nothing; what is written is that it was answered, once.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;
use webauthn_rs::prelude::{
    Credential, DiscoverableAuthentication, PasskeyRegistration, PublicKeyCredential, RegisterPublicKeyCredential,
    WebauthnError,
};
use webauthn_rs::{Webauthn, WebauthnBuilder};

use super::Accounts;
use crate::config::Server;
use crate::crypto::sha256;
use crate::store::Use;
use crate::types::{Fault, Passkey, SignInId, Timestamp, User, UserId};

/// How long a challenge can be answered.
const LIFE: Duration = Duration::from_mins(10);

/// The longest id of a credential (WebAuthn §7.1 step 25).
const LONGEST_ID: usize = 1023;

/// What a page asks a browser.
pub struct Ceremony {
    /// For `navigator.credentials`: JSON, in which bytes are base64url.
    pub options: String,
    /// Comes back with the answer.
    pub state: String,
}

/// What came back, as it stood in the form.
#[derive(Clone, Copy, Default)]
pub struct Reply<'a> {
    pub state: &'a str,
    /// What `navigator.credentials` gave: JSON, in which bytes are base64url.
    pub answer: &'a str,
}

/// What a challenge was made for: its answer is worth nothing elsewhere.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    SignIn,
    SecondStep(SignInId),
    Add(UserId),
    /// For whoever has nothing beside their password yet, and needs it to go on.
    AddFirst(SignInId),
}

/// The state of a ceremony, opened.
pub(super) struct Opened<S> {
    state: S,
    digest: [u8; 32],
    until: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Kept<S> {
    state: S,
    until: i64,
}

/// What is kept of a passkey that was just made.
pub(super) struct Created {
    pub id: Vec<u8>,
    pub credential: String,
    pub counter: u32,
}

/// What a passkey has answered, not yet believed.
pub(super) struct Assertion(PublicKeyCredential);

pub(super) enum Verdict {
    /// And what its device has counted to.
    Right(u32),
    Wrong,
    /// The key is the right one, but its device had counted further before: there may be a second one (WebAuthn §6.1.1).
    CountedBack,
}

impl Assertion {
    pub fn parse(answer: &str) -> Option<Self> {
        serde_json::from_str(answer).ok().map(Self)
    }

    pub fn credential_id(&self) -> &[u8] {
        self.0.get_credential_id()
    }

    /// Who its device says that it belongs to, if it says so at all.
    fn names(&self, user: UserId) -> Option<bool> {
        self.0.get_user_unique_id().map(|handle| handle == user.uuid().as_bytes())
    }

    /// WebAuthn §7.2 step 13: nobody frames our pages.
    fn is_cross_origin(&self) -> bool {
        let client: Option<Value> = serde_json::from_slice(&self.0.response.client_data_json).ok();
        client.is_none_or(|client| client["crossOrigin"] == true)
    }
}

impl Accounts {
    /// Whether this server can have passkeys: the name in its issuer is what they belong to, and an address is none.
    pub fn can_have_passkeys(&self) -> bool {
        self.relying_party().is_some()
    }

    fn relying_party(&self) -> Option<Webauthn> {
        relying_party(&self.config.server)
    }

    /// Asks for a passkey that its owner can sign in with by itself: one that they find without giving a name, and that
    /// makes sure that it is them.
    pub(super) fn ask_to_create(
        &self,
        user: &User,
        known: &[Passkey],
        whose: (Purpose, &str),
        now: Timestamp,
    ) -> Result<Option<Ceremony>, Fault> {
        let Some(party) = self.relying_party() else { return Ok(None) };
        let known = known.iter().map(|passkey| passkey.credential_id.clone()).collect();
        let name = user.name().filter(|name| !name.is_empty()).unwrap_or(&user.username);
        let (asked, state) = party
            .start_passkey_registration(user.id.uuid(), &user.username, name, Some(known))
            .map_err(Fault::internal)?;
        let mut options = serde_json::to_value(asked.public_key).map_err(Fault::internal)?;
        // The library leaves it to the device whether it can be found without a name.
        options["authenticatorSelection"]["residentKey"] = "required".into();
        options["authenticatorSelection"]["requireResidentKey"] = true.into();
        self.ceremony(&options, state, whose, now).map(Some)
    }

    /// Asks for one of these passkeys, or for any that is ours: then nothing tells who has one (ASVS 6.3.8).
    pub(super) fn ask_for(
        &self,
        passkeys: &[Passkey],
        whose: (Purpose, &str),
        now: Timestamp,
    ) -> Result<Option<Ceremony>, Fault> {
        let Some(party) = self.relying_party() else { return Ok(None) };
        let (asked, state) = party.start_discoverable_authentication().map_err(Fault::internal)?;
        let mut options = serde_json::to_value(asked.public_key).map_err(Fault::internal)?;
        let allowed = passkeys.iter().map(|passkey| {
            let credential: Credential = serde_json::from_str(&passkey.credential).map_err(Fault::internal)?;
            let id = URL_SAFE_NO_PAD.encode(&passkey.credential_id);
            Ok(json!({ "type": "public-key", "id": id, "transports": credential.transports.unwrap_or_default() }))
        });
        options["allowCredentials"] = allowed.collect::<Result<_, Fault>>()?;
        self.ceremony(&options, state, whose, now).map(Some)
    }

    fn ceremony(
        &self,
        options: &Value,
        state: impl Serialize,
        (purpose, browser): (Purpose, &str),
        now: Timestamp,
    ) -> Result<Ceremony, Fault> {
        let kept = Kept { state, until: now.plus(LIFE).micros() };
        let plain = serde_json::to_vec(&kept).map_err(Fault::internal)?;
        let sealed = self.ring.seal(&*self.rng, &context(purpose, browser), &plain);
        Ok(Ceremony { options: options.to_string(), state: URL_SAFE_NO_PAD.encode(sealed) })
    }

    /// What went out with a page, if it was for this browser and purpose, and not too long ago.
    pub(super) fn open<S: DeserializeOwned>(
        &self,
        reply: Reply<'_>,
        (purpose, browser): (Purpose, &str),
        now: Timestamp,
    ) -> Option<Opened<S>> {
        let sealed = URL_SAFE_NO_PAD.decode(reply.state).ok()?;
        let plain = self.ring.open(&context(purpose, browser), &sealed).ok()?;
        let Kept { state, until } = serde_json::from_slice(&plain).ok()?;
        let until = Timestamp::from_micros(until);
        (now < until).then(|| Opened { state, digest: sha256(&sealed), until })
    }

    /// Its state, the first time.
    ///
    /// Safe to race: of any number of callers with one challenge, on any nodes, one has it (WebAuthn §13.4.3).
    pub(super) async fn spend_challenge<S>(&self, opened: Opened<S>, now: Timestamp) -> Result<Option<S>, Fault> {
        let first = self.store.use_once(&opened.digest, opened.until, now).await? == Use::First;
        Ok(first.then_some(opened.state))
    }

    /// WebAuthn §7.1, but for what the store knows.
    pub(super) fn created(&self, answer: &str, state: &PasskeyRegistration) -> Result<Option<Created>, Fault> {
        let answer: Option<RegisterPublicKeyCredential> = serde_json::from_str(answer).ok();
        let (Some(party), Some(answer)) = (self.relying_party(), answer) else { return Ok(None) };
        match party.finish_passkey_registration(&answer, state) {
            Ok(passkey) if passkey.cred_id().len() <= LONGEST_ID => {
                let credential = Credential::from(passkey);
                let text = serde_json::to_string(&credential).map_err(Fault::internal)?;
                let (id, counter) = (credential.cred_id, credential.counter);
                Ok(Some(Created { id, credential: text, counter }))
            }
            Ok(_) => Ok(None),
            Err(why) => {
                tracing::debug!(%why, "a new passkey was refused");
                Ok(None)
            }
        }
    }

    /// WebAuthn §7.2. Its owner was verified by the device, whatever for it was asked.
    pub(super) fn verify(
        &self,
        assertion: &Assertion,
        passkey: &Passkey,
        (purpose, state): (Purpose, DiscoverableAuthentication),
    ) -> Result<Verdict, Fault> {
        let Some(party) = self.relying_party() else { return Ok(Verdict::Wrong) };
        // Step 6: who is known by their password already need not be named.
        let is_owner = assertion.names(passkey.user).unwrap_or(matches!(purpose, Purpose::SecondStep(_)));
        if !is_owner || assertion.is_cross_origin() {
            return Ok(Verdict::Wrong);
        }
        let mut credential: Credential = serde_json::from_str(&passkey.credential).map_err(Fault::internal)?;
        credential.counter = passkey.counter;
        Ok(match party.finish_discoverable_authentication_v2(&assertion.0, state, &credential) {
            Ok(result) => Verdict::Right(result.counter()),
            Err(WebauthnError::CredentialPossibleCompromise) => Verdict::CountedBack,
            Err(why) => {
                tracing::debug!(%why, "a passkey was refused");
                Verdict::Wrong
            }
        })
    }
}

/// The host of the issuer, at the origin of the issuer; none if that is an address.
fn relying_party(server: &Server) -> Option<Webauthn> {
    let origin = Url::parse(server.issuer.as_str()).ok().filter(|origin| origin.domain().is_some())?;
    let party = WebauthnBuilder::new(server.issuer.host(), &origin).ok()?;
    party.rp_name(&server.name).timeout(LIFE).build().ok()
}

/// What a state is sealed to.
fn context(purpose: Purpose, browser: &str) -> String {
    match purpose {
        Purpose::SignIn => format!("passkey sign-in {browser}"),
        Purpose::SecondStep(sign_in) => format!("passkey second {sign_in} {browser}"),
        Purpose::Add(user) => format!("passkey add {user} {browser}"),
        Purpose::AddFirst(sign_in) => format!("passkey first {sign_in} {browser}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn passkeys_belong_to_the_name_in_the_issuer_and_an_address_has_none() {
        for (issuer, id) in [
            ("https://auth.example", Some("auth.example")),
            ("https://auth.example:8443/grantor", Some("auth.example")),
            ("http://localhost:8080", Some("localhost")),
            ("http://127.0.0.1:8080", None),
            ("http://[::1]:8080", None),
        ] {
            let config = Config::parse(&format!("[server]\nissuer = \"{issuer}\"\n")).unwrap();
            let party = relying_party(&config.server);
            let asked = party.map(|party| party.start_discoverable_authentication().unwrap().0.public_key.rp_id);
            assert_eq!(asked.as_deref(), id, "{issuer}");
        }
    }

    #[test]
    fn what_was_asked_for_one_thing_answers_no_other() {
        let [one, other] = [1, 2].map(uuid::Uuid::from_u128);
        let purposes = [
            Purpose::SignIn,
            Purpose::SecondStep(SignInId::new(one)),
            Purpose::SecondStep(SignInId::new(other)),
            Purpose::Add(UserId::new(one)),
            Purpose::Add(UserId::new(other)),
            Purpose::AddFirst(SignInId::new(one)),
        ];
        let contexts = purposes.iter().flat_map(|purpose| ["a", "b"].map(|browser| context(*purpose, browser)));
        assert_eq!(contexts.collect::<std::collections::BTreeSet<_>>().len(), 12);
    }
}

//! Grants as the store sees them, for tests of its transitions.

use std::time::Duration;

use grantor::crypto::{SystemRandom, random};
use grantor::store::{NewGrant, Redeem, RefreshTerms};
use grantor::types::{
    Authentication, ClientId, Clock, CodeChallenge, GrantId, Scope, Session, SessionId, Terms, UserId,
};

use super::TestApp;

pub fn web() -> ClientId {
    "web".parse().expect("a client id")
}

pub fn id() -> uuid::Uuid {
    random::uuid_v4(&SystemRandom::new())
}

pub fn session_of(app: &TestApp, user: UserId) -> Session {
    let now = app.clock.now();
    let hour = Duration::from_secs(3_600);
    Session {
        remembered: false,
        id: SessionId::new(id()),
        user,
        authentication: Authentication::by_password(now),
        device: "Firefox".to_owned(),
        address: None,
        created_at: now,
        seen_at: now,
        idle_expires_at: now.plus(hour),
        expires_at: now.plus(hour * 2),
    }
}

/// A grant that waits for its code, with all that it hangs on.
pub async fn pending_grant(app: &TestApp, offline: bool) -> NewGrant {
    let ada = app.store.user_by_login("ada").await.unwrap().expect("she is there").id;
    let session = session_of(app, ada);
    app.change(async |tx| tx.create_session(&session).await).await;
    let now = app.clock.now();
    let grant = NewGrant {
        id: GrantId::new(random::uuid_v7(&SystemRandom::new(), now)),
        client: web(),
        user: ada,
        session: session.id,
        scope: Scope::from("openid notes:read"),
        terms: Terms::default(),
        offline,
        refreshable: true,
        nonce: None,
        authentication: session.authentication.clone(),
        redirect_uri: "https://app.example/callback".to_owned(),
        code_hash: [7; 32],
        code_challenge: CodeChallenge::parse(CHALLENGE),
        sender_key: None,
        created_at: now,
        code_expires_at: now.plus(Duration::from_secs(60)),
        ends_at: now.plus(Duration::from_secs(86_400)),
    };
    app.change(async |tx| {
        tx.grant_consent(ada, &web(), &grant.scope, now).await?;
        tx.create_grant(&grant).await
    })
    .await;
    grant
}

pub const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
pub const TERMS: RefreshTerms<'static> =
    RefreshTerms { idle_lifetime: Duration::from_secs(1_000), key: "k1", retry_window: Duration::from_secs(10) };

pub fn code<'a>(grant: &NewGrant, client: &'a ClientId) -> Redeem<'a> {
    Redeem {
        grant: grant.id,
        code_hash: [7; 32],
        client,
        code_challenge: CHALLENGE,
        redirect_uri: None,
        sender_key: None,
        binds_refresh: false,
    }
}

/// What a grant of the client "web" hangs on, ended behind everybody's back; how that is undone; and whether a grant with
/// `offline_access` lives on.
pub const ENDS: [(&str, &str, bool); 6] = [
    ("UPDATE users SET disabled_at = 1", "UPDATE users SET disabled_at = NULL", false),
    ("UPDATE clients SET disabled_at = 1", "UPDATE clients SET disabled_at = NULL", false),
    ("UPDATE consents SET client_id = 'x'", "UPDATE consents SET client_id = 'web'", false),
    ("UPDATE sessions SET ended_at = 1", "UPDATE sessions SET ended_at = NULL", true),
    ("UPDATE sessions SET idle_expires_at = 1", "UPDATE sessions SET idle_expires_at = expires_at", true),
    ("UPDATE grants SET revoked_at = 1", "UPDATE grants SET revoked_at = NULL", false),
];

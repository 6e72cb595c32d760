//! The operations of the hot path, each defined once: timed in `tokens.rs`, counted in `instructions.rs`.

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{self, Poll, Waker};
use std::time::Duration;

use grantor::app::{data, secret};
use grantor::crypto::random::{uuid_v4, uuid_v7};
use grantor::crypto::{Random, SystemRandom};
use grantor::oauth::client_auth::{self, Presented};
use grantor::oauth::issue::{self, Access, access_token, refresh_token};
use grantor::oauth::resource::Target;
use grantor::oauth::{ClientDocuments, ClientKeys, Context, Keys, Subjects, introspect, subjects};
use grantor::store::Grant;
use grantor::types::authentication::{Authentication, Method};
use grantor::types::{
    Algorithm, AuthorizationDetails, Client, ClientId, Clock, GrantId, Params, Scope, SessionId, SystemClock, Terms,
    Timestamp, TokenId, UserId,
};
use tokio::runtime::Runtime;

use super::{API, CLIENT, Home, basic, register_both};

/// One operation that was made ready. Running it is what is measured.
pub type Operation<'w> = Box<dyn FnOnce() + 'w>;

/// Makes one ready, each time from the beginning: no token is verified that was verified before, unless that is the
/// operation.
pub type Prepare = for<'w> fn(&'w World) -> Operation<'w>;

pub const OPERATIONS: &[(&str, Prepare)] = &[
    ("mint an access token", |world| {
        Box::new(|| {
            black_box(world.access_token());
        })
    }),
    ("verify and introspect an access token", |world| {
        let form = format!("token={}", world.access_token());
        Box::new(move || world.introspect(&form))
    }),
    ("introspect an access token once more", |world| {
        let form = format!("token={}", world.access_token());
        world.introspect(&form);
        Box::new(move || world.introspect(&form))
    }),
    ("look up a revocation", |world| {
        let claims = access_token::verify(&world.cx, &world.access_token()).expect("our own token");
        Box::new(move || assert!(!world.cx.store.is_dead(black_box(&claims.bearer(&world.cx)))))
    }),
    ("parse and authenticate a token request", |world| {
        // Before it counts: what only the first does is no part of a request.
        world.authenticate();
        Box::new(|| world.authenticate())
    }),
    ("mint a refresh token", |world| {
        Box::new(|| {
            black_box(world.refresh_token());
        })
    }),
    ("verify a refresh token", |world| {
        let token = world.refresh_token();
        Box::new(move || {
            black_box(refresh_token::verify(&world.cx, black_box(&token)).expect("our own token"));
        })
    }),
];

/// What a handler works with, at one instant for ever, and nothing that runs beside it.
pub struct World {
    cx: Context,
    machine: Arc<Client>,
    api: Arc<Client>,
    authorization: String,
    grant: Grant,
    _home: Home,
}

impl World {
    pub fn new(runtime: &Runtime) -> Self {
        runtime.block_on(Self::build())
    }

    async fn build() -> Self {
        let mut home = Home::new();
        // Under callgrind everything takes fifty times as long.
        home.config.database.acquire_timeout = Duration::from_secs(60);
        let config = &home.config;
        let now = SystemClock.now();
        let rng: Arc<dyn Random> = Arc::new(SystemRandom::new());

        data::prepare(config).expect("a data directory");
        let ring = Arc::new(data::key_ring(config, &*rng).expect("a key ring"));
        let store = data::open_store(config, Arc::new(Stopped(now))).await.expect("a database");
        store.read_changes().await.expect("the feed is read");
        let subjects = Arc::new(Subjects::new(
            &secret::open((&store, &ring), subjects::SECRET, &*rng, now).await.expect("a secret"),
        ));
        let keys = Keys::open(&store, ring.clone(), &config.keys.algorithms, rng.clone(), now).await.expect("keys");
        // Before the tokens that it shall not kill.
        register_both(&store, Timestamp::from_secs(now.secs() - 60)).await;
        // A look-up in an empty set would cost nothing.
        store.revoke_token(TokenId::new(uuid_v7(&*rng, now)), now).await.expect("the store answers");

        let client = async |id: &str| {
            let id: ClientId = id.parse().expect("a client id");
            store.client(&id).await.expect("the store answers").expect("the client is registered")
        };
        let (machine, api) = (client(CLIENT).await, client(API).await);
        let keys = keys.snapshot();
        let grant = Grant {
            id: GrantId::new(uuid_v4(&*rng)),
            client: machine.id.clone(),
            user: UserId::new(uuid_v4(&*rng)),
            session: SessionId::new(uuid_v4(&*rng)),
            scope: Scope::from("notes:read"),
            terms: Terms::default(),
            offline: false,
            refreshable: true,
            nonce: None,
            authentication: Authentication { at: now, methods: vec![Method::Password] },
            generation: 2,
            rotated_at: now,
            refresh_expires_at: now.plus(config.refresh.idle(&machine)),
            refresh_key: keys.active(Algorithm::Hs256, now).expect("a key for refresh tokens").kid().to_owned(),
            sender_key: None,
            expires_at: now.plus(config.refresh.idle(&machine)),
        };
        let outgoing = grantor::app::data::outgoing(config).expect("the client can be made");
        let client_documents = Arc::new(ClientDocuments::new(outgoing.clone(), config.outgoing.cache_lifetime));
        let client_keys = Arc::new(ClientKeys::new(outgoing, config.outgoing.cache_lifetime, ring, None));
        let config = Arc::new(config.clone());
        let cx = Context { config, store, keys, client_keys, client_documents, subjects, rng, now };
        Self { cx, machine, api, authorization: basic(CLIENT), grant, _home: home }
    }

    fn access_token(&self) -> String {
        issue::for_client(
            &self.cx,
            &self.machine,
            Access {
                scope: Scope::from("notes:read"),
                details: AuthorizationDetails::default(),
                target: Target::issuer(&self.cx),
                sender: None,
            },
        )
        .expect("a token")
        .access_token
    }

    fn refresh_token(&self) -> String {
        refresh_token::sign(&self.cx, &self.grant).expect("a token")
    }

    fn introspect(&self, form: &str) {
        let params = Params::parse(black_box(form.as_bytes())).expect("a form");
        let answer = at_once(introspect::introspect(&self.cx, &self.api, &params)).expect("an answer");
        assert!(matches!(answer, introspect::Introspection::Access(_)), "our own token is active");
    }

    fn authenticate(&self) {
        let params = Params::parse(black_box(b"grant_type=client_credentials&scope=notes%3Aread")).expect("a form");
        let presented =
            Presented { authorization: Some(&self.authorization), certificate: None, address: None, params: &params };
        black_box(at_once(client_auth::authenticate(&self.cx, &presented)).expect("the right secret"));
    }
}

/// What is on the hot path waits for nothing, the database least of all.
fn at_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut task::Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("an operation of the hot path waited for something"),
    }
}

/// A feed that was read at this instant is fresh at this instant.
struct Stopped(Timestamp);

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        self.0
    }
}

//! Clients that nobody registered: the `client_id` is the URL of a document in which the client describes itself (OAuth
//! Client ID Metadata Document, draft-ietf-oauth-client-id-metadata-document; sections as its revision 02 numbers them).
//!
//! What the document says counts, for as long as documents are remembered. A row of `clients` is written when a person
//! has allowed such a client something, so a stranger who merely asks leaves nothing behind; from then on an
//! administrator can verify, disable or delete it like any other.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use url::Url;

use super::error::{OAuthError, invalid_client, temporarily_unavailable};
use super::register::{self, Limiter, Members};
use super::{Context, Error};
use crate::crypto::{hash, random};
use crate::outgoing::{Documents, Kind, Outgoing, OutgoingError};
use crate::store::{Stored, Tx};
use crate::types::client::Registration;
use crate::types::{Client, ClientId, ClientMetadata, Fault, Timestamp, json, redirect_uri};

/// Methods that need no secret which both sides know (§4.1: any other "MUST NOT" be used).
const METHODS: [&str; 4] = ["none", "private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"];

const METHOD: &str = "token_endpoint_auth_method";
const METHOD_CHOICES: &str = "token_endpoint_auth_methods_supported";

/// How long what is at a `request_uri` is believed. Those who name it meanwhile make us fetch nothing.
const REQUEST_OBJECT_LIFE: Duration = Duration::from_secs(10);

/// The documents of clients, fetched and remembered.
pub struct ClientDocuments {
    documents: Documents<Members>,
    request_objects: Documents<String>,
    /// Of fetches that led to no client. Anybody can have us fetch anything, so that others would see our requests and not
    /// theirs. The draft leaves to us what to do about that (§8.6 and §8.7 are about where and how much).
    limiter: Limiter,
}

impl ClientDocuments {
    /// `life` is how long a document is believed.
    pub fn new(outgoing: Outgoing, life: Duration) -> Self {
        // §4: `application/json` "or a more specific content type that conforms to application/<AS-defined>+json".
        let media_types = &["application/json", "application/*+json"];
        let documents = Documents::new(outgoing.clone(), Kind { media_types, life, read });
        // RFC 9101 §10.4.1 asks for a type of its own, and OpenID Connect Core §6.2 for none: what counts is who signed it.
        let read = |body: &[u8]| String::from_utf8(body.to_vec()).map_err(|why| why.to_string());
        let kind = Kind { media_types: &[], life: REQUEST_OBJECT_LIFE, read };
        Self { documents, request_objects: Documents::new(outgoing, kind), limiter: Limiter::default() }
    }

    /// The request object at a `request_uri`. A fragment that is a hash says what is meant (OpenID Connect Core §6.2): when
    /// something else is remembered, it is fetched again, but not again soon.
    ///
    /// # Errors
    /// When it cannot be fetched, or is not what is meant.
    pub async fn request_object(&self, request_uri: &str, now: Timestamp) -> Result<Arc<String>, OutgoingError> {
        let (url, fragment) = request_uri.split_once('#').unwrap_or((request_uri, ""));
        let is_hash = fragment.len() == 43 && fragment.bytes().all(is_base64url);
        let is_meant = |object: &str| !is_hash || fragment == hash::sha256_base64url(object.as_bytes());
        let mut object = self.request_objects.get(url, now).await?;
        if !is_meant(&object) {
            object = self.request_objects.newer(url, &object, now).await?;
        }
        if is_meant(&object) {
            Ok(object)
        } else {
            Err(OutgoingError::Document("its hash is not the fragment of the request_uri".to_owned()))
        }
    }

    /// Counts a fetch against whoever makes us do it; `None` where nothing need be fetched, or nobody is to blame.
    fn charge(&self, cx: &Context, id: &ClientId, from: Option<IpAddr>) -> Result<Option<IpAddr>, OAuthError> {
        let Some(address) = from else { return Ok(None) };
        if self.documents.remembers(id.as_str(), cx.now) {
            return Ok(None);
        }
        if self.limiter.admit(&cx.config.registration, address, cx.now).is_err() {
            tracing::warn!(target: "audit", event = "client_document", outcome = "too_many_attempts");
            return Err(temporarily_unavailable(
                "too many of the client_ids that came from this address were no documents of clients; try again later",
            ));
        }
        Ok(Some(address))
    }
}

const fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

fn read(body: &[u8]) -> Result<Members, String> {
    match json::strict(body).map_err(|why| why.to_string())? {
        Value::Object(members) => Ok(members),
        _ => Err("it is not a JSON object".to_owned()),
    }
}

/// A client as it is now: registered, or described by the document at its id. `from` is who asks for it.
///
/// # Errors
/// `invalid_client` when there ought to be a document, and it cannot be had or used; `temporarily_unavailable` when too
/// many could not that were asked for from there.
pub async fn current(cx: &Context, id: &ClientId, from: Option<IpAddr>) -> Result<Option<Arc<Client>>, Error> {
    find(cx, id, from, false).await
}

/// As `current`; but one whose document cannot be fetched at the moment is as it was when it was last allowed something.
///
/// # Errors
/// As `current`.
pub async fn current_or_kept(cx: &Context, id: &ClientId, from: Option<IpAddr>) -> Result<Option<Arc<Client>>, Error> {
    find(cx, id, from, true).await
}

async fn find(
    cx: &Context,
    id: &ClientId,
    from: Option<IpAddr>,
    kept_is_enough: bool,
) -> Result<Option<Arc<Client>>, Error> {
    let kept = cx.store.client(id).await?;
    let by_document = kept.as_deref().map_or_else(|| id.as_str().starts_with("https://"), Client::is_by_document);
    if !by_document || kept.as_deref().is_some_and(Client::is_disabled) {
        return Ok(kept);
    }
    if !cx.config.registration.client_id_metadata_documents {
        return Ok(None);
    }
    check_location(id.as_str())?;
    let ClientDocuments { documents, limiter, .. } = &*cx.client_documents;
    let charged = match cx.client_documents.charge(cx, id, from) {
        Err(_) if kept_is_enough && kept.is_some() => return Ok(kept),
        charged => charged?,
    };
    // §5.2: what is not the document, or not a good one, is not remembered.
    let members = match documents.get(id.as_str(), cx.now).await {
        Ok(members) => members,
        Err(_) => {
            documents.forget(id.as_str());
            if kept_is_enough && kept.is_some() {
                return Ok(kept);
            }
            // Why is in our log alone: it could tell of our network.
            return Err(invalid_client("the document at client_id cannot be fetched or read").into());
        }
    };
    let metadata = metadata(cx, id, &members).inspect_err(|_| documents.forget(id.as_str()))?;
    if let Some(address) = charged {
        limiter.forgive(&cx.config.registration, address);
    }
    Ok(Some(Arc::new(described(cx, id, metadata, kept.as_deref()))))
}

fn described(cx: &Context, id: &ClientId, metadata: ClientMetadata, kept: Option<&Client>) -> Client {
    let own = kept.and_then(|kept| kept.registration.as_ref());
    let registration = Registration {
        by: Registration::BY_DOCUMENT.to_owned(),
        // An administrator answered for what was there.
        verified: own.is_some_and(|own| own.verified) && kept.is_some_and(|kept| kept.metadata == metadata),
        // Nobody knows a token with this hash: such a client manages its document.
        token_hash: own.map_or_else(|| random::bytes(&*cx.rng), |own| own.token_hash),
    };
    Client {
        id: id.clone(),
        secret_hash: None,
        secret_sealed: None,
        metadata,
        created_at: kept.map_or(cx.now, |kept| kept.created_at),
        updated_at: kept.map_or(cx.now, |kept| kept.updated_at),
        disabled_at: None,
        registration: Some(registration),
    }
}

/// §3: https, with a path that has no dot segments; neither fragment, user name nor password. In the one form that a
/// parser gives back, for it is compared as a string everywhere.
fn check_location(id: &str) -> Result<(), OAuthError> {
    let url = Url::parse(id).ok().filter(|url| url.as_str() == id && url.scheme() == "https");
    let good = url.is_some_and(|url| url.username().is_empty() && url.password().is_none() && url.fragment().is_none());
    if good {
        return Ok(());
    }
    Err(invalid_client(
        "a client_id that is a URL must be https, in its normal form, with a path, and without dot segments, fragment, \
         user name or password",
    ))
}

/// What the document registers.
fn metadata(cx: &Context, id: &ClientId, members: &Members) -> Result<ClientMetadata, OAuthError> {
    let refused = |why: &str| invalid_client(format!("the document at client_id: {why}"));
    // §4: it "MUST match" the URL at which the document is, by simple string comparison.
    if members.get("client_id").and_then(Value::as_str) != Some(id.as_str()) {
        return Err(refused("its client_id is not its own URL"));
    }
    // §4.1: both "MUST NOT be used".
    if ["client_secret", "client_secret_expires_at"].iter().any(|name| members.contains_key(*name)) {
        return Err(refused("it is public, so it must not have a client_secret"));
    }
    if members.contains_key("sector_identifier_uri") {
        return Err(refused("it is a sector of its own: sector_identifier_uri is for clients that are registered"));
    }
    let mut members = members.clone();
    // Statements of others are looked at when a client is registered.
    members.remove("software_statement");
    match members.get(METHOD).and_then(Value::as_str) {
        Some(method) if !METHODS.contains(&method) => {
            return Err(refused("token_endpoint_auth_method must be one without a shared secret, or none"));
        }
        Some(_) => {}
        // RFC 7591 §2 has a method as its default that cannot be meant here.
        None if !members.contains_key(METHOD_CHOICES) => drop(members.insert(METHOD.to_owned(), "none".into())),
        None => {}
    }
    if let Some(Value::Array(offered)) = members.get_mut(METHOD_CHOICES) {
        offered.retain(|method| method.as_str().is_none_or(|method| METHODS.contains(&method)));
    }
    if !members.contains_key("client_name") {
        members.insert("client_name".to_owned(), redirect_uri::display_host(id.as_str()).into());
    }
    register::metadata(cx, members).map_err(|why| refused(&why.description))
}

/// Whether what is known of a client by its document has yet to be written. Of any other, nothing has.
///
/// # Errors
/// When the database is away.
pub async fn is_unkept(cx: &Context, client: &Client) -> Result<bool, Fault> {
    if !client.is_by_document() {
        return Ok(false);
    }
    Ok(cx.store.client(&client.id).await?.is_none_or(|kept| kept.metadata != client.metadata))
}

/// Writes it, unless somebody else has at this moment: what they wrote is as good.
///
/// # Errors
/// When the database is away.
pub async fn keep(tx: &mut Tx, client: &Client, now: Timestamp) -> Result<(), Fault> {
    let event = match tx.insert_client(client).await? {
        Stored::Stored => "client_registered",
        Stored::Conflict => match tx.update_client(client, now).await? {
            Stored::Stored => "client_changed",
            Stored::Conflict => return Ok(()),
        },
    };
    tracing::info!(target: "audit", event, client = %client.id, by = Registration::BY_DOCUMENT);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_id_is_a_url_in_one_form_alone() {
        for good in ["https://app.example/client", "https://app.example:8443/a/b.json", "https://app.example/c?v=1"] {
            assert!(check_location(good).is_ok(), "{good}");
        }
        for bad in [
            "https://app.example",
            "https://app.example/a/../b",
            "https://app.example/./b",
            "https://app.example/%2e%2e/b",
            "https://app.example/b#x",
            "https://app.example/b#",
            "https://user@app.example/b",
            "https://user:hush@app.example/b",
            "https://APP.example/b",
            "https://app.example:443/b",
            "https:\\\\app.example\\b",
            "https://",
        ] {
            assert!(check_location(bad).is_err(), "{bad}");
        }
    }
}

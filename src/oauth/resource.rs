//! Resource indicators (RFC 8707): where a token may be used.
//!
//! 1. `asked`: what a request names, each of it known here;
//! 2. `narrowed`: at the token endpoint, within what was granted;
//! 3. `aim`: what that makes of the token: its audience, its scope, its life and its signature.

use std::time::Duration;

use super::error::{invalid_scope, invalid_target};
use super::issue::Access;
use super::scope::{OPENID, still_registered};
use super::token::Asked;
use super::{Context, Error, details};
use crate::config::Config;
use crate::types::{
    Algorithm, Audience, AuthorizationDetails, Client, Fault, GrantId, Params, Resource, Resources, Scope, Terms,
};

/// Where an access token will be good, and what follows from that.
#[derive(Clone, Debug)]
pub struct Target {
    pub audience: Audience,
    /// The shortest life that a resource among them lets it have.
    pub lifetime: Option<Duration>,
    /// `None` is what the server says.
    pub algorithm: Option<Algorithm>,
}

impl Target {
    /// The issuer itself: UserInfo, and resource servers that have no name of their own.
    pub fn issuer(cx: &Context) -> Self {
        Self { audience: Audience::One(cx.issuer().to_owned()), lifetime: None, algorithm: None }
    }
}

/// The resources that a request names; none is for the server to choose.
///
/// # Errors
/// `invalid_target`, for one that is not registered here (RFC 8707 §2).
pub async fn asked(cx: &Context, params: &Params) -> Result<Vec<String>, Error> {
    let named = params.pairs().iter().filter(|(name, value)| name == "resource" && !value.is_empty());
    let mut uris: Vec<String> = Vec::new();
    for (_, uri) in named {
        if !uris.contains(uri) {
            uris.push(uri.clone());
        }
    }
    if uris.is_empty() {
        return Ok(uris);
    }
    let known = cx.store.resources().await?;
    match uris.iter().find(|uri| *uri != cx.issuer() && known.get(uri).is_none()) {
        None => Ok(uris),
        Some(_) => Err(invalid_target("resource is not the URI of a resource that is registered here").into()),
    }
}

/// RFC 8707 §2.2: a token may be for less than was granted, and never for more; none asked is all that was granted.
/// Where the authorization request named no resource, those were granted whose scopes it asked for.
///
/// # Errors
/// `invalid_target`
pub async fn narrowed(
    cx: &Context,
    asked: Vec<String>,
    (scope, granted): (&Scope, &[String]),
) -> Result<Vec<String>, Error> {
    if asked.is_empty() {
        return Ok(granted.to_vec());
    }
    let known = cx.store.resources().await?;
    let was_granted = |uri: &String| match granted {
        _ if uri == cx.issuer() => granted.is_empty() || granted.contains(uri) || scope.contains(OPENID),
        [] => known.owners(scope).any(|owner| owner.uri.as_str() == uri),
        some => some.contains(uri),
    };
    if asked.iter().all(was_granted) {
        Ok(asked)
    } else {
        Err(invalid_target("resource asks for a place that the authorization request did not ask for").into())
    }
}

/// As `of_grant`, before a code is spent: what is refused can be asked for again, rightly. Only a request that asks for
/// less than all looks the grant up for it.
///
/// # Errors
/// Those of `of_grant`.
pub async fn check(
    cx: &Context,
    client: &Client,
    asked: &Asked<'_>,
    (grant, code): (GrantId, &[u8; 32]),
) -> Result<(), Error> {
    if asked.resources.is_empty() && asked.details.is_empty() {
        return Ok(());
    }
    match cx.store.granted(grant, code).await? {
        Some((scope, terms)) => of_grant(cx, client, asked.clone(), (&scope, &terms)).await.map(drop),
        // The statement that redeems says so.
        None => Ok(()),
    }
}

/// What a token for these places may say, and for whom it is. Where none is named, the scopes say whose they are
/// (RFC 9068 §3); a scope that belongs to a resource stands in tokens for it alone, and so does a type of authorization
/// details.
///
/// # Errors
/// `invalid_target`, when none of the places is there any more; `invalid_scope`, when nothing of the scope belongs there.
pub async fn aim(
    cx: &Context,
    client: &Client,
    uris: &[String],
    (scope, details): (Scope, AuthorizationDetails),
) -> Result<Access<'static>, Error> {
    let known = cx.store.resources().await?;
    let mut places: Vec<String> = if uris.is_empty() {
        known.owners(&scope).map(|owner| owner.uri.to_string()).collect()
    } else {
        uris.iter().filter(|uri| *uri == cx.issuer() || known.get(uri).is_some()).cloned().collect()
    };
    if places.is_empty() && !uris.is_empty() {
        return Err(invalid_target("the resource that was granted is not registered any more").into());
    }
    let details = details::good_at(cx, client, details, &places).await?;
    if places.is_empty() {
        return Ok(Access { scope, details, target: Target::issuer(cx), sender: None });
    }
    let asked = scope;
    let scope = Scope::from_tokens(asked.tokens().filter(|token| known.may_stand_at(token, &places)));
    if scope.is_empty() && !asked.is_empty() && details.is_empty() {
        return Err(invalid_scope("the scope belongs to other resources than those that are named").into());
    }
    // UserInfo is at the issuer.
    if scope.contains(OPENID) && !places.iter().any(|uri| uri == cx.issuer()) {
        places.push(cx.issuer().to_owned());
    }
    Ok(Access { scope, details, target: target(&known, places), sender: None })
}

/// What a new token of a grant may say, and for whom it is: within what was granted, and what its client is registered
/// for by now.
///
/// # Errors
/// Those of `narrowed` and `aim`, and `invalid_authorization_details`.
pub async fn of_grant<'a>(
    cx: &Context,
    client: &Client,
    asked: Asked<'a>,
    (scope, terms): (&Scope, &Terms),
) -> Result<Access<'a>, Error> {
    let (places, particular) = (asked.resources, asked.details.len());
    let places = narrowed(cx, places, (scope, &terms.resources)).await?;
    let details = details::narrowed(asked.details, &terms.details)?;
    let access = aim(cx, client, &places, (still_registered(client, scope), details)).await?;
    details::whole(particular, &access)?;
    Ok(Access { sender: asked.sender, ..access })
}

/// What a person is told of where the tokens of a request will be good, besides here: what it names, or else the
/// resources whose scopes it asks for.
///
/// # Errors
/// When the database is away.
pub async fn shown(cx: &Context, uris: &[String], scope: &Scope) -> Result<Vec<Resource>, Fault> {
    let known = cx.store.resources().await?;
    Ok(match uris {
        [] => known.owners(scope).cloned().collect(),
        some => some.iter().filter_map(|uri| known.get(uri)).cloned().collect(),
    })
}

/// The resources whose tokens cannot be signed as they are registered, since their algorithm was taken out of
/// `keys.algorithms`.
pub fn unsigned<'a>(config: &Config, known: &'a Resources) -> impl Iterator<Item = (&'a Resource, Algorithm)> {
    let lacks = |algorithm: &Algorithm| !config.keys.algorithms.contains(algorithm);
    known.iter().filter_map(move |resource| Some((resource, resource.access_token_signing_alg.filter(lacks)?)))
}

fn target(known: &Resources, places: Vec<String>) -> Target {
    let resources = || places.iter().filter_map(|uri| known.get(uri));
    let algorithm = resources().find_map(|resource| resource.access_token_signing_alg);
    Target {
        lifetime: resources().filter_map(|resource| resource.access_token_lifetime).min(),
        // What not all of them expect, none gets.
        algorithm: algorithm.filter(|own| resources().all(|resource| resource.access_token_signing_alg == Some(*own))),
        audience: Audience::of(places),
    }
}

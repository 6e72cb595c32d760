//! Rich authorization requests (RFC 9396): what a client asks for in particular, object by object.
//!
//! 1. `asked`: what a request holds, each object of a type that is registered here, and as that type says;
//! 2. `places`: where it will be good, if the request does not say;
//! 3. `narrowed`: at the token endpoint, within what was granted;
//! 4. `good_at`: what of it stands in a token for these places.
//!
//! A request without the parameter costs nothing: no type is looked up for it.

use super::error::{OAuthError, invalid_authorization_details};
use super::issue::Access;
use super::{Context, Error, resource};
use crate::types::{AuthorizationDetails, AuthorizationTypes, Client, Detail, Fault, Params, ResourceUri, Scope};

/// What a request asks for in particular.
///
/// # Errors
/// `invalid_authorization_details` (RFC 9396 §5).
pub async fn asked(cx: &Context, client: &Client, params: &Params) -> Result<AuthorizationDetails, Error> {
    let Some(text) = params.get("authorization_details") else { return Ok(AuthorizationDetails::default()) };
    let details = AuthorizationDetails::parse(text)
        .map_err(|why| invalid_authorization_details(format!("authorization_details is refused: {why}")))?;
    let known = cx.store.authorization_types().await?;
    for (place, detail) in details.iter().enumerate() {
        let at = |error: OAuthError| {
            invalid_authorization_details(format!("object {} of them: {}", place + 1, error.description))
        };
        check(client, &known, detail).map_err(at)?;
    }
    Ok(details)
}

/// RFC 9396 §5: "MUST refuse to process any unknown authorization details type or authorization details not conforming
/// to the respective type definition".
fn check(client: &Client, known: &AuthorizationTypes, detail: &Detail) -> Result<(), OAuthError> {
    let name = detail.kind();
    let kind = known
        .get(name)
        .ok_or_else(|| invalid_authorization_details(format!("the authorization details type {name} is unknown")))?;
    // RFC 9396 §10 lets a client say which types it will use. Here it says which it may: none, if it does not say.
    if !client.metadata.authorization_details_types.iter().any(|own| own == name) {
        let why = format!("the type {name} is not among the client's registered authorization_details_types");
        return Err(invalid_authorization_details(why));
    }
    kind.schema
        .check(detail.value())
        .map_err(|why| invalid_authorization_details(format!("an object of the type {name} is refused: {why}")))
}

/// What a request that begins a grant asks for in particular, and where its tokens will be good.
///
/// # Errors
/// `invalid_target`, `invalid_scope`, `invalid_authorization_details`: what no token could come of is refused before
/// anybody is asked.
pub async fn begun(
    cx: &Context,
    client: &Client,
    params: &Params,
    scope: &Scope,
) -> Result<(Vec<String>, AuthorizationDetails), Error> {
    let resources = resource::asked(cx, params).await?;
    let details = asked(cx, client, params).await?;
    let resources = places(cx, &details, (scope, resources)).await?;
    if !resources.is_empty() || !details.is_empty() {
        let access = resource::aim(cx, client, &resources, (scope.clone(), details.clone())).await?;
        whole(details.len(), &access)?;
    }
    Ok((resources, details))
}

/// Where a request will be good that names no resource: those of its types, and those of its scopes. None is for the
/// scopes alone to say.
///
/// # Errors
/// When the database is away.
pub async fn places(
    cx: &Context,
    details: &AuthorizationDetails,
    (scope, named): (&Scope, Vec<String>),
) -> Result<Vec<String>, Fault> {
    if details.is_empty() || !named.is_empty() {
        return Ok(named);
    }
    let (types, resources) = (cx.store.authorization_types().await?, cx.store.resources().await?);
    let of_types = details.iter().filter_map(|detail| types.get(detail.kind())?.resource.as_ref());
    let mut places: Vec<String> = of_types.map(ToString::to_string).collect();
    if !places.is_empty() {
        places.extend(resources.owners(scope).map(|owner| owner.uri.to_string()));
        places.sort_unstable();
        places.dedup();
    }
    Ok(places)
}

/// RFC 9396 §6: a token may be for less than was granted, and never for more; none asked is all that was granted.
///
/// # Errors
/// `invalid_authorization_details`
pub fn narrowed(
    asked: AuthorizationDetails,
    granted: &AuthorizationDetails,
) -> Result<AuthorizationDetails, OAuthError> {
    if asked.is_empty() {
        return Ok(granted.clone());
    }
    if asked.is_within(granted) {
        return Ok(asked);
    }
    let why =
        "authorization_details asks for an object that was not granted: each must be one of those that were, whole";
    Err(invalid_authorization_details(why))
}

/// What of it a person need not be asked about again once they have allowed it.
///
/// # Errors
/// When the database is away.
pub async fn memorable(cx: &Context, details: &AuthorizationDetails) -> Result<AuthorizationDetails, Fault> {
    let mut details = details.clone();
    if !details.is_empty() {
        let known = cx.store.authorization_types().await?;
        details.retain(|detail| known.get(detail.kind()).is_some_and(|kind| !kind.each_time));
    }
    Ok(details)
}

/// What of it a token for these places says (RFC 9396 §9.1: "filtered to the specific audience"): objects whose type
/// belongs to one of them, or to no resource at all, and is still as it was granted, for this client too (ASVS 10.4.11).
///
/// # Errors
/// When the database is away.
pub async fn good_at(
    cx: &Context,
    client: &Client,
    mut details: AuthorizationDetails,
    places: &[String],
) -> Result<AuthorizationDetails, Fault> {
    if details.is_empty() {
        return Ok(details);
    }
    let known = cx.store.authorization_types().await?;
    details.retain(|detail| check(client, &known, detail).is_ok() && belongs(&known, detail, places));
    Ok(details)
}

/// What of a token is for a resource server with these places (RFC 9396 §9.2).
///
/// # Errors
/// When the database is away.
pub async fn told_to(cx: &Context, details: &mut AuthorizationDetails, places: &[String]) -> Result<(), Fault> {
    let known = cx.store.authorization_types().await?;
    details.retain(|detail| belongs(&known, detail, places));
    Ok(())
}

fn belongs(known: &AuthorizationTypes, detail: &Detail, places: &[String]) -> bool {
    let named = |own: &ResourceUri| places.iter().any(|place| place == own.as_str());
    // Of a type that is gone nobody knows whose it was.
    known.get(detail.kind()).is_some_and(|kind| kind.resource.as_ref().is_none_or(named))
}

/// What this very request asked for is in its token, all of it, or the client is told.
///
/// # Errors
/// `invalid_authorization_details`
pub fn whole(asked: usize, access: &Access<'_>) -> Result<(), OAuthError> {
    if access.details.len() >= asked {
        return Ok(());
    }
    let why = "authorization_details has an object whose type belongs to another resource than those that are named, or to \
               one that is not registered any more";
    Err(invalid_authorization_details(why))
}

//! How strongly somebody must have proved who they are: `acr_values` (OpenID Connect Core §3.1.2.1, RFC 9470), `acr` of
//! the claims parameter (§5.5.1.1), and what server and client demand (ASVS 6.3.3).

use serde_json::Value;

use super::{Step, Validated};
use crate::config::second_factor::Policy;
use crate::oauth::Context;
use crate::oauth::error::{OAuthError, unmet_authentication_requirements};
use crate::types::authentication::{ACR_MULTIPLE_FACTORS, ACR_SINGLE_FACTOR};
use crate::types::{Client, Fault, Params, Session};

/// What a request wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strength {
    #[default]
    Any,
    /// Two factors of whoever has them.
    Preferred,
    /// Two factors, or no answer.
    Demanded,
}

/// What a request and its client say of it.
pub fn read(cx: &Context, client: &Client, params: &Params, by_claim: Option<Strength>) -> Strength {
    let metadata = &client.metadata;
    if cx.config.second_factor.policy == Policy::Required || metadata.require_second_factor {
        return Strength::Demanded;
    }
    let defaults = || metadata.default_acr_values.iter().map(String::as_str).collect();
    let by_values = match (params.get("acr_values"), by_claim) {
        (Some(values), _) => wanted(values.split(' ').collect()),
        // OpenID Connect Registration §2: "overridden by an explicit request".
        (None, Some(_)) => Strength::Any,
        (None, None) => wanted(defaults()),
    };
    by_values.max(by_claim.unwrap_or_default())
}

/// In the order of preference. Those that we do not know are no reason to refuse: they are wishes.
///
/// RFC 9470 §5: "it is RECOMMENDED that the requested acr value is treated as required".
fn wanted(values: Vec<&str>) -> Strength {
    let place = |acr: &str| values.iter().position(|value| *value == acr);
    match (place(ACR_MULTIPLE_FACTORS), place(ACR_SINGLE_FACTOR)) {
        (Some(_), None) => Strength::Demanded,
        (Some(two), Some(one)) if two < one => Strength::Preferred,
        _ => Strength::Any,
    }
}

/// `acr` of the claims parameter.
///
/// # Errors
/// `unmet_authentication_requirements`, when it is essential and none of its values can be had: §5.5.1.1 has that as "a
/// failed authentication attempt".
pub fn of_claim(essential: bool, values: Option<&[Value]>) -> Result<Strength, OAuthError> {
    let Some(values) = values else { return Ok(Strength::Any) };
    let values: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
    let is_reachable = values.iter().any(|value| [ACR_SINGLE_FACTOR, ACR_MULTIPLE_FACTORS].contains(value));
    match wanted(values) {
        Strength::Any if essential && !is_reachable => {
            let why = "no sign-in here has an acr that the claims parameter asks for";
            Err(unmet_authentication_requirements(why))
        }
        Strength::Demanded if !essential => Ok(Strength::Preferred),
        strength => Ok(strength),
    }
}

/// What a person who is signed in must show besides, if anything.
pub(super) async fn missing(cx: &Context, validated: &Validated, session: &Session) -> Result<Option<Step>, Fault> {
    if session.authentication.has_two_factors() {
        return Ok(None);
    }
    let quiet = validated.request.prompt.none;
    let strength = if is_required(cx, session).await? { Strength::Demanded } else { validated.request.strength };
    if strength == Strength::Any {
        return Ok(None);
    }
    let need = || Step::NeedSecondFactor(Box::new(session.clone()));
    Ok(match strength {
        // OpenID Connect Core Unmet Authentication Requirements §2
        Strength::Demanded if quiet => {
            let why = "the user has not proved who they are by two factors, and may not be asked to";
            Some(Step::Refuse(unmet_authentication_requirements(why)))
        }
        Strength::Demanded => Some(need()),
        // A wish, and nobody may be asked: the `acr` tells what there is.
        _ if quiet || !cx.store.has_factors(session.user).await? => None,
        _ => Some(need()),
    })
}

/// Whether one of their groups demands it: of whoever was put into it since they signed in, too.
async fn is_required(cx: &Context, session: &Session) -> Result<bool, Fault> {
    let settings = &cx.config.second_factor;
    if settings.groups.is_empty() {
        return Ok(false);
    }
    Ok(cx.store.user(session.user).await?.is_some_and(|user| settings.is_required_of(&user)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn two_factors_are_wanted_by_their_place_in_the_list() {
        for (values, strength) in [
            ("", Strength::Any),
            ("1", Strength::Any),
            ("1 2", Strength::Any),
            ("urn:other", Strength::Any),
            ("2 1", Strength::Preferred),
            ("urn:other 2 1", Strength::Preferred),
            ("2", Strength::Demanded),
            ("2 urn:other", Strength::Demanded),
        ] {
            assert_eq!(wanted(values.split(' ').collect()), strength, "{values:?}");
        }
    }

    #[test]
    fn an_essential_acr_is_met_or_refused_and_another_is_a_wish() {
        let of = |essential, values: Value| of_claim(essential, values.as_array().map(Vec::as_slice)).ok();
        assert_eq!(of(true, json!(["2"])), Some(Strength::Demanded));
        assert_eq!(of(true, json!(["1", "2"])), Some(Strength::Any));
        assert_eq!(of(true, json!(["gold"])), None);
        assert_eq!(of(true, json!([2])), None);
        assert_eq!(of(false, json!(["2"])), Some(Strength::Preferred));
        assert_eq!(of(false, json!(["gold"])), Some(Strength::Any));
        assert_eq!(of(true, json!(null)), Some(Strength::Any));
    }
}

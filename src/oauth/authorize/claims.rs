//! The `claims` parameter (OpenID Connect Core §5.5): which claims are asked for by name.

use serde_json::{Map, Value};

use super::strength::{self, Strength};
use crate::oauth::error::{OAuthError, invalid_request};
use crate::types::{ClaimsRequest, Client, Params, Subject, json, user};

/// What of it must hold, and what is wished for.
#[derive(Debug, Default)]
pub struct Claims {
    /// What this server can tell, of what the client may ask for.
    pub asked: ClaimsRequest,
    /// Who alone may sign in.
    sub: Option<Vec<Value>>,
    /// How strongly they must have proved who they are, if it says so.
    pub(super) strength: Option<Strength>,
}

impl Claims {
    /// Whether the user whom this client knows so may answer (OpenID Connect Core §5.5.1).
    pub fn means(&self, subject: Subject) -> bool {
        let is_meant = |value: &Value| value.as_str() == Some(&subject.to_string());
        self.sub.as_ref().is_none_or(|values| values.iter().any(is_meant))
    }
}

/// Reads the parameter, if it is there.
///
/// # Errors
/// `invalid_request`; `unmet_authentication_requirements`, when no sign-in here can be as is asked (§5.5.1.1).
pub fn read(client: &Client, params: &Params) -> Result<Claims, OAuthError> {
    let Some(text) = params.get("claims") else { return Ok(Claims::default()) };
    let document =
        json::strict(text.as_bytes()).map_err(|why| invalid_request(format!("claims is not JSON: {why}")))?;
    let document = document.as_object().ok_or_else(|| invalid_request("claims must be a JSON object"))?;
    // §5.5: "Other members MAY be present. Any members used that are not understood MUST be ignored."
    let (id_token, userinfo) = (part(document, "id_token")?, part(document, "userinfo")?);

    let mut claims = Claims::default();
    for (name, wish) in id_token.into_iter().chain(userinfo).flatten() {
        let wish = Wish::read(name, wish)?;
        match name.as_str() {
            "acr" => {
                let strength = strength::of_claim(wish.essential, wish.values.as_deref())?;
                claims.strength = claims.strength.max(Some(strength));
            }
            "sub" => claims.sub = claims.sub.or(wish.values),
            _ => {}
        }
    }
    claims.asked = ClaimsRequest { id_token: names(client, id_token), userinfo: names(client, userinfo) };
    Ok(claims)
}

/// What is asked for in one of the two places.
fn part<'a>(document: &'a Map<String, Value>, name: &str) -> Result<Option<&'a Map<String, Value>>, OAuthError> {
    match document.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(wishes)) => Ok(Some(wishes)),
        Some(_) => Err(invalid_request(format!("the member {name} of claims must be an object"))),
    }
}

/// The names of the claims that there are; the others are ignored (§5.5: "Claims that are not understood"), and so are
/// those whose scope the client is not registered for.
fn names(client: &Client, wishes: Option<&Map<String, Value>>) -> Vec<String> {
    let may_have =
        |name: &&String| user::scope_of_claim(name).is_some_and(|scope| client.metadata.scope.contains(scope));
    wishes.into_iter().flat_map(Map::keys).filter(may_have).cloned().collect()
}

/// How one claim is asked for (§5.5.1).
struct Wish {
    essential: bool,
    /// Those of `value` or `values`.
    values: Option<Vec<Value>>,
}

impl Wish {
    fn read(name: &str, wish: &Value) -> Result<Self, OAuthError> {
        let wrong = |what: &str| invalid_request(format!("in claims, {name} {what}"));
        let wish = match wish {
            Value::Null => return Ok(Self { essential: false, values: None }),
            Value::Object(wish) => wish,
            _ => return Err(wrong("must be null or an object")),
        };
        let essential = match wish.get("essential") {
            None => false,
            Some(essential) => {
                essential.as_bool().ok_or_else(|| wrong("has an essential that is not true or false"))?
            }
        };
        let values = match (wish.get("value"), wish.get("values")) {
            (Some(_), Some(_)) => return Err(wrong("has value and values")),
            (Some(value), None) => Some(vec![value.clone()]),
            (None, Some(Value::Array(values))) => Some(values.clone()),
            (None, Some(_)) => return Err(wrong("has values that are not a list")),
            (None, None) => None,
        };
        Ok(Self { essential, values })
    }
}

//! Who came back, by an API: plain OAuth 2 says what somebody may do, and not who they are, so the provider is asked with
//! the token that came for them. It says neither how nor when they proved it (ASVS 6.8.4).

use serde_json::Value;

use super::endpoints::{Endpoints, Tokens};
use super::{Provider, Told, Trouble, Upstreams, refused};

impl Upstreams {
    pub(super) async fn by_api(
        &self,
        (provider, endpoints): (&Provider, &Endpoints),
        tokens: &Tokens,
    ) -> Result<Told, Trouble> {
        let (settings, claims) = (&provider.settings, &provider.settings.claims);
        let userinfo = endpoints.userinfo.as_ref().ok_or_else(|| refused("nobody says who that is"))?;
        let said = self.ask(userinfo, &tokens.access_token).await?;
        let text = |name: &str| said[name].as_str().map(str::to_owned);
        let subject = match &said[claims.subject.as_str()] {
            Value::String(subject) => subject.clone(),
            // GitHub's are numbers.
            Value::Number(number) => number.to_string(),
            _ => return Err(refused(format!("there is no {:?} in what it says of them", claims.subject))),
        };
        let verified = claims.email_verified.as_ref().is_some_and(|name| said[name.as_str()] == Value::Bool(true));
        let mut told = Told {
            subject,
            email: text(&claims.email),
            email_verified: verified,
            name: text(&claims.name),
            at: None,
            several: false,
        };
        if let Some(emails) = &settings.emails_endpoint
            && let Some(email) = first_verified(&self.ask(emails.as_str(), &tokens.access_token).await?)
        {
            (told.email, told.email_verified) = (Some(email), true);
        }
        Ok(told)
    }
}

/// Of a list of addresses the first that is theirs, the primary one before others.
fn first_verified(said: &Value) -> Option<String> {
    let addresses = said.as_array()?.iter().filter(|address| address["verified"] == Value::Bool(true));
    let mut addresses: Vec<&Value> = addresses.collect();
    addresses.sort_by_key(|address| address["primary"] != Value::Bool(true));
    addresses.first()?["email"].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_address_counts_that_the_provider_has_verified() {
        let of = |primary, verified, email| json!({ "email": email, "primary": primary, "verified": verified });
        let (own, other, new) = (of(true, true, "own@a"), of(false, true, "other@a"), of(true, false, "new@a"));
        for (list, expected) in [
            (json!([other, own]), Some("own@a")),
            (json!([new, other]), Some("other@a")),
            (json!([new]), None),
            (json!([{ "email": "a@b", "verified": "true" }]), None),
            (json!([]), None),
            (json!({ "email": "a@b" }), None),
        ] {
            assert_eq!(first_verified(&list).as_deref(), expected, "{list}");
        }
    }
}

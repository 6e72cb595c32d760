//! People.

use serde::Serialize;
use serde_json::{Map, Value};

use super::{Memberships, Scope, Timestamp, UserId};

/// A row of `users`, without the password hash: that never leaves the store but to be verified.
#[derive(Clone, Debug, Serialize)]
pub struct User {
    /// The `sub` of their tokens.
    pub id: UserId,
    /// As it was typed; unique without regard to case.
    pub username: String,
    pub email: Option<String>,
    pub email_verified: bool,
    /// Standard claims by name (OpenID Connect Core §5.1), `email` and `preferred_username` excepted, and `RIGHTS`.
    pub claims: Map<String, Value>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub disabled_at: Option<Timestamp>,
    /// Written by `Tx::join_group` and `Tx::leave_group` alone.
    pub memberships: Memberships,
}

/// Claims by which an API decides what somebody may do (RFC 9068 §2.2.3.1): lists of texts, each with a scope of its name.
pub const RIGHTS: [&str; 3] = ["groups", "roles", "entitlements"];

/// The claims that a scope asks for (OpenID Connect Core §5.4).
pub const CLAIMS_OF_SCOPE: [(&str, &[&str]); 7] = [
    (
        "profile",
        &[
            "name",
            "family_name",
            "given_name",
            "middle_name",
            "nickname",
            "preferred_username",
            "profile",
            "picture",
            "website",
            "gender",
            "birthdate",
            "zoneinfo",
            "locale",
            "updated_at",
        ],
    ),
    ("email", &["email", "email_verified"]),
    ("address", &["address"]),
    ("phone", &["phone_number", "phone_number_verified"]),
    ("groups", &["groups"]),
    ("roles", &["roles"]),
    ("entitlements", &["entitlements"]),
];

/// The scope that asks for a claim among others.
pub fn scope_of_claim(name: &str) -> Option<&'static str> {
    CLAIMS_OF_SCOPE.iter().find(|(_, names)| names.contains(&name)).map(|(scope, _)| *scope)
}

/// Whether `name` is a claim that can be set freely on a user.
pub fn is_settable_claim(name: &str) -> bool {
    !matches!(name, "email" | "email_verified" | "preferred_username" | "updated_at")
        && CLAIMS_OF_SCOPE.iter().any(|(_, names)| names.contains(&name))
}

impl User {
    /// The name to greet them by, where they gave one.
    pub fn name(&self) -> Option<&str> {
        self.claims.get("name").and_then(Value::as_str)
    }

    /// One standard claim, if it is known of this user.
    pub fn claim(&self, name: &str) -> Option<Value> {
        match name {
            "preferred_username" => Some(self.username.clone().into()),
            "email" => self.email.clone().map(Into::into),
            "email_verified" => self.email.as_ref().map(|_| self.email_verified.into()),
            "updated_at" => Some(self.updated_at.secs().into()),
            name if RIGHTS.contains(&name) => Some(self.right(name)).filter(|texts| !texts.is_empty()).map(Into::into),
            other => self.claims.get(other).cloned(),
        }
    }

    /// Without the groups that `keep` does not say yes to.
    #[must_use]
    pub fn with_groups(mut self, keep: impl Fn(&str) -> bool) -> Self {
        self.memberships.groups.retain(|group| keep(group));
        if let Some(Value::Array(texts)) = self.claims.get_mut("groups") {
            texts.retain(|text| text.as_str().is_some_and(&keep));
        }
        self
    }

    /// One of `RIGHTS`, what was set on them and then what they have by their groups; nothing where it is not known.
    pub fn right(&self, name: &str) -> Vec<String> {
        let texts = self.claims.get(name).and_then(Value::as_array).into_iter().flatten();
        let mut texts: Vec<String> = texts.filter_map(Value::as_str).map(str::to_owned).collect();
        let by_groups: &[String] = match name {
            "groups" => &self.memberships.groups,
            "roles" => &self.memberships.roles,
            _ => &[],
        };
        for text in by_groups {
            if !texts.contains(text) {
                texts.push(text.clone());
            }
        }
        texts
    }

    /// Of these claims, those that are known.
    pub fn claims_named(&self, names: &[String]) -> Map<String, Value> {
        names.iter().filter_map(|name| Some((name.clone(), self.claim(name)?))).collect()
    }

    /// The claims that the scopes of a token ask for, `sub` not among them.
    pub fn claims_for(&self, scope: &Scope) -> Map<String, Value> {
        CLAIMS_OF_SCOPE
            .iter()
            .filter(|(name, _)| scope.contains(name))
            .flat_map(|(_, names)| names.iter())
            .filter_map(|name| Some(((*name).to_owned(), self.claim(name)?)))
            .collect()
    }
}

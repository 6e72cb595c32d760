//! How and when a person proved who they are; what `auth_time`, `acr` and `amr` tell of it.

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// One authentication of a person (OpenID Connect Core §2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authentication {
    /// `auth_time`.
    pub at: Timestamp,
    /// What was proved, each once.
    pub methods: Vec<Method>,
}

/// An authentication method (RFC 8176 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    #[serde(rename = "pwd")]
    Password,
    /// A code of an authenticator app, or a recovery code: either works once.
    #[serde(rename = "otp")]
    OneTimePassword,
    /// The key of a passkey. Whether hardware keeps it is not known, so it is neither "hwk" nor "swk".
    #[serde(rename = "pop")]
    ProofOfPossession,
    /// With a passkey: its device has seen that somebody is there, and verified that it is its owner.
    #[serde(rename = "user")]
    UserPresence,
    /// Another provider says so, and not how. It is told to nobody: RFC 8176 has no word for it.
    #[serde(rename = "fed")]
    Federated,
    /// Said of several factors together. Stored only where another provider, which is trusted for it, says so.
    #[serde(rename = "mfa")]
    MultipleFactors,
}

/// `acr` of an authentication by one factor. "0" would say less than is true (OpenID Connect Core §2).
pub const ACR_SINGLE_FACTOR: &str = "1";
/// `acr` of an authentication by two factors: what somebody has, and what they know or are.
pub const ACR_MULTIPLE_FACTORS: &str = "2";

/// All of them, the weakest first.
pub const ACR_VALUES: [&str; 2] = [ACR_SINGLE_FACTOR, ACR_MULTIPLE_FACTORS];

impl Method {
    /// What a passkey proves.
    pub const PASSKEY: [Self; 2] = [Self::ProofOfPossession, Self::UserPresence];
}

impl Authentication {
    pub fn by_password(at: Timestamp) -> Self {
        Self { at, methods: vec![Method::Password] }
    }

    /// By another provider; with several factors where it is trusted to say so (ASVS 6.8.4).
    pub fn by_provider(at: Timestamp, several: bool) -> Self {
        let more = several.then_some(Method::MultipleFactors);
        Self { at, methods: [Method::Federated].into_iter().chain(more).collect() }
    }

    pub fn by_passkey(at: Timestamp) -> Self {
        Self { at, methods: Method::PASSKEY.to_vec() }
    }

    /// The same with more, which was proved just now.
    pub fn and(mut self, methods: &[Method], at: Timestamp) -> Self {
        for method in methods {
            if !self.methods.contains(method) {
                self.methods.push(*method);
            }
        }
        Self { at, methods: self.methods }
    }

    /// A passkey is two by itself: its device, and what that has asked for before it answered. What another provider
    /// did is one, unless it is trusted to say that it was several.
    pub fn has_two_factors(&self) -> bool {
        let has = |method| self.methods.contains(&method);
        let first = has(Method::Password) || has(Method::Federated);
        has(Method::ProofOfPossession) || has(Method::MultipleFactors) || (first && has(Method::OneTimePassword))
    }

    /// The authentication context class that the methods amount to.
    pub fn acr(&self) -> &'static str {
        if self.has_two_factors() { ACR_MULTIPLE_FACTORS } else { ACR_SINGLE_FACTOR }
    }

    /// `amr`: the methods, and that they are several (RFC 8176 §2).
    pub fn amr(&self) -> Vec<Method> {
        let several = self.has_two_factors().then_some(Method::MultipleFactors);
        let told = |method: &Method| !matches!(method, Method::Federated | Method::MultipleFactors);
        self.methods.iter().copied().filter(told).chain(several).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_factors_are_told_and_one_proved_twice_is_one() {
        let (then, now) = (Timestamp::from_secs(1), Timestamp::from_secs(2));
        let one = Authentication::by_password(then);
        assert_eq!((one.acr(), one.amr()), ("1", vec![Method::Password]));
        let again = one.clone().and(&[Method::Password], now);
        assert_eq!((again.acr(), again.at), ("1", now));
        let both = one.and(&[Method::OneTimePassword], now);
        assert_eq!((both.acr(), amr(&both).as_str()), ("2", r#"["pwd","otp","mfa"]"#));
    }

    #[test]
    fn a_passkey_is_two_factors_with_a_password_and_without() {
        let now = Timestamp::from_secs(1);
        let alone = Authentication::by_passkey(now);
        assert_eq!((alone.acr(), amr(&alone).as_str()), ("2", r#"["pop","user","mfa"]"#));
        let second = Authentication::by_password(now).and(&Method::PASSKEY, now);
        assert_eq!((second.acr(), amr(&second).as_str()), ("2", r#"["pwd","pop","user","mfa"]"#));
    }

    fn amr(authentication: &Authentication) -> String {
        serde_json::to_string(&authentication.amr()).unwrap()
    }

    /// ASVS 6.8.4
    #[test]
    fn what_another_provider_did_is_not_told_as_a_method_of_ours() {
        let (then, now) = (Timestamp::from_secs(1), Timestamp::from_secs(2));
        let one = Authentication::by_provider(then, false);
        assert_eq!((one.acr(), one.amr(), one.at), ("1", vec![], then));
        let raised = one.and(&[Method::OneTimePassword], now);
        assert_eq!((raised.acr(), raised.amr()), ("2", vec![Method::OneTimePassword, Method::MultipleFactors]));
        let several = Authentication::by_provider(then, true);
        assert_eq!((several.acr(), several.amr()), ("2", vec![Method::MultipleFactors]));
        let more = several.and(&[Method::OneTimePassword], now);
        assert_eq!(more.amr(), vec![Method::OneTimePassword, Method::MultipleFactors]);
    }
}

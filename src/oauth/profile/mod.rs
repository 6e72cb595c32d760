//! FAPI 2.0 (Security Profile; Message Signing §5.3), for the clients that are held to it: each requirement that is more
//! than what all clients are held to. The rooms that it concerns ask here.
//!
//! What holds for everybody needs no switch: `code` is the only response type, `iss` is in every response, codes work
//! once, RSA keys have 2048 bits and those on curves 256 or more, and clocks may be 30 seconds ahead (§5.3.2.1: 10 must
//! be accepted, 60 must not).

mod rules;

use std::time::Duration;

pub use rules::{CLIENT_RULES, Kept, Rule, SERVER_RULES, Severity, Standard};

use crate::config::Config;
use crate::types::{Algorithm, AuthMethod, ClientMetadata, PkcePolicy, Profile};

/// §5.4.1: what JWTs are signed with.
pub const ALGORITHMS: [Algorithm; 3] = [Algorithm::Ps256, Algorithm::Es256, Algorithm::EdDsa];

/// §5.3.2.1: "shall issue authorization codes with a maximum lifetime of 60 seconds".
const LONGEST_CODE: Duration = Duration::from_mins(1);

/// §5.3.2.2: "expires_in values of less than 600 seconds".
const LONGEST_PUSHED: Duration = Duration::from_secs(599);

/// Whether a client is held to FAPI 2.0.
pub fn applies(config: &Config, client: &ClientMetadata) -> bool {
    applies_to_all(config) || client.profile == Some(Profile::Fapi2)
}

/// Whether every client is.
pub fn applies_to_all(config: &Config) -> bool {
    config.security.profile == Some(Profile::Fapi2)
}

/// Whether the client can keep to what it is held to.
///
/// # Errors
/// In words, when its registration or the configuration stands in the way.
pub fn check(config: &Config, client: &ClientMetadata) -> Result<(), String> {
    if !applies(config, client) {
        return Ok(());
    }
    let mut rules = SERVER_RULES.iter().chain(CLIENT_RULES);
    let broken = rules.find_map(|rule| Some((rule, rule.binds().then(|| (rule.broken)(config, client))??)));
    match broken {
        None => Ok(()),
        Some((rule, what)) => {
            // RFC 6749 §5.2: an error_description is ASCII.
            let section = rule.section.trim_start_matches('§');
            Err(format!("FAPI 2.0 section {section}: {what}; {}", rule.remedy))
        }
    }
}

/// §5.3.2.1: whether any client may authenticate so.
pub fn takes(config: &Config, method: AuthMethod) -> bool {
    !applies_to_all(config) || rules::is_strong(method)
}

/// §5.4.1: of the usual algorithms, those in which this client may sign.
pub fn algorithms(config: &Config, client: &ClientMetadata, usual: &'static [Algorithm]) -> &'static [Algorithm] {
    if applies(config, client) { &ALGORITHMS } else { usual }
}

/// §5.4.1: in which anybody may sign at all.
pub fn algorithms_of_all(config: &Config) -> &'static [Algorithm] {
    if applies_to_all(config) { &ALGORITHMS } else { &Algorithm::ASYMMETRIC }
}

/// §5.4.1: what signs authorization responses. JARM §3 has RS256 for who does not say.
pub fn response_algorithm(config: &Config, client: &ClientMetadata) -> Algorithm {
    let unsaid = if applies(config, client) { client.id_token_signed_response_alg } else { Algorithm::Rs256 };
    client.authorization_signed_response_alg.unwrap_or(unsaid)
}

/// §5.4.1: what signs introspection responses. RFC 9701 §6: "If omitted, the default is RS256", which every server has.
pub fn introspection_algorithm(config: &Config, client: &ClientMetadata) -> Algorithm {
    let ours = || config.keys.algorithms.iter().copied().find(|own| ALGORITHMS.contains(own));
    let unsaid = if applies(config, client) { ours() } else { None };
    client.protection.introspection_signed_response_alg.or(unsaid).unwrap_or(Algorithm::Rs256)
}

/// §5.4.1: what signs access tokens: that of their resource, where this client may have it so, else that of the server.
pub fn access_token_algorithm(config: &Config, client: &ClientMetadata, of_resource: Option<Algorithm>) -> Algorithm {
    let may_be = |algorithm: &Algorithm| !applies(config, client) || ALGORITHMS.contains(algorithm);
    of_resource.filter(may_be).unwrap_or(config.tokens.access_token_algorithm)
}

/// §5.3.2.2: "shall reject authorization requests sent without" PAR; RFC 9126 §5, §6 leave it to configuration.
pub fn must_push(config: &Config, client: &ClientMetadata) -> bool {
    config.authorization.require_pushed_authorization_requests
        || client.require_pushed_authorization_requests
        || applies(config, client)
}

/// §5.3.2.2: "shall require PKCE with S256 as the code challenge method".
pub fn pkce(config: &Config, client: &ClientMetadata) -> PkcePolicy {
    if applies(config, client) {
        return PkcePolicy::Required;
    }
    client.pkce.unwrap_or(config.authorization.pkce)
}

/// §5.3.2.2: "shall require the redirect_uri parameter in pushed authorization requests".
pub fn needs_redirect_uri(config: &Config, client: &ClientMetadata) -> bool {
    applies(config, client)
}

/// §5.3.2.1: codes are good for a minute at most.
pub fn code_lifetime(config: &Config, client: &ClientMetadata) -> Duration {
    let usual = config.authorization.code_lifetime;
    if applies(config, client) { usual.min(LONGEST_CODE) } else { usual }
}

/// §5.3.2.2: how long a pushed request can be used.
pub fn pushed_lifetime(config: &Config, client: &ClientMetadata) -> Duration {
    let usual = config.authorization.pushed_request_lifetime;
    if applies(config, client) { usual.min(LONGEST_PUSHED) } else { usual }
}

/// §5.3.2.1: "shall only issue sender-constrained access tokens".
pub fn must_bind(config: &Config, client: &ClientMetadata) -> bool {
    applies(config, client)
}

/// §5.3.2.1: "shall only accept its issuer identifier value … as a string in the aud claim".
pub fn takes_endpoint_audience(config: &Config, client: &ClientMetadata) -> bool {
    config.client_authentication.endpoint_audience && !applies(config, client)
}

/// Message Signing §5.3.1: request objects have `exp`, `nbf` and `aud`, which RFC 9101 §4 leaves to the client.
pub fn wants_whole_objects(config: &Config, client: &ClientMetadata) -> bool {
    client.require_signed_request_object || applies(config, client)
}

/// §5.3.2.1: "shall not use refresh token rotation except in extraordinary circumstances".
pub fn rotates(config: &Config, client: &ClientMetadata) -> bool {
    !applies(config, client)
}

//! What things mean, in a line each.

use super::session::Notice;

const UNKNOWN: &str = "A member of this server’s own";

/// In reading order: who says it, of whom, for whom, until when, and then the rest.
const CLAIMS: &[(&str, &str)] = &[
    ("iss", "Who says so: the server that made and signed this"),
    ("sub", "Whom it is about. An id that never changes and is never given to anybody else"),
    ("aud", "Whom it is for. Anybody else must refuse it"),
    ("azp", "Which application asked for it"),
    ("client_id", "Which application it was given to"),
    ("exp", "From then on it is worth nothing"),
    ("nbf", "Before then it is worth nothing"),
    ("iat", "When it was made"),
    ("auth_time", "When you last proved who you are"),
    ("nonce", "The random value that Notes sent with its question: this is the answer to it, and to no other"),
    ("at_hash", "The beginning of the access token’s hash, so that neither can be swapped for another"),
    ("acr", "How strong the proof was"),
    ("amr", "How you proved it: pwd is a password, otp a code, pop and user a passkey, mfa more than one factor"),
    ("sid", "Your sign-in session, so that signing out can end it everywhere"),
    ("name", "Your name, as you wish to be called"),
    ("given_name", "Your given name"),
    ("family_name", "Your family name"),
    ("preferred_username", "What you sign in with. It may change: never use it as an id"),
    ("nickname", "What friends call you"),
    ("email", "Your e-mail address"),
    ("email_verified", "Whether the address was shown to be yours"),
    ("locale", "Your language"),
    ("zoneinfo", "Your time zone"),
    ("updated_at", "When this was last changed"),
    ("scope", "What it allows"),
    ("resource", "The APIs that it may be used at"),
    ("jti", "This token’s own id, by which it alone can be revoked"),
    ("grant_id", "The grant it lives under: what you allowed. When the grant ends, it ends"),
    ("grant", "The grant it lives under: what you allowed. When the grant ends, it ends"),
    ("gid", "The grant it lives under: what you allowed. When the grant ends, it ends"),
    ("generation", "Counts the refreshes. An old number used again gives a thief away, and ends the grant"),
    ("gen", "Counts the refreshes. An old number used again gives a thief away, and ends the grant"),
    ("cnf", "The key that its bearer must hold"),
];

const HEADERS: &[(&str, &str)] = &[
    ("typ", "What kind of token this is, so that none is taken for another"),
    ("alg", "How it is signed"),
    ("kid", "Which of the server’s published keys signed it"),
];

/// A claim's place among the others, and its meaning.
pub fn claim(name: &str) -> (usize, &'static str) {
    find(CLAIMS, name)
}

/// The same for a member of a JOSE header.
pub fn header(name: &str) -> (usize, &'static str) {
    find(HEADERS, name)
}

fn find(table: &'static [(&'static str, &'static str)], name: &str) -> (usize, &'static str) {
    table
        .iter()
        .enumerate()
        .find_map(|(place, (known, words))| (*known == name).then_some((place, *words)))
        .unwrap_or((table.len(), UNKNOWN))
}

/// What a request parameter is for; empty where it says so itself.
pub fn param(name: &str) -> &'static str {
    match name {
        "response_type" => "Answer with a code, not with tokens",
        "client_id" => "Which application asks",
        "redirect_uri" => "Where to return to: exactly as registered",
        "scope" => "What it asks for",
        "state" => "Ties the answer to this browser",
        "nonce" => "Ties the ID token to this question",
        "code_challenge" => "The hash of a secret that only Notes knows (PKCE)",
        "code_challenge_method" => "Hashed with SHA-256",
        "code_verifier" => "That secret: whoever stole the code does not have it",
        "login_hint" => "Who is expected",
        "code" => "Works once, for this application alone",
        "iss" => "Who answers (RFC 9207): the provider that was asked",
        "grant_type" => "What is given in exchange",
        "refresh_token" => "The old one, which is spent by this",
        "token" => "The token in question",
        "token_type_hint" => "Where to look first",
        "client_secret" => "Never shown",
        _ => "",
    }
}

/// An error of the authorization endpoint (RFC 6749 §4.1.2.1, OpenID Connect Core §3.1.2.6) for the person who meets it.
pub fn refusal(error: &str, description: Option<&str>) -> Notice {
    let (title, words) = match error {
        "access_denied" => {
            return Notice {
                tone: "quiet",
                title: "You did not allow it".to_owned(),
                words: "That is fine: nothing was shared. If you change your mind, sign in again.".to_owned(),
            };
        }
        "login_required" | "interaction_required" | "account_selection_required" => {
            ("Grantor needs you to sign in", "Begin again, and sign in when it asks.")
        }
        "consent_required" => ("Grantor needs your consent", "Begin again, and say what Notes may do when it asks."),
        "temporarily_unavailable" | "server_error" => {
            ("Grantor could not answer just now", "Nothing was lost. Try again in a moment.")
        }
        _ => ("Grantor refused the request", "This is a mistake in how Notes asks or is registered, not yours."),
    };
    let said = description.map(|said| format!(": {said}")).unwrap_or_default();
    Notice::warn(title, format!("{words} (It answered {error}{said}.)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_kindly_and_an_unknown_one_with_its_name() {
        let denied = refusal("access_denied", Some("the user said no"));
        assert_eq!(denied.title, "You did not allow it");
        assert!(!denied.words.contains("access_denied"));
        let unknown = refusal("invalid_scope", Some("unknown scope"));
        assert!(unknown.words.ends_with("(It answered invalid_scope: unknown scope.)"), "{}", unknown.words);
    }
}

//! What each letter says.

use std::time::Duration;

use time::OffsetDateTime;

use super::{Factors, Letter};
use crate::account::links::{INVITATION, address, lifetime};
use crate::config::Config;
use crate::store::Purpose;
use crate::types::Timestamp;

/// A letter in words, for both of its parts.
pub struct Words {
    pub subject: String,
    pub paragraphs: Vec<String>,
    /// The one thing to do: what it is called, and its address.
    pub action: Option<(&'static str, String)>,
    /// What else there is to know.
    pub after: Vec<String>,
}

const IGNORE: &str = "If it was not you, you need not do anything.";

impl Letter {
    pub fn words(&self, config: &Config) -> Words {
        let site = &config.server.name;
        let page = |path: &str| config.server.issuer.url(path);
        let link = |purpose, secret: &str| address(config, purpose, secret);
        match self {
            Self::ResetPassword { account, link: secret } => Words {
                subject: "Choose a new password".to_owned(),
                paragraphs: vec![format!(
                    "Somebody, probably you, asked for a new password for the account {account} at {site}."
                )],
                action: Some(("Choose a new password", link(Purpose::ResetPassword, secret))),
                after: vec![once(lifetime(Purpose::ResetPassword)), format!("{IGNORE} Your password stays as it is.")],
            },
            Self::PasswordChanged { account, at } => Words {
                subject: "Your password was changed".to_owned(),
                paragraphs: vec![format!("The account {account} at {site} has another password since {}.", said(*at))],
                action: None,
                after: vec![format!(
                    "If it was not you, somebody else is in your account: choose another password at once, at {}",
                    page("/forgot-password")
                )],
            },
            Self::SignUp { link: secret } => Words {
                subject: "Confirm your e-mail address".to_owned(),
                paragraphs: vec![format!("Somebody, probably you, wants an account at {site} with this address.")],
                action: Some(("Make your account", link(Purpose::SignUp, secret))),
                after: vec![once(lifetime(Purpose::SignUp)), format!("{IGNORE} No account is made.")],
            },
            Self::Invitation { link: secret } => Words {
                subject: format!("You are invited to {site}"),
                paragraphs: vec![format!("You can have an account at {site}. Its user name will be this address.")],
                action: Some(("Make your account", link(Purpose::SignUp, secret))),
                after: vec![once(INVITATION), "If you do not want one, you need not do anything.".to_owned()],
            },
            Self::AccountExists { account } => Words {
                subject: "You have an account already".to_owned(),
                paragraphs: vec![
                    format!("Somebody, probably you, wanted an account at {site} with this address."),
                    format!("There is one. Its user name is {account}."),
                ],
                action: Some(("Sign in", page("/sign-in"))),
                after: vec![
                    format!("If you have forgotten the password, choose another at {}", page("/forgot-password")),
                    IGNORE.to_owned(),
                ],
            },
            Self::ConfirmEmail { account, link: secret } => Words {
                subject: "Confirm your new e-mail address".to_owned(),
                paragraphs: vec![format!("The account {account} at {site} is to have this e-mail address.")],
                action: Some(("Confirm this address", link(Purpose::ConfirmEmail, secret))),
                after: vec![once(lifetime(Purpose::ConfirmEmail)), format!("{IGNORE} The account stays as it is.")],
            },
            Self::AddressTaken { account } => Words {
                subject: "This address has an account already".to_owned(),
                paragraphs: vec![
                    format!("Somebody, probably you, wanted to give this address to another account at {site}."),
                    format!("Nothing was changed, for it is that of your account {account}."),
                ],
                action: None,
                after: vec![IGNORE.to_owned()],
            },
            Self::EmailChanged { account, email, at, link: secret } => Words {
                subject: "Your e-mail address was changed".to_owned(),
                paragraphs: vec![format!(
                    "The account {account} at {site} has another e-mail address since {}: {email}",
                    said(*at)
                )],
                action: Some(("Take it back", link(Purpose::UndoEmail, secret))),
                after: vec![
                    format!("If it was you, you need not do anything. {}", once(lifetime(Purpose::UndoEmail))),
                    "If it was not you, take it back: this address counts again, and everybody who is signed in to the \
                     account is signed out."
                        .to_owned(),
                ],
            },
            Self::SignedIn { account, device, at } => Words {
                subject: "A sign-in in another browser".to_owned(),
                paragraphs: vec![format!(
                    "Somebody, probably you, signed in to the account {account} at {site}, where they had not before: \
                     {device}, {}.",
                    said(*at)
                )],
                action: None,
                after: vec![
                    "If it was you, you need not do anything.".to_owned(),
                    format!(
                        "If it was not you, somebody has your password: choose another one at once, at {}",
                        page("/forgot-password")
                    ),
                ],
            },
            Self::SecondFactor { account, what, at } => {
                let (subject, said_of) = match what {
                    Factors::Added => ("An authenticator app was added", "asks for the code of an authenticator app"),
                    Factors::Removed => ("An authenticator app was removed", "has one authenticator app less"),
                    Factors::PasskeyAdded => ("A passkey was added", "can be entered with another passkey"),
                    Factors::PasskeyRemoved => ("A passkey was removed", "has one passkey less"),
                    Factors::AllRemoved => (
                        "Your second factors were removed",
                        "has no authenticator app, no passkey and no recovery codes any more",
                    ),
                    Factors::CodesReplaced => ("You have new recovery codes", "has other recovery codes"),
                    Factors::CodeUsed => ("A recovery code was used", "was entered with a recovery code"),
                };
                Words {
                    subject: subject.to_owned(),
                    paragraphs: vec![format!("The account {account} at {site} {said_of}: {}.", said(*at))],
                    action: None,
                    after: vec![format!(
                        "If it was not you, somebody else is in your account: choose another password at once, at {}",
                        page("/forgot-password")
                    )],
                }
            }
            Self::Identity { account, provider, linked, at } => {
                let (subject, became) = match linked {
                    true => (format!("You can sign in with {provider}"), "can be signed in to with"),
                    false => (format!("You no longer sign in with {provider}"), "is no longer signed in to with"),
                };
                Words {
                    subject,
                    paragraphs: vec![format!("The account {account} at {site} {became} {provider}: {}.", said(*at))],
                    action: None,
                    after: vec![format!(
                        "If it was not you, somebody else is in your account: see how you sign in, at {}",
                        page("/account/security")
                    )],
                }
            }
            Self::TokenMade { account, name, at } => Words {
                subject: "A personal access token was made".to_owned(),
                paragraphs: vec![format!(
                    "The account {account} at {site} has one more personal access token, called “{name}”: {}.",
                    said(*at)
                )],
                action: None,
                after: vec![
                    format!("You see all of them, and can end them, at {}", page("/account/tokens")),
                    format!(
                        "If it was not you, somebody else is in your account: end the token, and choose another password \
                         at once, at {}",
                        page("/forgot-password")
                    ),
                ],
            },
            Self::AccountDeleted { account, at } => Words {
                subject: "Your account was deleted".to_owned(),
                paragraphs: vec![format!("The account {account} at {site} was deleted: {}.", said(*at))],
                action: None,
                after: vec!["If it was not you, write to whoever runs the service.".to_owned()],
            },
            Self::Test => Words {
                subject: "A test".to_owned(),
                paragraphs: vec![format!("{site} can send mail to you.")],
                action: None,
                after: Vec::new(),
            },
        }
    }
}

fn once(lifetime: Duration) -> String {
    let minutes = lifetime.as_secs() / 60;
    let span = match minutes {
        0..60 => format!("{minutes} minutes"),
        60 => "one hour".to_owned(),
        _ => format!("{} days", minutes / (24 * 60)),
    };
    format!("The link works once, for {span}.")
}

/// "3 November 2025, 14:05 UTC"
fn said(at: Timestamp) -> String {
    match OffsetDateTime::from_unix_timestamp(at.secs()) {
        Ok(at) => format!("{} {} {}, {:02}:{:02} UTC", at.day(), at.month(), at.year(), at.hour(), at.minute()),
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::letters::Envelope;

    fn config() -> Config {
        Config::parse("[server]\nname = \"Acme & Söhne\"\nissuer = \"https://auth.example/base\"\n").unwrap()
    }

    #[test]
    fn a_letter_says_the_same_in_text_and_html_and_names_are_text() {
        let config = config();
        let bad = "<img src=x onerror=alert(1)>".to_owned();
        let letter = Letter::ResetPassword { account: bad.clone(), link: "s3cret".to_owned() };
        let envelope = Envelope { to: "ada@example.org".to_owned(), letter };
        let words = envelope.letter.words(&config);
        let mail = envelope.written(&config, "one", &words).unwrap();
        let address = "https://auth.example/base/reset-password?link=s3cret";
        assert!(mail.text.contains(&bad) && mail.text.contains("Acme & Söhne"), "{}", mail.text);
        assert!(mail.text.contains(&format!("\n{address}\n")), "on a line of its own: {}", mail.text);
        assert!(!mail.html.contains("<img") && mail.html.contains("&#60;img"), "{}", mail.html);
        assert!(mail.html.contains(&format!("href=\"{address}\"")), "{}", mail.html);
        for part in [&mail.text, &mail.html] {
            assert!(part.contains("The link works once, for 15 minutes."), "{part}");
        }
        // Nothing is loaded from anywhere.
        assert!(!mail.html.contains("<link") && !mail.html.contains("url("), "{}", mail.html);
    }

    #[test]
    fn times_are_said_with_their_zone() {
        assert_eq!(said(Timestamp::from_secs(1_762_180_000)), "3 November 2025, 14:26 UTC");
        assert_eq!(once(Duration::from_hours(1)), "The link works once, for one hour.");
        assert_eq!(once(INVITATION), "The link works once, for 7 days.");
    }
}

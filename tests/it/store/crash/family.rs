//! The ledger: what a caller was told of one grant, and what must be true of it from then on.

use std::time::Duration;

use grantor::types::{Clock, SystemClock, Timestamp};

use crate::support::{Answer, Pkce, Tokens};

/// A retry that comes sooner surely gets the same successor: half of refresh.retry_window, as the tests set it.
const SOON: Duration = Duration::from_secs(30);

/// Whether a retry may be too late for one that was asked for at this time: disks have stood still for a minute.
pub fn is_late(asked_at: Timestamp) -> bool {
    SystemClock.now().since(asked_at) >= SOON
}

/// A grant, from its code to its end.
pub struct Family {
    pub client: &'static str,
    pub code: String,
    pub pkce: Pkce,
    /// Its code was redeemed, whether or not anybody heard of it.
    pub redeemed: bool,
    /// By generation: there is one of each.
    pub refresh_tokens: Vec<String>,
    pub access_tokens: Vec<AccessToken>,
    rotated_at: Timestamp,
    /// Its last successor was never heard of.
    pub lost_one: bool,
}

pub struct AccessToken {
    pub text: String,
    pub revoked: bool,
}

impl Family {
    pub fn new(client: &'static str, code: String, pkce: Pkce) -> Self {
        Self {
            client,
            code,
            pkce,
            redeemed: false,
            refresh_tokens: Vec::new(),
            access_tokens: Vec::new(),
            rotated_at: SystemClock.now(),
            lost_one: false,
        }
    }

    /// The row's key: codes begin with it.
    pub fn id(&self) -> &str {
        self.code.split('.').next().unwrap_or_default()
    }

    pub fn generation(&self) -> usize {
        self.refresh_tokens.len().max(1) + usize::from(self.lost_one)
    }

    pub fn current(&self) -> &str {
        self.refresh_tokens.last().expect("it was redeemed")
    }

    /// The refresh token before the current one, while it surely gets the current one again.
    pub fn previous(&self) -> Option<&str> {
        self.refresh_tokens.iter().rev().nth(1).filter(|_| !is_late(self.rotated_at)).map(String::as_str)
    }

    /// A refresh token whose successor was used.
    pub fn used_up(&self) -> Option<&str> {
        self.refresh_tokens.iter().rev().nth(2).map(String::as_str)
    }

    /// An answer to its code: one grants, and all others refuse. Whether this one granted.
    pub fn code_was_answered(&mut self, answer: Answer) -> bool {
        let had_tokens = !self.refresh_tokens.is_empty();
        self.redeemed = true;
        if answer.status != 200 {
            answer.expect_error("invalid_grant");
            return false;
        }
        assert!(!had_tokens, "the code of {} was redeemed twice", self.id());
        self.take(answer.expect_tokens());
        true
    }

    /// An answer to the refresh token of this generation, counted from one.
    pub fn refresh_was_answered(&mut self, generation: usize, answer: Answer) {
        let tokens = answer.expect_tokens();
        match self.refresh_tokens.get(generation) {
            Some(known) => {
                assert_eq!(
                    tokens.refresh_token(),
                    known,
                    "generation {generation} of {} has two successors",
                    self.id()
                );
                self.access_tokens.push(AccessToken::of(&tokens));
            }
            None => self.take(tokens),
        }
    }

    fn take(&mut self, tokens: Tokens) {
        self.refresh_tokens.push(tokens.refresh_token().to_owned());
        self.access_tokens.push(AccessToken::of(&tokens));
        self.rotated_at = SystemClock.now();
    }
}

impl AccessToken {
    fn of(tokens: &Tokens) -> Self {
        Self { text: tokens.access_token().to_owned(), revoked: false }
    }
}

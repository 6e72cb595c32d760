//! One of the many who are served when the power fails: a person, the clients that act for them, and their ledger.

use std::time::Duration;

use grantor::types::{Clock, SystemClock, Timestamp};
use tokio::sync::Semaphore;

use super::family::{Family, is_late};
use crate::support::dice::Dice;
use crate::support::party::{SECRET, encode};
use crate::support::{Answer, Page, Party, Person, Pkce, TestApp};

pub struct Caller<'a> {
    person: Person,
    /// Is allowed for good.
    web: Party<'a>,
    /// Is allowed, and its consent withdrawn, in turn.
    guest: Party<'a>,
    guest_is_allowed: bool,
    dice: Dice,
    pub living: Vec<Family>,
    pub ended: Vec<Family>,
    /// How many of those that ended were looked at since.
    looked_at: usize,
    /// What was asked, and may or may not have happened.
    unanswered: Option<Ask>,
    asked_at: Timestamp,
    /// How often something was asked again.
    pub doubts: usize,
    /// A code that waits is not flushed before it goes out (docs/adr/0008-group-commit.md): what PostgreSQL had not
    /// written when it was killed is gone.
    pub codes_may_be_lost: bool,
    /// Counts the answers of all callers.
    answers: &'a Semaphore,
}

#[derive(Clone, Copy, Debug)]
enum Ask {
    Authorize,
    Allow,
    Withdraw,
    /// Whether the guest is allowed.
    Look,
    /// Nothing of it is good for anything, ever again.
    LookAtEnded(usize),
    Of(usize, Deed),
}

/// What is done with one of the living families.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Redeem,
    RedeemTwice,
    /// The code once more, which ends its grant.
    Replay,
    Refresh,
    RefreshTwice,
    /// The previous refresh token, which gets the same successor.
    Retry,
    /// An older one, which ends the grant.
    Reuse,
    RevokeToken,
    Revoke,
    Introspect,
}

/// Why nobody knows what became of a request.
#[derive(Debug)]
pub enum Unanswered {
    /// The connection broke, or there was none.
    CutOff(reqwest::Error),
    /// 503: the server could not find out either.
    Away,
}

type Answered<T> = Result<T, Unanswered>;

impl<'a> Caller<'a> {
    /// Signs in once and for all: the session outlives the server.
    pub async fn arrive(app: &'a TestApp, name: &str, seed: u64, answers: &'a Semaphore) -> Self {
        let (person, web) = (app.person(), Party::existing(app, "web", SECRET));
        let pkce = Pkce::new();
        let code = web.code(&person, name, &pkce, &[]).await;
        Self {
            person,
            web,
            guest: Party::existing(app, "guest", SECRET),
            guest_is_allowed: false,
            dice: Dice::new(seed),
            living: vec![Family::new("web", code, pkce)],
            ended: Vec::new(),
            looked_at: 0,
            unanswered: None,
            asked_at: SystemClock.now(),
            doubts: 0,
            codes_may_be_lost: false,
            answers,
        }
    }

    /// Asks for one thing: what was not answered again, else something new.
    pub async fn go_on(&mut self) -> Answered<()> {
        match self.unanswered {
            Some(ask) => self.ask(ask, true).await,
            None => {
                let ask = self.choose();
                self.ask(ask, false).await
            }
        }
    }

    /// Looks whether all that was acknowledged is so: of what lives everything, of what has ended what is new and a few
    /// of the others.
    pub async fn check(&mut self) {
        if let Some(ask) = self.unanswered {
            self.insist(ask).await;
        }
        let waiting = |family: &Family| family.refresh_tokens.is_empty();
        while let Some(n) = self.living.iter().position(waiting) {
            self.insist(Ask::Of(n, Deed::Redeem)).await;
        }
        for n in (0..self.living.len()).rev() {
            self.insist(Ask::Of(n, Deed::Introspect)).await;
            if self.living[n].previous().is_some() {
                self.insist(Ask::Of(n, Deed::Retry)).await;
            }
            self.insist(Ask::Of(n, Deed::Refresh)).await;
        }
        self.insist(Ask::Look).await;
        let older = self.looked_at;
        for n in older..self.ended.len() {
            self.insist(Ask::LookAtEnded(n)).await;
        }
        if older > 0 {
            let n = self.dice.below(older as u64) as usize;
            self.insist(Ask::LookAtEnded(n)).await;
        }
        self.looked_at = self.ended.len();
    }

    /// As `check`, with nothing left out.
    pub async fn check_everything(&mut self) {
        self.looked_at = 0;
        self.check().await;
    }

    async fn insist(&mut self, ask: Ask) {
        let mut again = self.unanswered.is_some();
        for _ in 0..100 {
            match self.ask(ask, again).await {
                Ok(()) => return,
                Err(Unanswered::CutOff(why)) => panic!("the server is up, and does not answer {ask:?}: {why:?}"),
                Err(Unanswered::Away) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
            again = true;
        }
        panic!("the database is up, and the server does not find it for {ask:?}");
    }

    fn choose(&mut self) -> Ask {
        match self.dice.below(20) {
            0 | 1 if self.guest_is_allowed => return Ask::Withdraw,
            0 | 1 => return Ask::Allow,
            2 => return Ask::Look,
            _ => {}
        }
        if self.living.is_empty() || (self.living.len() < 3 && self.dice.once_in(2)) {
            return Ask::Authorize;
        }
        let n = self.dice.below(self.living.len() as u64) as usize;
        let family = &self.living[n];
        let deed = if family.refresh_tokens.is_empty() {
            if self.dice.once_in(3) { Deed::RedeemTwice } else { Deed::Redeem }
        } else {
            match self.dice.below(20) {
                0..=2 => Deed::RefreshTwice,
                3 | 4 if family.previous().is_some() => Deed::Retry,
                5 if family.used_up().is_some() => Deed::Reuse,
                6..=8 if family.access_tokens.iter().any(|token| !token.revoked) => Deed::RevokeToken,
                9 => Deed::Revoke,
                10 => Deed::Replay,
                11..=13 => Deed::Introspect,
                _ => Deed::Refresh,
            }
        };
        Ask::Of(n, deed)
    }

    /// Asks, and writes down what is known then. Of what is asked `again`, nobody knows whether it happened before.
    async fn ask(&mut self, ask: Ask, again: bool) -> Answered<()> {
        if !again {
            self.asked_at = SystemClock.now();
        }
        self.unanswered = Some(ask);
        self.doubts += usize::from(again);
        match ask {
            Ask::Authorize => self.authorize().await?,
            Ask::Allow => self.allow(again).await?,
            Ask::Withdraw => self.withdraw(again).await?,
            Ask::Look => {
                let page = self.request(&self.guest, &Pkce::new()).await?;
                assert_eq!(page.asks_for_consent(), !self.guest_is_allowed, "{page:?}");
            }
            Ask::LookAtEnded(n) => self.look_at_ended(&self.ended[n]).await?,
            Ask::Of(n, deed) => self.deal_with(n, deed, again).await?,
        }
        self.unanswered = None;
        Ok(())
    }

    async fn authorize(&mut self) -> Answered<()> {
        let pkce = Pkce::new();
        // Neither the session nor the consent is ever asked for again.
        let code = self.request(&self.web, &pkce).await?.code();
        self.living.push(Family::new("web", code, pkce));
        Ok(())
    }

    async fn allow(&mut self, again: bool) -> Answered<()> {
        let pkce = Pkce::new();
        let mut page = self.request(&self.guest, &pkce).await?;
        assert!(again || page.asks_for_consent(), "what was withdrawn is asked for: {page:?}");
        if page.asks_for_consent() {
            let (csrf, request) = (page.hidden("csrf"), page.hidden("request"));
            let fields = [("csrf", csrf.as_str()), ("request", &request), ("decision", "allow")];
            page = self.shown(self.person.try_post("/consent", &fields).await)?;
        }
        self.living.push(Family::new("guest", page.code(), pkce));
        self.guest_is_allowed = true;
        Ok(())
    }

    async fn withdraw(&mut self, again: bool) -> Answered<()> {
        let csrf = self.shown(self.person.try_get("/account").await)?.hidden("csrf");
        let fields = [("csrf", csrf.as_str()), ("client_id", "guest")];
        let page = self.shown(self.person.try_post("/account/consents/withdraw", &fields).await)?;
        assert!(again || page.url.ends_with("done=withdrawn"), "there was a consent: {page:?}");
        self.guest_is_allowed = false;
        let (gone, stay) = self.living.drain(..).partition(|family| family.client == "guest");
        self.living = stay;
        self.ended.extend::<Vec<Family>>(gone);
        Ok(())
    }

    async fn deal_with(&mut self, n: usize, deed: Deed, again: bool) -> Answered<()> {
        let family = &self.living[n];
        match deed {
            Deed::Redeem => {
                let answer = self.redeem(family).await?;
                let granted = self.living[n].code_was_answered(answer);
                assert!(granted || again || self.codes_may_be_lost, "a code that was given out is good once");
                // The code was lost; or the answer was, and whoever asks again cannot be told from a thief.
                if !granted {
                    self.end(n);
                }
            }
            Deed::RedeemTwice => {
                let (one, other) = tokio::join!(self.redeem(family), self.redeem(family));
                let answers = [one, other].map(|answer| answer.map(|answer| self.living[n].code_was_answered(answer)));
                let granted = answers.into_iter().collect::<Answered<Vec<bool>>>()?;
                assert!(granted.contains(&true) || again || self.codes_may_be_lost, "one of two gets the tokens");
                self.end(n);
            }
            Deed::Replay => {
                self.redeem(family).await?.expect_error("invalid_grant");
                self.end(n);
            }
            Deed::RefreshTwice if !again => {
                let (token, generation) = (family.current(), family.generation());
                let (one, other) = tokio::join!(self.refresh(family, token), self.refresh(family, token));
                let answers = [one, other]
                    .map(|answer| answer.map(|answer| self.living[n].refresh_was_answered(generation, answer)));
                answers.into_iter().collect::<Answered<()>>()?;
            }
            Deed::Refresh | Deed::RefreshTwice => {
                let answer = self.refresh(family, family.current()).await?;
                let generation = family.generation();
                if again && is_late(self.asked_at) && answer.status != 200 {
                    // What was lost for so long is reuse to whoever must tell.
                    println!("this machine stood still for longer than a retry may take");
                    answer.expect_error("invalid_grant");
                    self.living[n].lost_one = true;
                    self.end(n);
                } else {
                    self.living[n].refresh_was_answered(generation, answer);
                }
            }
            Deed::Retry => {
                let Some(token) = family.previous() else { return Ok(()) };
                let answer = self.refresh(family, token).await?;
                let generation = family.generation() - 1;
                self.living[n].refresh_was_answered(generation, answer);
            }
            Deed::Reuse => {
                let token = family.used_up().expect("it was chosen for it");
                self.refresh(family, token).await?.expect_error("invalid_grant");
                self.end(n);
            }
            Deed::RevokeToken => {
                let which = family.access_tokens.iter().rposition(|token| !token.revoked);
                let which = which.expect("it was chosen for it");
                self.revoke(family, &family.access_tokens[which].text).await?;
                self.living[n].access_tokens[which].revoked = true;
            }
            Deed::Revoke => {
                self.revoke(family, family.current()).await?;
                self.end(n);
            }
            Deed::Introspect => {
                let newest = family.access_tokens.len().saturating_sub(3);
                let looked_at =
                    family.access_tokens.iter().enumerate().filter(|(n, token)| *n >= newest || token.revoked);
                for (_, token) in looked_at {
                    let answer = self.introspect(family, &token.text).await?;
                    if token.revoked { answer.expect_inactive() } else { drop(answer.expect_active()) }
                }
            }
        }
        Ok(())
    }

    fn end(&mut self, n: usize) {
        let family = self.living.swap_remove(n);
        self.ended.push(family);
    }

    async fn look_at_ended(&self, family: &Family) -> Answered<()> {
        for token in family.access_tokens.iter().rev().take(3) {
            self.introspect(family, &token.text).await?.expect_inactive();
        }
        if let Some(token) = family.refresh_tokens.last() {
            self.introspect(family, token).await?.expect_inactive();
            self.refresh(family, token).await?.expect_error("invalid_grant");
        }
        self.redeem(family).await?.expect_error("invalid_grant");
        Ok(())
    }

    fn party(&self, client: &str) -> &Party<'a> {
        if client == "web" { &self.web } else { &self.guest }
    }

    async fn request(&self, party: &Party<'_>, pkce: &Pkce) -> Answered<Page> {
        self.shown(self.person.try_get(&format!("/oauth/authorize?{}", encode(&party.request(pkce)))).await)
    }

    async fn redeem(&self, family: &Family) -> Answered<Answer> {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", &family.code),
            ("redirect_uri", &self.party(family.client).redirect_uri),
            ("code_verifier", &family.pkce.verifier),
        ];
        self.send(family, "/oauth/token", &fields).await
    }

    async fn refresh(&self, family: &Family, token: &str) -> Answered<Answer> {
        self.send(family, "/oauth/token", &[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    }

    async fn revoke(&self, family: &Family, token: &str) -> Answered<Answer> {
        Ok(self.send(family, "/oauth/revoke", &[("token", token)]).await?.expect_status(200))
    }

    async fn introspect(&self, family: &Family, token: &str) -> Answered<Answer> {
        self.send(family, "/oauth/introspect", &[("token", token)]).await
    }

    async fn send(&self, family: &Family, path: &str, fields: &[(&str, &str)]) -> Answered<Answer> {
        let answer = self.party(family.client).try_post(path, fields).await.map_err(Unanswered::CutOff)?;
        if answer.status == 503 {
            assert_eq!(answer.header("retry-after"), Some("2"), "RFC 9110 §10.2.3");
            answer.expect_error("temporarily_unavailable");
            return Err(Unanswered::Away);
        }
        assert!(answer.status.as_u16() < 500, "{path}: {answer:?}");
        self.answers.add_permits(1);
        Ok(answer)
    }

    fn shown(&self, page: reqwest::Result<Page>) -> Answered<Page> {
        let page = page.map_err(Unanswered::CutOff)?;
        if page.status == 503 {
            assert_eq!(page.header("retry-after"), Some("2"), "RFC 9110 §10.2.3");
            return Err(Unanswered::Away);
        }
        assert!(page.status.as_u16() < 500, "{page:?}");
        self.answers.add_permits(1);
        Ok(page)
    }
}

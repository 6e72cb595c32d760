//! `/account/tokens`: personal access tokens.

use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};

use super::Site;
use super::security::{fresh, own_form};
use super::sign_in::{Next, prove};
use super::words::{PlaceView, ScopeView, ago, day, in_reading_order, scope_words, span};
use crate::account::personal_tokens::{Made, NewToken};
use crate::types::{ApiToken, Holder, Params, Resources, Scope, Timestamp, TokenId, User};
use crate::web::browser::Browser;
use crate::web::extract::{PageForm, PageQuery};
use crate::web::respond::{self, PageError, Policy};
use crate::web::{Services, Shared};

type Page = Result<Response, PageError>;

/// How long one may be good, for its maker to choose.
const LIVES: [Duration; 4] = [days(7), days(30), days(90), days(365)];

const fn days(count: u64) -> Duration {
    Duration::from_hours(24 * count)
}

#[derive(Template)]
#[template(path = "tokens.html")]
struct TokensPage {
    site: Site,
    csrf: String,
    username: String,
    notice: Option<&'static str>,
    tokens: Vec<TokenView>,
}

struct TokenView {
    id: String,
    name: String,
    permissions: Vec<String>,
    places: Vec<PlaceView>,
    made: String,
    expires: String,
    has_expired: bool,
    used: Option<String>,
}

#[derive(Template)]
#[template(path = "new_token.html")]
struct NewTokenPage {
    site: Site,
    csrf: String,
    name: String,
    choices: Vec<Choice>,
    lives: Vec<Life>,
    error: Option<&'static str>,
}

/// Something that a token may be for.
struct Choice {
    scope: String,
    words: ScopeView,
    /// Where it means something, besides here.
    places: Vec<PlaceView>,
    chosen: bool,
}

struct Life {
    days: u64,
    words: String,
    chosen: bool,
}

#[derive(Template)]
#[template(path = "token_made.html")]
struct MadePage {
    site: Site,
    token: String,
}

impl TokenView {
    fn of(services: &Services, (token, resources): (&ApiToken, &Resources), now: Timestamp) -> Self {
        // None is not "who they are": these tokens are for no sign-in.
        let scope = if token.scope.is_empty() { Vec::new() } else { in_reading_order(&token.scope) };
        Self {
            id: token.id.to_string(),
            name: token.name.clone(),
            permissions: scope.into_iter().map(|name| scope_words(&services.config, name, None).title).collect(),
            places: token.audience.uris().filter_map(|uri| resources.get(uri)).cloned().map(PlaceView::of).collect(),
            made: ago(token.created_at, now),
            expires: day(token.expires_at),
            has_expired: token.expires_at <= now,
            used: token.used_at.map(|at| ago(at, now)),
        }
    }
}

pub async fn show(State(services): State<Shared>, mut browser: Browser, PageQuery(params): PageQuery) -> Page {
    let now = services.clock.now();
    let Some((_, user)) = services.accounts.signed_in(browser.session(), now).await? else {
        return Ok(prove(&services, Next::Tokens));
    };
    let resources = services.store.resources().await?;
    let tokens = services.store.api_tokens(Some(&Holder::User(user.id))).await?;
    let page = TokensPage {
        site: Site::of(&services),
        csrf: browser.csrf(&services).await?,
        tokens: tokens.iter().map(|token| TokenView::of(&services, (token, &resources), now)).collect(),
        username: user.username,
        // Words from our own list, never text from the address.
        notice: match params.get("done") {
            Some("ended") => Some("The token is ended. It opens nothing any more."),
            _ => None,
        },
    };
    Ok(respond::page(StatusCode::OK, &page, &Policy::default()))
}

pub async fn begin(State(services): State<Shared>, mut browser: Browser) -> Page {
    let Some((_, user)) = fresh(&services, &browser).await? else { return Ok(prove(&services, Next::Tokens)) };
    form(&services, &mut browser, (&user, &Params::default()), None).await
}

pub async fn make(State(services): State<Shared>, mut browser: Browser, PageForm(params): PageForm) -> Page {
    let Some((_, user)) = own_form(&services, &browser, &params).await? else {
        return Ok(prove(&services, Next::Tokens));
    };
    let wanted = match wanted(&services, &params) {
        Ok(wanted) => wanted,
        Err(mistake) => return form(&services, &mut browser, (&user, &params), Some(mistake)).await,
    };
    match services.accounts.make_token(&user, wanted, services.clock.now()).await? {
        Made::Token(token) => Ok(made(&services, &token)),
        Made::TooMany => {
            let mistake = "You have as many tokens as you may have. End one that you do not need any more.";
            form(&services, &mut browser, (&user, &params), Some(mistake)).await
        }
        Made::Gone => Ok(prove(&services, Next::Tokens)),
    }
}

pub async fn end(State(services): State<Shared>, browser: Browser, PageForm(params): PageForm) -> Page {
    // Whoever is signed in may end one: nobody gains by it.
    let Some((_, user)) = super::account::own_form(&services, &browser, params.get("csrf")).await? else {
        return Ok(prove(&services, Next::Tokens));
    };
    let ended = match params.get("token").and_then(TokenId::parse) {
        Some(id) => services.accounts.end_token(&user, id, services.clock.now()).await?,
        None => false,
    };
    Ok(respond::see_other(&services.path(if ended { "/account/tokens?done=ended" } else { "/account/tokens" })))
}

fn made(services: &Services, token: &SecretString) -> Response {
    let page = MadePage { site: Site::of(services), token: token.expose_secret().to_owned() };
    respond::page(StatusCode::OK, &page, &Policy::default())
}

/// What the form asks for, or what is wrong with it.
fn wanted(services: &Services, params: &Params) -> Result<NewToken, &'static str> {
    let name = params.get("name").unwrap_or_default().trim();
    if name.is_empty() || name.chars().count() > 60 || name.chars().any(char::is_control) {
        return Err("Give it a name of at most 60 characters, by which you will know it.");
    }
    let scope = chosen(params);
    if scope.intersection(&services.config.personal_tokens.scope).is_empty() {
        return Err("Choose something that it may do.");
    }
    let lives = lives(services);
    let life = params.get("days").and_then(|days| lives.iter().find(|life| life.as_secs() / 86_400 == parsed(days)));
    let Some(lifetime) = life.copied() else { return Err("Choose how long it is good.") };
    Ok(NewToken { name: name.to_owned(), scope, lifetime })
}

fn parsed(days: &str) -> u64 {
    days.parse().unwrap_or(u64::MAX)
}

/// Each box has a name of its own.
fn chosen(params: &Params) -> Scope {
    Scope::from_tokens(params.pairs().iter().filter_map(|(name, _)| name.strip_prefix("scope:")))
}

/// Those that are not longer than the longest, or the longest alone.
fn lives(services: &Services) -> Vec<Duration> {
    let most = services.config.personal_tokens.max_lifetime;
    let lives: Vec<_> = LIVES.into_iter().filter(|life| *life <= most).collect();
    if lives.is_empty() { vec![most] } else { lives }
}

async fn form(
    services: &Services,
    browser: &mut Browser,
    (user, params): (&User, &Params),
    error: Option<&'static str>,
) -> Page {
    let resources = services.store.resources().await?;
    let (scope, asked) = (services.accounts.personal_scope(user), chosen(params));
    let choice = |name: &str| {
        let own = Scope::from(name);
        Choice {
            scope: name.to_owned(),
            words: scope_words(&services.config, name, Some(user)),
            places: resources.owners(&own).cloned().map(PlaceView::of).collect(),
            chosen: asked.contains(name),
        }
    };
    let lives = lives(services);
    let preset = params.get("days").map_or(30, parsed);
    let page = NewTokenPage {
        site: Site::of(services),
        csrf: browser.csrf(services).await?,
        name: params.get("name").unwrap_or_default().to_owned(),
        choices: scope.tokens().map(choice).collect(),
        lives: lives
            .iter()
            .map(|life| (life.as_secs() / 86_400, life))
            .map(|(days, life)| Life { days, words: span(*life), chosen: days == preset || lives.len() == 1 })
            .collect(),
        error,
    };
    let status = if error.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    Ok(respond::page(status, &page, &Policy::default()))
}

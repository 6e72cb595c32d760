//! `/account/profile`, and what somebody does with their account as a whole: take all of it along, delete it.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};

use super::Site;
use super::error::sentence;
use super::links::NoticePage;
use super::security::{fresh, own_form};
use super::sign_in::{Next, prove};
use crate::account::profile::ProfileChange;
use crate::types::{Fault, Params, User};
use crate::web::browser::Browser;
use crate::web::extract::{PageForm, PageQuery};
use crate::web::respond::{self, PageError, Policy};
use crate::web::{Services, Shared};

type Page = Result<Response, PageError>;

#[derive(Template)]
#[template(path = "profile.html")]
struct ProfilePage {
    site: Site,
    csrf: String,
    username: String,
    fields: Vec<Field>,
    /// What is wrong with the whole of it.
    error: Option<&'static str>,
    notice: Option<&'static str>,
    may_delete: bool,
}

struct Field {
    name: String,
    label: &'static str,
    kind: &'static str,
    autocomplete: &'static str,
    value: String,
    mistake: Option<String>,
}

#[derive(Template)]
#[template(path = "delete_account.html")]
struct DeletePage {
    site: Site,
    csrf: String,
    username: String,
    error: Option<&'static str>,
}

/// What a claim is called, what is typed into its field, and what a browser may fill in (HTML, "Autofill").
fn words(claim: &str) -> (&'static str, &'static str, &'static str) {
    match claim {
        "name" => ("Full name", "text", "name"),
        "given_name" => ("First name", "text", "given-name"),
        "middle_name" => ("Middle name", "text", "additional-name"),
        "family_name" => ("Last name", "text", "family-name"),
        "nickname" => ("Nickname", "text", "nickname"),
        "picture" => ("Address of a picture of you", "url", "photo"),
        "profile" => ("Address of your profile page", "url", "off"),
        "website" => ("Website", "url", "url"),
        "phone_number" => ("Telephone, as in +49 30 1234567", "tel", "tel"),
        "gender" => ("Gender", "text", "sex"),
        "birthdate" => ("Birthday, as in 1990-12-31", "text", "bday"),
        "zoneinfo" => ("Time zone, as in Europe/Paris", "text", "off"),
        _ => ("Language, as in en-GB", "text", "language"),
    }
}

pub async fn show(State(services): State<Shared>, mut browser: Browser, PageQuery(params): PageQuery) -> Page {
    let now = services.clock.now();
    let Some((_, user)) = services.accounts.signed_in(browser.session(), now).await? else {
        return Ok(prove(&services, Next::Profile));
    };
    let notice = (params.get("done") == Some("changed")).then_some("Your profile is changed.");
    form(&services, &mut browser, &user, Shown { notice, ..Shown::default() }).await
}

pub async fn change(State(services): State<Shared>, mut browser: Browser, PageForm(params): PageForm) -> Page {
    let Some((session, user)) = super::account::own_form(&services, &browser, params.get("csrf")).await? else {
        return Ok(prove(&services, Next::Profile));
    };
    let typed = Some(params.pairs());
    match services.accounts.change_profile(&session, &user, params.pairs(), services.clock.now()).await? {
        ProfileChange::Done => Ok(respond::see_other(&services.path("/account/profile?done=changed"))),
        ProfileChange::Mistakes(mistakes) => {
            form(&services, &mut browser, &user, Shown { typed, mistakes, ..Shown::default() }).await
        }
        ProfileChange::Forestalled => {
            let error = Some("Your account was changed at the same time. Look again, and save once more.");
            form(&services, &mut browser, &user, Shown { typed, error, ..Shown::default() }).await
        }
    }
}

/// What a form shows besides what is known.
#[derive(Default)]
struct Shown<'a> {
    typed: Option<&'a [(String, String)]>,
    mistakes: Vec<(String, String)>,
    error: Option<&'static str>,
    notice: Option<&'static str>,
}

async fn form(services: &Services, browser: &mut Browser, user: &User, shown: Shown<'_>) -> Page {
    let field = |name: &String| {
        let (label, kind, autocomplete) = words(name);
        let typed = shown.typed.and_then(|typed| typed.iter().find(|(own, _)| own == name));
        let known = || user.claims.get(name).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
        // "birthdate is a date, as in …"
        let what = |why: &String| sentence(why.split_once(" is ").map_or(why.as_str(), |(_, what)| what));
        let mistake = shown.mistakes.iter().find(|(own, _)| own == name).map(|(_, why)| what(why));
        let value = typed.map_or_else(known, |(_, value)| value.clone());
        Field { name: name.clone(), label, kind, autocomplete, value, mistake }
    };
    let page = ProfilePage {
        site: Site::of(services),
        csrf: browser.csrf(services).await?,
        username: user.username.clone(),
        fields: services.config.account.editable.iter().map(field).collect(),
        error: shown.error,
        notice: shown.notice,
        may_delete: services.config.account.may_delete,
    };
    let failed = page.error.is_some() || !shown.mistakes.is_empty();
    let status = if failed { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    Ok(respond::page(status, &page, &Policy::default()))
}

/// All that is kept of somebody, as a file.
pub async fn data(State(services): State<Shared>, browser: Browser, PageForm(params): PageForm) -> Page {
    let Some((session, user)) = own_form(&services, &browser, &params).await? else {
        return Ok(prove(&services, Next::Profile));
    };
    let data = services.accounts.data_of(&session, &user, services.clock.now()).await?;
    let text = serde_json::to_string_pretty(&data).map_err(Fault::internal)?;
    let headers = [(CONTENT_TYPE, "application/json"), (CONTENT_DISPOSITION, "attachment; filename=\"account.json\"")];
    Ok((headers, text).into_response())
}

pub async fn ask_to_delete(State(services): State<Shared>, mut browser: Browser) -> Page {
    let Some((_, user)) = fresh(&services, &browser).await? else { return Ok(prove(&services, Next::Profile)) };
    delete_page(&services, &mut browser, user, None).await
}

pub async fn delete(State(services): State<Shared>, mut browser: Browser, PageForm(params): PageForm) -> Page {
    let Some((session, user)) = own_form(&services, &browser, &params).await? else {
        return Ok(prove(&services, Next::Profile));
    };
    if !is_meant(&params, &user) {
        return delete_page(&services, &mut browser, user, Some("That is not your user name.")).await;
    }
    if !services.accounts.delete_own(&user, services.clock.now()).await? {
        return Ok(respond::see_other(&services.path("/account")));
    }
    browser.leave(&services, session.id).await?;
    let page = NoticePage {
        site: Site::of(&services),
        icon: "check",
        title: "Your account is deleted",
        lead: "All that was kept of it here is gone.".to_owned(),
        hint: None,
        action: None,
    };
    Ok(respond::page(StatusCode::OK, &page, &Policy::default()))
}

/// Nobody deletes an account by pressing once.
fn is_meant(params: &Params, user: &User) -> bool {
    params.get("username").is_some_and(|typed| typed.trim().to_lowercase() == user.username.to_lowercase())
}

async fn delete_page(services: &Services, browser: &mut Browser, user: User, error: Option<&'static str>) -> Page {
    let page =
        DeletePage { site: Site::of(services), csrf: browser.csrf(services).await?, username: user.username, error };
    let status = if error.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    Ok(respond::page(status, &page, &Policy::default()))
}

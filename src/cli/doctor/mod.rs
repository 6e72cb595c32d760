//! `grantor doctor`: what RFC 9700 and FAPI 2.0 would object to.
//!
//! It asks the list by which the profile refuses (`oauth::profile`). Nothing is changed.

use std::fmt;

use clap::Args;
use serde::Serialize;

use super::{Admin, output};
use crate::config::{Config, Overrides};
use crate::oauth::profile::{self, CLIENT_RULES, Kept, Rule, SERVER_RULES, Severity, Standard};
use crate::oauth::resource;
use crate::types::{Algorithm, Client, ClientId, ClientMetadata, Resource, Resources};

#[derive(Args)]
pub struct Doctor {
    /// Print the findings as JSON.
    #[arg(long)]
    json: bool,
    /// Say what FAPI 2.0 would object to where its profile is not asked for, too.
    #[arg(long)]
    fapi: bool,
}

/// The report, where RFC 9700 or RFC 9068 objects: the command ends with 1.
#[derive(Debug)]
pub struct Objections(pub String);

impl fmt::Display for Objections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Objections {}

/// One thing that could be otherwise.
#[derive(Serialize)]
struct Finding {
    severity: Severity,
    standard: Standard,
    section: &'static str,
    /// Neither is the server.
    client: Option<ClientId>,
    resource: Option<String>,
    what: String,
    why: &'static str,
    remedy: String,
}

impl Doctor {
    pub async fn run(self, overrides: &Overrides) -> anyhow::Result<String> {
        let admin = Admin::open_existing(overrides).await?;
        let clients = admin.store.clients().await?;
        let resources = admin.store.resources().await?;
        let strict = |client: &Client| profile::applies(&admin.config, &client.metadata);
        // FAPI 2.0 is for those who ask for it.
        let told = |finding: &Finding| {
            finding.standard != Standard::Fapi2
                || self.fapi
                || clients
                    .iter()
                    .any(|client| strict(client) && finding.client.as_ref().is_none_or(|id| *id == client.id))
        };
        let found = examine(&admin.config, &clients).into_iter().chain(unsigned(&admin.config, &resources));
        let (findings, untold): (Vec<_>, Vec<_>) = found.partition(told);
        let report = if self.json { output::json(&findings)? } else { text(&findings, (untold.len(), clients.len())) };
        if findings.iter().any(Finding::is_objection) {
            return Err(Objections(report).into());
        }
        Ok(report)
    }
}

impl Finding {
    /// FAPI 2.0 is not for everybody.
    fn is_objection(&self) -> bool {
        self.standard != Standard::Fapi2 && self.severity != Severity::Advice
    }
}

/// The server first, then each client that is let in; of each the worst first.
fn examine(config: &Config, clients: &[Client]) -> Vec<Finding> {
    let nobody = ClientMetadata::default();
    let held = profile::applies_to_all(config);
    let mut findings = broken(config, SERVER_RULES, (&nobody, held), None);
    for client in clients.iter().filter(|client| !client.is_disabled()) {
        let held = profile::applies(config, &client.metadata);
        findings.extend(broken(config, CLIENT_RULES, (&client.metadata, held), Some(&client.id)));
    }
    findings
}

/// Resources whose tokens nobody can sign, or with a key alone that is changed no more.
fn unsigned(config: &Config, resources: &Resources) -> Vec<Finding> {
    let finding = |(resource, algorithm): (&Resource, Algorithm)| Finding {
        severity: Severity::Error,
        standard: Standard::Rfc9068,
        section: "§2.1",
        client: None,
        resource: Some(resource.uri.to_string()),
        what: format!("its tokens are signed with {algorithm}, which keys.algorithms has not"),
        why: "there is no such key, or one that is not rotated any more",
        remedy: format!(
            "add {algorithm} to keys.algorithms, or: grantor resource update {} --clear access-token-alg",
            resource.uri
        ),
    };
    resource::unsigned(config, resources).map(finding).collect()
}

fn broken(
    config: &Config,
    rules: &[Rule],
    (client, held): (&ClientMetadata, bool),
    id: Option<&ClientId>,
) -> Vec<Finding> {
    // What the profile sees to is so, whatever is registered.
    let open = rules.iter().filter(|rule| !(held && rule.kept == Kept::Switch));
    let finding = |rule: &Rule| {
        Some(Finding {
            severity: rule.severity,
            standard: rule.of,
            section: rule.section,
            client: id.cloned(),
            resource: None,
            what: (rule.broken)(config, client)?,
            why: rule.why,
            remedy: id.map_or_else(|| rule.remedy.to_owned(), |id| rule.remedy.replace(" ID ", &format!(" {id} "))),
        })
    };
    let mut findings: Vec<Finding> = open.filter_map(finding).collect();
    findings.sort_by_key(|finding| (finding.standard as u8, finding.severity));
    findings
}

fn text(findings: &[Finding], (untold, clients): (usize, usize)) -> String {
    let mut text = String::new();
    for finding in findings {
        let whose = match (&finding.client, &finding.resource) {
            (Some(id), _) => format!("client {id}"),
            (None, Some(uri)) => format!("resource {uri}"),
            (None, None) => "server".to_owned(),
        };
        let severity = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Advice => "advice",
        };
        let standard = match finding.standard {
            Standard::Rfc9068 => "RFC 9068",
            Standard::Rfc9700 => "RFC 9700",
            Standard::Fapi2 => "FAPI 2.0",
        };
        text += &format!("{severity}: {whose}: {} ({standard} {})\n", finding.what, finding.section);
        text += &format!("  {}\n  To do: {}\n", finding.why, finding.remedy);
    }
    let of_rfc_9700 = |finding: &&Finding| finding.standard == Standard::Rfc9700 && finding.is_objection();
    let objections = findings.iter().filter(of_rfc_9700).count();
    let strict = findings.iter().filter(|finding| finding.standard == Standard::Fapi2).count();
    let more = if untold == 0 { String::new() } else { format!(", and {untold} that --fapi tells") };
    let total = format!("RFC 9700: {objections} objections. FAPI 2.0: {strict}{more}. Clients: {clients}.\n");
    text + if findings.is_empty() { "" } else { "\n" } + &total
}

//! What discovery says of the provider, learnt when it is first needed.

use std::{sync::Arc, time::Duration};

use openidconnect::{
    AdditionalProviderMetadata, ClientId, ClientSecret, DiscoveryError, EndSessionUrl, EndpointMaybeSet,
    EndpointNotSet, EndpointSet, IntrospectionUrl, IssuerUrl, ProviderMetadata, RedirectUrl,
    core::{
        CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClient, CoreClientAuthMethod, CoreGrantType, CoreJsonWebKey,
        CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreResponseMode, CoreResponseType,
        CoreSubjectIdentifierType,
    },
};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use url::Url;

use super::{
    App,
    http::{GRANTOR, HttpError, NOTES, Recorder},
    session::Notice,
};

/// The members that OpenID Connect Discovery leaves to other specifications (RFC 8414, RP-Initiated Logout, RFC 9207).
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Extra {
    pub revocation_endpoint: Option<Url>,
    pub introspection_endpoint: Option<IntrospectionUrl>,
    pub end_session_endpoint: Option<EndSessionUrl>,
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

impl AdditionalProviderMetadata for Extra {}

type Metadata = ProviderMetadata<
    Extra,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// A client made from discovery: it can authorize, and perhaps more.
pub type RelyingParty =
    CoreClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointMaybeSet, EndpointMaybeSet>;

pub struct Known {
    pub client: RelyingParty,
    pub extra: Extra,
}

#[derive(Default)]
pub struct Provider(Mutex<Option<Arc<Known>>>);

impl Provider {
    /// What is known, asked for when it is not. Both servers start at once, so a refused connection is tried again.
    pub async fn known(&self, app: &App) -> Result<Arc<Known>, Notice> {
        let mut known = self.0.lock().await;
        if let Some(known) = &*known {
            return Ok(Arc::clone(known));
        }
        let mut tries = 10;
        let found = loop {
            match discover(app).await {
                Err(Trouble::NotYet(_)) if tries > 1 => tokio::time::sleep(Duration::from_millis(200)).await,
                other => break other,
            }
            tries -= 1;
        };
        let found = Arc::new(found.map_err(|trouble| trouble.notice(&app.demo.issuer))?);
        *known = Some(Arc::clone(&found));
        Ok(found)
    }

    /// Its keys may have changed: asks again next time.
    pub async fn forget(&self) {
        *self.0.lock().await = None;
    }
}

enum Trouble {
    /// Nothing listens there, or not yet.
    NotYet(String),
    Away(String),
    Strange(String),
}

impl Trouble {
    fn notice(self, issuer: &str) -> Notice {
        match self {
            Self::NotYet(why) | Self::Away(why) => Notice::warn(
                "Grantor does not answer",
                format!(
                    "Notes asked {issuer} and heard nothing ({why}). If it has just been started, try again in a moment."
                ),
            ),
            Self::Strange(why) => Notice::warn(
                "Grantor’s description of itself could not be used",
                format!("Notes read {issuer}/.well-known/openid-configuration and found: {why}"),
            ),
        }
    }
}

impl From<DiscoveryError<HttpError>> for Trouble {
    fn from(error: DiscoveryError<HttpError>) -> Self {
        match error {
            DiscoveryError::Request(HttpError::Transport(error)) if error.is_connect() => {
                Self::NotYet(HttpError::from(error).to_string())
            }
            DiscoveryError::Request(error) => Self::Away(error.to_string()),
            other => Self::Strange(other.to_string()),
        }
    }
}

async fn discover(app: &App) -> Result<Known, Trouble> {
    let strange = |error: url::ParseError| Trouble::Strange(error.to_string());
    let issuer = IssuerUrl::new(app.demo.issuer.clone()).map_err(strange)?;
    let redirect = RedirectUrl::new(format!("{}/callback", app.demo.app_url)).map_err(strange)?;
    // Its exchanges are the same for everybody, so they are not shown.
    let http = Recorder::new(app, NOTES, GRANTOR);
    let metadata = Metadata::discover_async(issuer, &http).await?;
    let extra = metadata.additional_metadata().clone();
    let id = ClientId::new(app.demo.client_id.clone());
    let secret = ClientSecret::new(app.demo.client_secret.expose_secret().to_owned());
    let client = CoreClient::from_provider_metadata(metadata, id, Some(secret)).set_redirect_uri(redirect);
    Ok(Known { client, extra })
}

//! `grantor client verify`.

use anyhow::bail;
use clap::Args;

use crate::cli::Admin;
use crate::types::ClientId;

#[derive(Args)]
pub struct Verify {
    id: ClientId,
    /// Take it over: its registration access token ends, so that only administrators change it from now on.
    #[arg(long, conflicts_with = "undo")]
    take_over: bool,
    /// Warn users of it again.
    #[arg(long)]
    undo: bool,
}

impl Verify {
    pub async fn run(self, admin: &Admin) -> anyhow::Result<String> {
        let verified = admin.change_client(&self.id, async |client| {
            let Some(registration) = &mut client.registration else {
                bail!("{} was made by an administrator, so there is nothing to verify", client.id);
            };
            registration.verified = !self.undo;
            if self.take_over {
                client.registration = None;
            }
            Ok(())
        });
        let client = verified.await?;
        let name = client.metadata.client_name;
        Ok(match (self.undo, self.take_over) {
            (true, _) => format!("{name} is not verified any more: users are warned of it.\n"),
            (false, true) => format!("{name} is verified, and only administrators change it from now on.\n"),
            (false, false) => format!("{name} is verified, until it changes what is registered of it.\n"),
        })
    }
}

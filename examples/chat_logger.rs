//! Logs a public chat: the last day from a mailserver, then what is sent, each message once.
//!
//! `cargo run --example chat_logger -- enode://…MAILSERVER status`

#![allow(clippy::print_stdout)]

use std::{env, error::Error, time::SystemTime};

use statuskit::{
    chat::Destination,
    client::{Client, Event, HistorySource},
    envelope::SymKey,
    mailserver::Access,
};
use statuskit_core::time::UnixSeconds;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let given: Vec<_> = env::args().skip(1).collect();
    let [mailserver, chat] = &given[..] else { return Err("expected a mailserver, a chat".into()) };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs() as u32;
    let source = HistorySource {
        mailserver: mailserver.parse()?,
        access: Access::Password(SymKey::from_password("status-offline-inbox")),
        since: UnixSeconds(now - 86_400),
    };
    let builder = Client::builder().join(&Destination::public(chat)).history(source);
    let mut client = builder.start().await?;
    client.connect().await?;
    while let Some(event) = client.next().await {
        if let Event::Message { message, .. } = event {
            let author = message.author().map(ToString::to_string).unwrap_or_default();
            println!("{}\t{author}\t{}", message.sent(), message.text().unwrap_or("(no text)"));
        }
    }
    Ok(())
}

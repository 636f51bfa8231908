//! Answers every private message with its text.
//!
//! `cargo run --example echo_bot -- enode://… DIRECTORY_OF_ITS_STATE`

#![allow(clippy::print_stdout)]

use std::{env, error::Error};

use statuskit::{
    chat::Destination,
    client::{Client, Event, SharedState},
    crypto::SecretKey,
    payload::Chat,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let given: Vec<_> = env::args().skip(1).collect();
    let [peer, state] = &given[..] else { return Err("expected a peer and a directory".into()) };
    let key: SecretKey = env::var("BOT_KEY")?.parse()?;
    println!("{}", key.public_key());
    // Other programs may use the state meanwhile: `status-send --state` for one.
    let state = SharedState::new(state, None);
    let builder = Client::builder().peer(peer.parse()?).identity(key).state(state);
    let mut client = builder.start().await?;
    client.connect().await?;
    while let Some(event) = client.next().await {
        let Event::Message { message, .. } = event else { continue };
        if let (Some(Chat::OneToOne(author)), Some(text)) = (message.chat(), message.text()) {
            let to = Destination::Person(author);
            client.send_text(&to, &format!("echo: {text}")).await?;
        }
    }
    Ok(())
}

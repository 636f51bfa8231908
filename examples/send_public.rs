//! Sends one message to a public chat, and waits until a peer has it.
//!
//! `cargo run --example send_public -- enode://… status 'hello, world'`

#![allow(clippy::print_stdout)]

use std::error::Error;

use statuskit::{chat::Destination, client::Client};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let [peer, chat, text] = arguments()?;
    let chat = Destination::public(&chat);
    let mut client = Client::builder().peer(peer.parse()?).start().await?;
    client.connect().await?;
    let id = client.send_text(&chat, &text).await?;
    let delivery = client.written(id).await?;
    println!("{id} confirmed by {} of {} peers", delivery.confirmed(), delivery.peers.len());
    client.close().await?;
    Ok(())
}

fn arguments<const N: usize>() -> Result<[String; N], String> {
    let given: Vec<_> = std::env::args().skip(1).collect();
    given.try_into().map_err(|_| format!("expected {N} arguments: see the first lines"))
}

//! Opens a captured envelope of a public chat, and says what is in it.
//!
//! `cargo run --no-default-features --example decode_envelope -- HEX status`

#![allow(clippy::print_stdout)]

use std::{env, error::Error, sync::Arc};

use statuskit::{
    chat::{KeyRing, PublicChat, ReceivedMessage},
    envelope::Envelope,
};

fn main() -> Result<(), Box<dyn Error>> {
    let given: Vec<_> = env::args().skip(1).collect();
    let [digits, chat] = &given[..] else { return Err("expected an envelope and a chat".into()) };
    let envelope = Envelope::decode(&hex::decode(digits.trim_start_matches("0x"))?)?;
    println!("topic {} expiry {} pow {}", envelope.topic(), envelope.expiry(), envelope.pow(0));
    let mut ring = KeyRing::new();
    ring.add_chat(&PublicChat::new(chat));
    let opened = ring.open(&envelope)?;
    let message = ReceivedMessage::read(Arc::new(envelope), Arc::new(opened), &ring);
    println!("author {:?}", message.author().map(ToString::to_string));
    println!("text {:?}", message.text());
    println!("clients reject it: {:?}", message.rejection());
    Ok(())
}

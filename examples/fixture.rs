//! Makes a fixture: the same seed and time give the same envelope, on every machine.
//!
//! `cargo run --no-default-features --example fixture -- SEED status 'hello, world'`

#![allow(clippy::print_stdout)]

use std::{env, error::Error};

use statuskit::{
    chat::{ComposeOptions, Composer, Destination, POW_TARGET},
    crypto::{SecretKey, seeded_rng},
    envelope::{MineOptions, mine_envelope},
};
use statuskit_core::time::UnixMillis;

fn main() -> Result<(), Box<dyn Error>> {
    let given: Vec<_> = env::args().skip(1).collect();
    let [seed, chat, text] = &given[..] else { return Err("expected a seed, chat, text".into()) };
    let mut rng = seeded_rng(seed);
    let author = SecretKey::generate(&mut rng);
    let mut composer = Composer::new(Destination::public(chat), Some(author));
    let now_ms = 1_585_500_000_000;
    let composed = composer.text(text, &ComposeOptions::default(), UnixMillis(now_ms), &mut rng)?;
    let mined = mine_envelope(&composed.envelope, POW_TARGET, &MineOptions::default())?;
    println!("0x{}", hex::encode(mined.envelope.raw()));
    Ok(())
}

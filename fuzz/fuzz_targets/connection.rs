//! Any bytes at any stage of a connection: the handshake of either side, Hello, frames.
#![no_main]

use libfuzzer_sys::fuzz_target;
use statuskit_core::{
    crypto::{SecretKey, seeded_rng},
    devp2p::{
        base::Hello,
        frame::FrameReader,
        handshake::{Format, Initiator, Randomness, Responder, Step},
        snappy,
    },
};

fuzz_target!(|data: &[u8]| {
    let Some((&stage, mut rest)) = data.split_first() else { return };
    let mut rng = seeded_rng("fuzz");
    let (ours, theirs) = (SecretKey::generate(&mut rng), SecretKey::generate(&mut rng));
    match stage % 5 {
        0 => {
            let _ = Responder::new(&ours).read(&mut rest);
        }
        1 => {
            let format = if stage & 0x80 == 0 { Format::Eip8 } else { Format::Plain };
            let random = Randomness::generate(&mut rng);
            let initiator = Initiator::with(&ours, theirs.public_key(), format, random);
            let _ = initiator.read(&mut rest);
        }
        2 => {
            let _ = Hello::from_first_message(0, rest);
        }
        3 => {
            let _ = snappy::decompress(rest, 1 << 16);
        }
        _ => {
            // Tests cover frames under the right keys; these are under wrong ones.
            let initiator = Initiator::new(&ours, theirs.public_key(), &mut rng);
            let mut auth = initiator.auth();
            let Ok(Step::Done(received)) = Responder::new(&theirs).read(&mut auth) else {
                panic!("our own auth is read");
            };
            let (_, secrets) = received.accept(&mut rng);
            let (_, mut reader): (_, FrameReader) = secrets.into_frames(1 << 16);
            while let Ok(Some(_)) = reader.read(&mut rest) {}
        }
    }
});

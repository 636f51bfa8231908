use proptest::prelude::*;

use super::*;

fn halves(max_body: usize) -> (FrameWriter, FrameReader) {
    let mut state = RunningKeccak::new();
    state.absorb(b"start");
    (
        FrameWriter::new(&[1; 32], &[2; 32], state.clone()),
        FrameReader::new(&[1; 32], &[2; 32], state, max_body),
    )
}

/// Makes a whole frame with any body, including those that [`FrameWriter`] rejects.
fn raw(writer: &mut FrameWriter, size: usize, header_data: [u8; 3], body: &[u8]) -> Vec<u8> {
    let mut header = [0xee; BLOCK];
    header[..3].copy_from_slice(&(size as u32).to_be_bytes()[1..]);
    header[3..6].copy_from_slice(&header_data);
    writer.cipher.apply(&mut header);
    let mut out = header.to_vec();
    out.extend_from_slice(&writer.mac.header(&header));
    let mut body = body.to_vec();
    body.resize(body.len().next_multiple_of(BLOCK), 0);
    writer.cipher.apply(&mut body);
    out.extend_from_slice(&body);
    out.extend_from_slice(&writer.mac.body(&body));
    out
}

#[test]
fn codes_and_sizes() {
    let (mut writer, mut reader) = halves(MAX_BODY);
    for code in [0, 1, 127, 128, 143, 255, 256, u64::MAX] {
        for length in [0, 1, 13, 14, 15, 16, 17, 1000] {
            let mut out = Vec::new();
            let payload = vec![0x5a; length];
            writer.encode(code, &payload, &mut out).unwrap();
            assert_eq!(out.len() % BLOCK, 0);
            let mut input = &out[..];
            let frame = reader.read(&mut input).unwrap().unwrap();
            assert_eq!(frame, Frame { code, payload });
            assert!(input.is_empty());
            assert_eq!(writer.mac_digest(), reader.mac_digest());
        }
    }
}

#[test]
fn size_limits() {
    let (mut writer, mut reader) = halves(100);
    let mut out = Vec::new();
    let too_large = vec![0; MAX_BODY];
    assert_eq!(
        writer.encode(1, &too_large, &mut out),
        Err(FrameError::TooLarge { got: MAX_BODY + 1, max: MAX_BODY })
    );
    assert!(out.is_empty());
    writer.encode(1, &[0; 99], &mut out).unwrap();
    assert!(reader.read(&mut &out[..]).unwrap().is_some());
    out.clear();
    writer.encode(1, &[0; 100], &mut out).unwrap();
    let mut header_only = &out[..HEADER];
    assert_eq!(
        reader.read(&mut header_only),
        Err(FrameError::TooLarge { got: 101, max: 100 }),
        "rejected before the body arrives"
    );
    assert_eq!(reader.read(&mut &out[HEADER..]), Err(FrameError::Broken));
}

#[test]
fn bodies_without_a_code_are_rejected() {
    for body in
        [&[][..], &[0x00], &[0x81, 0x01], &[0xc0], &[0x82, 1], &[0x89, 1, 0, 0, 0, 0, 0, 0, 0, 0]]
    {
        let (mut writer, mut reader) = halves(100);
        let frame = raw(&mut writer, body.len(), HEADER_DATA, body);
        let error = reader.read(&mut &frame[..]).unwrap_err();
        assert!(matches!(error, FrameError::Code(_)), "{body:x?}: {error}");
    }
    let (mut writer, mut reader) = halves(100);
    let frame = raw(&mut writer, 2, [1, 2, 3], &[5, 6, 0xff]);
    let frame = reader.read(&mut &frame[..]).unwrap().unwrap();
    assert_eq!(frame, Frame { code: 5, payload: vec![6] }, "header data and padding ignored");
}

proptest! {
    #[test]
    fn cut_anywhere(
        payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 1..5),
        cuts in proptest::collection::vec(1usize..40, 1..60),
    ) {
        let (mut writer, mut reader) = halves(MAX_BODY);
        let mut out = Vec::new();
        for (code, payload) in payloads.iter().enumerate() {
            writer.encode(code as u64, payload, &mut out).unwrap();
        }
        let mut read = Vec::new();
        let mut rest = &out[..];
        let mut cuts = cuts.iter().cycle();
        while !rest.is_empty() {
            let cut = (*cuts.next().unwrap()).min(rest.len());
            let (mut piece, behind) = rest.split_at(cut);
            rest = behind;
            while let Some(frame) = reader.read(&mut piece).unwrap() {
                read.push(frame.payload);
            }
        }
        prop_assert_eq!(read, payloads);
    }

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let (_, mut reader) = halves(MAX_BODY);
        let result = reader.read(&mut &bytes[..]);
        if bytes.len() < HEADER {
            prop_assert_eq!(result, Ok(None));
        } else {
            prop_assert_eq!(result, Err(FrameError::HeaderMac));
        }
    }

    #[test]
    fn flipped_bits_are_detected(at in 0usize..1000, bit in 0u8..8, length in 0usize..60) {
        let (mut writer, mut reader) = halves(MAX_BODY);
        let mut out = Vec::new();
        writer.encode(3, &vec![9; length], &mut out).unwrap();
        let at = at % out.len();
        out[at] ^= 1 << bit;
        let expected = if at < HEADER { FrameError::HeaderMac } else { FrameError::BodyMac };
        prop_assert_eq!(reader.read(&mut &out[..]), Err(expected));
    }
}

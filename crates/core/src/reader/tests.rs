mod oddities;
mod spellings;

use self::spellings::{hex, spellings};
use super::*;

/// Bytes of every kind: a list that says its length, so that it is known when it is whole.
fn value(length: usize) -> Vec<u8> {
    let mut bytes = vec![0xf9, (length >> 8) as u8, length as u8];
    bytes.extend((0..length).map(|at| match at % 7 {
        0 => b' ',
        1 => b'a' + (at % 26) as u8,
        2 => b'"',
        3 => b'\\',
        _ => (at * 37 + at / 256) as u8,
    }));
    bytes
}

fn is_value(bytes: &[u8]) -> bool {
    matches!(bytes, [0xf9, high, low, rest @ ..]
        if rest.len() == usize::from(*high) << 8 | usize::from(*low))
}

fn wants() -> Wants {
    Wants::whole(is_value)
}

#[test]
fn every_spelling_is_read() {
    let mut failed = Vec::new();
    let mut count = 0;
    for length in [256, 300, 317, 4098] {
        let bytes = value(length);
        for (name, text) in spellings(&bytes) {
            count += 1;
            let found = read_all(text.as_bytes(), wants());
            let ok = match &found[..] {
                [Ok(Item { content: Content::Bytes(reading), .. })] => reading.bytes == bytes,
                _ => false,
            };
            if !ok {
                let shown: Vec<_> = found
                    .iter()
                    .map(|item| match item {
                        Ok(Item { content: Content::Bytes(it), .. }) => it.describe(),
                        Ok(_) => "a record".to_owned(),
                        Err(error) => error.to_string(),
                    })
                    .take(3)
                    .collect();
                failed.push(format!("{name} ({length}): {} {shown:?}", found.len()));
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(count >= 200, "{count}");
}

#[test]
fn what_is_whole_is_found_whatever_is_around_it() {
    let mut failed = Vec::new();
    let mut count = 0;
    for length in [256, 301] {
        let bytes = value(length);
        for (name, text) in oddities::oddities(&bytes) {
            count += 1;
            let found = short(&text, wants());
            if !matches!(&found[..], [Short::Bytes(_, it)] if *it == bytes) {
                let shown = found.iter().take(3).map(|it| match it {
                    Short::Bytes(line, bytes) => format!("{line}: {} bytes", bytes.len()),
                    other => format!("{other:?}"),
                });
                let shown: Vec<_> = shown.collect();
                failed.push(format!("{name} ({length}): {} {shown:?}", found.len()));
            }
        }
    }
    assert!(failed.is_empty(), "{} of {count}:\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn lines_beside_a_value_are_passed_over_and_others_are_errors() {
    let whole = format!("0x{}", hex(&value(40)));
    let cases = [
        (format!("hello there\n{whole}\n"), 2),
        (format!("{whole}\nhello there\n{whole}\n"), 3),
        (format!("```\nhello there\n{whole}\n```\n"), 1),
        (format!("$ cat e.hex\n{whole}\n$ \n"), 1),
        ("$ cat e.hex\n".to_owned(), 1),
    ];
    for (text, count) in cases {
        assert_eq!(short(text.as_bytes(), wants()).len(), count, "{text}");
    }
    // Two values in one text of no grammar are told, not guessed.
    let text = format!("first 0x{} then 0x{}.", hex(&value(40)), hex(&value(41)));
    assert_eq!(short(text.as_bytes(), wants()), [Short::Error(1, "input.ambiguous")]);
}

/// What comes out, in short: `Ok(bytes)`, a record as its members, an error as its code.
#[derive(Debug, PartialEq)]
enum Short {
    Bytes(u64, Vec<u8>),
    Record(u64, String),
    Error(u64, &'static str),
}

fn short(input: &[u8], wants: Wants) -> Vec<Short> {
    let items = read_all(input, wants).into_iter();
    items
        .map(|item| match item {
            Ok(Item { line, content: Content::Bytes(reading), .. }) => {
                Short::Bytes(line, reading.bytes)
            }
            Ok(Item { line, content: Content::Record(members), .. }) => {
                Short::Record(line, Value::Object(members).to_string())
            }
            Err(error) => Short::Error(error.line, error.problem.code()),
        })
        .collect()
}

/// The one reading of a text.
fn one(text: &str) -> Item {
    let mut items = read_all(text.as_bytes(), Wants::any_bytes());
    assert_eq!(items.len(), 1, "{text}: {items:?}");
    items.remove(0).unwrap()
}

fn bytes_of(item: &Item) -> &Reading {
    match &item.content {
        Content::Bytes(reading) => reading,
        Content::Record(members) => panic!("a record: {members:?}"),
    }
}

#[test]
fn whole_lines_are_records_and_wrapped_lines_are_one() {
    let (a, b) = (value(45), value(256));
    let lines = format!("{}\n{}\n0x{}\n", hex(&a), hex(&a), hex(&b));
    let expected =
        [Short::Bytes(1, a.clone()), Short::Bytes(2, a.clone()), Short::Bytes(3, b.clone())];
    assert_eq!(short(lines.as_bytes(), wants()), expected);
    // Wrapped ones follow each other behind a blank line, or where a prefix begins the next.
    let wrap = |text: &str| {
        text.as_bytes()
            .chunks(60)
            .map(|it| String::from_utf8_lossy(it).into_owned() + "\n")
            .collect::<String>()
    };
    for between in ["\n", ""] {
        let text = format!(
            "{}{between}{}",
            wrap(&format!("0x{}", hex(&b))),
            wrap(&format!("0x{}", hex(&a)))
        );
        let found = short(text.as_bytes(), wants());
        assert!(
            matches!(&found[..], [Short::Bytes(1, x), Short::Bytes(_, y)] if (x, y) == (&b, &a)),
            "{found:?}"
        );
    }
    // Neither the lines nor the whole are what is looked for: still one value, with one error.
    let cut = wrap(&hex(&b[..100]));
    assert_eq!(short(cut.as_bytes(), wants()), [Short::Bytes(1, b[..100].to_vec())]);
    // Lines of many widths are values of their own.
    let odd = "00112233445566778899\n00112233445566778899aabb\n";
    assert_eq!(short(odd.as_bytes(), wants()).len(), 2);
}

#[test]
fn a_line_is_ready_when_it_is_whole() {
    let (whole, mut reader) = (value(64), Reader::new(wants()));
    reader.line(format!("{}\n", hex(&whole)).as_bytes());
    assert!(reader.pop().is_some() && reader.pop().is_none());
    reader.line(b"{\"type\":\"x\"}\n");
    assert!(reader.pop().is_some());
    // Half a document is ready with its end.
    reader.line(b"{\"type\":\n");
    assert!(reader.pop().is_none());
    reader.line(b"\"x\"}\n");
    assert_eq!(reader.pop().unwrap().unwrap().line, 3);
    // A bad line does not hold up those behind it.
    reader.line(b"{\"type\":\"x\n");
    assert_eq!(reader.pop().unwrap().unwrap_err().problem.code(), "input.json");
    reader.line(b"{\"a\":1,\n");
    reader.line(b"{\"type\":\"y\"}\n");
    assert_eq!(reader.pop().unwrap().unwrap_err().line, 6);
    assert_eq!(reader.pop().unwrap().unwrap().line, 7);
    assert_eq!(reader.number(), 7);
}

#[test]
fn documents_give_what_is_looked_for() {
    let (a, b) = (value(40), value(41));
    let (hex_a, hex_b) = (hex(&a), hex(&b));
    // Each element of an array, in its order; records stay records.
    let text =
        format!("{{\"result\":[{{\"payload\":\"0x{hex_a}\"}},{{\"payload\":\"0x{hex_b}\"}}]}}");
    let items = read_all(text.as_bytes(), wants());
    let paths = |item: &Result<Item, ReadError>| bytes_of(item.as_ref().unwrap()).describe();
    assert_eq!(
        items.iter().map(paths).collect::<Vec<_>>(),
        ["result[0].payload: hex, 43 bytes", "result[1].payload: hex, 44 bytes"]
    );
    let json = bytes_of(items[0].as_ref().unwrap()).to_json();
    assert_eq!(
        json,
        serde_json::json!({ "encoding": "hex", "length": 43, "path": "result[0].payload" })
    );
    let records = "[{\"type\":\"envelope\",\"raw\":\"0x00\"},{\"type\":\"x\"}]";
    assert_eq!(short(records.as_bytes(), wants()).len(), 2);
    assert!(
        matches!(&short(records.as_bytes(), wants())[0], Short::Record(1, it) if it.contains("envelope"))
    );
    // Two members with what is looked for: told, not guessed.
    let two = format!("{{\"a\":\"0x{hex_a}\",\"b\":\"0x{hex_b}\"}}");
    let error = read_all(two.as_bytes(), wants()).remove(0).unwrap_err();
    assert_eq!(error.problem.code(), "input.ambiguous");
    assert!(error.to_string().contains("a: hex, 43 bytes; b: hex, 44 bytes"), "{error}");
    // The same bytes twice are no question.
    let same = format!("{{\"a\":\"0x{hex_a}\",\"b\":\"0x{hex_a}\"}}");
    assert_eq!(short(same.as_bytes(), wants()), [Short::Bytes(1, a)]);
    // An object without bytes is a record of another program.
    assert_eq!(short(b"{\"a\":1}", wants()), [Short::Record(1, "{\"a\":1}".to_owned())]);
    // Names of strangers are not shown.
    let name = format!("{{\"a b\":\"0x{hex_b}\"}}");
    assert!(
        bytes_of(&read_all(name.as_bytes(), wants()).remove(0).unwrap())
            .describe()
            .starts_with("[…]: ")
    );
}

#[test]
fn two_readings_are_told() {
    let item = one("c0ffee00");
    assert_eq!(bytes_of(&item).bytes, [0xc0, 0xff, 0xee, 0]);
    assert_eq!(item.alternatives.len(), 1);
    assert_eq!(item.alternatives[0].encoding, Encoding::Base64);
    assert_eq!(one("0xc0ffee00").alternatives, []);
    assert_eq!(one("c0ffee00c0ffee00c0ff").alternatives, []);
    // Decimal or hex.
    let item = one("10 20 30");
    assert_eq!(
        (bytes_of(&item).encoding, item.alternatives[0].bytes.as_slice()),
        (Encoding::Hex, &[10, 20, 30][..])
    );
    let item = one("vec![10, 20, 30]");
    assert_eq!(
        (bytes_of(&item).bytes.as_slice(), item.alternatives[0].encoding),
        (&[10, 20, 30][..], Encoding::Hex)
    );
    // Only one of them is what is looked for.
    let base64 = |it: &[u8]| it.len() == 6;
    let found = read_all(b"c0ffee00", Wants::whole(base64)).remove(0).unwrap();
    assert_eq!(bytes_of(&found).encoding, Encoding::Base64);
    // Both are.
    assert_eq!(short(b"c0ffee00", Wants::whole(|_| true)), [Short::Error(1, "input.ambiguous")]);
    // Words of which the order of bytes is not known.
    let item = one("0000000 0102 0304\n0000004\n");
    assert_eq!(bytes_of(&item).bytes, [2, 1, 4, 3]);
    assert_eq!(item.alternatives[0].bytes, [1, 2, 3, 4]);
}

#[test]
fn cut_values_say_so() {
    for (text, bytes, left_out) in [
        ("0xc0ffee0", &[0xc0, 0xff, 0xee][..], 0),
        ("0xc0ffee…", &[0xc0, 0xff, 0xee], 0),
        ("0xc0ffee...", &[0xc0, 0xff, 0xee], 0),
        ("0xc0ffee… (631 characters)", &[0xc0, 0xff, 0xee], 0),
        ("<Buffer c0 ff ee ... 265 more bytes>", &[0xc0, 0xff, 0xee], 265),
        ("Uint8Array(315) [ 192, 255, 238, ... 215 more items ]", &[0xc0, 0xff, 0xee], 215),
    ] {
        let item = one(text);
        let reading = bytes_of(&item);
        assert_eq!((&*reading.bytes, reading.left_out), (bytes, Some(left_out)), "{text}");
        assert!(!reading.is_plain());
    }
    assert_eq!(
        bytes_of(&one("<Buffer c0 ff ee ... 265 more bytes>")).describe(),
        "hex, 3 bytes, 265 more bytes were left out"
    );
}

#[test]
fn dumps_are_checked() {
    let bytes = value(300);
    let dump = spellings(&bytes).into_iter().find(|it| it.0 == "xxd").unwrap().1;
    let lines: Vec<_> = dump.lines().collect();
    let without = |at: usize| {
        let mut lines = lines.clone();
        lines.remove(at);
        lines.join("\n")
    };
    assert_eq!(short(without(3).as_bytes(), wants()), [Short::Error(1, "input.dump")]);
    let error = read_all(without(3).as_bytes(), wants()).remove(0).unwrap_err();
    assert_eq!(error.problem, Problem::Dump { at: 4 });
    // Two dumps follow each other.
    let twice = format!("{dump}{dump}");
    assert_eq!(short(twice.as_bytes(), wants()).len(), 2);
    // A star stands for lines like the one before.
    let star = "00000000  41 41 41 41 41 41 41 41  41 41 41 41 41 41 41 41  |AAAAAAAAAAAAAAAA|\n*\n\
                00000040  42                                                |B|\n00000041\n";
    let expected = [vec![0x41; 64], vec![0x42]].concat();
    assert_eq!(bytes_of(&one(star)).bytes, expected);
    // It may not stand for more than fits.
    let huge = "00000000  41 41 41 41 41 41 41 41  41 41 41 41 41 41 41 41\n*\nfffffff0  42\n";
    assert!(matches!(
        &short(huge.as_bytes(), Wants::any_bytes())[..],
        [Short::Error(1, "input.dump")]
    ));
    // Characters that look like digits are no bytes.
    let digits = "00000000: 6162 2063 6420 6566 2030 3120 3233       ab cd ef 01 23\n";
    assert_eq!(bytes_of(&one(digits)).bytes, b"ab cd ef 01 23");
}

#[test]
fn binary_and_text_are_told_apart() {
    let bytes = value(70);
    assert_eq!(short(&bytes, wants()), [Short::Bytes(1, bytes.clone())]);
    for end in ["\n", "\r\n"] {
        let with_end = [&bytes, end.as_bytes()].concat();
        let item = read_all(&with_end, wants()).remove(0).unwrap();
        assert_eq!(bytes_of(&item).bytes, bytes);
        assert!(bytes_of(&item).describe().ends_with("without the line feed at its end"));
        // It belongs to bytes that may be anything.
        assert_eq!(short(&with_end, Wants::any_bytes()), [Short::Bytes(1, with_end.clone())]);
    }
    let text = format!("0x{}\r\n", hex(&bytes));
    for (mark, unit) in
        [([0xff, 0xfe], u16::to_le_bytes as fn(u16) -> [u8; 2]), ([0xfe, 0xff], u16::to_be_bytes)]
    {
        let utf16: Vec<_> = mark.into_iter().chain(text.encode_utf16().flat_map(unit)).collect();
        assert_eq!(short(&utf16, wants()), [Short::Bytes(1, bytes.clone())]);
    }
}

#[test]
fn what_is_no_bytes_is_not_quoted() {
    let phrase = "legal winner thank year wave sausage worth useful legal winner thank yellow";
    for text in [phrase, "hello there, this is text", "password: hunter 2 !", "{\"a\": secret}"] {
        let error = read_all(text.as_bytes(), wants()).remove(0).unwrap_err();
        for word in ["legal", "sausage", "hunter", "secret"] {
            assert!(!error.to_string().contains(word), "{error}");
        }
    }
    assert_eq!(short(b"0xzz", wants()), [Short::Error(1, "input.hex")]);
    assert_eq!(short(b"hello there", wants()), [Short::Error(1, "input.unrecognised")]);
    assert_eq!(short(b"[]\n{}\n", wants()), [Short::Record(2, "{}".to_owned())]);
}

#[test]
fn hostile_input_costs_no_more_than_its_length() {
    let inputs = [
        "[".repeat(200_000),
        "{\"a\":".repeat(50_000),
        "(".repeat(200_000),
        "a=".repeat(100_000),
        "\"\\".repeat(100_000),
        "0000 00 ".repeat(50_000),
        "00000000: 00\n*\n".repeat(20_000),
        "0123456789abcdef0123456789abcdef\n".repeat(20_000),
        "[1,2\n".repeat(50_000),
        "x[1 2".repeat(50_000),
        "{ [ ( = : , ".repeat(20_000),
        "%".repeat(100_000),
        "https://x/?a=%zz&".repeat(10_000),
    ];
    for input in inputs {
        // Ends, and has no more values than lines.
        let count = read_all(input.as_bytes(), wants()).len();
        assert!(count <= input.lines().count().max(1), "{count}");
    }
}

#[test]
fn a_decimal_dump_may_end_with_numbers_of_two_digits() {
    let text = "0000000 249   0  14   1   2   3   4   5   6   7   8   9 200 201 202 203\n\
                0000020  34\n0000021\n";
    let expected = vec![249, 0, 14, 1, 2, 3, 4, 5, 6, 7, 8, 9, 200, 201, 202, 203, 34];
    let found = short(text.as_bytes(), Wants::any_bytes());
    assert_eq!(found, [Short::Bytes(1, expected)]);
}

proptest::proptest! {
    #[test]
    fn nothing_panics(input: Vec<u8>, text in "[0-9a-fA-F xX\\\\\"'\\[\\]{}(),:;.=|<>\n-]{0,300}") {
        for input in [&input[..], text.as_bytes()] {
            let _ = read_all(input, Wants::any_bytes());
            let _ = read_all(input, wants());
        }
    }

    #[test]
    fn any_bytes_are_read_from_any_spelling(length in 0x100usize..0x200, spelling in 0usize..100) {
        let bytes = value(length);
        let spellings = spellings(&bytes);
        let (name, text) = &spellings[spelling % spellings.len()];
        let found = short(text.as_bytes(), wants());
        proptest::prop_assert!(found == [Short::Bytes(1, bytes)], "{}: {:?}", name, found);
    }
}

#[test]
fn bytes_that_are_no_text_are_not_read_as_others() {
    for line in [&b"\\x01\\x02\x81A\x81ID"[..], b"\"\\x01\xff\""] {
        for item in read_all(line, Wants::any_bytes()).into_iter().flatten() {
            let Content::Bytes(reading) = &item.content else { continue };
            assert!(!reading.bytes.windows(3).any(|it| it == "\u{fffd}".as_bytes()), "{reading:?}");
        }
    }
}
